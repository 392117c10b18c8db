"""The operations on multipart uploads."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from xml.etree.ElementTree import Element

from airflow_provider_ossresume.local_oss.answers import (
    Answer,
    Children,
    Refusal,
    invalid_argument,
    xml_answer,
    xml_date,
)
from airflow_provider_ossresume.local_oss.callbacks import callback_of, called_back
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.objects import proof
from airflow_provider_ossresume.local_oss.records import StoredObject, StoredPart, Upload
from airflow_provider_ossresume.local_oss.service import (
    ACL,
    Service,
    acl_of,
    content_md5,
    encoder,
    encoding_element,
    is_true,
    kept_headers,
    number_argument,
    parse_xml,
    receive,
    whole_body,
    whole_number,
)

MAX_PART_COUNT = 10_000  # OSS: part numbers are 1..10,000
MIN_PART_SIZE = 100 * 1024  # OSS: every part but the last, checked at Complete
MAX_PAGE = 1000  # OSS: parts in one ListParts


def initiate_multipart_upload(service: Service, request: IncomingRequest) -> Answer:
    """Start an upload. An existing object stays as it is."""
    bucket, key = request.target
    encode = encoder(request.query)
    forbidden = is_true(request.headers, "x-oss-forbid-overwrite")
    service.storage.check_overwrite(bucket, key, forbidden=forbidden)
    headers = kept_headers(request.headers)
    headers.pop(ACL, None)  # OSS takes it at Complete
    upload = service.storage.initiate(bucket, key, headers)
    facts = [*encoding_element(request.query), ("Bucket", bucket), ("Key", encode(key)), ("UploadId", upload.upload_id)]
    return xml_answer("InitiateMultipartUploadResult", facts)


def upload_part(service: Service, request: IncomingRequest) -> Answer:
    """Store the body as a part, and replace a part with the same number."""
    number = part_number(request)
    upload = upload_of(service, request)
    content = receive(service, request)
    service.storage.put_part(request.target[0], upload, number, content)
    headers = {"ETag": f'"{content.md5}"', "x-oss-hash-crc64ecma": str(content.crc64)}
    return Answer(200, {**headers, "Content-MD5": content_md5(content)})


def list_parts(service: Service, request: IncomingRequest) -> Answer:
    """List the parts that have arrived, in ascending order."""
    bucket, key = request.target
    encode = encoder(request.query)
    limit = number_argument(request.query, "max-parts", default=MAX_PAGE, low=1, high=MAX_PAGE)
    marker = number_argument(request.query, "part-number-marker", default=0, low=0, high=999_999_999)
    upload = upload_of(service, request)
    parts = [part for part in upload.sorted_parts() if part.number > marker]
    page = parts[:limit]
    facts: list[tuple[str, str | int | Children]] = [
        *encoding_element(request.query),
        ("Bucket", bucket),
        ("Key", encode(key)),
        ("UploadId", upload.upload_id),
        ("StorageClass", upload.headers["x-oss-storage-class"]),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", page[-1].number if page else marker),
        ("MaxParts", limit),
        ("IsTruncated", "true" if len(parts) > limit else "false"),
    ]
    return xml_answer("ListPartsResult", [*facts, *(("Part", _listed(part)) for part in page)])


def _listed(part: StoredPart) -> Children:
    return [
        ("PartNumber", part.number),
        ("LastModified", xml_date(part.modified)),
        ("ETag", f'"{part.content.md5}"'),
        ("HashCrc64ecma", part.content.crc64),
        ("Size", part.content.size),
    ]


def complete_multipart_upload(service: Service, request: IncomingRequest) -> Answer:
    """Join the named parts into an object, and end the upload."""
    bucket, key = request.target
    encode = encoder(request.query)
    forbidden = is_true(request.headers, "x-oss-forbid-overwrite")
    upload = upload_of(service, request)
    headers, callback = {**upload.headers, **acl_of(request.headers)}, callback_of(request)
    data = whole_body(request)
    with upload.lock:
        upload_of(service, request)  # another Complete or Abort may have won
        parts = _chosen_parts(upload, request, data)
        service.storage.check_overwrite(bucket, key, forbidden=forbidden)
        content = service.storage.contents.join([part.content for part in parts])
        stored = StoredObject(key, content, _etag(parts), "Multipart", headers, service.clock())
        stored = service.storage.complete(bucket, upload, stored, forbid_overwrite=forbidden)
    facts = [
        *encoding_element(request.query),
        ("Location", f"{request.bucket_url}/{encode(key)}"),
        ("Bucket", bucket),
        ("Key", encode(key)),
        ("ETag", f'"{stored.etag}"'),
    ]
    answer = xml_answer("CompleteMultipartUploadResult", facts, headers=proof(stored))
    return called_back(callback, bucket, stored, answer)


def _chosen_parts(upload: Upload, request: IncomingRequest, data: bytes) -> list[StoredPart]:
    if request.headers.get("x-oss-complete-all", "").lower() == "yes":
        if data:
            raise invalid_argument("x-oss-complete-all", "yes", message="Complete all takes no list of parts.")
        parts = upload.sorted_parts()
    else:
        parts = [_named_part(upload, element) for element in parse_xml(data, root="CompleteMultipartUpload")]
    if not parts:
        raise Refusal(400, "MalformedXML", "The XML you provided was not well-formed or did not validate.")
    if any(part.number >= after.number for part, after in pairwise(parts)):
        raise Refusal(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
    for part in parts[:-1]:
        if part.content.size < MIN_PART_SIZE:
            raise _too_small(part)
    return parts


def _named_part(upload: Upload, element: Element) -> StoredPart:
    number, etag = element.findtext("PartNumber", ""), element.findtext("ETag", "").strip().strip('"')
    part = upload.parts.get(whole_number(number) or 0)
    if part is None or part.content.md5 != etag.upper():
        raise Refusal(
            400,
            "InvalidPart",
            "One or more of the specified parts could not be found or the specified entity tag might not have matched "
            "the part's entity tag.",
            details={"UploadId": upload.upload_id, "PartNumber": number, "PartEtag": etag},
        )
    return part


def _too_small(part: StoredPart) -> Refusal:
    return Refusal(
        400,
        "EntityTooSmall",
        "Your proposed upload smaller than the minimum allowed size.",
        details={
            "MinSizeAllowed": MIN_PART_SIZE,
            "ProposedSize": part.content.size,
            "PartNumber": part.number,
            "ETag": part.content.md5,
        },
    )


def _etag(parts: list[StoredPart]) -> str:
    digests = b"".join(bytes.fromhex(part.content.md5) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest().upper()}-{len(parts)}"


def abort_multipart_upload(service: Service, request: IncomingRequest) -> Answer:
    """End an upload and remove its parts."""
    service.storage.abort(request.target[0], upload_of(service, request))
    return Answer(204)


def upload_of(service: Service, request: IncomingRequest) -> Upload:
    """Return the upload that a request names."""
    return service.storage.upload(*request.target, request.query["uploadId"])


def part_number(request: IncomingRequest) -> int:
    """Return the part number that a request names."""
    return number_argument(request.query, "partNumber", default=0, low=1, high=MAX_PART_COUNT)
