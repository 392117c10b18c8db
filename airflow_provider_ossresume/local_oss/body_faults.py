"""Injects faults into bodies, in either direction."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from airflow_provider_ossresume.local_oss.answers import XML_TYPE, Answer, FileRange
from airflow_provider_ossresume.local_oss.faults import Fault
from airflow_provider_ossresume.local_oss.incoming import ConnectionLost, Source

REQUEST_KINDS = frozenset({"reset-request", "stall-request", "flip", "bandwidth"})
ANSWER_KINDS = frozenset({"reset-answer", "truncated", "stall", "flip", "flip-answer", "bandwidth"})
_FLIPS = ("flip", "flip-answer")
_HUGE_XML_SIZE = 64 * 1024 * 1024


class BodyFaults:
    """The faults of one call for one body. Call ``allow`` before bytes pass, and ``passing`` with those that do.

    ``pause`` waits the given seconds, or forever, and raises ConnectionLost if the connection ends meanwhile.
    """

    def __init__(self, faults: Iterable[Fault], *, pause: Callable[[float | None], None]) -> None:
        self._faults = list(faults)
        self._pause = pause
        self._position = 0
        self._began = time.monotonic()

    def __bool__(self) -> bool:
        return bool(self._faults)

    @property
    def precedes_head(self) -> bool:
        """True if a fault applies before the head of an answer."""
        return any(fault.after_bytes < 0 for fault in self._faults)

    def allow(self, wanted: int) -> int:
        """Return how many bytes may pass before the next fault. Faults that are due now are injected here."""
        for fault in list(self._faults):
            ahead = fault.after_bytes - self._position
            if fault.kind == "bandwidth":
                wanted = min(wanted, max(1, fault.bytes_per_second // 20))
            elif fault.kind not in _FLIPS and ahead > 0:
                wanted = min(wanted, ahead)
            elif fault.kind not in _FLIPS:
                self._strike(fault)
        return wanted

    def _strike(self, fault: Fault) -> None:
        if fault.kind in ("reset-request", "reset-answer"):
            raise ConnectionLost(reset=True)
        if fault.kind == "truncated":
            raise ConnectionLost
        self._faults.remove(fault)
        self._pause(fault.seconds)

    def passing(self, data: memoryview) -> memoryview:
        """Return the bytes as they arrive, perhaps flipped or delayed."""
        for fault in self._faults:
            offset = fault.after_bytes - self._position
            if fault.kind in _FLIPS and 0 <= offset < len(data):
                data = memoryview(bytearray(data))
                data[offset] ^= 0xFF
        self._position += len(data)
        for fault in self._faults:
            if fault.kind == "bandwidth":
                due = self._began + self._position / fault.bytes_per_second
                self._pause(max(0.0, due - time.monotonic()))
        return data


class FaultySource:
    """A source of a body's bytes, with faults injected."""

    def __init__(self, source: Source, body_faults: BodyFaults) -> None:
        self._source = source
        self._body_faults = body_faults

    def read(self, limit: int) -> memoryview:
        """Return the next bytes, with faults applied."""
        return self._body_faults.passing(self._source.read(self._body_faults.allow(limit)))

    def line(self) -> bytes:
        """Return one line of a chunked body's framing, unchanged."""
        return self._source.line()


def tamper(answer: Answer, faults: Iterable[Fault]) -> Answer:
    """Return the answer with faults applied."""
    for fault in faults:
        if fault.kind in _TAMPERINGS:
            answer = _TAMPERINGS[fault.kind](answer, fault)
    return answer


def _wrong_crc(answer: Answer, _: Fault) -> Answer:
    name = "x-oss-hash-crc64ecma"
    headers = {**answer.headers, name: _other(answer.headers[name])} if name in answer.headers else answer.headers
    return _rewrite_crc(replace(answer, headers=headers), lambda crc: f"<HashCrc64ecma>{_other(crc)}</HashCrc64ecma>")


def _no_crc(answer: Answer, _: Fault) -> Answer:
    headers = {name: value for name, value in answer.headers.items() if name != "x-oss-hash-crc64ecma"}
    return _rewrite_crc(replace(answer, headers=headers), lambda _: "")


def _other(crc: str) -> str:
    return str(int(crc) ^ 1)


def _rewrite_crc(answer: Answer, element: Callable[[str], str]) -> Answer:
    if isinstance(answer.body, FileRange) or not _is_xml(answer):
        return answer
    pattern = rb"<HashCrc64ecma>(\d+)</HashCrc64ecma>"
    return replace(answer, body=re.sub(pattern, lambda found: element(found[1].decode()).encode(), answer.body))


def _malformed_xml(answer: Answer, _: Fault) -> Answer:
    if isinstance(answer.body, FileRange) or not _is_xml(answer):
        return answer
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def _huge_xml(answer: Answer, fault: Fault) -> Answer:
    if not _is_xml(answer):
        return answer
    return replace(answer, body=b"<Huge>".ljust(fault.after_bytes or _HUGE_XML_SIZE, b"x"))


def _is_xml(answer: Answer) -> bool:
    return answer.headers.get("Content-Type") == XML_TYPE and not isinstance(answer.body, FileRange)


_TAMPERINGS: Mapping[str, Callable[[Answer, Fault], Answer]] = {
    "wrong-crc": _wrong_crc,
    "no-crc": _no_crc,
    "malformed-xml": _malformed_xml,
    "huge-xml": _huge_xml,
}
