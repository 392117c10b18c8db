"""The OSS operations that transfers, hooks and sensors need.

Every operation goes through :meth:`OssClient._exchange`, which retries it and turns whatever goes wrong into an error
of ours. Requests never follow redirects, never read ~/.netrc and always have timeouts; every attempt is signed afresh
and its body opened anew. One client may be used from many threads.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import quote, unquote

from airflow_provider_ossresume import __version__
from airflow_provider_ossresume.errors import (
    ArgumentError,
    InvalidRange,
    PreconditionFailed,
    RequestError,
    ServiceError,
)
from airflow_provider_ossresume.model import etags
from airflow_provider_ossresume.model.arguments import Duration
from airflow_provider_ossresume.model.headers import check_given, check_header
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.object_names import check_bucket, check_key, fits_xml
from airflow_provider_ossresume.model.objects import (
    MAX_KEYS_TO_DELETE,
    CopiedObject,
    ListedObject,
    ListedUpload,
    ObjectMeta,
    ObjectRef,
    Receipt,
)
from airflow_provider_ossresume.model.parts import MAX_PART_COUNT
from airflow_provider_ossresume.oss import messages, results, service_errors
from airflow_provider_ossresume.oss.bucket_calls import BucketCalls
from airflow_provider_ossresume.oss.call import Body, Call
from airflow_provider_ossresume.oss.connection_errors import connection_failed
from airflow_provider_ossresume.oss.connections import Connections, environment_settings
from airflow_provider_ossresume.oss.credentials import Credentials, CredentialsProvider
from airflow_provider_ossresume.oss.deadlines import LONGEST_END, ExchangeFailed, Limit
from airflow_provider_ossresume.oss.endpoint import Endpoint, check_region_name, quote_key
from airflow_provider_ossresume.oss.header_values import joined, shown
from airflow_provider_ossresume.oss.messages import BucketInfo, ObjectsPage, ServiceInfo, UploadsPage
from airflow_provider_ossresume.oss.object_calls import ObjectCalls
from airflow_provider_ossresume.oss.response import Response
from airflow_provider_ossresume.oss.resumable_get import ResumableGet, Sink
from airflow_provider_ossresume.oss.retry import Attempts, RetryPolicy
from airflow_provider_ossresume.oss.signer import SignatureVersion, Signer, check_expiry
from airflow_provider_ossresume.oss.signing import Signable
from airflow_provider_ossresume.oss.stop import NeverStopped, Stop

log = logging.getLogger(__name__)

T = TypeVar("T")
Dated = TypeVar("Dated", BucketInfo, ServiceInfo)

USER_AGENT = f"airflow-provider-ossresume/{__version__}"
XML_PIECE_SIZE = 64 * 1024  # what is asked of the socket at once; a page of a listing has some hundred KiB
MAX_CLOCK_OFFSET = 100 * 365 * 24 * 3600  # seconds; a board without a battery begins in 1970, none is further off


class OssClient(BucketCalls, ObjectCalls):
    """A client for one endpoint and one set of credentials.

    :param region: needed for V4 signatures; see :func:`~airflow_provider_ossresume.oss.endpoint.check_region`
    :param connect_timeout: seconds for a connection to be made
    :param read_timeout: seconds of silence, or for sending 256 KiB, after which an attempt is given up
    :param stall_timeout: seconds within which at least 64 KiB of a body, and all headers of a response, must move
    :param max_connections: how many threads will use it at once
    :param proxies: as in requests, checked here; None takes HTTP_PROXY, HTTPS_PROXY and NO_PROXY from the environment
    :param verify_tls: False, or the path of a CA bundle; True takes REQUESTS_CA_BUNDLE or the built-in one
    :param clock: seconds since 1970
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: CredentialsProvider,
        *,
        region: str | None,
        signature_version: SignatureVersion = "v4",
        retry: RetryPolicy | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        stall_timeout: float = 60.0,
        max_connections: int = 32,
        proxies: Mapping[str, str] | None = None,
        verify_tls: bool | str = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if signature_version not in ("v4", "v1"):
            raise ArgumentError("signature_version", signature_version, "choose v4 or v1")
        if signature_version == "v4" and not region:
            raise ArgumentError(
                "region", region, f"V4 signatures need it and {endpoint} does not tell it; set it, as in cn-hangzhou"
            )
        if verify_tls is False:
            log.warning("verify_tls is off: whoever is on the way to %s can read and change what is sent", endpoint)
        self.endpoint = endpoint
        self.region = check_region_name(region or "")
        self._credentials = credentials
        self._signature_version = signature_version
        self._retry = retry or RetryPolicy()
        self._stop: Stop = NeverStopped()
        self._retrying = self._retry.retrying()
        self._clock = OssClock(clock)
        self._headers: Mapping[str, str] = {}
        self._connections = Connections(
            environment_settings(str(endpoint), proxies=proxies, verify_tls=verify_tls),
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            send_timeout=read_timeout,
            read_timeout=read_timeout,
            stall_timeout=stall_timeout,
        )

    def close(self) -> None:
        """Close idle connections. The client stays usable."""
        self._connections.close()

    def with_headers(self, headers: Mapping[str, str]) -> OssClient:
        """Return this client with headers that go with every request, such as ``x-oss-request-payer``.

        :raises ArgumentError: for one that the client sets itself
        """
        client = copy.copy(self)
        client._headers = {**self._headers, **check_given(headers)}
        return client

    def with_stop(self, stop: Stop) -> OssClient:
        """Return this client with an order to end: once it is given, no request is begun and none goes on.

        A call that is under way raises what the stop raises; so does one that waits for credentials, which copies of
        this client may go on waiting for. The stop hears of throttling where it has a ``slow_down``.
        """
        client = copy.copy(self)
        client._stop = stop
        if bind := getattr(self._credentials, "with_stop", None):
            client._credentials = bind(stop)
        client._retrying = self._retry.retrying(wait=stop.wait, before_wait=client._told_of_failure)
        return client

    def _told_of_failure(self, error: BaseException | None) -> None:
        if asks_for_less(error):
            self._slow_down()

    def _slow_down(self) -> None:
        if slow_down := getattr(self._stop, "slow_down", None):
            slow_down()

    @property
    def clock_offset(self) -> float:
        """By how many seconds OSS's clock is ahead of this machine's, as far as OSS had to tell."""
        return self._clock.offset

    # --- objects ------------------------------------------------------------------------------------------------------

    def put_object(self, target: ObjectRef, body: Body, *, headers: Mapping[str, str] | None = None) -> ObjectMeta:
        """Write an object of at most 5 GiB in one request. OSS refuses a body that is damaged on its way.

        :raises AlreadyExists: with the header ``x-oss-forbid-overwrite: true``, when the object exists
        :raises IntegrityError: when OSS stored other bytes than were sent
        """
        sent = {**check_given(headers), **_digest(body.content_md5())}
        call = Call("PutObject", "PUT", target.bucket, target.key, headers=sent, body=body)
        return self._exchange(call, lambda response: results.stored_object(call, response, body))

    def get_object(
        self,
        target: ObjectRef,
        sink: Sink,
        *,
        start: int = 0,
        stop: int | None = None,
        may_end_before: bool = False,
        if_match: str | None = None,
        total: int | None = None,
    ) -> ObjectMeta:
        """Write the object's bytes ``[start, stop)`` to the sink; the whole object when ``stop`` is None.

        When the connection breaks it goes on behind the last byte that came, with If-Match.

        :param may_end_before: the object may have less than ``stop`` bytes; then those that it has are written
        :param if_match: the ETag that the object must still have
        :param total: the size that it must still have
        :raises PreconditionFailed: when it has others
        :raises InvalidRange: when it has no more than ``start`` bytes
        """
        fetch = ResumableGet(target, sink, start, stop, may_end_before=may_end_before, if_match=if_match, total=total)

        def attempt(attempts: Attempts) -> ObjectMeta:
            call = fetch.call()

            def read(response: Response) -> ObjectMeta:
                return fetch.read(call, response, self._object_pieces(response, sink.piece_size, attempts), attempts)

            try:
                return self._attempt(call, read, attempts)
            except (PreconditionFailed, InvalidRange):  # it is shorter now
                if fetch.restart():
                    return attempt(attempts)
                raise

        return self._retrying(attempt)

    def check_readable(self, target: ObjectRef, *, if_match: str | None = None) -> None:
        """Read the object's first byte, which tells what HEAD does not: whether an archived object can be read.

        :raises ObjectArchived: when it cannot
        """
        self.get_object(target, _Nowhere(), stop=1, if_match=if_match)

    def head_object(self, target: ObjectRef) -> ObjectMeta:
        """:raises NoSuchKey: when there is no such object"""
        call = Call("HeadObject", "HEAD", target.bucket, target.key, _version_query(target))
        return self._exchange(
            call, lambda response: results.object_meta(call, response, size=results.content_length(call, response))
        )

    def get_symlink(self, target: ObjectRef) -> ObjectRef:
        """Return the object that a symbolic link leads to."""
        call = Call("GetSymlink", "GET", target.bucket, target.key, {"symlink": "", **_version_query(target)})

        def read(response: Response) -> ObjectRef:
            if not (key := response.fields.get("x-oss-symlink-target")):
                raise call.bad_answer("the response has no x-oss-symlink-target")
            return ObjectRef(target.bucket, unquote(key))

        return self._exchange(call, read)

    def get_object_acl(self, target: ObjectRef) -> str:
        """Return the object's ACL, ``default`` for its bucket's."""
        call = Call("GetObjectAcl", "GET", target.bucket, target.key, {"acl": "", **_version_query(target)})
        return self._exchange_xml(call, messages.read_acl)

    def get_object_tagging(self, target: ObjectRef) -> dict[str, str]:
        """Return the object's tags."""
        call = Call("GetObjectTagging", "GET", target.bucket, target.key, {"tagging": "", **_version_query(target)})
        return self._exchange_xml(call, messages.read_tags)

    def delete_object(self, target: ObjectRef) -> None:
        """Delete an object; one that does not exist counts as deleted."""
        self._exchange(Call("DeleteObject", "DELETE", target.bucket, target.key, success=(204,)), results.nothing)

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> list[str]:
        """Delete any number of objects, 1,000 a request; return the keys that OSS says are gone.

        A key that XML cannot carry, such as one with a line break, takes a request of its own.
        """
        gone: list[str] = []
        for key in keys:
            if not fits_xml(check_key(key)):
                self.delete_object(ObjectRef(bucket, key))
                gone.append(key)
        keys = [key for key in keys if fits_xml(key)]
        for first in range(0, len(keys), MAX_KEYS_TO_DELETE):
            body = messages.delete_body(keys[first : first + MAX_KEYS_TO_DELETE])
            call = Call(
                "DeleteMultipleObjects", "POST", bucket, query={"delete": "", "encoding-type": "url"},
                headers=_digest(content_md5([body])), body=body,
            )  # fmt: skip
            gone += self._exchange_xml(call, messages.read_deleted)
        return gone

    def copy_object(
        self,
        source: ObjectRef,
        target: ObjectRef,
        *,
        headers: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> CopiedObject:
        """Let OSS copy an object, or a version of one, within its region.

        Within a bucket an object may have any size, elsewhere 5 GiB, or 1 GiB when its storage class or encryption
        changes. Larger ones: :meth:`upload_part_copy`.

        :param if_match: the ETag that the source must still have
        :raises PreconditionFailed: when it has another
        :raises ObjectTooLarge: when OSS does not copy so much at once
        :raises ObjectArchived: when the source is archived and not restored
        :raises NoSuchKey: when there is no such source
        """
        call = Call(
            "CopyObject", "PUT", target.bucket, target.key,
            headers={**check_given(headers), **_copy_source(source, if_match)},
        )  # fmt: skip
        return self._exchange(
            call, lambda response: results.copied_object(call, response, self._pieces(call, response))
        )

    # --- multipart uploads --------------------------------------------------------------------------------------------

    def initiate(self, target: ObjectRef, *, headers: Mapping[str, str] | None = None) -> str:
        """Begin a multipart upload and return its upload ID. The object's headers and metadata are fixed here.

        A response that is lost leaves an upload ID that nobody knows; the bucket's lifecycle rule removes it.
        """
        call = Call("InitiateMultipartUpload", "POST", target.bucket, target.key, {"uploads": ""}, check_given(headers))
        return self._exchange_xml(call, messages.read_upload_id)

    def upload_part(
        self, target: ObjectRef, upload_id: str, number: int, body: Body, *, refuse_damage: bool = False
    ) -> Receipt:
        """Send one part; sent again under its number it replaces the former one.

        :param refuse_damage: OSS is not to keep a body that is damaged on its way. By default it does and its response
            tells, so the part is sent again; but a sender that dies before leaves it there
        :raises NoSuchUpload: when the upload was completed, aborted or removed
        :raises IntegrityError: when OSS stored other bytes than were sent
        """
        headers = _digest(body.content_md5()) if refuse_damage else {}
        call = Call("UploadPart", "PUT", target.bucket, target.key, _part_query(upload_id, number), headers, body=body)

        def read(response: Response) -> Receipt:
            stored = results.stored_object(call, response, body)
            return Receipt(number, etags.opaque(stored.etag), body.size, body.crc64())

        return self._exchange(call, read)

    def upload_part_copy(
        self, source: ObjectRef, target: ObjectRef, upload_id: str, number: int, *, start: int, stop: int, if_match: str
    ) -> Receipt:
        """Let OSS copy the source's bytes ``[start, stop)`` as one part of an upload in its region.

        The part's CRC-64 is None where only ListParts tells it.

        :param if_match: the ETag that the source must still have; a weak one is not sent
        :raises PreconditionFailed: when it has another
        :raises NoSuchUpload: when the upload was completed, aborted or removed
        """
        headers = {**_copy_source(source, if_match), "x-oss-copy-source-range": f"bytes={start}-{stop - 1}"}
        call = Call("UploadPartCopy", "PUT", target.bucket, target.key, _part_query(upload_id, number), headers)

        def read(response: Response) -> Receipt:
            copied = results.copied_object(call, response, self._pieces(call, response), root="CopyPartResult")
            return Receipt(number, copied.etag, stop - start, copied.crc64)

        return self._exchange(call, read)

    def list_parts(self, target: ObjectRef, upload_id: str) -> list[Receipt]:
        """Return every part that OSS has of an upload, ascending.

        :raises NoSuchUpload: when the upload was completed, aborted or removed
        """
        parts: list[Receipt] = []
        marker: int | None = 0
        while marker is not None:
            query = {"uploadId": upload_id, "max-parts": "1000", "part-number-marker": str(marker)}
            call = Call("ListParts", "GET", target.bucket, target.key, query)
            page = self._exchange_xml(call, messages.read_parts)
            parts += page.parts
            if page.next_marker is not None and not marker < page.next_marker <= MAX_PART_COUNT:
                raise call.bad_answer("the listing does not advance")
            marker = page.next_marker
        return parts

    def complete(
        self,
        target: ObjectRef,
        upload_id: str,
        parts: Iterable[Receipt],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        """Join the parts into the object; the size that is returned is the sum of theirs.

        :raises InvalidPart: when OSS has a part not, or with another ETag
        :raises NoSuchUpload: when the upload is over; perhaps an earlier attempt's response was lost
        """
        parts = list(parts)
        body = messages.complete_body(parts)
        call = Call(
            "CompleteMultipartUpload", "POST", target.bucket, target.key, {"uploadId": upload_id},
            {**check_given(headers), **_digest(content_md5([body]))}, body,
        )  # fmt: skip

        def read(response: Response) -> ObjectMeta:
            size = sum(part.size for part in parts)
            return results.completed_object(call, response, self._pieces(call, response), size=size)

        return self._exchange(call, read)

    def abort(self, target: ObjectRef, upload_id: str) -> None:
        """Drop an upload and its parts. Parts that are still on their way survive it: stop sending first.

        :raises NoSuchUpload: when it is over already
        """
        call = Call(
            "AbortMultipartUpload", "DELETE", target.bucket, target.key, {"uploadId": upload_id}, success=(204,)
        )
        self._exchange(call, results.nothing)

    # --- the bucket ---------------------------------------------------------------------------------------------------

    def list_uploads(self, bucket: str, *, prefix: str = "") -> Iterator[ListedUpload]:
        """Yield the bucket's unfinished multipart uploads, by key."""
        marker: tuple[str, str] | None = ("", "")
        while marker is not None:
            query = {"uploads": "", "max-uploads": "1000", "encoding-type": "url", "prefix": prefix}
            query |= {"key-marker": marker[0], "upload-id-marker": marker[1]}
            call = Call("ListMultipartUploads", "GET", bucket, query=_without_empty(query, keep="uploads"))
            page, answered_at = self._exchange(call, partial(self._read_uploads, call))
            yield from (replace(upload, bucket=bucket, answered_at=answered_at) for upload in page.uploads)
            marker = _advance(call, marker, page.next_marker)

    def _read_uploads(self, call: Call, response: Response) -> tuple[UploadsPage, datetime | None]:
        date = messages.read_http_date(response.fields.get("date"))
        return self._read_xml(call, response, messages.read_uploads), date

    def list_objects(
        self, bucket: str, *, prefix: str = "", start_after: str = "", delimiter: str = ""
    ) -> Iterator[ListedObject]:
        """Yield the bucket's objects in the order of their keys' bytes; with a delimiter, those above it only."""
        for page in self.list_pages(bucket, prefix=prefix, start_after=start_after, delimiter=delimiter):
            yield from page.objects

    def list_pages(
        self, bucket: str, *, prefix: str = "", start_after: str = "", delimiter: str = "", page_size: int = 1000
    ) -> Iterator[ObjectsPage]:
        """Yield the pages of a listing: with a delimiter, the objects above it and the prefixes that end with it.

        :param page_size: how many of both OSS puts into one page at most, 1 to 1,000
        """
        token: str | None = ""
        while token is not None:
            query = {"list-type": "2", "max-keys": str(page_size), "encoding-type": "url", "prefix": prefix}
            query |= {"continuation-token": token, "start-after": start_after, "delimiter": delimiter}
            call = Call("ListObjectsV2", "GET", bucket, query=_without_empty(query))
            page = self._exchange_xml(call, messages.read_objects)
            yield page
            token = _advance(call, token, page.next_token)

    def get_bucket_info(self, bucket: str) -> BucketInfo:
        """Return where the bucket is, what its endpoints are called and whose it is."""
        call = Call("GetBucketInfo", "GET", bucket, query={"bucketInfo": ""})
        return self._exchange_dated(call, messages.read_bucket_info)

    def get_retention_days(self, bucket: str) -> int:
        """Return for how many days the bucket's retention policy (WORM) protects each object; 0 without one."""
        call = Call("GetBucketWorm", "GET", bucket, query={"worm": ""})
        try:
            return self._exchange_xml(call, messages.read_retention_days)
        except ServiceError as error:
            if error.code != "NoSuchWORMConfiguration":
                raise
            return 0

    def get_service_info(self) -> ServiceInfo:
        """Return whose the Access Key is, as ListBuckets tells it; the buckets are left out."""
        call = Call("ListBuckets", "GET", query={"max-keys": "1"})
        return self._exchange_dated(call, messages.read_service_info)

    def presigned_url(
        self, method: str, target: ObjectRef, *, expires: Duration, query: Mapping[str, str] | None = None
    ) -> str:
        """Return a URL with which whoever has it may do one thing for so long. It is a secret.

        :raises ArgumentError: for another method than GET, HEAD, PUT or DELETE, or an expiry that OSS refuses
        """
        if str(method).upper() not in ("GET", "HEAD", "PUT", "DELETE"):
            raise ArgumentError("method", method, "choose one of GET, HEAD, PUT or DELETE")
        seconds = check_expiry(expires, self._signature_version)
        resource = Signable(method.upper(), target.bucket, target.key, {**_version_query(target), **(query or {})})
        plain = self.endpoint.url(target.bucket, target.key, resource.query)
        if (credentials := self._credentials.get()) is None:
            return plain
        return self.endpoint.url(target.bucket, target.key, self._signer(credentials).query(resource, expires=seconds))

    # --- one exchange -------------------------------------------------------------------------------------------------

    def _exchange(self, call: Call, read: Callable[[Response], T]) -> T:
        """Send a request until it succeeds, and return what ``read`` makes of the response, body included.

        :raises RequestError: when it cannot succeed, or has not within the retry policy
        """
        return self._retrying(lambda attempts: self._attempt(call, read, attempts))

    def _exchange_xml(self, call: Call, parse: Callable[[bytes], T]) -> T:
        return self._exchange(call, lambda response: self._read_xml(call, response, parse))

    def _exchange_dated(self, call: Call, parse: Callable[[bytes], Dated]) -> Dated:
        """Return what the response says, with the response's Date in it."""

        def read(response: Response) -> Dated:
            date = messages.read_http_date(response.fields.get("date"))
            return replace(self._read_xml(call, response, parse), answered_at=date)

        return self._exchange(call, read)

    def _read_xml(self, call: Call, response: Response, parse: Callable[[bytes], T]) -> T:
        return results.read_xml(call, response, self._pieces(call, response), parse)

    def _attempt(self, call: Call, read: Callable[[Response], T], attempts: Attempts) -> T:
        self._stop.check()
        try:
            return self._send(call, read, attempts)
        except RequestError as error:
            if not getattr(error, "code", ""):  # perhaps not OSS answered, if anybody did
                error.args = (f"{error} [{self.way_to(call.bucket)}]",)
            raise

    def way_to(self, bucket: str | None) -> str:
        """Return which place is asked for a bucket, by which proxy, and the settings that decide it."""
        proxy = self._connections.proxy_to(self.endpoint.origin(bucket))
        return self.endpoint.described(bucket) + (f", {proxy}" if proxy else "")

    def _send(self, call: Call, read: Callable[[Response], T], attempts: Attempts) -> T:
        # First of all: nothing is signed that no URL can hold.
        origin, path = self.endpoint.origin(call.bucket), self.endpoint.path(call.bucket, call.key, call.query)
        credentials, clock_offset = self._credentials.get(), self._clock.offset
        headers = self._headers_of(call, credentials)
        body = (
            call.body if isinstance(call.body, bytes) else partial(_opened, call.body, attempts) if call.body else b""
        )
        try:
            with self._connections.exchange(call.method, origin, path, headers, body, stop=self._stop) as response:
                return self._read(call, response, read, credentials, clock_offset)
        except ExchangeFailed as error:
            self._stop.check()  # it is what ended the exchange
            raise connection_failed(call, error, self.endpoint) from error

    def _read(
        self,
        call: Call,
        response: Response,
        read: Callable[[Response], T],
        credentials: Credentials | None,
        clock_offset: float,
    ) -> T:
        if log.isEnabledFor(logging.DEBUG):  # what is shown takes its time to be made
            log.debug(
                "%s: %s %s [request id %s]",
                call,
                response.status,
                shown(response.reason),
                shown(response.fields.get("x-oss-request-id", "")),
            )
        if response.status not in call.success and response.status < 300:
            raise service_errors.not_what_was_asked_for(call, response, self._pieces(call, response))
        if response.status not in call.success:
            raise self._error(call, response, credentials, clock_offset)
        result = read(response)
        if service_errors.qos_delay(response.fields) is not None:
            self._slow_down()
        # Only a connection whose response was read to its end is used again. What was asked for is here, end or not.
        with suppress(ExchangeFailed):
            rest = response.pieces(XML_PIECE_SIZE, Limit("the response did not end", total=LONGEST_END))
            joined(rest, at_least=service_errors.MAX_ERROR_BYTES)
        return result

    def _headers_of(self, call: Call, credentials: Credentials | None) -> dict[str, str]:
        """Return the request's headers; their names are in lower case, so that each is there once."""
        headers = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
        for name, value in (*self._headers.items(), *call.headers.items()):
            check_header(name, value)
            headers[name.lower()] = value
        if isinstance(call.body, bytes):
            headers["content-length"] = str(len(call.body))
        elif call.body is not None:
            headers["content-length"] = str(call.body.size)
            headers.setdefault("content-type", "application/octet-stream")
        elif call.method in ("PUT", "POST"):
            headers["content-length"] = "0"
        if credentials:
            headers.update(
                self._signer(credentials).headers(Signable(call.method, call.bucket, call.key, call.query, headers))
            )
        return headers

    def _signer(self, credentials: Credentials) -> Signer:
        return Signer(credentials, self._signature_version, self.region, self._clock.now())

    # --- bodies -------------------------------------------------------------------------------------------------------

    def _pieces(self, call: Call, response: Response) -> Iterator[bytes]:
        """Yield the response's body as it comes in."""
        limit = self._connections.work() if call.takes_long else self._connections.flow()
        return response.pieces(XML_PIECE_SIZE, limit)

    def _object_pieces(self, response: Response, piece_size: int, attempts: Attempts) -> Iterator[memoryview]:
        """Yield the response's body in pieces of that size, each in the place of the one before.

        Where it breaks, what has come until then is yielded first.
        """
        if response.is_read:
            return
        limit = self._connections.flow()
        # No longer than the body, as memory that is asked for is filled with zeros first.
        piece_size = piece_size if response.length is None else min(piece_size, response.length)
        buffer = memoryview(bytearray(piece_size))
        filled = 0
        failure: ExchangeFailed | None = None
        while failure is None:
            try:
                size = response.read_into(buffer[filled:], limit)
            except ExchangeFailed as error:
                failure, size = error, 0
            if not size:
                break
            attempts.moved()
            filled += size
            if filled == piece_size:
                yield buffer
                filled = 0
        yield buffer[:filled]
        if failure is not None:
            raise failure

    # --- errors -------------------------------------------------------------------------------------------------------

    def _error(
        self, call: Call, response: Response, credentials: Credentials | None, clock_offset: float
    ) -> ServiceError:
        error = service_errors.read_error(call, response, _as_far_as_it_comes(self._pieces(call, response)))
        self._stop.check()  # which may have cut it
        # What this client can mend is worth another attempt.
        error.retryable = (
            error.retryable or self._mend_clock(error, clock_offset) or self._mend_credentials(error, credentials)
        )
        return error

    def _mend_clock(self, error: ServiceError, used: float) -> bool:
        """Sign with OSS's time from now on; True when that makes a difference to the offset that was used."""
        if error.code != "RequestTimeTooSkewed" or error.server_time is None:
            return False
        return self._clock.mend(error.server_time, used)

    def _mend_credentials(self, error: ServiceError, used: Credentials | None) -> bool:
        """Ask for other credentials where OSS calls these expired or unknown; True when there are others."""
        if error.code not in ("SecurityTokenExpired", "InvalidAccessKeyId", "InvalidSecurityToken"):
            return False
        return used is not None and self._credentials.renew(used) != used


class _Nowhere:
    """A sink for bytes that nobody wants."""

    piece_size = 1

    def open(self) -> None:
        """There is nothing to forget."""

    def resume(self) -> None:
        """There is nothing to keep."""

    def write(self, data: memoryview) -> None:
        """Nobody wants them."""


class OssClock:
    """OSS's time, as far as it is known; one for all copies of a client.

    :param clock: this machine's, in seconds since 1970
    :ivar offset: how far OSS's is ahead
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.offset = 0.0

    def now(self) -> float:
        return self._clock() + self.offset

    def mend(self, server_time: float, used: float) -> bool:
        """Go by what OSS says; True when that makes a difference to the offset that was used."""
        offset = server_time - self._clock()
        if abs(offset) > MAX_CLOCK_OFFSET or abs(offset - used) < 60:
            return False
        if abs(offset - self.offset) >= 60:  # else another thread has mended it meanwhile
            log.warning("This worker's clock is %.0f s away from OSS's; signing with OSS's time", -offset)
            self.offset = offset
        return True


# --- small helpers ----------------------------------------------------------------------------------------------------


def asks_for_less(error: BaseException | None) -> bool:
    """Return whether an error says that fewer requests at once would do better: throttling, or no response in time."""
    if isinstance(error, ServiceError):
        return error.status in (429, 503) or error.qos_delay is not None
    cause = error.__cause__ if error is not None else None
    return isinstance(cause, ExchangeFailed) and cause.is_timeout


def _opened(body: Body, attempts: Attempts) -> Iterator[bytes | memoryview]:
    """Return the pieces of a request's body; it is opened before anything is sent."""
    return _passed_on(body.open(), attempts)


def _passed_on(pieces: Iterable[T], attempts: Attempts) -> Iterator[T]:
    for piece in pieces:
        yield piece
        attempts.moved()


def _as_far_as_it_comes(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """An error is one by its status, whatever has become of its body."""
    with suppress(ExchangeFailed):
        yield from pieces


def _version_query(target: ObjectRef) -> dict[str, str]:
    return {"versionId": target.version_id} if target.version_id else {}


def _digest(md5: str | None) -> dict[str, str]:
    return {"Content-MD5": md5} if md5 else {}


def _part_query(upload_id: str, number: int) -> dict[str, str]:
    return {"partNumber": str(number), "uploadId": upload_id}


def _copy_source(source: ObjectRef, if_match: str | None) -> dict[str, str]:
    """Return the headers that name what is copied, and the ETag that it must still have."""
    version = f"?versionId={quote(source.version_id, safe='')}" if source.version_id else ""
    headers = {"x-oss-copy-source": f"/{check_bucket(source.bucket)}/{quote_key(check_key(source.key))}{version}"}
    if if_match:  # OSS's own header, for OSS's own ETag: a proxy's mark is none of it
        headers["x-oss-copy-source-if-match"] = f'"{etags.opaque(if_match)}"'
    return headers


def _without_empty(query: Mapping[str, str], *, keep: str = "") -> dict[str, str]:
    return {name: value for name, value in query.items() if value or name == keep}


def _advance(call: Call, marker: T, following: T | None) -> T | None:
    """Return the next page's marker; a server that repeats one would keep us listing for ever."""
    if following is not None and following == marker:
        raise call.bad_answer("the listing does not advance")
    return following
