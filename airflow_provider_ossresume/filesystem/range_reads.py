"""Reads objects into memory: a range, a whole object, or many ranges of many objects at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from airflow_provider_ossresume.errors import IntegrityError, InvalidRange, ObjectChanged, OSSResumeError
from airflow_provider_ossresume.filesystem.file_transfers import no_watch
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.etags import same_etag
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import MAX_OBJECT_SIZE, MIB
from airflow_provider_ossresume.model.ranges import MergedRange, WantedRange, merge_ranges
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.in_memory import MemorySink
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.read_ahead import PIECE

PAST_ANY_OBJECT = MAX_OBJECT_SIZE  # past the last byte of any object
GAP = 16 * 1024  # bytes; reading them takes less time than another request
MAX_MERGED = 8 * MIB


class BufferSink:
    """A sink that fills a buffer of exactly the right size."""

    def __init__(self, buffer: bytearray) -> None:
        self.piece_size = min(max(len(buffer), 1), MIB)
        self._buffer = memoryview(buffer)
        self._filled = 0

    def open(self) -> None:
        """Start from the first byte."""
        self._filled = 0

    def resume(self) -> None:
        """Continue from where the last attempt stopped."""

    def write(self, data: memoryview) -> None:
        """Append bytes."""
        end = self._filled + len(data)
        self._buffer[self._filled : end] = data
        self._filled = end

    def release(self) -> None:
        """Release the buffer; see :meth:`~airflow_provider_ossresume.oss.in_memory.MemorySink.take`."""
        self._buffer = memoryview(b"")


def fill(client: OssClient, target: ObjectRef, start: int, buffer: bytearray, *, etag: str, total: int) -> None:
    """Fill a buffer with the object's bytes from ``start`` on.

    :raises PreconditionFailed: if the object has another ETag or another size
    """
    if buffer:
        stop = start + len(buffer)
        sink = BufferSink(buffer)
        try:
            client.get_object(target, sink, start=start, stop=stop, if_match=etag, total=total)
        finally:
            sink.release()


def fetch(client: OssClient, target: ObjectRef, start: int, stop: int) -> tuple[bytearray, ObjectMeta]:
    """Return the bytes ``[start, stop)``, as far as the object has them, and its metadata.

    :raises InvalidRange: if the object has none of them
    """
    sink = MemorySink(MIB)
    meta = client.get_object(target, sink, start=start, stop=stop, may_end_before=True)
    return sink.take(), meta


def fetch_whole(client: OssClient, target: ObjectRef, *, max_workers: int) -> bytes:
    """Return the whole object, compared with its CRC-64.

    A large object is read by several requests at once, all with one ETag.

    :raises IntegrityError: if the bytes do not match
    """
    try:
        first, meta = fetch(client, target, 0, PIECE)
    except InvalidRange:  # an empty object has no byte range
        sink = MemorySink(MIB)
        meta = client.get_object(target, sink)
        first = sink.take()
    # Allocated in this thread, because memory that worker threads allocate is returned late.
    rest = [bytearray(min(PIECE, meta.size - start)) for start in range(len(first), meta.size, PIECE)]
    if rest:
        with Crew(workers=min(max_workers, len(rest)), tick=no_watch) as crew:
            bound = client.with_stop(crew)

            def get(number: int) -> None:
                start = len(first) + number * PIECE
                fill(bound, target, start, rest[number], etag=meta.etag, total=meta.size)

            for _ in crew.run(get, range(len(rest))):
                pass
    whole = b"".join([first, *rest])
    if meta.crc64 is not None and crc64(whole) != meta.crc64:
        raise IntegrityError(f"the bytes received for {target} do not match its CRC-64 on OSS")
    return whole


@dataclass(frozen=True)
class ObjectRange:
    """A range of an object to read; ``stop`` may be past its end."""

    target: ObjectRef
    start: int
    stop: int


def fetch_ranges(
    client: OssClient, ranges: Sequence[ObjectRange], *, gap: int, max_workers: int, raise_first_error: bool
) -> list[bytes | OSSResumeError]:
    """Return the bytes of each range, in order. Ranges close together share a request; many requests run at once.

    All ranges of one object have one ETag. If it changes meanwhile, its ranges are errors.

    :param gap: bytes; ranges with a smaller gap between them share a request
    :param raise_first_error: raise the first error, instead of returning it in the place of the bytes
    """
    by_target: dict[ObjectRef, list[WantedRange]] = {}
    results: list[bytes | OSSResumeError] = [b""] * len(ranges)
    for place, wanted in enumerate(ranges):
        if wanted.start < wanted.stop:
            by_target.setdefault(wanted.target, []).append(WantedRange(place, wanted.start, wanted.stop))
    requests = [
        (target, merged)
        for target, wanted_ranges in by_target.items()
        for merged in merge_ranges(wanted_ranges, gap=gap, most=MAX_MERGED)
    ]
    if not requests:
        return results
    etags: dict[ObjectRef, str] = {}
    changed: set[ObjectRef] = set()
    with Crew(workers=min(max_workers, len(requests)), tick=no_watch) as crew:
        get = partial(_fetch_one, client.with_stop(crew), raise_first_error)
        for (target, merged), outcome in crew.run(get, requests):
            if isinstance(outcome, OSSResumeError):
                for each in merged.wanted:
                    results[each.place] = outcome
                continue
            data, etag = outcome
            view = memoryview(data)
            if etag and not same_etag(etags.setdefault(target, etag), etag):
                changed.add(target)
            for each in merged.wanted:
                results[each.place] = bytes(view[each.start - merged.start : each.stop - merged.start])
    for target in changed:
        error = ObjectChanged(f"{target} changed while its ranges were read")
        if raise_first_error:
            raise error
        for each in by_target[target]:
            results[each.place] = error
    return results


Request = tuple[ObjectRef, MergedRange]


def _fetch_one(
    client: OssClient, raise_first_error: bool, request: Request
) -> tuple[Request, tuple[bytearray, str] | OSSResumeError]:
    target, merged = request
    try:
        data, meta = fetch(client, target, merged.start, merged.stop)
    except InvalidRange:  # the range is past the end
        return request, (bytearray(), "")
    except OSSResumeError as error:
        if raise_first_error:
            raise
        return request, error
    return request, (data, meta.etag)
