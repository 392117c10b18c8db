"""One GetObject over all its attempts: what broke goes on behind the last byte that came."""

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
from airflow_provider_ossresume.oss.results import Delivery
from airflow_provider_ossresume.oss.retry import Attempts


class Sink(Protocol):
    """Where a download's bytes go."""

    @property
    def piece_size(self) -> int:
        """How many bytes each write is to bring; fewer come before a break, and at the end."""

    def open(self) -> None:
        """The bytes come from the first on; what was written before is to be forgotten."""

    def resume(self) -> None:
        """The bytes come that follow those which were written until the break."""

    def write(self, data: memoryview) -> None:
        """Take the bytes that follow; they are overwritten after the call."""


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
        self._found: Delivery | None = None  # whose first bytes are in the sink
        self._received = 0
        self._furthest = 0
        self._may_begin_anew = if_match is None

    @property
    def _goes_on(self) -> bool:
        return self._found is not None and self._received > 0

    def call(self) -> Call:
        """Return the next request."""
        start, stop, etag = self._start, self._stop, self._if_match
        if self._found is not None and self._goes_on:
            start, stop, etag = self._start + self._received, self._start + self._found.size, self._found.meta.etag
        headers: dict[str, str] = {}
        if stop is not None:
            # Without "standard" OSS answers a range that ends behind the object with the whole object.
            headers |= {"Range": f"bytes={start}-{stop - 1}", "x-oss-range-behavior": "standard"}
        if etag is not None and (condition := etags.if_match(etag)):
            headers["If-Match"] = condition
        query = {"versionId": self._target.version_id} if self._target.version_id else {}
        success = (200,) if stop is None else (200, 206)
        return Call("GetObject", "GET", self._target.bucket, self._target.key, query, headers, success=success)

    def restart(self) -> bool:
        """The object is another one now. Return whether it is begun again from its start."""
        may = self._may_begin_anew and self._goes_on
        if may:
            self._may_begin_anew = False
            self._found, self._received = None, 0
        return may

    def read(self, call: Call, response: Response, pieces: Iterator[memoryview], attempts: Attempts) -> ObjectMeta:
        """Write what a response brings."""
        found = self._delivered(call, response)
        comes_whole = response.status == 200
        try:
            for data in found.wanted(pieces) if comes_whole else pieces:
                if self._received + len(data) > found.size:
                    raise _more_came(call, found.size)
                self._sink.write(data)
                self._received += len(data)
                if self._received == found.size:  # whether its end comes too is of no importance any more
                    break
        finally:
            if self._received >= self._furthest + STALL_SIZE:
                attempts.progressed()
            self._furthest = max(self._furthest, self._received)
        if self._received < found.size:
            raise call.failed(f"asked for {found.size} bytes, {self._received} came")
        if not comes_whole:
            with suppress(ExchangeFailed):
                if any(response.pieces(1, Limit("the response did not end", total=LONGEST_END))):
                    raise _more_came(call, found.size)
        return found.meta

    def _delivered(self, call: Call, response: Response) -> Delivery:
        etag, total = self._if_match, self._total
        if self._found is not None and self._goes_on:
            etag, total = self._found.meta.etag, self._found.meta.size
            if response.status == 206:
                start, stop = self._start + self._received, self._start + self._found.size
                _check_length(call, response, results.delivery(call, response, start, stop, etag=etag, total=total))
                self._sink.resume()
                return self._found
        # From the first byte, also where a peer that ignores ranges sends the object whole.
        found = results.delivery(
            call, response, self._start, self._stop, may_end_before=self._may_end_before, etag=etag, total=total
        )
        _check_length(call, response, found)
        self._found, self._received = found, 0
        self._sink.open()
        return found


def _check_length(call: Call, response: Response, found: Delivery) -> None:
    """:raises RequestError: when the body is not what its Content-Range says"""
    if response.status == 206 and response.length is not None and response.length != found.size:
        if response.length > found.size:
            raise _more_came(call, found.size)
        raise call.failed(f"asked for {found.size} bytes, {response.length} are to come")


def _more_came(call: Call, size: int) -> BadAnswer:
    error = call.bad_answer(f"asked for {size} bytes, more came")
    error.retryable = False  # it is about other bytes than it says
    return error
