"""Turns the response to a call into a value: an object, a copy, a range of bytes."""

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
from airflow_provider_ossresume.oss import xml_responses
from airflow_provider_ossresume.oss.call import Body, Call
from airflow_provider_ossresume.oss.header_values import join_until, one_line, read_http_date, read_number
from airflow_provider_ossresume.oss.response import Response
from airflow_provider_ossresume.oss.service_errors import error_in_body
from airflow_provider_ossresume.oss.xml_reader import MalformedXML

T = TypeVar("T")

MAX_XML_BYTES = 8 * 2**20  # a page of 1,000 keys of 1,023 bytes, percent-encoded, has under 5 MiB
MAX_SKIPPED = 16 * 2**20  # bytes to discard before a range if the whole object was sent; multipart_threshold's default


def read_xml(call: Call, response: Response, pieces: Iterable[bytes], parse: Callable[[bytes], T]) -> T:
    """Return the response's body, parsed by ``parse``.

    :raises ServiceError: if the body is an error, as OSS may send after a status of 200
    :raises BadAnswer: if it is something else, or too long
    """
    body = join_until(pieces, at_least=MAX_XML_BYTES + 1)
    said, problem = xml_responses.ErrorDetails(), f"the response is longer than {MAX_XML_BYTES} bytes"
    if len(body) <= MAX_XML_BYTES:
        try:
            return parse(body)
        except MalformedXML as error:
            # A copy or a Complete may take long: OSS then sends 200 first, and an error in the body.
            said, problem = xml_responses.read_error(body), str(error)
    del body  # an error may be kept for long, and its frames keep their variables
    if said.code:
        raise error_in_body(call, response, said)
    raise call.bad_answer(problem)


def nothing(response: Response) -> None:
    """Read nothing: the status says it all."""


def object_meta(call: Call, response: Response, *, size: int, etag: str = "") -> ObjectMeta:
    """Return an object's metadata from the headers of a response.

    :param etag: the ETag, if the response's body has it
    :raises BadAnswer: if there is no ETag: the response is incomplete, or did not come from OSS
    """
    headers = {name: _decoded(value) for name, value in response.fields.items()}
    etag = etag or read_etag(headers.get("etag"))
    if not etag and not call.has_callback:  # an error would repeat the callback
        raise call.bad_answer("the response has no ETag")
    meta = ObjectMeta(
        size=size,
        etag=etag,
        crc64=read_number(headers.get("x-oss-hash-crc64ecma")),
        last_modified=read_http_date(headers.get("last-modified")),
        content_type=headers.get("content-type"),
        version_id=headers.get("x-oss-version-id"),
        metadata={
            name.removeprefix("x-oss-meta-"): value for name, value in headers.items() if name.startswith("x-oss-meta-")
        },
        headers=headers,
        answered_at=read_http_date(headers.get("date")),
    )
    # OSS, HeadObject: for a link, only size, ETag, MD5 and storage class are documented to be its target's.
    return replace(meta, crc64=None) if meta.is_link else meta


def _decoded(value: str) -> str:
    """Decode a header: OSS sends UTF-8, and it was read as Latin-1."""
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
        raise IntegrityError(f"{call}: OSS stored bytes with the CRC-64 {stored.crc64}, but {sent} was sent")
    return stored


def completed_object(call: Call, response: Response, pieces: Iterable[bytes], *, size: int) -> ObjectMeta:
    """Return the object that a Complete has created."""
    try:
        etag = read_xml(call, response, pieces, partial(xml_responses.read_etag, root="CompleteMultipartUploadResult"))
    except BadAnswer:
        if not call.has_callback:
            raise
        etag = ""  # the body is the callback server's; the ETag is in the headers
    return object_meta(call, response, size=size, etag=etag)


def copied_object(
    call: Call, response: Response, pieces: Iterable[bytes], *, root: str = "CopyObjectResult"
) -> CopiedObject:
    """Return the object, or the part, that OSS has copied."""
    return CopiedObject(
        etag=read_xml(call, response, pieces, partial(xml_responses.read_etag, root=root)),
        crc64=read_number(response.fields.get("x-oss-hash-crc64ecma")),
        version_id=response.fields.get("x-oss-version-id"),
        source_version_id=response.fields.get("x-oss-copy-source-version-id"),
    )


