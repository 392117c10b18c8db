"""What the response to a call says, as values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from airflow_provider_ossresume.errors import (
    BadAnswer,
    IntegrityError,
    PreconditionFailed,
)
from airflow_provider_ossresume.model.etags import read_etag, same_etag
from airflow_provider_ossresume.model.objects import CopiedObject, ObjectMeta
from airflow_provider_ossresume.oss import messages
from airflow_provider_ossresume.oss.call import Body, Call
from airflow_provider_ossresume.oss.header_values import joined, read_number, shown
from airflow_provider_ossresume.oss.messages import MalformedXML
from airflow_provider_ossresume.oss.response import Response
from airflow_provider_ossresume.oss.service_errors import error_in_body

T = TypeVar("T")

MAX_XML_BYTES = 8 * 2**20  # a page of 1,000 keys of 1,023 bytes, percent-encoded, has under 5 MiB
MAX_SKIPPED = 16 * 2**20  # bytes read in vain of an object that came whole; what comes by one request by default


def read_xml(call: Call, response: Response, pieces: Iterable[bytes], parse: Callable[[bytes], T]) -> T:
    """Return what ``parse`` reads in the body, which comes in pieces."""
    body = joined(pieces, at_least=MAX_XML_BYTES + 1)
    said, problem = messages.ErrorAnswer(), f"the response is over {MAX_XML_BYTES} bytes long"
    if len(body) <= MAX_XML_BYTES:
        try:
            return parse(body)
        except MalformedXML as error:
            # Copies and Complete may take long: OSS then sends 200 first and an error in the body.
            said, problem = messages.read_error(body), str(error)
    del body  # an error may live for long, and so does what stands in its frames
    if said.code:
        raise error_in_body(call, response, said)
    raise call.bad_answer(problem)


def nothing(response: Response) -> None:
    """That it is a success is all that such a response says."""


def object_meta(call: Call, response: Response, *, size: int, etag: str = "") -> ObjectMeta:
    """Return what the headers say of an object.

    :param etag: where the response's body tells it
    :raises BadAnswer: when there is none: such a response is not OSS's, or half of one
    """
    headers = {name: _decoded(value) for name, value in response.fields.items()}
    etag = etag or read_etag(headers.get("etag"))
    if not etag and not call.has_callback:  # which would be made once more
        raise call.bad_answer("the response has no ETag")
    meta = ObjectMeta(
        size=size,
        etag=etag,
        crc64=read_number(headers.get("x-oss-hash-crc64ecma")),
        last_modified=messages.read_http_date(headers.get("last-modified")),
        content_type=headers.get("content-type"),
        version_id=headers.get("x-oss-version-id"),
        metadata={
            name.removeprefix("x-oss-meta-"): value for name, value in headers.items() if name.startswith("x-oss-meta-")
        },
        headers=headers,
        answered_at=messages.read_http_date(headers.get("date")),
    )
    # OSS, HeadObject: of a link all but size, ETag, MD5 and storage class may be its own, not its target's.
    return replace(meta, crc64=None) if meta.is_link else meta


def _decoded(value: str) -> str:
    """OSS sends UTF-8 in headers; they are read as Latin-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def stored_object(call: Call, response: Response, body: Body) -> ObjectMeta:
    stored = object_meta(call, response, size=body.size)
    sent = body.crc64()
    if sent is not None and stored.crc64 is not None and sent != stored.crc64:
        raise IntegrityError(f"{call}: OSS stored bytes with CRC-64 {stored.crc64}, sent were {sent}")
    return stored


def completed_object(call: Call, response: Response, pieces: Iterable[bytes], *, size: int) -> ObjectMeta:
    """Return the object that a Complete has made."""
    try:
        etag = read_xml(call, response, pieces, partial(messages.read_etag, root="CompleteMultipartUploadResult"))
    except BadAnswer:
        if not call.has_callback:
            raise
        etag = ""  # these are the callback server's words; the ETag is in the headers
    return object_meta(call, response, size=size, etag=etag)


