"""Operators that plan a transfer of many files, move its batches in mapped tasks, and prove the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import AirflowFailException, TaskGroup, max_map_length
from airflow_provider_ossresume.errors import ArgumentError, NotProven
from airflow_provider_ossresume.hooks.reporting import report_to_airflow
from airflow_provider_ossresume.model.manifest import Recheck
from airflow_provider_ossresume.operators._base import OSSOperator
from airflow_provider_ossresume.operators._sets import SET_FIELDS, Proving, Reporting, SetOperator

if TYPE_CHECKING:
    from airflow_provider_ossresume.transfer.config import TransferConfig


LABEL = "{{ batch_label }}"  # of a mapped batch, for people: "0: 812 files, 14.2 GiB"


class OSSPlanTransferOperator(SetOperator):
    """Look at both sides, decide what has to be moved, and seal it as a plan of batches for mapped tasks.

    Returns the batches' URIs, for ``OSSTransferBatchOperator.partial(…).expand(batch=plan.output)``, at most
    ``max_batches``. Pushes the XCom ``plan``, the plan's URI, and the XCom ``report``: what was found and what is to
    be done. A plan that would delete more than is allowed, or leave out what was asked for, fails before a byte moves.

    :param source: a local folder that all workers share, or an ``oss://bucket/prefix/`` URL (templated)
    :param target: the same of where it goes; at least one of the two is on OSS (templated)
    :param work_folder: where plans, batches, ledgers and checkpoints lie: an ``oss://bucket/prefix/`` URL, or a folder
        that all workers share; by default ``.ossresume/`` in the target's bucket, or in the target's folder (templated)
    :param is_dry_run: make no batch, and report what would be done (templated)
    :param mode: ``copy``, or ``mirror``: what the source does not have is deleted from the target, by
        :class:`OSSFinishTransferOperator`, when all is moved (templated)
    :param compare: when a file counts as there already: ``crc64`` (size and CRC-64 are equal), ``size_mtime`` (size,
        and the mtime that ``keep_mtime`` has left), ``size``, ``missing`` (it exists) or ``always`` (never) (templated)
    :param include: globs of relative names; ``*`` stops at a slash, ``**`` does not (templated)
    :param exclude: globs of what is left out; they win (templated)
    :param min_size: what is smaller is left out: bytes, or a text such as ``10MiB`` (templated)
    :param max_size: what is larger is left out (templated)
    :param newer_than: what was modified longer ago is left out: a duration such as ``"1d"`` (templated)
    :param older_than: what was modified since is left out, such as files that are still being written (templated)
    :param symlinks: what a symbolic link does: ``fail`` the plan, ``skip`` it, or ``follow`` it (templated)
    :param special_files: the same for sockets, pipes and devices: ``fail`` or ``skip`` (templated)
    :param empty_folders: ``ignore`` them, or make a ``marker``: an empty object whose key ends with ``/`` (templated)
    :param bad_names: names that the other side cannot have: ``fail`` or ``skip`` (templated)
    :param archived: objects that have to be restored first: ``fail`` or ``skip`` (templated)
    :param batch_bytes: of one batch, at most; a larger file has a batch of its own (templated)
    :param batch_files: of one batch, at most (templated)
    :param max_batches: batches grow where there would be more (templated)
    :param max_files: the plan fails above so many (templated)
    :param max_delete: a mirror's plan fails when more would be deleted (templated)
    :param max_delete_share: the same, as a share of the target's files (templated)
    :param allow_empty_source: there may be nothing in the source; a mirror then deletes everything (templated)
    :param source_changed: a file that is not what the plan saw: ``skip`` it, ``take`` it, or ``fail`` (templated)
    :param vanished: a file that is gone: ``skip`` it, or ``fail`` (templated)
    :param target_changed: what is not what the plan saw in the target: ``overwrite`` it, or ``fail`` (templated)
    :param max_failures: a batch gives up when so many files have failed (templated)
    :param keep_mtime: an upload leaves the file's mtime with the object, a download sets it again (templated)
    :param files_from: a list of relative names, which are looked up in place of listing the source: a text file with
        one name a line, or ``.jsonl`` or ``.jsonl.gz`` with objects that have a ``name``, such as ``failed.jsonl.gz``
        of a verdict. An absolute path, a ``file:///`` or an ``oss://bucket/key`` URL; not for a mirror (templated)
    :param backup_prefix: an ``oss://bucket/prefix/`` URL; a mirror on OSS copies there what it deletes, before it does
        (templated)
    :param transfer_config: as of :class:`~airflow_provider_ossresume.operators.oss.OSSResumableUploadOperator`
        (templated)
    :param region: takes the place of the connection's (templated)
    :param oss_conn_id: the connection (templated)

    What each object gets is said as for that operator: ``content_type``, ``metadata``, ``tags``, ``storage_class``,
    ``acl`` and the others, all templated.
    """

    template_fields: Sequence[str] = ("source", "target", *SET_FIELDS)
    ui_color = "#fff3bf"

    def __init__(self, *, source: str, target: str, **kwargs: Any) -> None:
        # Without the XCom there is nothing to map, whatever the default_args of the DAG say.
        super().__init__(**{"do_xcom_push": True, **kwargs})
        self.source = source
        self.target = target

    @property
    def plan_uri(self) -> str:
        """A template of the plan's URI, for :class:`OSSFinishTransferOperator`."""
        # No XComArg: Airflow 3 ends a task whose argument is absent before the task can say why.
        return f"{{{{ ti.xcom_pull(task_ids='{self.task_id}', key='plan') }}}}"

    def _work(self, context: Any) -> Any:
        return self.hook.plan_transfer(self.source, self.target, most_batches=max_map_length(), **self._options())

    def _finish(self, context: Any, done: Any) -> Any:
        context["ti"].xcom_push(key="plan", value=done.uri)
        report_to_airflow("the XCom report", lambda: context["ti"].xcom_push(key="report", value=done.report()))
        return done.batch_uris


