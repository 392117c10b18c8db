"""What a row's target on OSS has to be before it is overwritten."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_ossresume.model.manifest import Row
from airflow_provider_ossresume.model.object_options import FORBID_OVERWRITE
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.set_options import TargetChangedInSet
from airflow_provider_ossresume.sets.movers.mover_base import identity_by, refuse_target
from airflow_provider_ossresume.transfer.options import IfExists


@dataclass(frozen=True)
class ExpectedObject:
    """The object that a row makes, as the plan saw it.

    :ivar policy: what to do when it is not that any more
    """

    ref: ObjectRef
    row: Row
    policy: TargetChangedInSet

    @property
    def is_asked_for(self) -> bool:
        """True when it has to be looked at first. Whether it is still absent OSS guards by itself."""
        return self.policy == "fail" and self.row.was is not None

    @property
    def guard(self) -> dict[str, str]:
        """The headers with which OSS overwrites nothing that the plan has not seen."""
        return {FORBID_OVERWRITE: "true"} if self.if_exists == "fail" else {}

    @property
    def if_exists(self) -> IfExists:
        """The same for a transfer part by part."""
        return "fail" if self.policy == "fail" and self.row.was is None else "overwrite"

    def check(self, meta: ObjectMeta | None) -> None:
        """:raises OSSResumeError: when it is another one now, and must not be overwritten"""
        now = None if meta is None else identity_by(meta.etag)
        if self.is_asked_for and now != self.row.was:
            raise refuse_target(self.ref)
