"""Asks of many files at once whether both sides hold the same bytes, in memory that does not grow with their number."""

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

COMPARERS = 32  # at once
ASKED_AT_ONCE = 1_024
HELD_AT_ONCE = 16_384  # files that wait, as those before them are asked about
HOPELESS = 10  # comparisons that fail before any has worked


@dataclass(frozen=True)
class Pair:
    """What both sides have under a name, and what is to be done about it."""

    source: Entry | None
    target: Entry | None
    decision: Decision
    fact: Fact | None = None


class Comparer:
    """Compares by the workers of a crew.

    A file that cannot be compared is to be moved, and its batch says what is wrong with it. But when the first ten
    fail, and none has worked, then all will: such as have gone or changed since the scan do not count.

    :ivar proven: how many files were found the same
    """

    def __init__(self, mover: Mover, crew: Crew) -> None:
        self._mover = mover
        self._crew = crew
        self._failed = self._worked = 0
        self.proven = 0

    def settled(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Yield the pairs in their order, with ``same`` or ``put`` in the place of ``compare``."""
        held: list[Pair] = []
        asked = 0
        for pair in pairs:
            if pair.decision != "compare" and not held:
                yield pair
                continue
            held.append(pair)
            asked += pair.decision == "compare"
            if asked == ASKED_AT_ONCE or len(held) == HELD_AT_ONCE:
                yield from self._settle(held)
                held, asked = [], 0
        yield from self._settle(held)

    def _settle(self, held: list[Pair]) -> list[Pair]:
        places = [place for place, pair in enumerate(held) if pair.decision == "compare"]
        for place, answer in self._crew.run(lambda place: (place, self._ask(held[place])), places):
            fact = self._fact(held[place], answer)
            self.proven += fact is not None
            held[place] = replace(held[place], decision="put" if fact is None else "same", fact=fact)
        return held

    def _ask(self, pair: Pair) -> Fact | OSSResumeError | None:
        if pair.source is None or pair.target is None:
            return None
        try:
            return self._mover.compare(pair.source, pair.target, self._crew)
        except (TransferStopped, TrySuperseded):
            raise
        except OSSResumeError as error:
            return error

    def _fact(self, pair: Pair, answer: Fact | OSSResumeError | None) -> Fact | None:
        if not isinstance(answer, OSSResumeError):
            self._worked += 1
            return answer
        self._failed += not _is_own(answer)
        if not self._worked and self._failed >= HOPELESS:
            raise answer
        name = printable(pair.source.name) if pair.source else ""
        log.warning("%s cannot be compared, so it is to be moved: %s", name, answer)
        return None


def _is_own(error: OSSResumeError) -> bool:
    """True for what tells of one file only: that it is gone, or has just been written to."""
    if isinstance(error, ServiceError):
        return error.status in (404, 412) and not isinstance(error, NoSuchBucket)
    return isinstance(error, (Gone, SourceChanged, ObjectChanged))