def copied_object(
    call: Call, response: Response, pieces: Iterable[bytes], *, root: str = "CopyObjectResult"
) -> CopiedObject:
    """Return the object, or the part, that OSS has copied."""
    return CopiedObject(
        etag=read_xml(call, response, pieces, partial(messages.read_etag, root=root)),
        crc64=read_number(response.fields.get("x-oss-hash-crc64ecma")),
        version_id=response.fields.get("x-oss-version-id"),
        source_version_id=response.fields.get("x-oss-copy-source-version-id"),
    )


@dataclass(frozen=True)
class Delivery:
    """What the response to a GET brings: of its body, the bytes ``[start, stop)`` are those that were asked for.

    :ivar meta: of the whole object
    """

    meta: ObjectMeta
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def wanted(self, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        """Yield of the body's pieces what was asked for; the rest behind it is not read."""
        at = 0
        for piece in pieces:
            if data := piece[max(0, self.start - at) : max(0, self.stop - at)]:
                yield data
            at += len(piece)
            if at >= self.stop:
                break


def delivery(
    call: Call,
    response: Response,
    start: int,
    stop: int | None,
    *,
    may_end_before: bool = False,
    etag: str | None = None,
    total: int | None = None,
) -> Delivery:
    """Return what a response to a GET brings of the bytes ``[start, stop)``, or of the whole object without a stop.

    A peer that ignores ranges sends the object whole. That is taken where it costs little: few bytes stand before
    those that are wanted, and what follows them is not read.

    :param etag: the one that the object must still have; who answers may have dropped If-Match
    :param total: the same, of its size
    :raises PreconditionFailed: when it has others, so that bytes of two objects never get mixed
    :raises BadAnswer: when it is about other bytes
    """
    if stop is None:
        found = Delivery(object_meta(call, response, size=content_length(call, response)), start, 0)
        found = replace(found, stop=found.meta.size)
    elif response.status == 200:
        size = content_length(call, response)
        end = min(stop, size) if may_end_before else stop
        if start > MAX_SKIPPED or not start < end <= size:
            raise _ignores_ranges(call, size)
        found = Delivery(object_meta(call, response, size=size), start, end)
    else:
        first, end, size = _content_range(call, response, start, stop, may_end_before=may_end_before)
        found = Delivery(object_meta(call, response, size=size), 0, end - first)
    if etag is not None and not same_etag(found.meta.etag, etag):
        raise _changed(call, response, f"its ETag was {etag}, is {found.meta.etag}")
    if total is not None and found.meta.size != total:
        raise _changed(call, response, f"it had {total} bytes, has {found.meta.size}")
    return found


def _content_range(
    call: Call, response: Response, start: int, stop: int, *, may_end_before: bool
) -> tuple[int, int, int]:
    said = response.fields.get("content-range", "")
    match = re.fullmatch(r"bytes ([0-9]{1,20})-([0-9]{1,20})/([0-9]{1,20})", said.strip())
    first, last, size = map(int, match.groups()) if match else (0, 0, 0)
    end = min(stop, size) if may_end_before else stop
    if not match or (first, last) != (start, end - 1) or last >= size:
        raise call.bad_answer(f"asked for bytes {start}-{stop - 1}, was answered Content-Range {shown(said)!r}")
    return first, end, size


def _changed(call: Call, response: Response, what: str) -> PreconditionFailed:
    return PreconditionFailed(
        operation=call.operation,
        target=call.target,
        status=412,
        code="PreconditionFailed",
        detail=shown(f"the object changed: {what}"),
        request_id=shown(response.fields.get("x-oss-request-id", "")),
    )


def _ignores_ranges(call: Call, size: int) -> BadAnswer:
    error = call.bad_answer(
        f"asked for {call.headers['Range']}, was answered 200 with the whole object of {size} bytes: who answered "
        "ignores Range, as some CDNs and proxies do; set OSS's own endpoint, switch ranges on there, or raise "
        "multipart_threshold above the object's size, so that it comes by one request"
    )
    error.retryable = False  # who does not know ranges does not know them the next time
    return error


def content_length(call: Call, response: Response) -> int:
    length = read_number(response.fields.get("content-length"))
    if length is None:
        raise call.bad_answer("the response has no Content-Length")
    return length
