"""Errors of transfers of many files."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from airflow_provider_ossresume.errors._base import OSSResumeError, with_reasons

MOST_NAMED = 100  # names that an error keeps as attributes; its text has fewer


class SetError(OSSResumeError):
    """A transfer of many files failed as a whole."""


class PlanRefused(SetError):
    """The plan would delete more than is allowed, or leave out files that were asked for. No byte has moved.

    :ivar found: names and reasons, the first hundred
    """

    found: Mapping[str, str] = MappingProxyType({})

    def __init__(self, what: str, found: Mapping[str, str] | None = None, *, most: int = 10) -> None:
        self.found = _first(found)
        super().__init__(with_reasons(what, self.found, most=most))


class NotProven(SetError):
    """Not every file of the plan is proven to be in place. Moved files are kept; a later try moves only the rest.

    :ivar failures: names and reasons, the first hundred
    :ivar report: the counts of the verdict, or of the batch's report
    """

    failures: Mapping[str, str] = MappingProxyType({})
    report: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        what: str,
        failures: Mapping[str, str] | None = None,
        *,
        report: Mapping[str, Any],
        retryable: bool = False,
        most: int = 10,
    ) -> None:
        self.failures = _first(failures)
        super().__init__(with_reasons(what, self.failures, most=most))
        self.report = dict(report)
        self.retryable = retryable


class ManifestUnreadable(SetError):
    """A file in the work folder is not a plan, batch or ledger that this version can read."""


def _first(reasons: Mapping[str, str] | None) -> dict[str, str]:
    return dict(list((reasons or {}).items())[:MOST_NAMED])
