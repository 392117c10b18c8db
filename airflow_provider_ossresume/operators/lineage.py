"""What a transfer operator tells about its data: to OpenLineage, and in the events of its outlets."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import add_to_outlet_events, operator_lineage
from airflow_provider_ossresume.assets.oss import create_asset
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.objects import ObjectRef, resolve_target

if TYPE_CHECKING:
    from airflow_provider_ossresume.transfer.result import TransferResult

log = logging.getLogger(__name__)

_FACTS = ("uri", "outcome", "size", "etag", "crc64", "version_id")


class TransferLineage:
    """Tells of a file on one side and an object on the other.

    OpenLineage's listener calls the three methods, where its provider is installed. They ask Airflow for nothing: the
    listener runs them in a fork of the task's process, whose socket to the supervisor two may not use.
    """

    makes_object: bool
    file: str
    key: str
    bucket_name: str | None
    outlets: list[Any]
    _result: TransferResult | None = None

    def get_openlineage_facets_on_start(self) -> Any:
        """Return file and object; the object only when the arguments name its bucket."""
        return self._lineage(None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return file and object, and the size of what was written unless ``if_exists`` let all be skipped."""
        return self._lineage(self._result)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return what :meth:`get_openlineage_facets_on_start` does."""
        return self._lineage(None)

    def _lineage(self, result: TransferResult | None) -> Any:
        target = result.target if result else self._named_object()
        files = [("file", os.path.abspath(self.file))] if isinstance(self.file, (str, os.PathLike)) else []
        objects = [(f"oss://{target.bucket}", target.key)] if target else []
        inputs, outputs = (files, objects) if self.makes_object else (objects, files)
        return operator_lineage(inputs, outputs, size=result.size if result and result.outcome != "skipped" else None)

    def _named_object(self) -> ObjectRef | None:
        try:
            return resolve_target(self.key, self.bucket_name)
        except ArgumentError:
            return None

    def _tell_outlets(self, context: Any, result: TransferResult) -> None:
        """Put what is known of the object into the event of each outlet; an alias gets the object that was made."""
        self._result = result
        if not self.outlets:
            return
        report = result.report()
        try:
            made = create_asset(bucket=result.target.bucket, key=result.target.key) if self.makes_object else None
            add_to_outlet_events(context, self.outlets, {name: report[name] for name in _FACTS}, made=made)
        except Exception as error:  # the object is there and proven: what Airflow says of an asset may not undo that
            log.warning("The events of the outlets go without size, ETag and CRC-64: %s", error)
