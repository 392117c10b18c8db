"""Operations on multipart uploads: initiate, upload or copy parts, list, complete, abort."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from airflow_provider_ossresume.model import etags
from airflow_provider_ossresume.model.headers import check_given
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.objects import ListedUpload, ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import MAX_PART_COUNT
from airflow_provider_ossresume.oss import results, xml_requests, xml_responses
from airflow_provider_ossresume.oss.base_client import BaseClient
from airflow_provider_ossresume.oss.call import (
    Body,
    Call,
    copy_source_headers,
    md5_header,
    next_marker,
    without_empty,
)
from airflow_provider_ossresume.oss.header_values import read_http_date
from airflow_provider_ossresume.oss.response import Response
from airflow_provider_ossresume.oss.xml_responses import UploadsPage


class MultipartOperations(BaseClient):
    """Operations on multipart uploads."""

    def initiate(self, target: ObjectRef, *, headers: Mapping[str, str] | None = None) -> str:
        """Begin a multipart upload and return its upload ID. The object's headers and metadata are set here.

        If the response is lost, an upload with an unknown ID remains. A lifecycle rule of the bucket can remove it.
        """
        call = Call("InitiateMultipartUpload", "POST", target.bucket, target.key, {"uploads": ""}, check_given(headers))
        return self._execute_xml(call, xml_responses.read_upload_id)

    def upload_part(
        self, target: ObjectRef, upload_id: str, number: int, body: Body, *, refuse_damage: bool = False
    ) -> Receipt:
        """Send one part. It replaces an earlier part with the same number.

        :param refuse_damage: OSS refuses a body that is damaged in transit. By default it stores the body, and its
            response shows the damage, so the part is sent again. If the sender dies before that, the damaged part
            remains.
        :raises NoSuchUpload: if the upload was completed, aborted or removed
        :raises IntegrityError: if OSS stored other bytes than were sent
        """
        headers = md5_header(body.content_md5()) if refuse_damage else {}
        call = Call("UploadPart", "PUT", target.bucket, target.key, _part_query(upload_id, number), headers, body=body)

        def read(response: Response) -> Receipt:
            stored = results.stored_object(call, response, body)
            return Receipt(number, etags.opaque(stored.etag), body.size, body.crc64())

        return self._execute(call, read)

    def upload_part_copy(
        self, source: ObjectRef, target: ObjectRef, upload_id: str, number: int, *, start: int, stop: int, if_match: str
    ) -> Receipt:
        """Let OSS copy the source's bytes ``[start, stop)`` as one part of an upload in the same region.

        The receipt's CRC-64 is None if only ListParts shows it.

        :param if_match: the ETag that the source must still have; a weak one is not sent
        :raises PreconditionFailed: if the source has another ETag
        :raises NoSuchUpload: if the upload was completed, aborted or removed
        """
        headers = {**copy_source_headers(source, if_match), "x-oss-copy-source-range": f"bytes={start}-{stop - 1}"}
        call = Call("UploadPartCopy", "PUT", target.bucket, target.key, _part_query(upload_id, number), headers)

        def read(response: Response) -> Receipt:
            copied = results.copied_object(call, response, self._pieces(call, response), root="CopyPartResult")
            return Receipt(number, copied.etag, stop - start, copied.crc64)

        return self._execute(call, read)

    def list_parts(self, target: ObjectRef, upload_id: str) -> list[Receipt]:
        """Return every part that OSS has of an upload, in ascending order.

        :raises NoSuchUpload: if the upload was completed, aborted or removed
        """
        parts: list[Receipt] = []
        marker: int | None = 0
        while marker is not None:
            query = {"uploadId": upload_id, "max-parts": "1000", "part-number-marker": str(marker)}
            call = Call("ListParts", "GET", target.bucket, target.key, query)
            page = self._execute_xml(call, xml_responses.read_parts)
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
        """Join the parts into the object. The size that is returned is the sum of the parts' sizes.

        :raises InvalidPart: if OSS does not have a part, or has it with another ETag
        :raises NoSuchUpload: if the upload has ended; perhaps the response to an earlier attempt was lost
        """
        parts = list(parts)
        body = xml_requests.complete_body(parts)
        sent = {**check_given(headers), **md5_header(content_md5([body]))}
        call = Call("CompleteMultipartUpload", "POST", target.bucket, target.key, {"uploadId": upload_id}, sent, body)

        def read(response: Response) -> ObjectMeta:
            size = sum(part.size for part in parts)
            return results.completed_object(call, response, self._pieces(call, response), size=size)

        return self._execute(call, read)

    def abort(self, target: ObjectRef, upload_id: str) -> None:
        """Drop an upload and its parts. Stop sending first: a part that arrives later stays on OSS.

        :raises NoSuchUpload: if the upload has already ended
        """
        call = Call(
            "AbortMultipartUpload", "DELETE", target.bucket, target.key, {"uploadId": upload_id}, success=(204,)
        )
        self._execute(call, results.nothing)

    def list_uploads(self, bucket: str, *, prefix: str = "") -> Iterator[ListedUpload]:
        """Yield the bucket's unfinished multipart uploads, by key."""
        marker: tuple[str, str] | None = ("", "")
        while marker is not None:
            query = {"uploads": "", "max-uploads": "1000", "encoding-type": "url", "prefix": prefix}
            query |= {"key-marker": marker[0], "upload-id-marker": marker[1]}
            call = Call("ListMultipartUploads", "GET", bucket, query=without_empty(query, keep="uploads"))
            page, answered_at = self._execute(call, partial(self._read_uploads, call))
            yield from (replace(upload, bucket=bucket, answered_at=answered_at) for upload in page.uploads)
            marker = next_marker(call, marker, page.next_marker)

    def _read_uploads(self, call: Call, response: Response) -> tuple[UploadsPage, datetime | None]:
        date = read_http_date(response.fields.get("date"))
        return self._read_xml(call, response, xml_responses.read_uploads), date


def _part_query(upload_id: str, number: int) -> dict[str, str]:
    return {"partNumber": str(number), "uploadId": upload_id}
