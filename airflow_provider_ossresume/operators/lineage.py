"""Reports the data that an operator reads and writes: to OpenLineage, and in the events of its outlets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import add_to_outlet_events, operator_lineage
from airflow_provider_ossresume.assets.oss import create_asset, create_prefix_asset
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.reporting import report_to_airflow, task_instance
from airflow_provider_ossresume.model.object_names import parse_oss_url, resolve_prefix, resolve_target
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.set_names import folder_prefix
from airflow_provider_ossresume.transfer.paths import local_path, path_of_uri, printable_path

if TYPE_CHECKING:
    from airflow_provider_ossresume.transfer.result import TransferResult

_FACTS = ("uri", "outcome", "size", "etag", "crc64", "version_id")
_SET_FACTS = ("target", "outcome", "files", "moved", "there", "size", "deleted")


Dataset = tuple[str, str]  # namespace and name, as OpenLineage defines them


def dataset_of(target: ObjectRef) -> list[Dataset]:
    """Return an object as a list of one OpenLineage dataset."""
    return [(f"oss://{target.bucket}", target.key)]


def dataset_of_file(path: object) -> list[Dataset]:
    """Return a file or a folder as a list of one OpenLineage dataset; an empty list if the path is not valid."""
    try:
        return [("file", printable_path(os.path.abspath(local_path(path))))]
    except ArgumentError:
        return []


def dataset_of_prefix(prefix: str | None, bucket_name: str | None = None) -> list[Dataset]:
    """Return all objects below a prefix as a list of one dataset; empty if the arguments do not name the bucket."""
    try:
        where = resolve_prefix("" if prefix is None else prefix, bucket_name)
    except ArgumentError:
        return []
    return [(f"oss://{where.bucket}", folder_prefix(where.prefix) or "/")]


def dataset_of_uri(uri: str) -> list[Dataset]:
    """Return a plan's source or target, given by its URI, as a list of one dataset."""
    return dataset_of_prefix(uri) if uri.startswith("oss://") else dataset_of_file(path_of_uri(uri))


class Lineage:
    """Reports to OpenLineage what an operator reads and writes.

    If the OpenLineage provider is installed, its listener calls the three methods. They must not call Airflow: the
    listener runs them in a fork of the task's process, and two processes must not share the socket to the supervisor.
    """

    def get_openlineage_facets_on_start(self) -> Any:
        """Return source and target, as far as the arguments name them."""
        return self._lineage(is_done=False)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return source and target, and the number of bytes written, if any."""
        return self._lineage(is_done=True)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return source and target, as far as they are known."""
        return self._lineage(is_done=False)

    def _lineage(self, *, is_done: bool) -> Any:
        """Return the lineage, or None if it cannot be built."""
        found: list[Any] = []
        report_to_airflow("the lineage of the task", lambda: found.append(self._datasets(is_done=is_done)))
        return found[0] if found else None

    def _datasets(self, *, is_done: bool) -> Any:
        """Return source and target as an ``OperatorLineage``."""
        raise NotImplementedError


class TransferLineage(Lineage):
    """The lineage of a transfer between an object and a file, or between two objects."""

    writes_object: bool
    file: str
    key: str
    bucket_name: str | None
    outlets: list[Any]
    has_event_if_skipped: bool
    _result: TransferResult | None = None

    @property
    def _object_name(self) -> str:
        """The object's key or URL, as in the arguments."""
        return self.key

    def _datasets(self, *, is_done: bool) -> Any:
        result = self._result if is_done else None
        target = dataset_of(result.target) if result else self._object_from_arguments()
        other = self._other_end()
        inputs, outputs = (other, target) if self.writes_object else (target, other)
        return operator_lineage(inputs, outputs, size=result.size if result and result.outcome != "skipped" else None)

    def _object_from_arguments(self) -> list[Dataset]:
        try:
            return dataset_of(resolve_target(self._object_name, self.bucket_name))
        except ArgumentError:
            return []

    def _other_end(self) -> list[Dataset]:
        """Return the other side of the transfer."""
        return dataset_of_file(self.file)

    def _add_to_outlet_events(self, context: Any, result: TransferResult) -> None:
        """Add the object's URI, size, ETag, CRC-64 and version to the event of each outlet.

        An asset alias gets the object that was written.

        A skipped transfer causes no event, unless ``event_if_skipped`` is set.
        """
        if result.outcome == "skipped" and not self.has_event_if_skipped:
            self.outlets = []  # Airflow emits an event for each outlet when the task succeeds
        if not self.outlets or task_instance(context) is None:
            return

        def add() -> None:
            written = create_asset(bucket=result.target.bucket, key=result.target.key) if self.writes_object else None
            add_to_outlet_events(context, self.outlets, {name: result[name] for name in _FACTS}, written=written)

        report_to_airflow("the size, ETag and CRC-64 in the events of the outlets", add)


class SetLineage(Lineage):
    """The lineage of a transfer of many files: one dataset for the source, one for the target."""

    outlets: list[Any]
    _verdict: Mapping[str, Any] | None = None

    def _datasets(self, *, is_done: bool) -> Any:
        if (verdict := self._verdict) is None:
            return operator_lineage(*self._datasets_from_arguments(), size=None)
        source, target = dataset_of_uri(verdict["source"]), dataset_of_uri(verdict["target"])
        if not is_done or verdict["outcome"] == "dry run":
            return operator_lineage(source, target, size=None)
        return operator_lineage(source, target, size=verdict["size"], files=verdict["moved"])

    def _datasets_from_arguments(self) -> tuple[list[Dataset], list[Dataset]]:
        """Return source and target, as the arguments name them."""
        return [], []

    def _add_to_outlet_events(self, context: Any, verdict: Mapping[str, Any]) -> None:
        """Add the verdict's numbers to the event of each outlet. An asset alias gets the prefix that was written to.

        A dry run changes nothing, so it causes no event.
        """
        if verdict["outcome"] == "dry run":
            self.outlets = []  # Airflow emits an event for each outlet when the task succeeds
        if not self.outlets or task_instance(context) is None:
            return

        def add() -> None:
            written = None
            if verdict["target"].startswith("oss://"):
                bucket, prefix = parse_oss_url(verdict["target"])
                written = create_prefix_asset(bucket=bucket, prefix=prefix)
            add_to_outlet_events(context, self.outlets, {name: verdict[name] for name in _SET_FACTS}, written=written)

        report_to_airflow("the numbers in the events of the outlets", add)
