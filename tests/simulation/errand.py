"""One request of the simulated client, over as many connections as the engine's pool takes for it, with its faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Generic, TypeVar

from airflow_provider_ossresume.errors import (
    AccessDenied,
    BadAnswer,
    IntegrityError,
    ObjectTooLarge,
    RequestError,
    ServiceError,
)
from airflow_provider_ossresume.oss.connections import Connections
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from airflow_provider_ossresume.oss.retry import Attempts
from airflow_provider_ossresume.oss.stop import Stop
from airflow_provider_ossresume.transfer.part_body import PartBody
from tests.simulation.account import Account
from tests.simulation.oss import BUCKET, DELAY, KEY, NAMES, SLOW, SOURCE, flipped, no_answer, refusal
from tests.simulation.wires import NARROW, Wire, head

if TYPE_CHECKING:
    from tests.simulation.world import Try, World

T = TypeVar("T")

ORIGIN = "http://oss"
POSTS = ("initiate", "complete")  # what the pool does not send again when it may have come
WITHOUT_BODY = ("complete", "initiate", "copy", "part copy")


class Errand(Generic[T]):
    """One attempt at one request.

    :param effect: what it does at OSS, and the answer; of a GET its body too
    :param body: what is sent, if anything; then the effect is called with its bytes, when OSS has all of them
    :ivar is_unconditioned: a proxy drops If-Match
    """

    def __init__(
        self,
        world: World,
        process: Try,
        operation: str,
        label: str,
        attempts: Attempts,
        account: Account,
        *,
        effect: Callable[[], T] | None = None,
        body: PartBody | None = None,
        store: Callable[[bytes], T] | None = None,
    ) -> None:
        self._attempts = attempts
        self._account = account
        self.is_unconditioned = False
        self.wire: Wire | None = None  # the last one
        self._world = world
        self._try = process
        self._operation = operation
        self._label = label
        self._effect = effect
        self._body = body
        self._store = store
        self._result: T
        self._error: RequestError | IntegrityError | None = None  # what OSS has answered, or its answer is found to be
        self._refused: ServiceError | None = None  # what it made of the body

    def run(self, connections: Connections, stop: Stop) -> T:
        """Return what OSS answers."""
        thread = self._world.scheduler.current
        outer, thread.errand = thread.errand, self  # a copy reads its source while it sends
        try:
            return self._run(connections, stop)
        finally:
            thread.errand = outer

    def _run(self, connections: Connections, stop: Stop) -> T:
        method = "POST" if self._operation in POSTS else "PUT"
        try:
            with connections.exchange(method, ORIGIN, "/", {}, self._pieces if self._body else b"", stop=stop):
                pass
        except ExchangeFailed as error:
            stop.check()
            self._judge(method, error)
            raise no_answer(self._operation, str(error)) from error
        if self._error is not None:
            stop.check()
            raise self._error
        return self._result

    def _judge(self, method: str, error: ExchangeFailed) -> None:
        """Invariant 8."""
        is_sent_again = self.wire is not None and self.wire.was_reused and not self.wire.has_answered
        if is_sent_again and not (error.is_timeout and method == "POST"):
            self._world.ledger.violate(f"(8) that a connection which had waited was dead costs {self._try} an attempt")

    def _pieces(self) -> Iterator[bytes | memoryview]:
        assert self._body is not None
        return self._moved(self._body.open())

    def _moved(self, pieces: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        for piece in pieces:
            yield piece
            self.moved()

    def moved(self) -> None:
        """Bytes have moved."""
        self._attempts.moved()
        self._account.moved()

    def progressed(self) -> None:
        """What has come so far needs not come again."""
        self._attempts.progressed()
        self._account.progressed()

    # --- over one connection ------------------------------------------------------------------------------------------

    def send(self, wire: Wire, data: bytes | memoryview, limit: Limit) -> bool:
        """Bring the request, and then each piece of its body; False when OSS has answered already."""
        with self._failing():
            if wire is not self.wire:
                self.wire, self._content, self._is_late, self._error = wire, b"", False, None
                try:
                    self._begin(wire)
                except ServiceError as error:
                    self._error = error
                return self._error is None
            wire.carry(len(data), limit)
            self._receive(bytes(data))
            return True

    def answer(self, wire: Wire, first: Limit) -> SimpleNamespace:
        """Return the head of the answer; what it says is kept for :meth:`run`."""
        if self._error is not None:
            wire.has_answered = True
            return head(400)
        with self._failing():
            if wire.is_forgotten:
                wire.time_out(first)
            try:
                self._result = self._act()
                self._world.note(f"{self._operation} {self._label} ok")
                self._end(wire, first)
            except (RequestError, IntegrityError) as error:
                self._error = error
            wire.has_answered = True
            return head(200)

    def _failing(self) -> _Failing:
        return _Failing(self._world, self._try)

    def _begin(self, wire: Wire) -> None:
        """The request is on its way."""
        operation, world, process = self._operation, self._world, self._try
        wire.sleep(world.a_while())
        if process.outage > 0:
            process.outage -= 1
            raise ExchangeFailed("still no answer")
        action = world.point(operation, "before", self._label)
        if action == "refused":
            raise ExchangeFailed("refused")
        if action == "outage":
            process.outage = world.attempts
            raise ExchangeFailed("refused, for longer")
        if action == "breaks":
            process.breaks = world.attempts - 1
        if action == "narrow":
            process.link.rate = process.link.rate and NARROW
        if action == "slow":
            wire.sleep(SLOW)
        if action == "stall":
            wire.is_forgotten = True
        if action == "forgotten":  # all of them, as by a firewall that begins anew
            for each in process.wires:
                each.is_forgotten = True
        if action == "delay":
            wire.sleep(DELAY)
        if action == "busy":
            raise refusal(ServiceError, operation, 503, "ServiceUnavailable")
        if action == "denied":
            process.was_denied = True
            raise refusal(AccessDenied, operation, 403, "AccessDenied")
        if action == "damaged":
            raise refusal(ServiceError, operation, 400, "InvalidDigest")
        if action == "too large" and world.oss.head(operation, of=SOURCE).content:
            raise refusal(ObjectTooLarge, operation, 400, "EntityTooLarge")
        if action == "late" and operation in WITHOUT_BODY:
            assert self._effect is not None
            world.later(partial(self._land, self._effect))
            raise ExchangeFailed("no answer yet", is_timeout=True)
        if action == "bad join":
            world.bad_join = True
        self.is_unconditioned = action == "unconditioned"

    def _receive(self, data: bytes) -> None:
        """OSS acts when it has all bytes of a body, whatever the sender makes of them afterwards."""
        assert self._body is not None
        action = self._world.point(self._operation, "body", f"{self._label}+{len(self._content)}")
        if action == "flip":
            data = flipped(data, by=0x0F)  # not as on the way here: twice the same damage would look right
            self._try.damaged.add(self._label)
        self._is_late = self._is_late or action == "late"
        self._content += data
        if len(self._content) < self._body.size:
            return
        self.break_some()
        assert self._store is not None
        if self._is_late:
            self._world.later(partial(self._land, partial(self._store, self._content)))
            raise ExchangeFailed("no answer yet", is_timeout=True)
        self._take(self._content)

    def break_some(self) -> None:
        """Fail at the end of a body, where that was ordered."""
        if self._try.breaks > 0:
            self._try.breaks -= 1
            raise ExchangeFailed("broke off at the end")

    def _take(self, content: bytes) -> None:
        assert self._store is not None
        try:
            self._result = self._store(content)
        except ServiceError as error:
            self._refused = error
        else:
            self._refused = None

    def _act(self) -> T:
        if self._body is None:
            assert self._effect is not None
            try:
                return self._effect()
            finally:
                self.is_unconditioned = False
        if not self._body.size:
            self._take(b"")
        if self._refused is not None:
            raise self._refused
        return self._result

    def _end(self, wire: Wire, first: Limit) -> None:
        """The answer is on its way."""
        operation, process = self._operation, self._try
        action = self._world.point(operation, "after", self._label)
        if action == "lost":
            raise ExchangeFailed("answer lost")
        if action == "unheard":
            wire.is_forgotten = True
            wire.time_out(first)
        if action == "slow":
            wire.sleep(SLOW)
        if action in ("garbled", "garbled for good") or (process.is_garbled and operation == "complete"):
            process.is_garbled = process.is_garbled or action == "garbled for good"
            raise BadAnswer("XML that breaks off", operation=NAMES[operation], target=f"oss://{BUCKET}/{KEY}")
        if action == "lost outage":
            process.outage = self._world.attempts
            raise ExchangeFailed("answer lost, and no other came")

    def _land(self, effect: Callable[[], object]) -> None:
        """A request that its sender had given up arrives, whichever thread runs just then."""
        thread = self._world.scheduler.current
        outer, thread.errand = thread.errand, self
        try:
            effect()
            self._world.note(f"a late {self._operation} of {self._try} lands")
        except ServiceError as error:
            self._world.note(f"a late {self._operation} of {self._try} -> {type(error).__name__} {error.code}")
        finally:
            thread.errand = outer


class _Failing:
    """Notes when a connection fails within the block."""

    def __init__(self, world: World, process: Try) -> None:
        self._world = world
        self._try = process

    def __enter__(self) -> None:
        """Nothing has failed yet."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ExchangeFailed):
            self._try.connection_failed_at = max(self._try.connection_failed_at, self._world.scheduler.now)
