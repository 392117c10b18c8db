"""What happens in the middle of a try of a set: faults, a kill, other hands, or the same try once more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request, Rule

NAMES = ("a", "b-d", "b/c", "b0", "large")
VERSIONS = 4  # of each file; the last one has another size
DELETING = {"HeadObject", "DeleteMultipleObjects"}  # OSS deletes under no condition, so nobody may write in between
FAULTS = {
    "refused once": Rule(Fault("refuse")),
    "answer lost": Rule(Fault("answer-lost")),
    "internal error": Rule(Fault("status")),
    "denied": Rule(Fault("status", status=403, code="AccessDenied")),
    "throttled": Rule(Fault("status", status=503, code="SlowDown")),
    "truncated": Rule(Fault("truncated", after_bytes=20)),
    "listings fail": Rule(Fault("status", status=403, code="AccessDenied"), "ListObjectsV2", times=None),
    "second page fails": Rule(Fault("status", status=403, code="AccessDenied"), "ListObjectsV2", nth=2, times=None),
    "second page is damaged": Rule(Fault("malformed-xml"), "ListObjectsV2", nth=2, times=None),
}


@dataclass(frozen=True)
class Event:
    """What happens at a request of a try.

    :ivar what: one of FAULTS, ``killed``, ``killed after``, ``source``, ``target``, ``twin``
    :ivar nth: the request, from 1
    :ivar name: of the file that others write to
    :ivar version: what they write; None when they delete it
    """

    what: str
    nth: int
    name: str = NAMES[0]
    version: int | None = None


class Killed(Exception):
    """The process of a try was killed."""


class Meddler:
    """Lets events happen at the requests that a server gets.

    :param failures: takes what an event raises, which the server would take for its own
    """

    def __init__(self, oss: LocalOSS, events: Collection[Event], failures: list[BaseException]) -> None:
        self._oss = oss
        self._events = events
        self._failures = failures
        self._is_dead = threading.Event()
        self._numbers = count(1)

    def watch(self) -> None:
        """For the try; once killed it ends, and nothing that it asks for arrives."""
        if self._is_dead.is_set():
            raise Killed

    @contextmanager
    def meddling(self, act: Callable[[Event, Request], None]) -> Iterator[None]:
        """:param act: does what is no fault and no kill"""

        def meddle(request: Request) -> None:
            number = next(self._numbers)
            for event in self._events:
                if event.nth == number and not self._is_dead.is_set():
                    self._let_happen(event, request, act)

        self._oss.on_request = meddle if self._events else None
        try:
            yield
        finally:
            self._oss.on_request = None
            self._oss.clear_faults()

    def _let_happen(self, event: Event, request: Request, act: Callable[[Event, Request], None]) -> None:
        if event.what in FAULTS:
            self._oss.add_rule(FAULTS[event.what])
        elif event.what.startswith("killed"):
            self._is_dead.set()
            is_after = event.what == "killed after"
            if is_after:
                self._oss.add_rule(Rule(Fault("answer-lost")))
            self._oss.add_rule(Rule(Fault("refuse"), nth=1 + is_after, times=None))
        else:
            hook, self._oss.on_request = self._oss.on_request, None
            try:
                act(event, request)
            except BaseException as error:
                self._failures.append(error)
                raise
            self._oss.on_request = hook
