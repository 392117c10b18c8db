"""The reports of objects and plans that were removed, and what all such reports have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.record import Record

MOST_NAMED = 100  # of uploads, prefixes and errors in a report; an XCom is a row of Airflow's database


def first_errors(errors: Mapping[str, OSSResumeError]) -> dict[str, str]:
    """Return what a report says of errors."""
    return {what: str(error) for what, error in list(errors.items())[:MOST_NAMED]}


class DeleteReport(Record):
    """What became of objects that were to be deleted, as far as it has come.

    :ivar errors: of each object that OSS did not delete, by its ``oss://`` URI
    """

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.deleted = 0
        self.errors: dict[str, OSSResumeError] = {}
        self._first: list[str] = []

    def add(self, target: ObjectRef, error: OSSResumeError | None) -> None:
        """Take one more object; an error when it was not deleted."""
        if error:
            self.errors[target.uri] = error
            return
        self.deleted += 1
        if len(self._first) < MOST_NAMED:
            self._first.append(target.uri)

    def report(self) -> dict[str, Any]:
        """Return it as JSON; of URIs and errors the first 100 each."""
        return {
            "deleted": 0 if self.dry_run else self.deleted,
            "would_delete": self.deleted if self.dry_run else 0,
            "failed": len(self.errors),
            "uris": self._first,
            "errors": first_errors(self.errors),
        }

    def __str__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"{self.deleted} objects {'would be ' if self.dry_run else ''}deleted{failed}"


class WorkFolderReport(Record):
    """What became of the old plans of a work folder, as far as it has come.

    :ivar plans: that were removed, or would be
    :ivar kept_young: plans that are not old enough
    :ivar pairs: sources and targets whose facts were removed, or would be, as their last plan is too old
    :ivar files: of all that
    :ivar foreign: folders among the plans, and facts, that are none of this provider's version
    """

    def __init__(self, uri: str, dry_run: bool) -> None:
        self.uri = uri
        self.dry_run = dry_run
        self.plans = self.kept_young = self.pairs = self.files = self.foreign = 0
        self._first: list[str] = []

    def name(self, folder: str) -> None:
        """Take the folder of a plan that was removed, or would be."""
        if len(self._first) < MOST_NAMED:
            self._first.append(folder)

    def report(self) -> dict[str, Any]:
        """Return it as JSON; of plans the first 100."""
        return {
            "uri": self.uri,
            "removed": 0 if self.dry_run else self.plans,
            "would_remove": self.plans if self.dry_run else 0,
            "kept_young": self.kept_young,
            "pairs": self.pairs,
            "files": self.files,
            "foreign": self.foreign,
            "plans": self._first,
        }

    def __str__(self) -> str:
        removed = "would be removed" if self.dry_run else "removed"
        return (
            f"the work folder {self.uri}: {self.plans} plans and the facts of {self.pairs} sources and targets "
            f"{removed} ({self.files} files), {self.kept_young} plans kept as too young, {self.foreign} not of this "
            "provider"
        )
