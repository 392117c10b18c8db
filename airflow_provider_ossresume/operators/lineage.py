"""What a transfer operator tells about its data: to OpenLineage, and in the events of its outlets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import add_to_outlet_events, operator_lineage
from airflow_provider_ossresume.assets.oss import create_asset
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.telling import task_instance, tell
from airflow_provider_ossresume.model.objects import ObjectRef, resolve_target
from airflow_provider_ossresume.transfer.paths import local_path, printable_path

if TYPE_CHECKING:
    from airflow_provider_ossresume.transfer.result import TransferResult

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
    has_event_if_skipped: bool
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
        """Return what is known; None when OpenLineage cannot be told."""
        found: list[Any] = []
        tell("the lineage of the task", lambda: found.append(self._datasets(result)))
        return found[0] if found else None

    def _datasets(self, result: TransferResult | None) -> Any:
        target = result.target if result else self._named_object()
        path = self._named_file()
        files = [("file", printable_path(os.path.abspath(path)))] if path else []
        objects = [(f"oss://{target.bucket}", target.key)] if target else []
        inputs, outputs = (files, objects) if self.makes_object else (objects, files)
        return operator_lineage(inputs, outputs, size=result.size if result and result.outcome != "skipped" else None)

    def _named_object(self) -> ObjectRef | None:
        try:
            return resolve_target(self.key, self.bucket_name)
        except ArgumentError:
            return None

    def _named_file(self) -> str | None:
        try:
            return local_path(self.file)
        except ArgumentError:
            return None

    def _tell_outlets(self, context: Any, result: TransferResult) -> None:
        """Put what is known of the object into the event of each outlet; an alias gets the object that was made.

        What a transfer did not change has no event, unless ``event_if_skipped`` asks for it.
        """
        if result.outcome == "skipped" and not self.has_event_if_skipped:
            self.outlets = []  # Airflow makes an event for each that stands here when the task succeeds
        if not self.outlets or task_instance(context) is None:
            return

        def add() -> None:
            made = create_asset(bucket=result.target.bucket, key=result.target.key) if self.makes_object else None
            add_to_outlet_events(context, self.outlets, {name: result[name] for name in _FACTS}, made=made)

        tell("the size, ETag and CRC-64 that the events of the outlets carry", add)
