"""The fault matrix: every operation times every fault, and what is expected of each.

``python -m tests.faults.matrix > docs/fault-matrix.md`` writes the page; test_matrix.py proves each row of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_ossresume.local_oss import Fault
from tests.faults.front import Mode
from tests.faults.operations import OPERATIONS, Operation, World
from tests.faults.way import Way

ASKED_WAIT = 7  # seconds, of Retry-After


@dataclass(frozen=True)
class Trouble:
    """A fault as the matrix names it. ``arm`` puts it in force for a try that is about to begin."""

    name: str
    text: str
    group: str
    arm: Callable[[World, Way, Operation, bool], object]
    operations: frozenset[str]
    over_tls: bool = False
    is_slow: bool = False
    least_wait: float = 0


def server(fault: Fault) -> Callable[[World, Way, Operation, bool], object]:
    def arm(world: World, way: Way, operation: Operation, lasts: bool) -> None:
        world.oss.fail(operation.name, operation.nth, fault, times=None if lasts else 1)

    return arm


def front(mode: Mode) -> Callable[[World, Way, Operation, bool], object]:
    def arm(world: World, way: Way, operation: Operation, lasts: bool) -> None:
        def set_mode(mode: Mode) -> None:
            world.front.mode = mode

        way.strike = lambda: set_mode(mode)
        if not lasts:
            way.mend = lambda: set_mode("pass")

    return arm


def stopped(world: World, way: Way, operation: Operation, lasts: bool) -> None:
    way.strike = world.oss.stop
    if not lasts:
        way.mend = world.oss.start


def expired_token(*, renews: bool) -> Callable[[World, Way, Operation, bool], object]:
    def arm(world: World, way: Way, operation: Operation, lasts: bool) -> None:
        def renew() -> object:
            credentials = world.renew_token()
            if lasts:
                world.oss.expire_token()
            return credentials

        world.oss.security_token = "the first token"
        world.keys.current = replace(world.keys.current, security_token="the first token")
        world.keys.renewed = renew if renews else None
        way.strike = world.oss.expire_token

    return arm


ALL = frozenset(OPERATIONS)
SEND_DATA = frozenset({"PutObject", "UploadPart"})
SEND_XML = frozenset({"CompleteMultipartUpload", "DeleteMultipleObjects"})
ANSWER_XML = ALL - SEND_DATA - {"HeadObject", "GetObject", "DeleteObject", "AbortMultipartUpload"}
CRC = frozenset({"PutObject", "UploadPart", "HeadObject", "GetObject", "ListParts", "CompleteMultipartUpload"})
CUT = 50  # bytes of a body that pass

TROUBLES = {
    trouble.name: trouble
    for trouble in (
        Trouble("refused", "connection refused", "connection", stopped, ALL),
        Trouble("reset-before", "reset before the request's body", "connection", server(Fault("refuse")), ALL),
        Trouble(
            "reset-request", "reset in the request's body", "connection",
            server(Fault("reset-request", after_bytes=CUT)), SEND_DATA | SEND_XML,
        ),
        Trouble(
            "stalled-request", "the peer stops reading the request", "connection",
            server(Fault("stall-request", after_bytes=CUT)), SEND_DATA | SEND_XML, is_slow=True,
        ),
        Trouble("reset-after", "work done, then closed without an answer", "connection", server(Fault("answer-lost")), ALL),
        Trouble("silent", "work done, then no answer", "connection", server(Fault("stall", after_bytes=-1)), ALL, is_slow=True),
        Trouble(
            "slow-headers", "headers byte by byte", "connection",
            front("slow headers"), ALL, is_slow=True, over_tls=True,
        ),
        Trouble(
            "reset-answer", "reset in the answer's body", "connection",
            server(Fault("reset-answer", after_bytes=CUT)), ANSWER_XML | {"GetObject"},
        ),
        Trouble(
            "truncated", "the answer's body ends early", "connection",
            server(Fault("truncated", after_bytes=CUT)), ANSWER_XML | {"GetObject"},
        ),
        Trouble(
            "stalled-answer", "the answer's body stalls", "connection",
            server(Fault("stall", after_bytes=CUT)), ANSWER_XML | {"GetObject"}, is_slow=True,
        ),
        *(
            Trouble(
                f"{status}", f"{status} {code}", "status", server(Fault("status", status=status, code=code)), ALL,
            )
            for status, code in (
                (408, "RequestTimeout"), (500, "InternalError"), (502, "BadGateway"),
                (503, "ServiceUnavailable"), (403, "AccessDenied"),
            )
        ),
        Trouble(
            "429", f"429 with Retry-After: {ASKED_WAIT}", "status",
            server(Fault("status", status=429, code="TooManyRequests", retry_after=ASKED_WAIT)), ALL,
            least_wait=ASKED_WAIT,
        ),
        Trouble("expired", "token expired, another is to be had", "status", expired_token(renews=True), ALL),
        Trouble("expired-for-good", "token expired, no other", "status", expired_token(renews=False), ALL),
        Trouble("skewed", "OSS's clock is an hour ahead", "status", server(Fault("skewed-clock", seconds=3600)), ALL),
        Trouble("wrong-crc", "wrong CRC-64", "content", server(Fault("wrong-crc")), CRC),
        Trouble("no-crc", "no CRC-64", "content", server(Fault("no-crc")), CRC),
        Trouble("flipped-request", "a byte of the request flipped", "content", server(Fault("flip", after_bytes=CUT)), SEND_DATA | SEND_XML),
        Trouble("flipped-answer", "a byte of the answer flipped", "content", server(Fault("flip", after_bytes=0)), (ANSWER_XML | {"GetObject"}) - SEND_XML - {"InitiateMultipartUpload", "CopyObject"}),
        Trouble("malformed-xml", "XML that breaks off", "content", server(Fault("malformed-xml")), ANSWER_XML),
        Trouble("huge-xml", "64 MiB of XML", "content", server(Fault("huge-xml")), ANSWER_XML),
        Trouble("unknown-authority", "certificate of an unknown authority", "TLS", front("unknown authority"), ALL, over_tls=True),
        Trouble("wrong-name", "certificate for another host", "TLS", front("wrong name"), ALL, over_tls=True),
        Trouble("expired-certificate", "certificate expired", "TLS", front("expired"), ALL, over_tls=True),
        Trouble("cut-handshake", "closed in the handshake", "TLS", front("cut handshake"), ALL, over_tls=True),
        Trouble("no-tls", "the peer speaks no TLS", "TLS", front("no tls"), ALL, over_tls=True),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a try does, and what the next one has to do when nothing fails any more.

    :ivar error: None when the try succeeds
    :ivar calls: when it succeeds, more than without the fault; else all attempts at the operation
    :ivar again: bytes of content that moved although they had moved before, or in vain; only of a try that succeeds
    :ivar next_moves: how many requests for content the next try needs
    :ivar uploads_left: upload IDs that nobody names, after the next try
    """

    error: str | None
    retryable: bool | None
    calls: int
    again: int
    next_moves: int
    uploads_left: int
