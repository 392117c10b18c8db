"""The object that a transfer makes, as it may be there already."""

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


class LooksClient(Protocol):
    """What is needed of OSS; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...
    def get_object_acl(self, target: ObjectRef) -> str: ...
    def get_object_tagging(self, target: ObjectRef) -> dict[str, str]: ...


class TargetObject:
    """Tells whether what is there is what this transfer makes. All of it asks OSS; workers call it.

    :param headers: those of the object that the transfer asks for
    """

    def __init__(self, oss: LooksClient, target: ObjectRef, headers: Mapping[str, str]) -> None:
        self._oss = oss
        self._target = target
        self._headers = headers

    def look(self) -> ObjectMeta | None:
        """Return what is there, or None."""
        try:
            return self._oss.head_object(self._target)
        except NoSuchKey:
            return None

    def is_made_of(self, meta: ObjectMeta, *, size: int, crc64: int) -> bool:
        """True when what is there has these bytes, and all that the transfer sets and nothing else."""
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

    def made_in_spite_of(self, error: ServiceError, *, size: int, crc64: int | None) -> ObjectMeta:
        """Return the object when it holds what was sent, as it does when an answer was lost; else raise the error."""
        meta = self.look()
        if meta and crc64 is not None and self.is_made_of(meta, size=size, crc64=crc64):
            log.info("%s holds what was sent: an earlier attempt or try had finished it (%s)", self._target, error.code)
            return meta
        raise error

    def _ask(self, call: Callable[[ObjectRef], T]) -> T | None:
        try:
            return call(self._target)
        except ServiceError as error:
            if error.retryable:
                raise
            log.info("Not compared, %s: %s", self._target, error)
            return None
