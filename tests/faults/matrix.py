"""The fault matrix: every operation times every fault, and what is expected of each.

``python -m tests.faults.matrix > docs/fault-matrix.md`` writes the page; test_matrix.py proves each row of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from airflow_provider_ossresume.local_oss import Fault
from tests.faults.front import Mode
from tests.faults.operations import OPERATIONS, Operation, World
from tests.faults.way import ATTEMPTS, SLOW_ATTEMPTS, Way

ASKED_WAIT = 7  # seconds, of Retry-After
CUT = 50  # bytes of a body that pass before it breaks off

Arm = Callable[[World, Way, Operation, bool], object]


@dataclass(frozen=True)
class Outcome:
    """What a try does, and what the next one has to do when nothing fails any more.

    :ivar error: None when the try succeeds
    :ivar calls: when it succeeds, attempts more than without the fault; else all attempts at the operation
    :ivar again: bytes of content that moved in vain or twice; only of a try that succeeds
    :ivar next_moves: how many requests for content the next try needs; only after one that fails
    :ivar uploads_left: upload IDs that nobody names, in the end
    """

    error: str | None = None
    is_retryable: bool | None = None
    calls: int = 0
    again: int = 0
    next_moves: int = 0
    uploads_left: int = 0


@dataclass(frozen=True)
class Expected:
    """An outcome before it is known which operation it is of.

    :ivar attempts: at the struck call when the try fails, further calls when it succeeds
    :ivar sends_again: True when the body of a request that sends content has arrived in vain
    """

    attempts: int
    error: str | None = None
    is_retryable: bool | None = None
    sends_again: bool = False

    def of(self, operation: Operation) -> Outcome:
        if self.error is None:
            again = self.attempts * operation.body_size if self.sends_again else 0
            return Outcome(calls=self.attempts, again=again)
        calls = operation.nth - 1 + self.attempts
        return Outcome(self.error, self.is_retryable, calls, next_moves=operation.next_moves)


@dataclass(frozen=True)
class Trouble:
    """A fault as the matrix names it.

    :ivar arm: puts it in force for a try that is about to begin, once or for good
    :ivar except_for: operations with another outcome than the others: (title, lasts) to what differs
    """

    name: str
    text: str
    arm: Arm
    operations: frozenset[str]
    once: Expected
    lasts: Expected
    over_tls: bool = False
    is_slow: bool = False
    least_wait: float = 0
    except_for: dict[tuple[str, bool], Outcome] = field(default_factory=dict)

    def outcome(self, operation: Operation, *, lasts: bool) -> Outcome:
        usual = (self.lasts if lasts else self.once).of(operation)
        return self.except_for.get((operation.title, lasts), usual)


# --- how faults are put in force --------------------------------------------------------------------------------------


def served(fault: Fault) -> Arm:
    def arm(world: World, way: Way, operation: Operation, lasts: bool) -> None:
        world.oss.fail(operation.name, operation.nth, fault, times=None if lasts else 1)

    return arm


def fronted(mode: Mode) -> Arm:
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


def skewed(world: World, way: Way, operation: Operation, lasts: bool) -> None:
    way.strike = lambda: world.set_clock(3600)
    if not lasts:
        way.mend = lambda: world.set_clock(0)


def expired(world: World, way: Way, operation: Operation, lasts: bool) -> None:
    """Once: the provider has another token. Lasting: it has none."""
    world.keys.renewed = None if lasts else world.new_credentials
    way.strike = world.oss.expire_token


def expired_again(world: World, way: Way, operation: Operation, lasts: bool) -> None:
    """Once: the new token is good. Lasting: each new one is as bad."""
    expired(world, way, operation, False)
    if lasts:
        way.mend = world.oss.expire_token


# --- the rows ---------------------------------------------------------------------------------------------------------

ALL = frozenset(operation.name for operation in OPERATIONS.values())
SEND_DATA = frozenset({"PutObject", "UploadPart", "AppendObject"})
SEND_XML = frozenset({"CompleteMultipartUpload", "DeleteMultipleObjects", "PutObjectTagging", "PutBucket"})
ANSWER_NOTHING = frozenset(
    {"DeleteObject", "AbortMultipartUpload", "PutObjectTagging", "DeleteObjectTagging", "PutBucket", "DeleteBucket"}
)
ANSWER_XML = ALL - SEND_DATA - ANSWER_NOTHING - {"HeadObject", "GetObject", "GetSymlink"}
ANSWER_BODY = ANSWER_XML | {"GetObject"}

PASSES = Expected(1)
SENDS_AGAIN = Expected(1, sends_again=True)
BREAKS = Expected(ATTEMPTS, "ConnectionFailed", True)
BREAKS_SLOWLY = Expected(SLOW_ATTEMPTS, "ConnectionFailed", True)
REFUSES = Expected(ATTEMPTS, "ServiceError", True)
DENIES = Expected(1, "AccessDenied", False)
IS_GARBLED = Expected(ATTEMPTS, "BadAnswer", True)
IS_UNTRUSTED = Expected(1, "ConnectionFailed", False)
UNHARMED = Expected(0)

INITIATE, PART, COPY, PART_COPY, COMPLETE, ABORT, APPEND, MAKE_BUCKET, REMOVE_BUCKET = (
    "InitiateMultipartUpload",
    "UploadPart",
    "CopyObject",
    "UploadPartCopy",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "AppendObject",
    "PutBucket",
    "DeleteBucket",
)
FIRST, WHOLE = "GetObject, first", "GetObject, whole"
PART_SIZE, APPEND_SIZE = OPERATIONS[PART].body_size, OPERATIONS[APPEND].body_size
Exceptions = dict[tuple[str, bool], Outcome]


def work_was_done(attempts: int = ATTEMPTS, *, error: str = "ConnectionFailed") -> Exceptions:
    """OSS did the work and the answer got lost: each initiate begins an upload that nobody knows, and a part that was
    to be copied is there. The second Complete finds its upload gone, so HEAD and GetObjectAcl tell that all is there;
    when no answer to it can be read, ListParts tells first. The second append is refused by its position, so HEAD and
    GET tell that its bytes are there."""
    return {
        (INITIATE, False): Outcome(calls=1, uploads_left=1),
        (INITIATE, True): Outcome(error, True, attempts, next_moves=3, uploads_left=attempts),
        (PART_COPY, True): Outcome(error, True, attempts + 1, next_moves=1),
        (COMPLETE, False): Outcome(calls=3),
        (COMPLETE, True): Outcome(calls=attempts + 2),
    }


def lost_answers(attempts: int) -> Exceptions:
    """The same, for answers of which nothing comes."""
    return {
        **work_was_done(attempts),
        (PART, True): Outcome("ConnectionFailed", True, attempts + 1, next_moves=1),
        (ABORT, True): Outcome(calls=attempts - 1),
        (APPEND, False): Outcome(calls=3, again=2 * APPEND_SIZE),
    }


def cut_bodies(attempts: int) -> Exceptions:
    return {
        **work_was_done(attempts),
        # An error is one by its status, whatever becomes of its body: the second Complete's is 404.
        (COMPLETE, True): Outcome(calls=4),
        # A download goes on behind the last byte that came.
        **{(title, False): Outcome(calls=1) for title in ("GetObject", FIRST, WHOLE)},
    }


# The second Complete is answered 404, which is not repeated, whatever its body should have said.
GARBLED = {**work_was_done(error="BadAnswer"), (COMPLETE, True): Outcome(calls=4)}

# An abort that fails ends no transfer; the log names the upload that is left.
LEFT_BEHIND = {(ABORT, True): Outcome(calls=ATTEMPTS - 1, uploads_left=1)}
DENIED_ABORT = {(ABORT, lasts): Outcome(uploads_left=1) for lasts in (False, True)}

CUT_REQUEST = {(name, False): Outcome(calls=1, again=CUT) for name in SEND_DATA}

# What fails over a connection that had waited, before an answer begins, costs no attempt.
WAITED = ("GetObject", PART, COPY, PART_COPY, COMPLETE, MAKE_BUCKET, REMOVE_BUCKET)


def status(status: int, code: str) -> Trouble:
    return Trouble(
        f"status-{status}", f"{status} {code}", served(Fault("status", status=status, code=code)), ALL,
        SENDS_AGAIN, REFUSES, except_for=LEFT_BEHIND,
    )  # fmt: skip


TROUBLES = (
    # the connection
    Trouble("refused", "connection refused", stopped, ALL, PASSES, BREAKS),
    Trouble(
        "reset-before", "reset before the request's body", served(Fault("refuse")), ALL, PASSES, BREAKS,
        except_for={**LEFT_BEHIND, **{(title, False): Outcome() for title in WAITED}},
    ),
    Trouble(
        "reset-in-request", "reset in the request's body", served(Fault("reset-request", after_bytes=CUT)),
        SEND_DATA | SEND_XML, PASSES, BREAKS,
        except_for={
            **CUT_REQUEST,
            (PART, False): Outcome(again=CUT),
            **{(title, False): Outcome() for title in (COMPLETE, MAKE_BUCKET)},
        },
    ),
    Trouble(
        "stalled-request", "the peer stops reading the request", served(Fault("stall-request", after_bytes=CUT)),
        SEND_DATA | SEND_XML, PASSES, BREAKS_SLOWLY, is_slow=True,
        except_for={**CUT_REQUEST, (PART, False): Outcome(again=CUT)},
    ),
    Trouble(
        "answer-lost", "the work is done, the connection ends without an answer", served(Fault("answer-lost")), ALL,
        SENDS_AGAIN, BREAKS,
        except_for={
            **lost_answers(ATTEMPTS),
            **{(title, False): Outcome() for title in ("GetObject", COPY, PART_COPY, MAKE_BUCKET, REMOVE_BUCKET)},
            (PART, False): Outcome(again=PART_SIZE),
            (COMPLETE, False): Outcome(calls=2),
        },
    ),
    Trouble(
        "silence", "the work is done, no answer comes", served(Fault("stall", after_bytes=-1)), ALL,
        SENDS_AGAIN, BREAKS_SLOWLY, is_slow=True,
        except_for={
            **lost_answers(SLOW_ATTEMPTS),
            **{(title, False): Outcome() for title in ("GetObject", PART_COPY)},
            (PART, False): Outcome(again=PART_SIZE),
        },
    ),
    Trouble(
        "slow-headers", "the answer's headers come byte by byte", fronted("slow headers"), ALL,
        SENDS_AGAIN, BREAKS_SLOWLY, is_slow=True, over_tls=True,
        except_for={
            **lost_answers(SLOW_ATTEMPTS),
            # OSS has sent it all when it is given up
            **{(title, False): Outcome(calls=1, again=PART_SIZE) for title in ("GetObject", FIRST)},
            (WHOLE, False): Outcome(calls=1, again=3 * PART_SIZE),
        },
    ),
    Trouble(
        "reset-in-answer", "reset in the answer's body", served(Fault("reset-answer", after_bytes=CUT)), ANSWER_BODY,
        PASSES, BREAKS, except_for=cut_bodies(ATTEMPTS),
    ),
    Trouble(
        "truncated", "the answer's body ends early", served(Fault("truncated", after_bytes=CUT)), ANSWER_BODY,
        PASSES, BREAKS, except_for=cut_bodies(ATTEMPTS),
    ),
    Trouble(
        "stalled-answer", "the answer's body stalls", served(Fault("stall", after_bytes=CUT)), ANSWER_BODY,
        PASSES, BREAKS_SLOWLY, is_slow=True, except_for=cut_bodies(SLOW_ATTEMPTS),
    ),
    # what OSS answers
    status(408, "RequestTimeout"),
    Trouble(
        "status-429", f"429 TooManyRequests with `Retry-After: {ASKED_WAIT}`, which is waited for",
        served(Fault("status", status=429, code="TooManyRequests", retry_after=ASKED_WAIT)), ALL,
        SENDS_AGAIN, REFUSES, least_wait=ASKED_WAIT, except_for=LEFT_BEHIND,
    ),
    status(500, "InternalError"),
    status(502, "BadGateway"),
    status(503, "ServiceUnavailable"),
    Trouble(
        "status-403", "403 AccessDenied", served(Fault("status", status=403, code="AccessDenied")), ALL,
        DENIES, DENIES, except_for=DENIED_ABORT,
    ),
    Trouble(
        "expired-token", "the token expires: there is another one, or none", expired, ALL, SENDS_AGAIN, DENIES,
    ),
    Trouble(
        "expired-tokens", "the token expires, and so does each new one", expired_again, ALL,
        SENDS_AGAIN, Expected(ATTEMPTS, "AccessDenied", True), except_for=LEFT_BEHIND,
    ),
    Trouble(
        "skewed-clock", "the clocks differ by an hour, for one answer or for good", skewed, ALL,
        Expected(2, sends_again=True), SENDS_AGAIN,
    ),
    # what is in the answer, or becomes of the request
    Trouble(
        "wrong-crc", "a wrong CRC-64 in the answer", served(Fault("wrong-crc")), SEND_DATA - {APPEND},
        SENDS_AGAIN, Expected(ATTEMPTS, "IntegrityError", True),
        except_for={(PART, True): Outcome("IntegrityError", True, ATTEMPTS + 1, next_moves=1)},
    ),
    Trouble(
        "wrong-crc-of-the-whole", "a wrong CRC-64 in the answer", served(Fault("wrong-crc")),
        frozenset({COMPLETE, "HeadObject", "ListParts", "GetObject", APPEND}), UNHARMED, UNHARMED,
        except_for={
            **{(COMPLETE, lasts): Outcome("IntegrityError", True, 1) for lasts in (False, True)},
            ("HeadObject", False): Outcome(calls=4, again=3 * PART_SIZE),
            ("HeadObject", True): Outcome("IntegrityError", True, 2, next_moves=3),
            # The second time HEAD tells the CRC-64.
            **{(FIRST, lasts): Outcome(calls=4, again=3 * PART_SIZE) for lasts in (False, True)},
            **{("ListParts", lasts): Outcome(calls=2, again=2 * PART_SIZE) for lasts in (False, True)},
        },
    ),
    Trouble(
        "no-crc", "no CRC-64 in the answer", served(Fault("no-crc")),
        SEND_DATA | {COMPLETE, "HeadObject", "GetObject", "ListParts"}, UNHARMED, UNHARMED,
    ),
    Trouble(
        "flipped-in-request", "a byte of the request's body flips", served(Fault("flip", after_bytes=CUT)),
        (SEND_DATA | SEND_XML) - {MAKE_BUCKET}, SENDS_AGAIN, REFUSES,  # without Content-MD5, and not read by LocalOSS
        except_for={(PART, True): Outcome("IntegrityError", True, ATTEMPTS + 1, next_moves=2)},
    ),
    Trouble(
        "flipped-in-answer", "a byte of the answer's body flips", served(Fault("flip-answer")),
        ANSWER_BODY, PASSES, IS_GARBLED,
        except_for={
            **GARBLED,
            **{(title, False): Outcome(calls=4, again=3 * PART_SIZE) for title in ("GetObject", FIRST)},
            **{(title, True): Outcome("IntegrityError", True, 6, next_moves=3) for title in ("GetObject", FIRST)},
            **{(WHOLE, lasts): Outcome() for lasts in (False, True)},
        },
    ),
    Trouble(
        "malformed-xml", "XML that breaks off", served(Fault("malformed-xml")), ANSWER_XML, PASSES, IS_GARBLED,
        except_for=GARBLED,
    ),
    Trouble(
        "huge-xml", "17 MiB of XML", served(Fault("huge-xml", after_bytes=17 * 2**20)), ANSWER_XML, PASSES, IS_GARBLED,
        except_for=GARBLED,
    ),
    # TLS
    *(
        Trouble(name, text, fronted(mode), ALL, IS_UNTRUSTED, IS_UNTRUSTED, over_tls=True)
        for name, text, mode in (
            ("unknown-authority", "a certificate of an unknown authority", "unknown authority"),
            ("wrong-name", "a certificate for another host", "wrong name"),
            ("expired-certificate", "an expired certificate", "expired"),
        )
    ),
    Trouble(
        "cut-handshake", "the connection ends in the TLS handshake", fronted("cut handshake"), ALL,
        PASSES, BREAKS, over_tls=True,
    ),
    Trouble("no-tls", "the peer speaks no TLS", fronted("no tls"), ALL, PASSES, BREAKS, over_tls=True),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    operation: Operation
    trouble: Trouble
    lasts: bool

    @property
    def expected(self) -> Outcome:
        return self.trouble.outcome(self.operation, lasts=self.lasts)

    def __str__(self) -> str:
        return f"{self.operation.title}-{self.trouble.name}-{'lasting' if self.lasts else 'once'}"


def rows(operation: Operation) -> Iterator[tuple[Row, Row]]:
    """Yield the rows of an operation: the fault strikes once, the fault lasts."""
    for trouble in TROUBLES:
        if operation.name in trouble.operations:
            yield Row(operation, trouble, False), Row(operation, trouble, True)


# --- the page ---------------------------------------------------------------------------------------------------------

INTRODUCTION = f"""\
# Fault matrix

