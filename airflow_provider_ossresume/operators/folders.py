"""Operators that move a folder, or all objects below a prefix, in one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_ossresume.hooks.reporting import task_instance
from airflow_provider_ossresume.operators._sets import SET_FIELDS, SetOperator, VerdictMixin
from airflow_provider_ossresume.operators.lineage import Dataset, dataset_of_file, dataset_of_prefix


class _SingleTaskOperator(VerdictMixin, SetOperator):
    """Plans, moves and proves a transfer of many files in one task.

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


class OSSUploadFolderOperator(_SingleTaskOperator):
    """Upload a folder and its subfolders in one task. Files that are unchanged on OSS are not sent; see ``compare``.

    A retry sends only what is missing, on any worker that sees the folder. The task succeeds only if every file is
    proven to be on OSS. Returns the prefix as an ``oss://`` URI. Pushes the XCom ``report``, with files, bytes, moved,
    same, skipped, deleted and more.

    :param folder: the local folder (templated)
    :param prefix: the start of the keys, or an ``oss://bucket/prefix/`` URL; a ``/`` is appended if it is missing
        (templated)
    :param bucket_name: the bucket. Default: the bucket of the URL, else of the connection (templated)

    For the other arguments see :class:`~airflow_provider_ossresume.operators.sets.OSSPlanTransferOperator`, and for
    ``allow_skipped`` :class:`~airflow_provider_ossresume.operators.sets.OSSFinishTransferOperator`.
    """

    template_fields: Sequence[str] = ("folder", "prefix", "bucket_name", "allow_skipped", *SET_FIELDS)
    ui_color = "#ffe2c8"

    def __init__(self, *, folder: str, prefix: str, bucket_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder
        self.prefix = prefix
        self.bucket_name = bucket_name

    def _datasets_from_arguments(self) -> tuple[list[Dataset], list[Dataset]]:
        return dataset_of_file(self.folder), dataset_of_prefix(self.prefix, self.bucket_name)

    def _move(self, context: Any) -> Any:
        return self.hook.upload_folder(self.folder, self.prefix, self.bucket_name, context=context, **self._options())


class OSSDownloadPrefixOperator(_SingleTaskOperator):
    """Download all objects below a prefix into a folder in one task. Files that are unchanged there are not fetched.

    No key can lead to a file outside the folder. Returns the folder's path. Pushes the XCom ``report``; see
    :class:`OSSUploadFolderOperator`.

    :param prefix: the start of the keys, or an ``oss://bucket/prefix/`` URL; a ``/`` is appended if it is missing
        (templated)
    :param folder: the local folder; it is created if it does not exist (templated)
    :param bucket_name: the bucket. Default: the bucket of the URL, else of the connection (templated)

    For the other arguments see :class:`~airflow_provider_ossresume.operators.sets.OSSPlanTransferOperator`, and for
    ``allow_skipped`` :class:`~airflow_provider_ossresume.operators.sets.OSSFinishTransferOperator`.
    """

    template_fields: Sequence[str] = ("prefix", "folder", "bucket_name", "allow_skipped", *SET_FIELDS)
    ui_color = "#cfe8ff"

    def __init__(self, *, prefix: str, folder: str, bucket_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix = prefix
        self.folder = folder
        self.bucket_name = bucket_name

    def _datasets_from_arguments(self) -> tuple[list[Dataset], list[Dataset]]:
        return dataset_of_prefix(self.prefix, self.bucket_name), dataset_of_file(self.folder)

    def _move(self, context: Any) -> Any:
        return self.hook.download_prefix(self.prefix, self.folder, self.bucket_name, context=context, **self._options())


class OSSCopyPrefixOperator(_SingleTaskOperator):
    """Copy all objects below a prefix to another prefix in one task. OSS copies them; no bytes go through the worker.

    Returns the target as an ``oss://`` URI. Pushes the XCom ``report``; see :class:`OSSUploadFolderOperator`.

    :param source: the ``oss://bucket/prefix/`` URL to copy from (templated)
    :param target: the ``oss://bucket/prefix/`` URL to copy to (templated)

    For the other arguments see :class:`~airflow_provider_ossresume.operators.sets.OSSPlanTransferOperator`, and for
    ``allow_skipped`` :class:`~airflow_provider_ossresume.operators.sets.OSSFinishTransferOperator`.
    """

    template_fields: Sequence[str] = ("source", "target", "allow_skipped", *SET_FIELDS)
    ui_color = "#e9dcf7"

    def __init__(self, *, source: str, target: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.target = target

    def _datasets_from_arguments(self) -> tuple[list[Dataset], list[Dataset]]:
        return dataset_of_prefix(self.source), dataset_of_prefix(self.target)

    def _move(self, context: Any) -> Any:
        return self.hook.copy_prefix(self.source, self.target, context=context, **self._options())
