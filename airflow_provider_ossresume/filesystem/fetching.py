"""The bytes of an object in memory: a range of it, all of it, or many ranges of many objects at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from airflow_provider_ossresume.errors import IntegrityError, InvalidRange, ObjectChanged, OSSResumeError
from airflow_provider_ossresume.filesystem.moving import nothing
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.etags import same_etag
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import MAX_OBJECT_SIZE, MIB
from airflow_provider_ossresume.model.ranges import MergedRange, WantedRange, merge_ranges
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.memory import MemorySink
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.read_ahead import PIECE

END = MAX_OBJECT_SIZE  # behind the last byte of any object
GAP = 16 * 1024  # a request takes longer than so many bytes
MOST_MERGED = 8 * MIB


class FilledBuffer:
    """A sink for just as many bytes as a buffer has room for."""

    def __init__(self, buffer: bytearray) -> None:
        self.piece_size = min(max(len(buffer), 1), MIB)
        self._buffer = memoryview(buffer)
        self._filled = 0

    def open(self) -> None:
        """The bytes come from the first on."""
        self._filled = 0

    def go_on(self) -> None:
        """They come from where they broke off."""

    def write(self, data: memoryview) -> None:
        """Take them."""
        end = self._filled + len(data)
        self._buffer[self._filled : end] = data
        self._filled = end

    def let_go(self) -> None:
        """Hold the buffer no longer; see :meth:`~airflow_provider_ossresume.oss.memory.MemorySink.take`."""
        self._buffer = memoryview(b"")


def fill(client: OssClient, target: ObjectRef, start: int, buffer: bytearray, *, etag: str, total: int) -> None:
    """Fill a buffer with the object's bytes from ``start`` on.

    :raises PreconditionFailed: when it has another ETag, or another size
    """
    if buffer:
        stop = start + len(buffer)
        sink = FilledBuffer(buffer)
        try:
            client.get_object(target, sink, start=start, stop=stop, if_match=etag, total=total)
        finally:
            sink.let_go()


def fetch(client: OssClient, target: ObjectRef, start: int, stop: int) -> tuple[bytearray, ObjectMeta]:
    """Return those of the bytes ``[start, stop)`` that the object has, and what OSS says of it.

    :raises InvalidRange: when it has none of them
    """
    sink = MemorySink(MIB)
    meta = client.get_object(target, sink, start=start, stop=stop, may_end_before=True)
    return sink.take(), meta


def fetch_whole(client: OssClient, target: ObjectRef, *, max_workers: int) -> bytes:
    """Return all bytes of an object, which are compared with its CRC-64.

    A large one comes by several requests at once, all of one ETag.

    :raises IntegrityError: when they are others
    """
    try:
        first, meta = fetch(client, target, 0, PIECE)
    except InvalidRange:  # no byte can be asked for of an empty object
        sink = MemorySink(MIB)
        meta = client.get_object(target, sink)
        first = sink.take()
    # Made by this thread: what each of many threads allocates stays with it for longer than it is used.
    rest = [bytearray(min(PIECE, meta.size - start)) for start in range(len(first), meta.size, PIECE)]
    if rest:
        with Crew(workers=min(max_workers, len(rest)), tick=nothing) as crew:
            bound = client.with_stop(crew)

            def get(number: int) -> None:
                start = len(first) + number * PIECE
                fill(bound, target, start, rest[number], etag=meta.etag, total=meta.size)

            for _ in crew.run(get, range(len(rest))):
                pass
    whole = b"".join([first, *rest])
    if meta.crc64 is not None and crc64(whole) != meta.crc64:
        raise IntegrityError(f"the bytes that came of {target} have another CRC-64 than OSS has of it")
    return whole


@dataclass(frozen=True)
class RangeOf:
    """A range that is wanted of an object; ``stop`` may lie behind its end."""

    target: ObjectRef
    start: int
    stop: int


def fetch_ranges(
    client: OssClient, ranges: Sequence[RangeOf], *, gap: int, max_workers: int, fails_at_once: bool
) -> list[bytes | OSSResumeError]:
    """Return the bytes of each range, in their order; near ones come by one request, and many requests go at once.

    What is said of one object is of one ETag: otherwise its ranges are errors.

    :param gap: most bytes between two ranges that are read in vain
    :param fails_at_once: raise the first error; by default it stands in the place of the bytes
    """
    by_target: dict[ObjectRef, list[WantedRange]] = {}
    results: list[bytes | OSSResumeError] = [b""] * len(ranges)
    for place, wanted in enumerate(ranges):
        if wanted.start < wanted.stop:
            by_target.setdefault(wanted.target, []).append(WantedRange(place, wanted.start, wanted.stop))
    requests = [
        (target, merged)
        for target, wanted_ranges in by_target.items()
        for merged in merge_ranges(wanted_ranges, gap=gap, most=MOST_MERGED)
    ]
    if not requests:
        return results
    etags: dict[ObjectRef, str] = {}
    changed: set[ObjectRef] = set()
    with Crew(workers=min(max_workers, len(requests)), tick=nothing) as crew:
        get = partial(_get, client.with_stop(crew), fails_at_once)
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
        if fails_at_once:
            raise error
        for each in by_target[target]:
            results[each.place] = error
    return results


Request = tuple[ObjectRef, MergedRange]


def _get(
    client: OssClient, fails_at_once: bool, request: Request
) -> tuple[Request, tuple[bytearray, str] | OSSResumeError]:
    target, merged = request
    try:
        data, meta = fetch(client, target, merged.start, merged.stop)
    except InvalidRange:  # nothing of it lies there
        return request, (bytearray(), "")
    except OSSResumeError as error:
        if fails_at_once:
            raise
        return request, error
    return request, (data, meta.etag)