This page shows what each operation does at each fault. The tests prove every row on real sockets.

| Column | Meaning |
|---|---|
| Once | The fault occurs once: how many more calls are sent, and how many bytes are wasted |
| Every time | The fault does not end: which error is raised after how many calls, and if a retry can help |
| The next try moves | What the next try moves when the fault is over |

The tests allow {ATTEMPTS} attempts, or {SLOW_ATTEMPTS} if the server is slow.
By default there are [more](transfer-config.md).
"""


def page() -> str:
    """Return docs/fault-matrix.md."""
    return "\n".join([INTRODUCTION, *(_section(operation) for operation in OPERATIONS.values())])


def _section(operation: Operation) -> str:
    lines = [
        f"## {operation.title}", "", f"In {operation.work}.", "",
        "| Fault | Once | Every time | The next try moves |", "|---|---|---|---|",
    ]  # fmt: skip
    for once, lasts in rows(operation):
        text = once.trouble.text
        lines.append(f"| {text} | {_said(once)} | {_said(lasts)} | {_next(once, lasts)} |")
    return "\n".join([*lines, ""])


def _said(row: Row) -> str:
    outcome = row.expected
    if outcome.error:
        calls = "1 call" if outcome.calls == 1 else f"{outcome.calls} calls"
        said = f"`{outcome.error}` after {calls}, {'retryable' if outcome.is_retryable else 'permanent'}"
    else:
        calls = {0: "no more calls", 1: "1 more call"}.get(outcome.calls, f"{outcome.calls} more calls")
        said = f"succeeds, {calls}" + (f", {outcome.again:,} bytes wasted" if outcome.again else "")
    left = outcome.uploads_left
    return said + (f"; {left} upload ID{'s' * (left > 1)} left" if left else "")


def _next(*both: Row) -> str:
    failing = [row.expected for row in both if row.expected.error]
    unit = both[0].operation.unit
    if not failing or not unit:
        return ""
    return f"{failing[-1].next_moves} {unit}"


if __name__ == "__main__":
    sys.stdout.write(page())
