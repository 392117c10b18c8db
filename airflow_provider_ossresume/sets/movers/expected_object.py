"""Guards a row's target on OSS: it may be overwritten only if it has not changed since the plan."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_ossresume.model.manifest import Row
from airflow_provider_ossresume.model.object_options import FORBID_OVERWRITE
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.set_options import TargetChangedInSet
from airflow_provider_ossresume.sets.movers.mover_base import identity_of_etag, target_changed_error
from airflow_provider_ossresume.transfer.options import IfExists


@dataclass(frozen=True)
class ExpectedObject:
    """The target object of a row, as the plan saw it.

    :ivar policy: what to do if it has changed since
    """

    ref: ObjectRef
    row: Row
    policy: TargetChangedInSet

    @property
    def must_be_checked(self) -> bool:
        """True if the object must be checked first. An object that must not exist is guarded by OSS itself."""
        return self.policy == "fail" and self.row.was is not None

    @property
    def guard(self) -> dict[str, str]:
        """Headers that stop OSS from overwriting an object that the plan has not seen."""
        return {FORBID_OVERWRITE: "true"} if self.if_exists == "fail" else {}

    @property
    def if_exists(self) -> IfExists:
        """The same guard, as an option of a transfer part by part."""
        return "fail" if self.policy == "fail" and self.row.was is None else "overwrite"

    def check(self, meta: ObjectMeta | None) -> None:
        """:raises OSSResumeError: if the object has changed and must not be overwritten"""
        now = None if meta is None else identity_of_etag(meta.etag)
        if self.must_be_checked and now != self.row.was:
            raise target_changed_error(self.ref)
