"""Operators that plan a transfer of many files, move its batches in mapped tasks, and prove the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import AirflowFailException, TaskGroup, max_map_length
from airflow_provider_ossresume.errors import ArgumentError, NotProven
from airflow_provider_ossresume.hooks.reporting import report_to_airflow
from airflow_provider_ossresume.model.manifest import Recheck
from airflow_provider_ossresume.operators._base import OSSOperator
from airflow_provider_ossresume.operators._sets import SET_FIELDS, ReportMixin, SetOperator, VerdictMixin

if TYPE_CHECKING:
    from airflow_provider_ossresume.transfer.config import TransferConfig


LABEL = "{{ batch_label }}"  # how the UI names a batch: "0: 812 files, 14.2 GiB"


class OSSPlanTransferOperator(SetOperator):
    """Compare source and target, and write a plan: batches of files for mapped tasks.

    Returns the URIs of at most ``max_batches`` batches, for
    ``OSSTransferBatchOperator.partial(…).expand(batch=plan.output)``. Pushes the XCom ``plan``, the plan's URI, and the
    XCom ``report``: what was found and what will be done. If the plan would delete more than is allowed, or leave out
    files that you asked for, the task fails before anything is moved.

    :param source: a local folder that all workers share, or an ``oss://bucket/prefix/`` URL (templated)
    :param target: where the files go, in the same form. At least one of the two must be on OSS (templated)
    :param work_folder: where plans, batches, ledgers and checkpoints are kept: an ``oss://bucket/prefix/`` URL, or a
        folder that all workers share. Default: ``.ossresume/`` in the target's bucket or folder (templated)
    :param is_dry_run: make no batch, and report what would be done (templated)
    :param mode: ``copy``, or ``mirror``. A mirror also deletes from the target what the source does not have:
        :class:`OSSFinishTransferOperator` does that after all files are moved (templated)
    :param compare: which files count as unchanged: ``crc64`` (same size and CRC-64), ``size_mtime`` (same size, and the
        mtime that ``keep_mtime`` stored), ``size``, ``missing`` (all that exist) or ``always`` (none) (templated)
    :param include: globs of relative names; ``*`` does not match a slash, ``**`` does (templated)
    :param exclude: globs of names to leave out, even if ``include`` matches them (templated)
    :param min_size: leave out smaller files: bytes, or a string such as ``10MiB`` (templated)
    :param max_size: leave out larger files (templated)
    :param newer_than: leave out files that were modified longer ago: a duration such as ``"1d"`` (templated)
    :param older_than: leave out files that were modified since, for example because they are still being written
        (templated)
    :param symlinks: what to do with a symbolic link: ``fail``, ``skip`` or ``follow`` it (templated)
    :param special_files: what to do with a socket, pipe or device: ``fail`` or ``skip`` (templated)
    :param empty_folders: ``ignore`` them, or write a ``marker``: an empty object whose key ends with ``/`` (templated)
    :param bad_names: what to do with a name that the target does not allow: ``fail`` or ``skip`` (templated)
    :param archived: what to do with an object that must be restored first: ``fail`` or ``skip`` (templated)
    :param batch_bytes: the maximum size of a batch, at least 1 MiB. A larger file gets its own batch (templated)
    :param batch_files: the maximum number of files in a batch, 1 to 100,000 (templated)
    :param max_batches: the maximum number of batches, 1 to 1,000. If more are needed, batches get larger (templated)
    :param max_files: the plan fails if there are more files; 1 to 5,000,000 (templated)
    :param max_delete: the plan of a mirror fails if more files would be deleted (templated)
    :param max_delete_share: the same limit, as a share of the target's files, from 0 to 1 (templated)
    :param allow_empty_source: allow an empty source. A mirror then deletes everything (templated)
    :param source_changed: what to do with a file that changed since the plan: ``skip``, ``take`` or ``fail``
        (templated)
    :param vanished: what to do with a file that no longer exists: ``skip`` or ``fail`` (templated)
    :param target_changed: what to do if the target changed since the plan: ``overwrite`` or ``fail`` (templated)
    :param max_failures: a batch stops if more files than this have failed; 0: at the first (templated)
    :param keep_mtime: store a file's mtime with its object, and set it again when the object is downloaded (templated)
    :param files_from: a list of relative names to move, instead of listing the source: a text file with one name per
        line, or ``.jsonl`` or ``.jsonl.gz`` with objects that have a ``name``, such as the ``failed.jsonl.gz`` of a
        verdict. An absolute path, or a ``file:///`` or ``oss://bucket/key`` URL. Not for a mirror (templated)
    :param backup_prefix: an ``oss://bucket/prefix/`` URL. A mirror on OSS copies objects there before it deletes them
        (templated)
    :param transfer_config: see :class:`~airflow_provider_ossresume.operators.oss.OSSResumableUploadOperator`
        (templated)
    :param region: overrides the connection's region (templated)
    :param oss_conn_id: the connection (templated)

    The options of the objects are those of that operator: ``content_type``, ``metadata``, ``tags``, ``storage_class``,
    ``acl`` and the others. All are templated.
    """

    template_fields: Sequence[str] = ("source", "target", *SET_FIELDS)
    ui_color = "#fff3bf"

    def __init__(self, *, source: str, target: str, **kwargs: Any) -> None:
        # The batches are mapped over this XCom, so do_xcom_push=False in default_args must not apply.
        super().__init__(**{"do_xcom_push": True, **kwargs})
        self.source = source
        self.target = target

    @property
    def plan_uri(self) -> str:
        """A template for the plan's URI, for :class:`OSSFinishTransferOperator`."""
        # Not an XComArg: Airflow 3 fails a task whose XComArg is missing before the task can say why.
        return f"{{{{ ti.xcom_pull(task_ids='{self.task_id}', key='plan') }}}}"

    def _work(self, context: Any) -> Any:
        return self.hook.plan_transfer(self.source, self.target, most_batches=max_map_length(), **self._options())

    def _finish(self, context: Any, done: Any) -> Any:
        context["ti"].xcom_push(key="plan", value=done.uri)
        report_to_airflow("the XCom report", lambda: context["ti"].xcom_push(key="report", value=done.report()))
        return done.batch_uris


