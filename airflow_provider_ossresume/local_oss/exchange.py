"""One request and its answer, from the head to the journal, with the faults that apply to it."""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from airflow_provider_ossresume.local_oss.answers import Answer, Refusal, http_date
from airflow_provider_ossresume.local_oss.authentication import Account, verify
from airflow_provider_ossresume.local_oss.body_faults import (
    ANSWER_KINDS,
    REQUEST_KINDS,
    BodyFaults,
    FaultySource,
    tamper,
)
from airflow_provider_ossresume.local_oss.connection import Connection, head_of
from airflow_provider_ossresume.local_oss.fault_rules import Rules
from airflow_provider_ossresume.local_oss.faults import Fault
from airflow_provider_ossresume.local_oss.incoming import Body, ConnectionLost, IncomingRequest, parse_head
from airflow_provider_ossresume.local_oss.journal import Journal, Request, without_secrets
from airflow_provider_ossresume.local_oss.operations import UNKNOWN, operation_of, run
from airflow_provider_ossresume.local_oss.service import Service, whole_number

log = logging.getLogger(__name__)

_MAX_DRAINED = 1024 * 1024  # bytes of a refused body that are read in order to keep the connection


Hook: TypeAlias = Callable[[Request], object]


@dataclass
class Backend:
    """The state that all connections share."""

    service: Service
    account: Account
    journal: Journal
    rules: Rules = field(default_factory=Rules)
    on_request: Hook | None = None
    after_request: Hook | None = None


def serve(connection: Connection, backend: Backend) -> None:
    """Answer a connection's requests until either side ends it."""
    keep_alive = True
    try:
        connection.begin()
        while keep_alive:
            keep_alive = _serve_one(connection, backend)
    except ConnectionLost as lost:
        if lost.reset:
            connection.reset()
    finally:
        connection.close()


def _serve_one(connection: Connection, backend: Backend) -> bool:
    try:
        head = connection.stream.head()
        if head is None:
            return False
        request = parse_head(head, body_of=lambda headers: _body(connection, headers), scheme=connection.scheme)
    except Refusal as refusal:
        _refuse_unreadable(connection, backend, refusal)
        return False
    return Exchange(connection, backend, request).run()


def _body(connection: Connection, headers: Mapping[str, str]) -> Body:
    waits = headers.get("expect", "").lower() == "100-continue"
    return Body(connection.stream, headers, before_first=connection.send_continue if waits else lambda: None)


def _refuse_unreadable(connection: Connection, backend: Backend, refusal: Refusal) -> None:
    now = backend.service.clock()
    request = Request(backend.journal.next_number(), UNKNOWN, "", None, None, when=now)
    request = replace(request, status=refusal.status, code=refusal.code)
    backend.journal.enter(request)
    request_id = new_request_id()
    answer = refusal.answer(method="GET", request_id=request_id, host="")
    headers = _common_headers(request_id, now=now, began=time.monotonic(), keep_alive=False)
    connection.send(answer, head_of(answer, headers), BodyFaults((), pause=connection.pause))
    backend.journal.settle(request, replace(request, bytes_sent=connection.sent or 0))
    connection.discard()


