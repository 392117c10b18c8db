"""Finds the operation of a request, by OSS's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_provider_ossresume.local_oss import (
    buckets,
    copies,
    deletions,
    listings,
    objects,
    restoring,
    symlinks,
    tagging,
    uploads,
    versions,
)
from airflow_provider_ossresume.local_oss.answers import Answer, Refusal
from airflow_provider_ossresume.local_oss.incoming import IncomingRequest
from airflow_provider_ossresume.local_oss.service import Service, check_traffic_limit

# The first row whose method, level and marks fit. A mark is the name of a query parameter or of a header.
_ROUTES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("GET", "service", (), "ListBuckets"),
    ("GET", "bucket", ("uploads",), "ListMultipartUploads"),
    ("GET", "bucket", ("bucketInfo",), "GetBucketInfo"),
    ("GET", "bucket", ("location",), "GetBucketLocation"),
    ("GET", "bucket", ("worm",), "GetBucketWorm"),
    ("GET", "bucket", ("versioning",), "GetBucketVersioning"),
    ("GET", "bucket", ("versions",), "ListObjectVersions"),
    ("GET", "bucket", ("list-type",), "ListObjectsV2"),
    ("GET", "bucket", (), "ListObjects"),
    ("PUT", "bucket", ("versioning",), "PutBucketVersioning"),
    ("PUT", "bucket", (), "PutBucket"),
    ("DELETE", "bucket", (), "DeleteBucket"),
    ("POST", "bucket", ("delete",), "DeleteMultipleObjects"),
    ("PUT", "object", ("uploadId", "partNumber", "x-oss-copy-source"), "UploadPartCopy"),
    ("PUT", "object", ("uploadId", "partNumber"), "UploadPart"),
    ("PUT", "object", ("x-oss-copy-source",), "CopyObject"),
    ("PUT", "object", ("symlink",), "PutSymlink"),
    ("PUT", "object", ("tagging",), "PutObjectTagging"),
    ("PUT", "object", (), "PutObject"),
    ("POST", "object", ("uploads",), "InitiateMultipartUpload"),
    ("POST", "object", ("uploadId",), "CompleteMultipartUpload"),
    ("POST", "object", ("append",), "AppendObject"),
    ("POST", "object", ("restore",), "RestoreObject"),
    ("GET", "object", ("uploadId",), "ListParts"),
    ("GET", "object", ("acl",), "GetObjectAcl"),
    ("GET", "object", ("tagging",), "GetObjectTagging"),
    ("GET", "object", ("symlink",), "GetSymlink"),
    ("GET", "object", (), "GetObject"),
    ("HEAD", "object", ("objectMeta",), "GetObjectMeta"),
    ("HEAD", "object", (), "HeadObject"),
    ("DELETE", "object", ("uploadId",), "AbortMultipartUpload"),
    ("DELETE", "object", ("tagging",), "DeleteObjectTagging"),
    ("DELETE", "object", (), "DeleteObject"),
)

# Query parameters of operations that this server does not have, unless a route names them.
_NOT_SERVED = frozenset(
    {
        "acl",
        "cors",
        "encryption",
        "inventory",
        "lifecycle",
        "live",
        "logging",
        "policy",
        "qos",
        "referer",
        "replication",
        "restore",
        "stat",
        "symlink",
        "tagging",
        "versioning",
        "versions",
        "website",
        "worm",
        "x-oss-process",
    }
)

OPERATIONS: Mapping[str, Callable[[Service, IncomingRequest], Answer]] = {
    "ListBuckets": buckets.list_buckets,
    "ListMultipartUploads": listings.list_multipart_uploads,
    "GetBucketInfo": buckets.get_bucket_info,
    "GetBucketLocation": buckets.get_bucket_location,
    "GetBucketWorm": buckets.get_bucket_worm,
    "GetBucketVersioning": versions.get_bucket_versioning,
    "PutBucketVersioning": versions.put_bucket_versioning,
    "ListObjectVersions": versions.list_object_versions,
    "ListObjectsV2": listings.list_objects_v2,
    "ListObjects": listings.list_objects,
    "PutBucket": buckets.put_bucket,
    "DeleteBucket": buckets.delete_bucket,
    "DeleteMultipleObjects": deletions.delete_multiple_objects,
    "UploadPartCopy": copies.upload_part_copy,
    "UploadPart": uploads.upload_part,
    "CopyObject": copies.copy_object,
    "PutObject": objects.put_object,
    "InitiateMultipartUpload": uploads.initiate_multipart_upload,
    "CompleteMultipartUpload": uploads.complete_multipart_upload,
    "AppendObject": objects.append_object,
    "RestoreObject": restoring.restore_object,
    "ListParts": uploads.list_parts,
    "GetObject": objects.get_object,
    "GetObjectMeta": objects.get_object_meta,
    "GetObjectAcl": objects.get_object_acl,
    "PutObjectTagging": tagging.put_object_tagging,
    "GetObjectTagging": tagging.get_object_tagging,
    "DeleteObjectTagging": tagging.delete_object_tagging,
    "GetSymlink": symlinks.get_symlink,
    "PutSymlink": symlinks.put_symlink,
    "HeadObject": objects.head_object,
    "AbortMultipartUpload": uploads.abort_multipart_upload,
    "DeleteObject": deletions.delete_object,
}

UNKNOWN = "Unknown"


def operation_of(request: IncomingRequest) -> str:
    """Return the operation's name, or ``Unknown``."""
    level = "service" if request.bucket is None else "bucket" if request.key is None else "object"
    special = _NOT_SERVED.intersection(request.query)
    for method, at, marks, name in _ROUTES:
        fits = (method, at) == (request.method, level) and special.issubset(marks)
        if fits and all(mark in request.query or mark in request.headers for mark in marks):
            return name
    return UNKNOWN


def run(operation: str, service: Service, request: IncomingRequest) -> Answer:
    """Carry out an operation and return its answer. Raises Refusal if OSS would refuse."""
    if operation != UNKNOWN:
        check_traffic_limit(request.headers)
        return OPERATIONS[operation](service, request)
    if not _NOT_SERVED.isdisjoint(request.query):
        raise Refusal(501, "NotImplemented", "The local OSS server does not serve this operation.")
    raise Refusal(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
