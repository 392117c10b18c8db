"""Sinks that create an object by one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from airflow_provider_ossresume.errors import AlreadyExists
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.part_body import PartBody
from airflow_provider_ossresume.transfer.ports import Job, Lease, Published, Source
from airflow_provider_ossresume.transfer.target_object import TargetObject


class PutClient(Protocol):
    """The client method that this sink needs; see ``oss.client.OssClient``."""

    def put_object(
        self, target: ObjectRef, body: PartBody, *, headers: Mapping[str, str] | None = None
    ) -> ObjectMeta: ...


class SingleRequestSink:
    """Base of sinks that create the object by one request. That request publishes it, so nothing can be resumed."""

    def receipts(self, crew: Crew, source: Source) -> dict[int, Receipt]:
        """Always empty: there are no parts."""
        return {}

    def record(self, receipt: Receipt) -> None:
        """Nothing to note."""

    def record_rest(self) -> None:
        """Nothing to note."""


class WholeObject(SingleRequestSink):
    """An object created by one PutObject.

    :param existing: the object that may exist already
    :param headers: of the object
    """

    def __init__(
        self, oss: PutClient, target: ObjectRef, *, existing: TargetObject, headers: Mapping[str, str], verify: bool
    ) -> None:
        self._oss = oss
        self._target = target
        self._existing = existing
        self._headers = headers
        self._verify = verify

    def put(self, part: Part, source: Source, job: Job) -> Receipt:
        """Send the whole source.

        :raises AlreadyExists: if the object exists, must not be overwritten, and differs from what was sent
        """
        body = PartBody(source, part, job, verify=self._verify)
        try:
            self._meta = self._oss.put_object(self._target, body, headers=self._headers)
        except AlreadyExists as error:
            self._meta = self._existing.equal_or_raise(error, size=part.size, crc64=body.crc64())
        return Receipt(part.number, self._meta.etag, part.size, body.crc64())

    def publish(self, crew: Crew, source: Source, receipts: Mapping[int, Receipt], lease: Lease) -> Published:
        """Return the object."""
        return self._meta, receipts[1].crc64
