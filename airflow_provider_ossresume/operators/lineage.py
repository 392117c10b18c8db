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


Dataset = tuple[str, str]  # namespace and name, as OpenLineage has them


def dataset_of(target: ObjectRef) -> list[Dataset]:
    """Return an object as OpenLineage names it."""
    return [(f"oss://{target.bucket}", target.key)]


class TransferLineage:
    """Tells of an object on one side and a file, or another object, on the other.

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

    @property
    def _object_name(self) -> str:
        """What the arguments call the object."""
        return self.key

    def get_openlineage_facets_on_start(self) -> Any:
        """Return the two ends; an object only when the arguments name its bucket."""
        return self._lineage(None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the two ends, and the size of what was written unless ``if_exists`` let all be skipped."""
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
        target = dataset_of(result.target) if result else self._named_object()
        other = self._other_end()
        inputs, outputs = (other, target) if self.makes_object else (target, other)
        return operator_lineage(inputs, outputs, size=result.size if result and result.outcome != "skipped" else None)

    def _named_object(self) -> list[Dataset]:
        try:
            return dataset_of(resolve_target(self._object_name, self.bucket_name))
        except ArgumentError:
            return []

    def _other_end(self) -> list[Dataset]:
        """Return what the bytes come from, or go to, beside the object."""
        try:
            return [("file", printable_path(os.path.abspath(local_path(self.file))))]
        except ArgumentError:
            return []

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
