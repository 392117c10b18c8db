"""The names that OSS allows for buckets and objects."""

from __future__ import annotations

import re

from airflow_provider_ossresume.local_oss.answers import Refusal

MAX_KEY_SIZE = 1023  # bytes of UTF-8; OSS, "Object naming conventions"
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # OSS, "Bucket naming conventions"


def check_bucket_name(name: str) -> None:
    """Refuse a name that OSS does not allow."""
    if not _BUCKET_NAME.fullmatch(name):
        details = {"BucketName": name}
        raise Refusal(400, "InvalidBucketName", "The specified bucket is not valid.", details=details)


def check_key(key: str) -> None:
    """Refuse a key that OSS does not allow."""
    if not 1 <= len(key.encode()) <= MAX_KEY_SIZE or key[0] in "/\\" or "\0" in key:
        details = {"ObjectName": key.replace("\0", "%00")}
        raise Refusal(400, "InvalidObjectName", "The specified object is not valid.", details=details)
