"""Faults: what goes wrong, and in which calls.

=================  =================================================================================================
kind               what happens
=================  =================================================================================================
``status``         an error answer (``status``, ``code``, ``retry_after``) without doing the work, or, with
                   ``after_work``, after doing it
``refuse``         the connection is reset before the request's body is read
``reset-request``  the connection is reset after ``after_bytes`` of the request's body
``stall-request``  the server stops reading after ``after_bytes`` of the request's body, for ``seconds`` or for good
``answer-lost``    the work is done and the connection closed without an answer
``reset-answer``   the connection is reset after ``after_bytes`` of the answer's body
``truncated``      Content-Length promises everything; the connection ends after ``after_bytes`` of the answer's body
``stall``          the work is done; the answer stops after ``after_bytes`` of its body (-1, or no body: before
                   its head), for ``seconds`` or for good
``flip``           the byte at ``after_bytes`` of the body arrives flipped: in storage for an upload, at the client
                   for a download
``flip-answer``    the byte at ``after_bytes`` of the answer's body arrives flipped, whatever the call
``wrong-crc``      the answer's CRC-64 is wrong; in ListParts that of every part
``no-crc``         the answer has no CRC-64
``latency``        the answer comes ``seconds`` later; the work is done in time
``bandwidth``      the bodies of the call move at ``bytes_per_second``
``malformed-xml``  the answer's XML ends in the middle
``huge-xml``       the answer's XML is ``after_bytes`` long, or 64 MiB
``throttle``       calls beyond ``per_second`` are answered with 503 ``QpsLimitExceeded`` without doing the work;
                   ``x-oss-qos-delay-time`` says how long to wait
``skewed-clock``   the server's clock is ``seconds`` ahead, in its check of the request and in the answer's Date
=================  =================================================================================================

A stall "for good" ends when either side closes the connection.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError

KINDS = frozenset(
    {
        "status",
        "refuse",
        "reset-request",
        "stall-request",
        "answer-lost",
        "reset-answer",
        "truncated",
        "stall",
        "flip",
        "flip-answer",
        "wrong-crc",
        "no-crc",
        "latency",
        "bandwidth",
        "malformed-xml",
        "huge-xml",
        "throttle",
        "skewed-clock",
    }
)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong; the module's docstring says which fields each kind uses."""

    kind: str
    status: int = 500
    code: str = "InternalError"
    retry_after: float | None = None
    after_work: bool = False
    after_bytes: int = 0
    seconds: float | None = None
    bytes_per_second: int = 0
    per_second: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ArgumentError("kind", self.kind, f"use one of {', '.join(sorted(KINDS))}")
        if self.kind in ("latency", "skewed-clock") and self.seconds is None:
            raise ArgumentError("seconds", self.seconds, f"a fault of the kind {self.kind} needs seconds; set them")
        if self.kind == "bandwidth" and self.bytes_per_second < 1:
            raise ArgumentError(
                "bytes_per_second", self.bytes_per_second, "a fault of the kind bandwidth needs at least 1; set it"
            )
        if self.kind == "throttle" and not self.per_second > 0:
            raise ArgumentError(
                "per_second",
                self.per_second,
                "a fault of the kind throttle needs the calls a second to allow; set it above 0",
            )


@dataclass(frozen=True)
class Rule:
    """Applies a fault to ``times`` matching calls (None: all), starting with the ``nth``, counted from 1.

    ``operation`` is a name such as ``UploadPart``, or ``*``. ``key``, ``prefix`` (the start of the key) and
    ``part_number`` are optional.
    """

    fault: Fault
    operation: str = "*"
    nth: int = 1
    times: int | None = 1
    key: str | None = None
    part_number: int | None = None
    prefix: str | None = None

    def matches(self, operation: str, key: str | None, part_number: int | None) -> bool:
        """Return True if a call counts for this rule."""
        is_below = self.prefix is None or (key is not None and key.startswith(self.prefix))
        return (
            self.operation in ("*", operation)
            and self.key in (None, key)
            and self.part_number in (None, part_number)
            and is_below
        )

    def hits(self, count: int) -> bool:
        """Return True if the ``count``-th matching call is hit."""
        return count >= self.nth and (self.times is None or count < self.nth + self.times)

    def as_json(self) -> dict[str, Any]:
        """Return what ``rule_from_json`` takes."""
        return asdict(self)


def rule_from_json(facts: Mapping[str, Any]) -> Rule:
    """Return the rule that ``{"operation": "UploadPart", "nth": 3, "fault": {"kind": "answer-lost"}}`` describes."""
    return Rule(**{**facts, "fault": Fault(**facts["fault"])})


def load_rules(path: Path) -> list[Rule]:
    """Return the rules of a JSON file that holds a list of them."""
    return [rule_from_json(facts) for facts in json.loads(path.read_text())]
