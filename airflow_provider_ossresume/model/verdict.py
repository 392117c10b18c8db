"""What has become of a plan as a whole."""

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
    """What has become of each row of a plan, in numbers; a task may return it.

    :ivar outcome: ``proven``: each row is; ``allowed``: each but those that may be skipped; ``not proven``; ``dry run``
    :ivar files: rows of the plan; each is one of those that were moved, found the same, skipped, failed or not tried
    :ivar size: of what was moved, in bytes
    :ivar bytes_moved: over the wire, by the tries that moved it
    :ivar there: files that the plan itself has found in the target
    :ivar skipped: rows that were skipped, by the reason
    :ivar not_tried: rows that no batch has said anything of
    :ivar deleted: files and objects that the mirror has deleted now
    :ivar gone: those that it had deleted before, or that somebody else has
    :ivar kept: those that were to be deleted and are not: they have changed, or not each row is proven
    :ivar left_out: files that the plan has left out, by the reason
    :ivar failures: names of what is not proven, with the reasons; the first hundred
    :ivar failed_list: the URI of the list of all of them, one JSON object a line; empty for none
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
        """Return it as JSON takes it."""
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
        """Return it as ``verdict.json`` has it."""
        return json.dumps({"format": FORMAT, **self.report()}, ensure_ascii=False, indent=1)

    @classmethod
    def of(cls, text: str) -> Verdict:
        """:raises ManifestUnreadable: when the text is no verdict, or one of a newer format"""
        try:
            values = read_json(text)
            if not isinstance(values["format"], int) or values["format"] > FORMAT:
                raise ManifestUnreadable(f"the verdict has the format {values['format']!r}; use a newer provider")
            values["bytes_moved"] = values.pop("bytes")
            return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManifestUnreadable("no verdict of this provider") from error

    def __str__(self) -> str:
        text = (
            f"{self.moved:,} of {self.files:,} files moved ({format_size(self.size)}), {self.same + self.there:,} were "
            f"there, {sum(self.skipped.values()):,} skipped, {self.failed:,} failed, {self.not_tried:,} not tried"
        )
        if self.mode == "mirror":
            text += f", {self.deleted + self.gone:,} deleted, {self.kept:,} to be deleted and kept"
        return text
