"""One GetObject with all its attempts: after a break, the next attempt asks for the missing bytes only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from airflow_provider_ossresume.errors import BadAnswer
from airflow_provider_ossresume.model import etags
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import STALL_SIZE
from airflow_provider_ossresume.oss import results
from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.deadlines import LONGEST_END, ExchangeFailed, Limit
from airflow_provider_ossresume.oss.response import Response
from airflow_provider_ossresume.oss.results import ReceivedRange
from airflow_provider_ossresume.oss.retry import Attempts


class Sink(Protocol):
    """Takes the bytes of a download."""

    @property
    def piece_size(self) -> int:
        """How many bytes each write gets. It may get fewer before a break, and at the end."""

    def open(self) -> None:
        """Start from the first byte. Drop what was written before."""

    def resume(self) -> None:
        """Continue after a break: the next bytes follow those that were written."""

    def write(self, data: memoryview) -> None:
        """Write the next bytes. The buffer is reused after the call, so copy what you keep."""


class ResumableGet:
    """Reads the bytes ``[start, stop)`` of an object into a sink; see OssClient.get_object for the arguments.

    Later responses must describe the same object as the first one: same ETag, same size. If the object changed, the
    read restarts, once, unless the caller has given ``if_match``.
    """

    def __init__(
        self,
        target: ObjectRef,
        sink: Sink,
        start: int,
        stop: int | None,
        *,
        may_end_before: bool,
        if_match: str | None,
        total: int | None,
    ) -> None:
        self._target = target
        self._sink = sink
        self._start = start
        self._stop = stop
        self._may_end_before = may_end_before
        self._if_match = if_match
        self._total = total
        self._found: ReceivedRange | None = None  # the response whose first bytes the sink has
        self._received = 0
        self._furthest = 0
        self._may_restart = if_match is None

    @property
    def _resumes(self) -> bool:
        return self._found is not None and self._received > 0

    def call(self) -> Call:
        """Return the next request."""
        start, stop, etag = self._start, self._stop, self._if_match
        if self._found is not None and self._resumes:
            start, stop, etag = self._start + self._received, self._start + self._found.size, self._found.meta.etag
        headers: dict[str, str] = {}
        if stop is not None:
            # Without "standard" OSS sends the whole object if the range ends beyond it.
            headers |= {"Range": f"bytes={start}-{stop - 1}", "x-oss-range-behavior": "standard"}
        if etag is not None and (condition := etags.if_match(etag)):
            headers["If-Match"] = condition
        query = {"versionId": self._target.version_id} if self._target.version_id else {}
        success = (200,) if stop is None else (200, 206)
        return Call("GetObject", "GET", self._target.bucket, self._target.key, query, headers, success=success)

    def restart(self) -> bool:
        """The object has changed. Return whether the read starts again from its first byte."""
        may = self._may_restart and self._resumes
        if may:
            self._may_restart = False
            self._found, self._received = None, 0
        return may

    def read(self, call: Call, response: Response, pieces: Iterator[memoryview], attempts: Attempts) -> ObjectMeta:
        """Write the bytes of a response to the sink."""
        found = self._checked(call, response)
        comes_whole = response.status == 200
        try:
            for data in found.wanted(pieces) if comes_whole else pieces:
                if self._received + len(data) > found.size:
                    raise _more_came(call, found.size)
                self._sink.write(data)
                self._received += len(data)
                if self._received == found.size:  # complete; the end of the response does not matter
                    break
        finally:
            if self._received >= self._furthest + STALL_SIZE:
                attempts.progressed()
            self._furthest = max(self._furthest, self._received)
        if self._received < found.size:
            raise call.failed(f"asked for {found.size} bytes, got only {self._received}")
        if not comes_whole:
            with suppress(ExchangeFailed):
                if any(response.pieces(1, Limit("the response did not end", total=LONGEST_END))):
                    raise _more_came(call, found.size)
        return found.meta

    def _checked(self, call: Call, response: Response) -> ReceivedRange:
        etag, total = self._if_match, self._total
        if self._found is not None and self._resumes:
            etag, total = self._found.meta.etag, self._found.meta.size
            if response.status == 206:
                start, stop = self._start + self._received, self._start + self._found.size
                _check_length(
                    call, response, results.received_range(call, response, start, stop, etag=etag, total=total)
                )
                self._sink.resume()
                return self._found
        # From the first byte; also if a proxy ignores ranges and sends the whole object.
        found = results.received_range(
            call, response, self._start, self._stop, may_end_before=self._may_end_before, etag=etag, total=total
        )
        _check_length(call, response, found)
        self._found, self._received = found, 0
        self._sink.open()
        return found


def _check_length(call: Call, response: Response, found: ReceivedRange) -> None:
    """:raises RequestError: if the body's length does not fit its Content-Range"""
    if response.status == 206 and response.length is not None and response.length != found.size:
        if response.length > found.size:
            raise _more_came(call, found.size)
        raise call.failed(f"asked for {found.size} bytes, the response has {response.length}")


def _more_came(call: Call, size: int) -> BadAnswer:
    error = call.bad_answer(f"asked for {size} bytes, got more")
    error.retryable = False  # the bytes are not the ones that Content-Range names
    return error