class OSSTransferBatchOperator(Reporting, OSSOperator):
    """Move one batch of a plan; a retry moves only what is missing.

    A file that fails does not end the batch: the others are moved, then the task fails and names it. Pushes the XCom
    ``report``.

    :param batch: the batch's URI, as :class:`OSSPlanTransferOperator` returns it; Airflow does not template what is
        mapped (templated)
    :param map_index_template: how the UI names the batch; by default ``{{ batch_label }}``, such as
        ``0: 812 files, 14.2 GiB``
    :param transfer_config: as of :class:`~airflow_provider_ossresume.operators.oss.OSSResumableUploadOperator`
        (templated)
    :param region: takes the place of the connection's (templated)
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
            # The template too: 2.11 takes it from partial(), which knows no default of ours.
            on_label=lambda label: context.update(batch_label=label, map_index_template=self.map_index_template),
            context=context,
            watch=self._watch,
        )

    def _finish(self, context: Any, done: Any) -> None:
        self._report(context, done)

    def _left_to_next_try(self) -> str:
        return "what has been moved stays, and the next try moves only the rest"


class OSSFinishTransferOperator(Proving, OSSOperator):
    """Prove that all of a plan is done, then delete what a mirror has to delete.

    It succeeds only when every file of the plan is proven; what is not is counted and named. Nothing is deleted before.
    Its trigger rule is ``all_done``, so that it speaks after failed batches too, and decides how the DAG run ends. When
    files are not proven it fails without a retry, as no retry of its own moves anything. Returns the target, a folder
    as its path, and pushes the XCom ``report``.

    :param plan: the plan's URI: ``plan.plan_uri`` of :class:`OSSPlanTransferOperator` (templated)
    :param allow_skipped: reasons for which a file may be left: ``vanished`` and ``source_changed``. Where one is left,
        a mirror deletes nothing (templated)
    :param recheck: ``ledger``: what the batches have said is believed. ``list``: the target is listed once, and what
        others have deleted or overwritten since is not proven. By default the second before a mirror deletes anything,
        else the first (templated)
    :param region: takes the place of the connection's (templated)
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
        # Not an argument of its own, as the default_args of a DAG would replace its default. With "all_success" a
        # plan that has only deletions, whose batches are skipped, would skip the finish, and the run would succeed.
        super().__init__(**{"trigger_rule": "all_done", **kwargs})
        self.plan = plan
        self.allow_skipped = allow_skipped
        self.recheck = recheck

    def _work(self, context: Any) -> Any:
        if self.plan in (None, "None"):
            raise ArgumentError("plan", self.plan, "the plan's task has pushed none, so nothing was moved; see its log")
        try:
            return super()._work(context)
        except NotProven as error:
            if not error.failures:
                raise
            # Another try would read the same ledgers.
            raise AirflowFailException(
                f"{error}. Clear the batches that failed, or the task of the plan; what is proven is not moved again"
            ) from error

    def _move(self, context: Any) -> Any:
        return self.hook.finish_transfer(
            self.plan, allow_skipped=self.allow_skipped, recheck=self.recheck, context=context, watch=self._watch
        )

    def _left_to_next_try(self) -> str:
        return "what is deleted is deleted, and the next try goes on"


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
    """Return a task group of three tasks: ``plan``, the mapped ``batch``, and ``finish``, which ends as the whole does.

    :param source: see :class:`OSSPlanTransferOperator`, as for all that is not named here; ``oss_conn_id``, ``region``
        and ``transfer_config`` are those of all three tasks
    :param target: see the same
    :param pool: of the batches; a pool limits them over all runs and DAGs
    :param max_active_tis_per_dagrun: how many batches run at once in one run
    :param allow_skipped: see :class:`OSSFinishTransferOperator`
    :param recheck: see the same
    :param outlets: assets that are new when ``finish`` has succeeded
    :param default_args: of all three tasks, such as ``retries``
    :param plan_args: further arguments of the plan alone, such as ``execution_timeout``
    :param batch_args: further arguments of the batches alone, such as ``queue``, ``executor_config`` or ``retries``
    :param finish_args: further arguments of the finish alone, such as ``on_failure_callback``
    :raises TypeError: for an argument that the plan does not have itself; it would not reach the other two tasks
    """
    if unknown := sorted(arguments.keys() - set(OSSPlanTransferOperator.template_fields)):
        raise TypeError(
            f"oss_transfer_group() has no argument {unknown[0]!r}; what each task of Airflow has goes into "
            "default_args, or into plan_args, batch_args or finish_args for one of the three"
        )
    # What nobody has given is left to the default_args.
    of_plan: dict[str, Any] = {"source": source, "target": target, **arguments, **(plan_args or {})}
    of_batches: dict[str, Any] = {
        **{name: arguments[name] for name in ("oss_conn_id", "region", "transfer_config") if name in arguments},
        **_given(pool=pool, max_active_tis_per_dagrun=max_active_tis_per_dagrun),
        **(batch_args or {}),
    }
    of_finish: dict[str, Any] = {
        **{name: arguments[name] for name in ("oss_conn_id", "region") if name in arguments},
        **_given(allow_skipped=allow_skipped, recheck=recheck, outlets=outlets),
        **(finish_args or {}),
    }
    defaults: Any = dict(default_args or {})
    with TaskGroup(group_id, default_args=defaults) as group:
        plan = OSSPlanTransferOperator(task_id="plan", **of_plan)
        batches = OSSTransferBatchOperator.partial(task_id="batch", **of_batches)
        finish = OSSFinishTransferOperator(task_id="finish", plan=plan.plan_uri, **of_finish)
        plan >> batches.expand(batch=plan.output) >> finish
    return group


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
