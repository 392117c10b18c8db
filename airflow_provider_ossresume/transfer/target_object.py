"""The object that a transfer writes, if it exists already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from airflow_provider_ossresume.errors import NoSuchKey, ServiceError
from airflow_provider_ossresume.model.object_comparison import difference
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.resume import same_content

log = logging.getLogger(__name__)

T = TypeVar("T")


class HeadClient(Protocol):
    """The client methods that these checks need; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...
    def get_object_acl(self, target: ObjectRef) -> str: ...
    def get_object_tagging(self, target: ObjectRef) -> dict[str, str]: ...


class TargetObject:
    """Compares the object that exists with the one that this transfer writes. Each method asks OSS; workers call it.

    :param headers: those that the transfer sets on the object
    """

    def __init__(self, oss: HeadClient, target: ObjectRef, headers: Mapping[str, str]) -> None:
        self._oss = oss
        self._target = target
        self._headers = headers

    def head(self) -> ObjectMeta | None:
        """Return the object's metadata, or None if it does not exist."""
        try:
            return self._oss.head_object(self._target)
        except NoSuchKey:
            return None

    def matches(self, meta: ObjectMeta, *, size: int, crc64: int) -> bool:
        """Return True if the object has these bytes, and exactly the headers, tags and ACL that the transfer sets."""
        if not same_content(meta, size=size, crc64=crc64):
            return False
        differs = difference(
            meta.headers,
            self._headers,
            acl=lambda: self._ask(self._oss.get_object_acl),
            tags=lambda: self._ask(self._oss.get_object_tagging),
        )
        if differs:
            log.info("%s holds these bytes, but %s", self._target, differs)
        return not differs

    def equal_or_raise(self, error: ServiceError, *, size: int, crc64: int | None) -> ObjectMeta:
        """Return the object if it equals what was sent, in case only OSS's answer was lost; else raise the error."""
        meta = self.head()
        if meta and crc64 is not None and self.matches(meta, size=size, crc64=crc64):
            log.info(
                "%s holds what was sent: an earlier attempt or try finished it (OSS answered %s)",
                self._target, error.code,
            )  # fmt: skip
            return meta
        raise error

    def _ask(self, call: Callable[[ObjectRef], T]) -> T | None:
        try:
            return call(self._target)
        except ServiceError as error:
            if error.retryable:
                raise
            log.info("Tags or ACL of %s are not compared: %s", self._target, error)
            return None
