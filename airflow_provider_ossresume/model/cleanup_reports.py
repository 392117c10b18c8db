"""Reports of deleted objects and of removed plans, and a helper for all clean-up reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.record import Record

MOST_NAMED = 100  # uploads, prefixes or errors in a report; an XCom is a row in Airflow's database


def first_errors(errors: Mapping[str, OSSResumeError]) -> dict[str, str]:
    """Return the first errors as texts, for a report."""
    return {what: str(error) for what, error in list(errors.items())[:MOST_NAMED]}


class DeleteReport(Record):
    """What happened so far to the objects that were to be deleted.

    :ivar errors: the error of each object that OSS did not delete, by its ``oss://`` URI
    """

    def __init__(self, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.deleted = 0
        self.errors: dict[str, OSSResumeError] = {}
        self._first: list[str] = []

    def add(self, target: ObjectRef, error: OSSResumeError | None) -> None:
        """Count one more object. ``error`` is set if it was not deleted."""
        if error:
            self.errors[target.uri] = error
            return
        self.deleted += 1
        if len(self._first) < MOST_NAMED:
            self._first.append(target.uri)

    def report(self) -> dict[str, Any]:
        """Return the report as JSON values, with the first 100 URIs and the first 100 errors."""
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
    """What happened so far to the old plans of a work folder.

    :ivar plans: plans that were removed, or would be
    :ivar kept_young: plans that are not old enough
    :ivar pairs: pairs of source and target whose facts were removed, or would be, because their last plan is too old
    :ivar files: files of all these
    :ivar foreign: folders and facts that this version of the provider has not written
    """

    def __init__(self, uri: str, dry_run: bool) -> None:
        self.uri = uri
        self.dry_run = dry_run
        self.plans = self.kept_young = self.pairs = self.files = self.foreign = 0
        self._first: list[str] = []

    def name(self, folder: str) -> None:
        """Name the folder of a plan that was removed, or would be."""
        if len(self._first) < MOST_NAMED:
            self._first.append(folder)

    def report(self) -> dict[str, Any]:
        """Return the report as JSON values, with the first 100 plans."""
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
            f"{removed} ({self.files} files), {self.kept_young} plans kept because they are younger than older_than, "
            f"{self.foreign} not of this provider"
        )
