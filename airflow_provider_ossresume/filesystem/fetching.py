"""The bytes of an object in memory: a range of it, all of it, or many ranges of many objects at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from airflow_provider_ossresume.errors import IntegrityError, InvalidRange, ObjectChanged, OSSResumeError
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.etags import same_etag
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import MAX_OBJECT_SIZE, MIB
from airflow_provider_ossresume.model.ranges import MergedRange, WantedRange, merge_ranges
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.read_ahead import PIECE

END = MAX_OBJECT_SIZE  # behind the last byte of any object
GAP = 16 * 1024  # a request takes longer than so many bytes
MOST_MERGED = 8 * MIB


class HeldBytes:
    """A sink in memory."""

    def __init__(self, size: int | None = None) -> None:
        self.piece_size = MIB if size is None else min(max(size, 1), MIB)
        self._data = bytearray()

    def open(self) -> None:
        """The bytes come from the first on."""
        self._data.clear()

    def go_on(self) -> None:
        """They come from where they broke off."""

    def write(self, data: memoryview) -> None:
        """Take them."""
        self._data += data

    def value(self) -> bytes:
        return bytes(self._data)


def fetch(
    client: OssClient,
    target: ObjectRef,
    start: int,
    stop: int,
    *,
    etag: str | None = None,
    total: int | None = None,
    may_end_before: bool = False,
) -> tuple[bytes, ObjectMeta]:
    """Return the bytes ``[start, stop)`` and what OSS says of the object.

    :raises PreconditionFailed: when it has another ETag, or another size
    """
    sink = HeldBytes(None if may_end_before else stop - start)
    meta = client.get_object(
        target, sink, start=start, stop=stop, if_match=etag, total=total, may_end_before=may_end_before
    )
    return sink.value(), meta


def fetch_whole(client: OssClient, target: ObjectRef, *, most_workers: int) -> bytes:
    """Return all bytes of an object, which are compared with its CRC-64.

    A large one comes by several requests at once, all of one ETag.

    :raises IntegrityError: when they are others
    """
    try:
        first, meta = fetch(client, target, 0, PIECE, may_end_before=True)
    except InvalidRange:  # no byte can be asked for of an empty object
        sink = HeldBytes()
        meta = client.get_object(target, sink)
        first = sink.value()
    pieces = [first]
    starts = range(len(first), meta.size, PIECE)
    if starts:
        pieces += [b""] * len(starts)
        with Crew(workers=min(most_workers, len(starts)), tick=_nothing) as crew:
            bound = client.with_stop(crew)

            def get(number: int) -> tuple[int, bytes]:
                start = starts[number]
                stop = min(start + PIECE, meta.size)
                return number, fetch(bound, target, start, stop, etag=meta.etag, total=meta.size)[0]

            for number, data in crew.run(get, range(len(starts))):
                pieces[number + 1] = data
    whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
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
    client: OssClient, ranges: Sequence[RangeOf], *, gap: int, most_workers: int, fails_at_once: bool
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
    with Crew(workers=min(most_workers, len(requests)), tick=_nothing) as crew:
        get = partial(_get, client.with_stop(crew), fails_at_once)
        for (target, merged), outcome in crew.run(get, requests):
            if isinstance(outcome, OSSResumeError):
                for each in merged.wanted:
                    results[each.place] = outcome
                continue
            data, etag = outcome
            if etag and not same_etag(etags.setdefault(target, etag), etag):
                changed.add(target)
            for each in merged.wanted:
                results[each.place] = data[each.start - merged.start : each.stop - merged.start]
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
) -> tuple[Request, tuple[bytes, str] | OSSResumeError]:
    target, merged = request
    try:
        data, meta = fetch(client, target, merged.start, merged.stop, may_end_before=True)
    except InvalidRange:  # nothing of it lies there
        return request, (b"", "")
    except OSSResumeError as error:
        if fails_at_once:
            raise
        return request, error
    return request, (data, meta.etag)


def _nothing() -> None:
    """What a crew is to do meanwhile."""
