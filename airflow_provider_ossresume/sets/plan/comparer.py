"""Compares many files at once. Memory does not grow with their number."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from airflow_provider_ossresume.errors import (
    NoSuchBucket,
    ObjectChanged,
    OSSResumeError,
    ServiceError,
    SourceChanged,
    TransferStopped,
    TrySuperseded,
)
from airflow_provider_ossresume.model.entries import Entry, printable
from airflow_provider_ossresume.model.manifest import Fact
from airflow_provider_ossresume.model.plan_decisions import Decision
from airflow_provider_ossresume.sets.movers.mover_base import Gone
from airflow_provider_ossresume.sets.ports import Mover
from airflow_provider_ossresume.transfer.crew import Crew

log = logging.getLogger(__name__)

COMPARE_WORKERS = 32  # threads
COMPARED_AT_ONCE = 1_024
MAX_WAITING = 16_384  # files that wait for the comparison of files before them
MAX_FIRST_FAILURES = 10  # the plan fails if this many comparisons fail before one succeeds


@dataclass(frozen=True)
class ComparedPair:
    """Source and target of a name, with the decision."""

    source: Entry | None
    target: Entry | None
    decision: Decision
    fact: Fact | None = None


class Comparer:
    """Compares files with the workers of a crew.

    A file that cannot be compared will be moved, and its batch reports what is wrong with it. But if the first ten
    comparisons fail, all of them would, so the plan fails. Files that were deleted or changed meanwhile do not count.

    :ivar proven: number of files that were proven to be equal
    """

    def __init__(self, mover: Mover, crew: Crew) -> None:
        self._mover = mover
        self._crew = crew
        self._failed = self._worked = 0
        self.proven = 0

    def decided(self, pairs: Iterable[ComparedPair]) -> Iterator[ComparedPair]:
        """Yield the pairs in order, with ``compare`` replaced by ``same`` or ``put``."""
        waiting: list[ComparedPair] = []
        asked = 0
        for pair in pairs:
            if pair.decision != "compare" and not waiting:
                yield pair
                continue
            waiting.append(pair)
            asked += pair.decision == "compare"
            if asked == COMPARED_AT_ONCE or len(waiting) == MAX_WAITING:
                yield from self._decide(waiting)
                waiting, asked = [], 0
        yield from self._decide(waiting)

    def _decide(self, waiting: list[ComparedPair]) -> list[ComparedPair]:
        places = [place for place, pair in enumerate(waiting) if pair.decision == "compare"]
        for place, outcome in self._crew.run(lambda place: (place, self._compare(waiting[place])), places):
            fact = self._fact(waiting[place], outcome)
            self.proven += fact is not None
            waiting[place] = replace(waiting[place], decision="put" if fact is None else "same", fact=fact)
        return waiting

    def _compare(self, pair: ComparedPair) -> Fact | OSSResumeError | None:
        if pair.source is None or pair.target is None:
            return None
        try:
            return self._mover.compare(pair.source, pair.target, self._crew)
        except (TransferStopped, TrySuperseded):
            raise
        except OSSResumeError as error:
            return error

    def _fact(self, pair: ComparedPair, outcome: Fact | OSSResumeError | None) -> Fact | None:
        if not isinstance(outcome, OSSResumeError):
            self._worked += 1
            return outcome
        self._failed += not _is_about_one_file(outcome)
        if not self._worked and self._failed >= MAX_FIRST_FAILURES:
            raise outcome
        name = printable(pair.source.name) if pair.source else ""
        log.warning("%s could not be compared, so it will be moved: %s", name, outcome)
        return None


def _is_about_one_file(error: OSSResumeError) -> bool:
    """Return True if the error concerns one file only: it was deleted, or written to."""
    if isinstance(error, ServiceError):
        return error.status in (404, 412) and not isinstance(error, NoSuchBucket)
    return isinstance(error, (Gone, SourceChanged, ObjectChanged))
