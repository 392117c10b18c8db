"""Operators that move a folder, or all objects below a prefix, in one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_ossresume.hooks.reporting import task_instance
from airflow_provider_ossresume.operators._sets import SET_FIELDS, Proving, SetOperator
from airflow_provider_ossresume.operators.lineage import Dataset, dataset_of_file, dataset_of_prefix


class _OneTaskOperator(Proving, SetOperator):
    """What those share that plan, move and prove in one task.

    :param allow_skipped: see :class:`~airflow_provider_ossresume.operators.sets.OSSFinishTransferOperator` (templated)
    """

    def __init__(self, *, allow_skipped: str | Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.allow_skipped = allow_skipped

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "allow_skipped": self.allow_skipped}

    def _report(self, context: Any, report: Mapping[str, Any]) -> None:
        ti = task_instance(context)
        super()._report(context, {**report, "tries": getattr(ti, "try_number", None)})


class OSSUploadFolderOperator(_OneTaskOperator):
    """Upload a folder, with its sub-folders, in one task; only what OSS does not have yet is sent.

    A retry, on this worker or another one that sees the folder, sends only what is missing. The task succeeds only when
    every file is proven to be on OSS. Returns the prefix as an ``oss://`` URI, and pushes the XCom ``report``: files,
    bytes, moved, same, skipped and deleted, and more.

    :param folder: the local folder (templated)
    :param prefix: what the keys begin with, or an ``oss://bucket/prefix/`` URL; a ``/`` is put behind it (templated)
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)

    The other arguments are those of :class:`~airflow_provider_ossresume.operators.sets.OSSPlanTransferOperator`, and
    ``allow_skipped`` of :class:`~airflow_provider_ossresume.operators.sets.OSSFinishTransferOperator`.
    """

    template_fields: Sequence[str] = ("folder", "prefix", "bucket_name", "allow_skipped", *SET_FIELDS)
    ui_color = "#ffe2c8"

    def __init__(self, *, folder: str, prefix: str, bucket_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder
        self.prefix = prefix
        self.bucket_name = bucket_name

    def _named_ends(self) -> tuple[list[Dataset], list[Dataset]]:
        return dataset_of_file(self.folder), dataset_of_prefix(self.prefix, self.bucket_name)

    def _move(self, context: Any) -> Any:
        return self.hook.upload_folder(self.folder, self.prefix, self.bucket_name, context=context, **self._options())


class OSSDownloadPrefixOperator(_OneTaskOperator):
    """Download all objects below a prefix into a folder, in one task; only what is not there yet is fetched.

    No key can lead out of the folder. Returns the folder's path, and pushes the XCom ``report``; see
    :class:`OSSUploadFolderOperator`.

    :param prefix: what the keys begin with, or an ``oss://bucket/prefix/`` URL; a ``/`` is put behind it (templated)
    :param folder: the local folder; it is made when it is absent (templated)
    :param bucket_name: the bucket; by default the URL's, else the connection's (templated)

    The other arguments are those of :class:`~airflow_provider_ossresume.operators.sets.OSSPlanTransferOperator`, and
    ``allow_skipped`` of :class:`~airflow_provider_ossresume.operators.sets.OSSFinishTransferOperator`.
    """

    template_fields: Sequence[str] = ("prefix", "folder", "bucket_name", "allow_skipped", *SET_FIELDS)
    ui_color = "#cfe8ff"

    def __init__(self, *, prefix: str, folder: str, bucket_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix = prefix
        self.folder = folder
        self.bucket_name = bucket_name

    def _named_ends(self) -> tuple[list[Dataset], list[Dataset]]:
        return dataset_of_prefix(self.prefix, self.bucket_name), dataset_of_file(self.folder)

    def _move(self, context: Any) -> Any:
        return self.hook.download_prefix(self.prefix, self.folder, self.bucket_name, context=context, **self._options())


class OSSCopyPrefixOperator(_OneTaskOperator):
    """Let OSS copy all objects below a prefix to another one, in one task; no byte passes the worker.

    Returns the target as an ``oss://`` URI, and pushes the XCom ``report``; see :class:`OSSUploadFolderOperator`.

    :param source: the ``oss://bucket/prefix/`` URL of what is copied (templated)
    :param target: the same of where it goes (templated)

    The other arguments are those of :class:`~airflow_provider_ossresume.operators.sets.OSSPlanTransferOperator`, and
    ``allow_skipped`` of :class:`~airflow_provider_ossresume.operators.sets.OSSFinishTransferOperator`.
    """

    template_fields: Sequence[str] = ("source", "target", "allow_skipped", *SET_FIELDS)
    ui_color = "#e9dcf7"

    def __init__(self, *, source: str, target: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.target = target

    def _named_ends(self) -> tuple[list[Dataset], list[Dataset]]:
        return dataset_of_prefix(self.source), dataset_of_prefix(self.target)

    def _move(self, context: Any) -> Any:
        return self.hook.copy_prefix(self.source, self.target, context=context, **self._options())
