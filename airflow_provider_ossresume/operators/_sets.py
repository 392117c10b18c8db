"""The base classes of the operators for many files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import ArgumentError, NotProven
from airflow_provider_ossresume.hooks.reporting import may_push, report_to_airflow
from airflow_provider_ossresume.model.arguments import Duration, Flag, parse_texts
from airflow_provider_ossresume.model.parts import GIB
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.operators._object_options import OBJECT_OPTIONS, ObjectOptionsOperator
from airflow_provider_ossresume.operators.lineage import SetLineage
from airflow_provider_ossresume.transfer.paths import path_of_uri, printable_path

if TYPE_CHECKING:
    from airflow_provider_ossresume.model.manifest import Compare, Mode
    from airflow_provider_ossresume.model.object_options import RequestPayer
    from airflow_provider_ossresume.model.set_options import (
        EmptyFolders,
        FailOrSkip,
        SourceChangedInSet,
        Symlinks,
        TargetChangedInSet,
        VanishedInSet,
    )
    from airflow_provider_ossresume.transfer.config import TransferConfig

log = logging.getLogger(__name__)

_SET_OPTIONS = tuple(each.name for each in fields(SetOptions) if each.init and each.name != "object_options")
SET_FIELDS = ("work_folder", "is_dry_run", "transfer_config", "region", "oss_conn_id", *_SET_OPTIONS, *OBJECT_OPTIONS)


class SetOperator(ObjectOptionsOperator):
    """An operator with the arguments for moving many files. Each of them is a template field."""

    def __init__(
        self,
        *,
        work_folder: str | None = None,
        is_dry_run: Flag = False,
        transfer_config: TransferConfig | Mapping[str, Any] | None = None,
        mode: Mode = "copy",
        compare: Compare = "crc64",
        include: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        min_size: int | str | None = None,
        max_size: int | str | None = None,
        newer_than: Duration | None = None,
        older_than: Duration | None = None,
        symlinks: Symlinks = "fail",
        special_files: FailOrSkip = "fail",
        empty_folders: EmptyFolders = "ignore",
        bad_names: FailOrSkip = "fail",
        archived: FailOrSkip = "fail",
        batch_bytes: int | str = 16 * GIB,
        batch_files: int | str = 5_000,
        max_batches: int | str = 256,
        max_files: int | str = 1_000_000,
        max_delete: int | str = 1_000,
        max_delete_share: float | str = 0.1,
        allow_empty_source: Flag = False,
        source_changed: SourceChangedInSet = "skip",
        vanished: VanishedInSet = "skip",
        target_changed: TargetChangedInSet = "overwrite",
        max_failures: int | str = 100,
        keep_mtime: Flag = False,
        files_from: str | None = None,
        backup_prefix: str | None = None,
        request_payer: RequestPayer | None = None,
        traffic_limit: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.work_folder = work_folder
        self.is_dry_run = is_dry_run
        self.transfer_config = transfer_config
        self.mode = mode
        self.compare = compare
        self.include = include
        self._include_was_given = include not in ((), [], None)
        self.exclude = exclude
        self.min_size = min_size
        self.max_size = max_size
        self.newer_than = newer_than
        self.older_than = older_than
        self.symlinks = symlinks
        self.special_files = special_files
        self.empty_folders = empty_folders
        self.bad_names = bad_names
        self.archived = archived
        self.batch_bytes = batch_bytes
        self.batch_files = batch_files
        self.max_batches = max_batches
        self.max_files = max_files
        self.max_delete = max_delete
        self.max_delete_share = max_delete_share
        self.allow_empty_source = allow_empty_source
        self.source_changed = source_changed
        self.vanished = vanished
        self.target_changed = target_changed
        self.max_failures = max_failures
        self.keep_mtime = keep_mtime
        self.files_from = files_from
        self.backup_prefix = backup_prefix
        self.request_payer = request_payer
        self.traffic_limit = traffic_limit

    def _options(self) -> dict[str, Any]:
        """Return the arguments for the hook's methods, which check them.

        :raises ArgumentError: if ``include`` was set, but its template or XCom has no glob
        """
        self.include = parse_texts("include", self.include)
        if self._include_was_given and not self.include:
            raise ArgumentError(
                "include", [], "its template or XCom has no glob, and without a glob all files would move; skip this "
                "task if there is nothing to move, or remove the argument"
            )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in (*_SET_OPTIONS, *OBJECT_OPTIONS)},
            "work_folder": self.work_folder,
            "is_dry_run": self.is_dry_run,
            "watch": self._watch,
        }

    def _stop_note(self) -> str:
        return "the next try moves only what is missing"


class ReportMixin:
    """Pushes the XCom ``report``, even if files are not proven, so that an ``on_failure_callback`` can read it."""

    def _work(self, context: Any) -> Any:
        try:
            return self._move(context)
        except NotProven as error:
            self._report(context, error.report)
            raise

    def _move(self, context: Any) -> Any:
        """Move the files and return a report. Each operator implements this."""
        raise NotImplementedError

    def _report(self, context: Any, report: Mapping[str, Any]) -> None:
        if may_push(context):
            report_to_airflow("the XCom report", lambda: context["ti"].xcom_push(key="report", value={**report}))


class VerdictMixin(SetLineage, ReportMixin):
    """Reports the verdict on all files of a plan, and returns their target."""

    def _finish(self, context: Any, done: Any) -> Any:
        self._report(context, done)
        self._add_to_outlet_events(context, done)
        return xcom_destination(done.target)

    def _report(self, context: Any, report: Mapping[str, Any]) -> None:
        self._verdict = report
        super()._report(context, report)


def xcom_destination(uri: str) -> str:
    """Return the target of a transfer as the next task needs it: an ``oss://`` URL, or the path of a folder."""
    if not uri.startswith("file://"):
        return uri
    path = path_of_uri(uri).rstrip("/")
    shown = printable_path(path)
    if shown != path:
        log.warning(
            "The folder's name is not UTF-8, and an XCom cannot hold such a name; the task returns it as %s",
            shown,
        )
    return shown