@dataclass(frozen=True)
class ReceivedRange:
    """The response to a GET: the bytes ``[start, stop)`` of its body are the ones that were asked for.

    :ivar meta: describes the whole object
    """

    meta: ObjectMeta
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def wanted(self, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        """Yield the bytes that were asked for. What follows them in the body is not read."""
        at = 0
        for piece in pieces:
            if data := piece[max(0, self.start - at) : max(0, self.stop - at)]:
                yield data
            at += len(piece)
            if at >= self.stop:
                break


def received_range(
    call: Call,
    response: Response,
    start: int,
    stop: int | None,
    *,
    may_end_before: bool = False,
    etag: str | None = None,
    total: int | None = None,
) -> ReceivedRange:
    """Return the bytes ``[start, stop)`` in a response to a GET, or the whole object if ``stop`` is None.

    A proxy or CDN that ignores ranges sends the whole object. That is accepted if few bytes come before the range;
    what follows the range is not read.

    :param etag: the ETag that the object must still have; a proxy may have dropped If-Match
    :param total: the size that the object must still have
    :raises PreconditionFailed: if ETag or size differ, so that bytes of two objects are never mixed
    :raises BadAnswer: if the response has other bytes
    """
    if stop is None:
        found = ReceivedRange(object_meta(call, response, size=content_length(call, response)), start, 0)
        found = replace(found, stop=found.meta.size)
    elif response.status == 200:
        size = content_length(call, response)
        end = min(stop, size) if may_end_before else stop
        if start > MAX_SKIPPED or not start < end <= size:
            raise _ignores_ranges(call, size)
        found = ReceivedRange(object_meta(call, response, size=size), start, end)
    else:
        first, end, size = _content_range(call, response, start, stop, may_end_before=may_end_before)
        found = ReceivedRange(object_meta(call, response, size=size), 0, end - first)
    if etag is not None and not same_etag(found.meta.etag, etag):
        raise _changed(call, response, f"its ETag was {etag} and is now {found.meta.etag}")
    if total is not None and found.meta.size != total:
        raise _changed(call, response, f"it had {total} bytes and now has {found.meta.size}")
    return found


def _content_range(
    call: Call, response: Response, start: int, stop: int, *, may_end_before: bool
) -> tuple[int, int, int]:
    said = response.fields.get("content-range", "")
    match = re.fullmatch(r"bytes ([0-9]{1,20})-([0-9]{1,20})/([0-9]{1,20})", said.strip())
    first, last, size = map(int, match.groups()) if match else (0, 0, 0)
    end = min(stop, size) if may_end_before else stop
    if not match or (first, last) != (start, end - 1) or last >= size:
        raise call.bad_answer(f"asked for bytes {start}-{stop - 1}, got Content-Range {one_line(said)!r}")
    return first, end, size


def _changed(call: Call, response: Response, what: str) -> PreconditionFailed:
    return PreconditionFailed(
        operation=call.operation,
        target=call.target,
        status=412,
        code="PreconditionFailed",
        detail=one_line(f"the object changed: {what}"),
        request_id=one_line(response.fields.get("x-oss-request-id", "")),
    )


def _ignores_ranges(call: Call, size: int) -> BadAnswer:
    error = call.bad_answer(
        f"asked for {call.headers['Range']}, got 200 with the whole object of {size} bytes: a CDN or proxy ignores "
        "Range; set OSS's own endpoint, enable range requests in the CDN or proxy, or raise multipart_threshold above "
        "the object's size, so that one request fetches all of it"
    )
    error.retryable = False  # the next attempt would get the same response
    return error


def content_length(call: Call, response: Response) -> int:
    length = read_number(response.fields.get("content-length"))
    if length is None:
        raise call.bad_answer("the response has no Content-Length")
    return length