class Exchange:
    """One request and its answer."""

    def __init__(self, connection: Connection, backend: Backend, incoming: IncomingRequest) -> None:
        self._connection = connection
        self._backend = backend
        self._incoming = incoming
        self._began = time.monotonic()
        self._request_id = new_request_id()
        self._faults: tuple[Fault, ...] = ()
        self._request = _journal_entry(incoming, backend)

    def run(self) -> bool:
        """Answer the request. Return True if the connection stays open. Raises ConnectionLost if it is gone."""
        answer = Answer()
        try:
            answer = self._answer()
            self._strike_after_work()
            keep_alive = self._incoming.keep_alive and self._body_is_read()
        except ConnectionLost:
            answer.close()
            self._enter(status=0, code="", bytes_sent=0)
            self._settle(self._request)
            raise
        planned = 0 if self._incoming.method == "HEAD" else answer.size
        self._enter(status=answer.status, code=answer.code, bytes_sent=planned)
        self._send(answer, keep_alive=keep_alive)
        return keep_alive

    def _enter(self, *, status: int, code: str, bytes_sent: int) -> None:
        received = self._incoming.body.received
        self._request = replace(self._request, status=status, code=code, bytes_received=received, bytes_sent=bytes_sent)
        self._backend.journal.enter(self._request)

    def _settle(self, request: Request) -> None:
        self._backend.journal.settle(self._request, request)
        if self._backend.after_request:
            self._backend.after_request(request)

    def _answer(self) -> Answer:
        """Return the answer, changed by the faults. Raises ConnectionLost if the client has disconnected."""
        try:
            return tamper(self._work(), self._faults)
        except Refusal as refusal:
            return tamper(self._refused(refusal), self._faults)
        except ConnectionLost:
            raise
        except Exception:  # a bug of this server, or a full disk: the test must see it
            log.exception("%s failed", self._request.operation)
            return self._refused(Refusal(500, "InternalError", "We encountered an internal error."))

    def _work(self) -> Answer:
        incoming, backend, operation = self._incoming, self._backend, self._request.operation
        if backend.on_request:
            backend.on_request(self._request)
        self._faults = backend.rules.count(
            operation, incoming.key, self._request.part_number, now=backend.service.clock()
        )
        self._strike_before_work()
        verify(incoming, backend.account, region=backend.service.region, now=self._now())
        answer = run(operation, backend.service, incoming)
        for fault in self._hit_by("status"):
            answer.close()
            raise _refusal_of(fault)
        return answer

    def _strike_before_work(self) -> None:
        if self._hit_by("refuse"):
            raise ConnectionLost(reset=True)
        for fault in self._hit_by("throttle"):
            raise _throttled(fault)
        for fault in self._hit_by("status"):
            if not fault.after_work:
                raise _refusal_of(fault)
        kinds = REQUEST_KINDS if self._incoming.method in ("PUT", "POST") else REQUEST_KINDS - {"flip"}
        body_faults = self._body_faults(kinds)
        if body_faults:
            self._incoming.body.read_through(lambda source: FaultySource(source, body_faults))

    def _strike_after_work(self) -> None:
        if self._hit_by("answer-lost"):
            raise ConnectionLost
        for fault in self._hit_by("latency"):
            self._connection.pause(fault.seconds)

    def _send(self, answer: Answer, *, keep_alive: bool) -> None:
        headers = _common_headers(self._request_id, now=self._now(), began=self._began, keep_alive=keep_alive)
        body_faults = self._body_faults(ANSWER_KINDS if self._incoming.method == "GET" else ANSWER_KINDS - {"flip"})
        try:
            self._connection.send(answer, head_of(answer, headers), body_faults)
        finally:
            sent = self._connection.sent
            status = self._request.status if sent is not None else 0
            self._settle(replace(self._request, status=status, bytes_sent=sent or 0))
        if not self._incoming.body.finished:
            self._connection.discard()

    def _body_is_read(self) -> bool:
        """Read a small rest of the body. Return True if the body has been read completely."""
        body = self._incoming.body
        if body.left is not None and body.left <= _MAX_DRAINED and "expect" not in self._incoming.headers:
            for _ in body:
                pass
        return body.finished

    def _refused(self, refusal: Refusal) -> Answer:
        return refusal.answer(method=self._incoming.method, request_id=self._request_id, host=self._incoming.host)

    def _hit_by(self, kind: str) -> list[Fault]:
        return [fault for fault in self._faults if fault.kind == kind]

    def _body_faults(self, kinds: frozenset[str]) -> BodyFaults:
        return BodyFaults((f for f in self._faults if f.kind in kinds), pause=self._connection.pause)

    def _now(self) -> float:
        return self._backend.service.clock() + sum(fault.seconds or 0 for fault in self._hit_by("skewed-clock"))


def new_request_id() -> str:
    """Return a request ID in OSS's format."""
    return secrets.token_hex(12).upper()


def _common_headers(request_id: str, *, now: float, began: float, keep_alive: bool) -> dict[str, str]:
    return {
        "Server": "AliyunOSS",
        "Date": http_date(now),
        "Connection": "keep-alive" if keep_alive else "close",
        "x-oss-request-id": request_id,
        "x-oss-server-time": str(int((time.monotonic() - began) * 1000)),
    }


def _refusal_of(fault: Fault) -> Refusal:
    headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    return Refusal(fault.status, fault.code, "An injected fault.", headers=headers)


def _throttled(fault: Fault) -> Refusal:
    delay = math.ceil((fault.seconds or 0) * 1000)
    message = "The request rate for this prefix is too high. Please reduce it."
    return Refusal(503, "QpsLimitExceeded", message, headers={"x-oss-qos-delay-time": str(delay)})


def _journal_entry(incoming: IncomingRequest, backend: Backend) -> Request:
    return Request(
        number=backend.journal.next_number(),
        operation=operation_of(incoming),
        method=incoming.method,
        bucket=incoming.bucket,
        key=incoming.key,
        query=without_secrets(incoming.query),
        headers=without_secrets(incoming.headers),
        range=incoming.headers.get("range"),
        part_number=whole_number(incoming.query.get("partNumber", "")),
        upload_id=incoming.query.get("uploadId"),
        when=backend.service.clock(),
    )
