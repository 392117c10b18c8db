"""The way to OSS as a transfer sees it: counts the attempts at each call, and lets one call meet a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import Credentials
from airflow_provider_ossresume.oss.endpoint import parse_endpoint
from airflow_provider_ossresume.oss.retry import RetryPolicy
from airflow_provider_ossresume.oss.stop import Stop

ATTEMPTS = 3  # at a call
SLOW_ATTEMPTS = 2  # at a call that has to wait for a slow peer
PATIENCE = 20.0  # seconds of silence, for calls that meet no fault: the machine may be busy
IMPATIENCE = 0.25  # seconds of silence that a call with a fault is given

OPERATIONS = {
    "put_object": "PutObject",
    "get_object": "GetObject",
    "check_readable": "GetObject",
    "head_object": "HeadObject",
    "get_object_acl": "GetObjectAcl",
    "get_object_tagging": "GetObjectTagging",
    "get_symlink": "GetSymlink",
    "delete_object": "DeleteObject",
    "delete_objects": "DeleteMultipleObjects",
    "copy_object": "CopyObject",
    "initiate": "InitiateMultipartUpload",
    "upload_part": "UploadPart",
    "upload_part_copy": "UploadPartCopy",
    "list_parts": "ListParts",
    "complete": "CompleteMultipartUpload",
    "abort": "AbortMultipartUpload",
    "list_uploads": "ListMultipartUploads",
    "list_objects": "ListObjectsV2",
    "list_pages": "ListObjectsV2",
    "get_bucket_info": "GetBucketInfo",
    "get_retention_days": "GetBucketWorm",
    "get_service_info": "ListBuckets",
    "list_buckets": "ListBuckets",
    "put_bucket": "PutBucket",
    "delete_bucket": "DeleteBucket",
    "append_object": "AppendObject",
    "put_object_tagging": "PutObjectTagging",
    "delete_object_tagging": "DeleteObjectTagging",
}


class Keys:
    """A credentials provider, which is asked once for each attempt."""

    def __init__(self, current: Credentials) -> None:
        self.current = current
        self.renewed: Callable[[], Credentials] | None = None
        self.on_attempt: Callable[[], None] = lambda: None

    def get(self) -> Credentials:
        self.on_attempt()
        return self.current

    def renew(self, expired: Credentials) -> Credentials:
        if self.renewed and expired == self.current:
            self.current = self.renewed()
        return self.current


class Way:
    """A client for transfers with one worker. ``strike`` happens before the nth call of an operation, ``mend`` after
    its first failed attempt.

    :ivar attempts: at each call of each operation, in order
    :ivar waits: before further attempts, in seconds, as they were asked for
    """

    def __init__(self, endpoint: str, keys: Keys, *, region: str, verify_tls: bool | str = True) -> None:
        self.attempts: dict[str, list[int]] = {}
        self.waits: list[float] = []
        self.strike: Callable[[], None] = lambda: None
        self.mend: Callable[[], None] = lambda: None
        self.struck: tuple[str, int] = ("", 0)
        self.is_slow = False
        self._operation = ""
        self._stop: Stop | None = None
        keys.on_attempt = self._count

        def client(patience: float, attempts: int) -> OssClient:
            return OssClient(
                parse_endpoint(endpoint),
                keys,
                region=region,
                retry=RetryPolicy(attempts=attempts, sleep=self._between_attempts),
                connect_timeout=PATIENCE,
                read_timeout=patience,
                stall_timeout=patience,
                verify_tls=verify_tls,
            )

        self._patient, self._impatient = client(PATIENCE, ATTEMPTS), client(IMPATIENCE, SLOW_ATTEMPTS)

    def with_stop(self, stop: Stop) -> Way:
        self._stop = stop  # there is one transfer at a time
        return self

    def __getattr__(self, name: str) -> Any:
        operation = OPERATIONS[name]

        def call(*args: Any, **kwargs: Any) -> Any:
            self._operation = operation
            calls = self.attempts.setdefault(operation, [])
            calls.append(0)
            is_struck = (operation, len(calls)) == self.struck
            if is_struck:
                self.strike()
            client = self._impatient if self.is_slow and operation == self.struck[0] else self._patient
            if self._stop is not None:
                client = client.with_stop(self._stop)
            return getattr(client, name)(*args, **kwargs)

        return call

    @property
    def region(self) -> str:
        return self._patient.region

    @property
    def all_attempts(self) -> int:
        return sum(map(sum, self.attempts.values()))

    def close(self) -> None:
        self._patient.close()
        self._impatient.close()

    def _count(self) -> None:
        self.attempts[self._operation][-1] += 1

    def _between_attempts(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.mend()
