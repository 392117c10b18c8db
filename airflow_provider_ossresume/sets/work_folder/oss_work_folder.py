"""A work folder on OSS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from airflow_provider_ossresume.errors import AlreadyExists, NoSuchKey
from airflow_provider_ossresume.model.objects import ListedObject, ObjectMeta, ObjectRef, PrefixRef
from airflow_provider_ossresume.oss.call import Body
from airflow_provider_ossresume.oss.in_memory import BytesBody, read_object
from airflow_provider_ossresume.oss.resumable_get import Sink

FORBID_OVERWRITE = {"x-oss-forbid-overwrite": "true"}  # OSS ignores it in a bucket with versions


class WorkClient(Protocol):
    """The client methods that a work folder needs; see ``oss.client.OssClient``."""

    def get_object(self, target: ObjectRef, sink: Sink) -> ObjectMeta: ...

    def put_object(self, target: ObjectRef, body: Body, *, headers: Mapping[str, str] | None = None) -> ObjectMeta: ...

    def list_objects(self, bucket: str, *, prefix: str = "") -> Iterator[ListedObject]: ...

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> list[str]: ...


class OssWorkFolder:
    """The objects below a prefix. Each is written by one request, so it appears completely or not at all."""

    def __init__(self, client: WorkClient, where: PrefixRef) -> None:
        self._client = client
        self._bucket = where.bucket
        self._prefix = where.prefix.rstrip("/") + "/"

    @property
    def uri(self) -> str:
        return f"oss://{self._bucket}/{self._prefix}"

    def read(self, name: str) -> bytes | None:
        """:raises IntegrityError: if the received bytes do not match the CRC-64"""
        try:
            return read_object(self._client, self._ref(name))
        except NoSuchKey:
            return None

    def write(self, name: str, data: bytes) -> None:
        self._client.put_object(self._ref(name), BytesBody(data))

    def create(self, name: str, data: bytes) -> None:
        """Write a new file. Choose a unique name, because OSS overwrites an existing one in a bucket with versions.

        :raises AlreadyExists: if it exists with other bytes
        """
        try:
            self._client.put_object(self._ref(name), BytesBody(data), headers=FORBID_OVERWRITE)
        except AlreadyExists:
            if self.read(name) != data:  # the same bytes: the first attempt worked and its answer was lost
                raise

    def names(self, prefix: str) -> Iterator[str]:
        for listed in self._client.list_objects(self._bucket, prefix=self._prefix + prefix):
            yield listed.key.removeprefix(self._prefix)

    def delete(self, names: Iterable[str]) -> None:
        self._client.delete_objects(self._bucket, [self._prefix + name for name in names])

    def _ref(self, name: str) -> ObjectRef:
        return ObjectRef(self._bucket, self._prefix + name)