class OSSTransferBatchOperator(ReportMixin, OSSOperator):
    """Move one batch of a plan. A retry moves only what is missing.

    If a file fails, the task moves the others first, then fails and names it. Pushes the XCom ``report``.

    :param batch: the batch's URI, from :class:`OSSPlanTransferOperator`. Airflow does not render it if it is mapped
        (templated)
    :param map_index_template: how the UI names the batch. Default: ``{{ batch_label }}``, such as
        ``0: 812 files, 14.2 GiB``
    :param transfer_config: see :class:`~airflow_provider_ossresume.operators.oss.OSSResumableUploadOperator`
        (templated)
    :param region: overrides the connection's region (templated)
    :param oss_conn_id: the connection (templated)
    """

    template_fields: Sequence[str] = ("batch", "transfer_config", "region", "oss_conn_id")
    ui_color = "#cfe8ff"

    def __init__(
        self,
        *,
        batch: str,
        transfer_config: TransferConfig | Mapping[str, Any] | None = None,
        map_index_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(map_index_template=map_index_template or LABEL, **kwargs)
        self.batch = batch
        self.transfer_config = transfer_config

    def _move(self, context: Any) -> Any:
        return self.hook.run_transfer_batch(
            self.batch,
            # Set the template too: 2.11 reads it from partial(), which does not know our default.
            on_label=lambda label: context.update(batch_label=label, map_index_template=self.map_index_template),
            context=context,
            watch=self._watch,
        )

    def _finish(self, context: Any, done: Any) -> None:
        self._report(context, done)

    def _stop_note(self) -> str:
        return "the next try moves only what is missing"


class OSSFinishTransferOperator(VerdictMixin, OSSOperator):
    """Check that every file of a plan has been moved. Then delete what a mirror has to delete.

    The task succeeds only if every file of the plan is proven. If not, nothing is deleted, and the task fails and names
    the files. It fails without a retry, because its retry would not move anything. The trigger rule is ``all_done``, so
    the task runs after failed batches too, and decides how the DAG run ends. Returns the target, as a URL or a path.
    Pushes the XCom ``report``.

    :param plan: the plan's URI: ``plan.plan_uri`` of :class:`OSSPlanTransferOperator` (templated)
    :param allow_skipped: accept files that were skipped for these reasons: ``vanished`` and ``source_changed``. If any
        file was skipped, a mirror deletes nothing (templated)
    :param recheck: ``ledger`` relies on what the batches reported. ``list`` also lists the target, and does not accept
        files that someone else has deleted or overwritten since. Default: ``list`` for a mirror that deletes, else
        ``ledger`` (templated)
    :param region: overrides the connection's region (templated)
    :param oss_conn_id: the connection (templated)
    """

    template_fields: Sequence[str] = ("plan", "allow_skipped", "recheck", "region", "oss_conn_id")
    ui_color = "#e4f1dd"

    def __init__(
        self,
        *,
        plan: str,
        allow_skipped: str | Sequence[str] = (),
        recheck: Recheck | None = None,
        **kwargs: Any,
    ) -> None:
        # Not an argument of __init__: default_args would override its default. A plan that only deletes has no
        # batches, so "all_success" would skip this task, and the run would succeed without deleting anything.
        super().__init__(**{"trigger_rule": "all_done", **kwargs})
        self.plan = plan
        self.allow_skipped = allow_skipped
        self.recheck = recheck

    def _work(self, context: Any) -> Any:
        if self.plan in (None, "None"):
            raise ArgumentError(
                "plan", self.plan, "the plan task pushed no plan, so nothing was moved; see the log of that task"
            )
        try:
            return super()._work(context)
        except NotProven as error:
            if not error.failures:
                raise
            # A retry would read the same ledgers.
            raise AirflowFailException(
                f"{error}. Clear the failed batches, or the plan task; files that are proven are not moved again"
            ) from error

    def _move(self, context: Any) -> Any:
        return self.hook.finish_transfer(
            self.plan, allow_skipped=self.allow_skipped, recheck=self.recheck, context=context, watch=self._watch
        )

    def _stop_note(self) -> str:
        return "the next try deletes what is left"


def oss_transfer_group(
    group_id: str,
    *,
    source: str,
    target: str,
    pool: str | None = None,
    max_active_tis_per_dagrun: int | None = None,
    allow_skipped: str | Sequence[str] | None = None,
    recheck: Recheck | None = None,
    outlets: Any = None,
    default_args: Mapping[str, Any] | None = None,
    plan_args: Mapping[str, Any] | None = None,
    batch_args: Mapping[str, Any] | None = None,
    finish_args: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> TaskGroup:
    """Return a task group with three tasks: ``plan``, the mapped ``batch``, and ``finish``, which decides the outcome.

    :param source: see :class:`OSSPlanTransferOperator`, also for all arguments that are not listed here.
        ``oss_conn_id``, ``region`` and ``transfer_config`` apply to all three tasks
    :param target: see :class:`OSSPlanTransferOperator`
    :param pool: the pool of the batches. It limits them across all runs and DAGs
    :param max_active_tis_per_dagrun: how many batches run at the same time in one DAG run
    :param allow_skipped: see :class:`OSSFinishTransferOperator`
    :param recheck: see :class:`OSSFinishTransferOperator`
    :param outlets: assets that ``finish`` updates
    :param default_args: arguments of all three tasks, such as ``retries``
    :param plan_args: other arguments of ``plan``, such as ``execution_timeout``
    :param batch_args: other arguments of the batches, such as ``queue``, ``executor_config`` or ``retries``
    :param finish_args: other arguments of ``finish``, such as ``on_failure_callback``
    :raises TypeError: for an argument that :class:`OSSPlanTransferOperator` does not define
    """
    if unknown := sorted(arguments.keys() - set(OSSPlanTransferOperator.template_fields)):
        raise TypeError(
            f"oss_transfer_group() has no argument {unknown[0]!r}; put arguments of all Airflow tasks into "
            "default_args, or into plan_args, batch_args or finish_args for one task"
        )
    # Arguments that were not given are left to default_args.
    for_plan: dict[str, Any] = {"source": source, "target": target, **arguments, **(plan_args or {})}
    for_batches: dict[str, Any] = {
        **{name: arguments[name] for name in ("oss_conn_id", "region", "transfer_config") if name in arguments},
        **_given(pool=pool, max_active_tis_per_dagrun=max_active_tis_per_dagrun),
        **(batch_args or {}),
    }
    for_finish: dict[str, Any] = {
        **{name: arguments[name] for name in ("oss_conn_id", "region") if name in arguments},
        **_given(allow_skipped=allow_skipped, recheck=recheck, outlets=outlets),
        **(finish_args or {}),
    }
    defaults: Any = dict(default_args or {})
    with TaskGroup(group_id, default_args=defaults) as group:
        plan = OSSPlanTransferOperator(task_id="plan", **for_plan)
        batches = OSSTransferBatchOperator.partial(task_id="batch", **for_batches)
        finish = OSSFinishTransferOperator(task_id="finish", plan=plan.plan_uri, **for_finish)
        plan >> batches.expand(batch=plan.output) >> finish
    return group


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
