"""The verdict: the result of a plan as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.manifest import FORMAT, Mode
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.record import Record
from airflow_provider_ossresume.model.untrusted_json import read_json

Outcome = Literal["proven", "allowed", "not proven", "dry run"]


@dataclass(frozen=True)
class Verdict(Record):
    """The result of a plan, in numbers. A task may return it.

    :ivar outcome: ``proven``: every row is; ``allowed``: all but those that may be skipped; ``not proven``; ``dry run``
    :ivar files: rows of the plan; each was moved, found the same, skipped, failed or not tried
    :ivar size: bytes of the moved files
    :ivar bytes_moved: bytes sent or received by the tries that moved them
    :ivar there: files that the plan found in the target already
    :ivar skipped: number of skipped rows, by reason
    :ivar not_tried: rows without a result from any batch
    :ivar deleted: files and objects that this finish has deleted
    :ivar gone: files and objects that were already deleted
    :ivar kept: files and objects that were not deleted, because they have changed, or because not every row is proven
    :ivar left_out: number of files that the plan left out, by reason
    :ivar failures: the first hundred names that are not proven, with the reasons
    :ivar failed_list: the URI of the list of all of them, one JSON object in each line; empty if there are none
    :ivar first_names: of a dry run in one call: the first hundred names that would be moved (``put``) and deleted
        (``delete``)
    """

    plan_id: str
    source: str
    target: str
    mode: Mode
    outcome: Outcome
    files: int = 0
    moved: int = 0
    same: int = 0
    there: int = 0
    size: int = 0
    bytes_moved: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0
    not_tried: int = 0
    deleted: int = 0
    gone: int = 0
    kept: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    failed_list: str = ""
    first_names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {
            "plan_id": self.plan_id,
            "source": self.source,
            "target": self.target,
            "mode": self.mode,
            "outcome": self.outcome,
            "files": self.files,
            "moved": self.moved,
            "same": self.same,
            "there": self.there,
            "size": self.size,
            "bytes": self.bytes_moved,
            "skipped": dict(self.skipped),
            "failed": self.failed,
            "not_tried": self.not_tried,
            "deleted": self.deleted,
            "gone": self.gone,
            "kept": self.kept,
            "left_out": dict(self.left_out),
            "failures": dict(self.failures),
            "failed_list": self.failed_list,
            "first_names": {action: list(names) for action, names in self.first_names.items()},
        }

    def text(self) -> str:
        """Return the text of ``verdict.json``."""
        return json.dumps({"format": FORMAT, **self.report()}, ensure_ascii=False, indent=1)

    @classmethod
    def of(cls, text: str) -> Verdict:
        """:raises ManifestUnreadable: if the text is not a verdict, or has a newer format"""
        try:
            values = read_json(text)
            if not isinstance(values["format"], int) or values["format"] > FORMAT:
                raise ManifestUnreadable(
                    f"the verdict has the format {values['format']!r}; use a newer version of the provider"
                )
            values["bytes_moved"] = values.pop("bytes")
            return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManifestUnreadable("the text is not a verdict of this provider") from error

    def __str__(self) -> str:
        text = (
            f"{self.moved:,} of {self.files:,} files moved ({format_size(self.size)}), {self.same + self.there:,} "
            f"already there, {sum(self.skipped.values()):,} skipped, {self.failed:,} failed, "
            f"{self.not_tried:,} not tried"
        )
        if self.mode == "mirror":
            text += f", {self.deleted + self.gone:,} deleted, {self.kept:,} still to delete"
        return text
