"""The XML that responses bring, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow_provider_ossresume.model.objects import ListedBucket, ListedObject, ListedUpload, Receipt
from airflow_provider_ossresume.oss.xml_reader import MalformedXML, read_root


@dataclass(frozen=True)
class ErrorDetails:
    """What the XML of an error contains."""

    code: str = ""
    message: str = ""
    ec: str = ""
    request_id: str = ""
    host_id: str = ""
    endpoint: str = ""  # where the bucket is, if not here
    bucket: str = ""  # the one that does not exist


@dataclass(frozen=True)
class PartsPage:
    parts: list[Receipt]
    next_marker: int | None


@dataclass(frozen=True)
class UploadsPage:
    uploads: list[ListedUpload]
    next_marker: tuple[str, str] | None


@dataclass(frozen=True)
class ObjectsPage:
    objects: list[ListedObject]
    prefixes: list[str]
    next_token: str | None


@dataclass(frozen=True)
class BucketsPage:
    buckets: list[ListedBucket]
    next_marker: str | None


@dataclass(frozen=True)
class BucketInfo:
    """A bucket as GetBucketInfo describes it. ``region`` is without OSS's prefix ``oss-``.

    :ivar owner: the ID of the account that the bucket belongs to
    :ivar answered_at: the response's Date
    :ivar versioning: ``Enabled`` or ``Suspended``; empty for a bucket that never kept versions
    """

    name: str
    region: str
    extranet_endpoint: str
    intranet_endpoint: str
    storage_class: str
    owner: str = ""
    answered_at: datetime | None = None
    versioning: str = ""


@dataclass(frozen=True)
class ServiceInfo:
    """What ListBuckets says besides the buckets.

    :ivar owner: the ID of the account that the Access Key belongs to
    :ivar answered_at: the response's Date
    """

    owner: str
    answered_at: datetime | None = None


def read_error(body: bytes) -> ErrorDetails:
    """Return the error's fields. They are empty if the body is not an error of OSS, such as the page of a proxy."""
    try:
        root = read_root(body)
    except MalformedXML:
        return ErrorDetails()
    return ErrorDetails(
        code=root.text("Code"),
        message=root.text("Message"),
        ec=root.text("EC"),
        request_id=root.text("RequestId"),
        host_id=root.text("HostId"),
        endpoint=root.text("Endpoint"),
        bucket=root.text("BucketName"),
    )


def read_upload_id(body: bytes) -> str:
    return read_root(body, "InitiateMultipartUploadResult").required("UploadId")


def read_etag(body: bytes, *, root: str) -> str:
    """Return the ETag in the response to a Complete or a copy."""
    return read_root(body, root).required("ETag").strip('"')


def read_parts(body: bytes) -> PartsPage:
    root = read_root(body, "ListPartsResult")
    parts = [
        Receipt(
            number=node.number("PartNumber"),
            etag=node.required("ETag").strip('"'),
            size=node.number("Size"),
            crc64=node.optional_number("HashCrc64ecma"),
        )
        for node in root.all("Part")
    ]
    return PartsPage(parts, root.number("NextPartNumberMarker") if root.is_truncated else None)


def read_uploads(body: bytes) -> UploadsPage:
    root = read_root(body, "ListMultipartUploadsResult")
    uploads = [
        ListedUpload(root.decoded(node.required("Key")), node.required("UploadId"), node.time("Initiated"))
        for node in root.all("Upload")
    ]
    marker = (root.decoded(root.text("NextKeyMarker")), root.text("NextUploadIdMarker"))
    return UploadsPage(uploads, marker if root.is_truncated else None)


def read_objects(body: bytes) -> ObjectsPage:
    root = read_root(body, "ListBucketResult")
    objects = [
        ListedObject(
            key=root.decoded(node.required("Key")),
            size=node.number("Size"),
            etag=node.text("ETag").strip('"'),
            last_modified=node.time("LastModified"),
            storage_class=node.text("StorageClass"),
            kind=node.text("Type"),
            restore_info=node.text("RestoreInfo"),
        )
        for node in root.all("Contents")
    ]
    prefixes = [root.decoded(node.required("Prefix")) for node in root.all("CommonPrefixes")]
    token = root.decoded(root.required("NextContinuationToken")) if root.is_truncated else None
    return ObjectsPage(objects, prefixes, token)


def read_deleted(body: bytes) -> list[str]:
    root = read_root(body, "DeleteResult")
    return [root.decoded(node.required("Key")) for node in root.all("Deleted")]


def read_acl(body: bytes) -> str:
    """Return the ACL of an object; ``default`` stands for its bucket's."""
    grants = [node.required("Grant") for node in read_root(body, "AccessControlPolicy").all("AccessControlList")]
    if len(grants) != 1:
        raise MalformedXML("AccessControlPolicy has no AccessControlList")
    return grants[0]


def read_tags(body: bytes) -> dict[str, str]:
    sets = read_root(body, "Tagging").all("TagSet")
    return {node.required("Key"): node.text("Value") for tags in sets for node in tags.all("Tag")}


def read_bucket_info(body: bytes) -> BucketInfo:
    bucket = next(read_root(body, "BucketInfo").all("Bucket"), None)
    if bucket is None:
        raise MalformedXML("BucketInfo has no Bucket")
    return BucketInfo(
        name=bucket.text("Name"),
        region=bucket.text("Location").removeprefix("oss-"),
        extranet_endpoint=bucket.text("ExtranetEndpoint"),
        intranet_endpoint=bucket.text("IntranetEndpoint"),
        storage_class=bucket.text("StorageClass"),
        owner=bucket.owner,
        versioning=bucket.text("Versioning"),
    )


def read_retention_days(body: bytes) -> int:
    """Return for how many days a retention policy protects each object; 0 if it was never locked."""
    root = read_root(body, "WormConfiguration")
    return 0 if root.text("State") == "Expired" else root.number("RetentionPeriodInDays")


def read_buckets(body: bytes) -> BucketsPage:
    root = read_root(body, "ListAllMyBucketsResult")
    buckets = [
        ListedBucket(
            name=node.required("Name"),
            region=node.text("Location").removeprefix("oss-"),
            created=node.time("CreationDate"),
        )
        for holder in root.all("Buckets")
        for node in holder.all("Bucket")
    ]
    return BucketsPage(buckets, root.required("NextMarker") if root.is_truncated else None)


def read_service_info(body: bytes) -> ServiceInfo:
    return ServiceInfo(read_root(body, "ListAllMyBucketsResult").owner)
