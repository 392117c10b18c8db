"""What an operator tells about the data that it moves: to OpenLineage, and in the events of its outlets."""

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


Dataset = tuple[str, str]  # namespace and name, as OpenLineage has them


def dataset_of(target: ObjectRef) -> list[Dataset]:
    """Return an object as OpenLineage names it."""
    return [(f"oss://{target.bucket}", target.key)]


def dataset_of_file(path: object) -> list[Dataset]:
    """Return a file or a folder as OpenLineage names it; nothing when there can be none of that path."""
    try:
        return [("file", printable_path(os.path.abspath(local_path(path))))]
    except ArgumentError:
        return []


def dataset_of_prefix(prefix: str | None, bucket_name: str | None = None) -> list[Dataset]:
    """Return all objects below a prefix as one dataset; nothing when the arguments do not name the bucket."""
    try:
        where = resolve_prefix("" if prefix is None else prefix, bucket_name)
    except ArgumentError:
        return []
    return [(f"oss://{where.bucket}", folder_prefix(where.prefix) or "/")]


def dataset_of_end(uri: str) -> list[Dataset]:
    """Return one end of a plan: a folder or all objects below a prefix, as one dataset."""
    return dataset_of_prefix(uri) if uri.startswith("oss://") else dataset_of_file(path_of_uri(uri))


class Lineage:
    """Tells OpenLineage what an operator reads and writes.

    OpenLineage's listener calls the three methods, where its provider is installed. They ask Airflow for nothing: the
    listener runs them in a fork of the task's process, whose socket to the supervisor two may not use.
    """

    def get_openlineage_facets_on_start(self) -> Any:
        """Return the two ends, as far as the arguments name them."""
        return self._lineage(is_done=False)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the two ends, and the size of what was written, if anything was."""
        return self._lineage(is_done=True)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the two ends, as far as they are known."""
        return self._lineage(is_done=False)

    def _lineage(self, *, is_done: bool) -> Any:
        """Return what is known; None when OpenLineage cannot be told."""
        found: list[Any] = []
        report_to_airflow("the lineage of the task", lambda: found.append(self._datasets(is_done=is_done)))
        return found[0] if found else None

    def _datasets(self, *, is_done: bool) -> Any:
        """Return what ``_airflow.operator_lineage`` makes of the two ends."""
        raise NotImplementedError


class TransferLineage(Lineage):
    """Tells of an object on one side and a file, or another object, on the other."""

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

    def _datasets(self, *, is_done: bool) -> Any:
        result = self._result if is_done else None
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
        return dataset_of_file(self.file)

    def _tell_outlets(self, context: Any, result: TransferResult) -> None:
        """Put what is known of the object into the event of each outlet; an alias gets the object that was made.

        What a transfer did not change has no event, unless ``event_if_skipped`` asks for it.
        """
        if result.outcome == "skipped" and not self.has_event_if_skipped:
            self.outlets = []  # Airflow makes an event for each that stands here when the task succeeds
        if not self.outlets or task_instance(context) is None:
            return

        def add() -> None:
            written = create_asset(bucket=result.target.bucket, key=result.target.key) if self.makes_object else None
            add_to_outlet_events(context, self.outlets, {name: result[name] for name in _FACTS}, written=written)

        report_to_airflow("the size, ETag and CRC-64 that the events of the outlets carry", add)


class SetLineage(Lineage):
    """Tells of a folder or a prefix on either side; never of the files one by one."""

    outlets: list[Any]
    _verdict: Mapping[str, Any] | None = None

    def _datasets(self, *, is_done: bool) -> Any:
        if (verdict := self._verdict) is None:
            return operator_lineage(*self._named_ends(), size=None)
        source, target = dataset_of_end(verdict["source"]), dataset_of_end(verdict["target"])
        if not is_done or verdict["outcome"] == "dry run":
            return operator_lineage(source, target, size=None)
        return operator_lineage(source, target, size=verdict["size"], files=verdict["moved"])

    def _named_ends(self) -> tuple[list[Dataset], list[Dataset]]:
        """Return what the arguments call the two ends."""
        return [], []

    def _tell_outlets_of_set(self, context: Any, verdict: Mapping[str, Any]) -> None:
        """Put the numbers into the event of each outlet; an alias gets the prefix that was written to.

        A dry run has changed nothing, so it has no event.
        """
        if verdict["outcome"] == "dry run":
            self.outlets = []  # Airflow makes an event for each that stands here when the task succeeds
        if not self.outlets or task_instance(context) is None:
            return

        def add() -> None:
            written = None
            if verdict["target"].startswith("oss://"):
                bucket, prefix = parse_oss_url(verdict["target"])
                written = create_prefix_asset(bucket=bucket, prefix=prefix)
            add_to_outlet_events(context, self.outlets, {name: verdict[name] for name in _SET_FACTS}, written=written)

        report_to_airflow("the numbers that the events of the outlets carry", add)
