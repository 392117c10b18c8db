"""The hook's methods for many files: a folder or a prefix in one call, or a plan, its batches and its finish."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, cast, get_args

from airflow_provider_ossresume._airflow import current_context
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.connected import ConnectedHook
from airflow_provider_ossresume.hooks.current_try import CurrentTry
from airflow_provider_ossresume.hooks.lineage import report_set_lineage
from airflow_provider_ossresume.model.arguments import (
    Flag,
    check_choice,
    check_text,
    parse_flag,
    parse_texts,
    refuse_empty,
)
from airflow_provider_ossresume.model.manifest import Recheck, SkipReason
from airflow_provider_ossresume.model.object_options import ObjectOptions
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.sets.batch.batch_report import BatchReport
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.set_transfers import LocationRef, SetTransfers
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan

_SET_OPTIONS = frozenset(each.name for each in fields(SetOptions) if each.init and each.name != "object_options")

Watch = Callable[[], None]


class SetMethods(ConnectedHook):
    """The methods of the hook that move many files.

    ``options`` are the fields of :class:`~airflow_provider_ossresume.model.set_options.SetOptions`, and the options of
    each object: those of :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions`. The calling thread
    calls ``watch`` at least four times a second. An exception that ``watch`` raises ends the work.
    """

    def upload_folder(
        self,
        folder: str | os.PathLike[str],
        prefix: str | PrefixRef,
        bucket_name: str | None = None,
        *,
        work_folder: str | None = None,
        is_dry_run: Flag = False,
        allow_skipped: str | Sequence[str] = (),
        context: Mapping[str, Any] | None = None,
        watch: Watch = lambda: None,
        **options: Any,
    ) -> Verdict:
        """Upload all files of a folder, except those that are unchanged below the prefix; see the option ``compare``.

        :param folder: an absolute path
        :param prefix: the start of the keys, or an ``oss://bucket/prefix/`` URL; a ``/`` is appended if it is missing
        :param work_folder: see :meth:`plan_transfer`
        :param is_dry_run: move nothing. The log and the verdict show what would be done, with the first 100 names
        :param allow_skipped: accept files that were skipped for these reasons: ``vanished``, ``source_changed``
        :raises NotProven: if a file is not proven; the proven ones stay
        :raises PlanRefused: if a limit is exceeded, before anything is moved
        """
        return self._transfer(
            _folder("folder", folder),
            self._prefix("prefix", prefix, bucket_name),
            options,
            work_folder=work_folder,
            is_dry_run=is_dry_run,
            allow_skipped=allow_skipped,
            context=context,
            watch=watch,
        )

    def download_prefix(
        self,
        prefix: str | PrefixRef,
        folder: str | os.PathLike[str],
        bucket_name: str | None = None,
        *,
        work_folder: str | None = None,
        is_dry_run: Flag = False,
        allow_skipped: str | Sequence[str] = (),
        context: Mapping[str, Any] | None = None,
        watch: Watch = lambda: None,
        **options: Any,
    ) -> Verdict:
        """Download all objects of a prefix, except those that are unchanged there; see :meth:`upload_folder`."""
        return self._transfer(
            self._prefix("prefix", prefix, bucket_name),
            _folder("folder", folder),
            options,
            work_folder=work_folder,
            is_dry_run=is_dry_run,
            allow_skipped=allow_skipped,
            context=context,
            watch=watch,
        )

    def copy_prefix(
        self,
        source: str | PrefixRef,
        target: str | PrefixRef,
        *,
        work_folder: str | None = None,
        is_dry_run: Flag = False,
        allow_skipped: str | Sequence[str] = (),
        context: Mapping[str, Any] | None = None,
        watch: Watch = lambda: None,
        **options: Any,
    ) -> Verdict:
        """Let OSS copy all objects of a prefix, except those that are unchanged there; see :meth:`upload_folder`."""
        return self._transfer(
            self._prefix("source", source),
            self._prefix("target", target),
            options,
            work_folder=work_folder,
            is_dry_run=is_dry_run,
            allow_skipped=allow_skipped,
            context=context,
            watch=watch,
        )

    def plan_transfer(
        self,
        source: str | PrefixRef | os.PathLike[str],
        target: str | PrefixRef | os.PathLike[str],
        *,
        work_folder: str | None = None,
        is_dry_run: Flag = False,
        most_batches: int | None = None,
        context: Mapping[str, Any] | None = None,
        watch: Watch = lambda: None,
        **options: Any,
    ) -> Plan:
        """Compare source and target, and write a plan with batches for :meth:`run_transfer_batch`.

        :param source: an ``oss://bucket/prefix/`` URL, or an absolute path that all workers share
        :param target: an ``oss://bucket/prefix/`` URL, or an absolute path that all workers share
        :param work_folder: where plans, ledgers and checkpoints are kept: an ``oss://bucket/prefix/`` URL, or a folder
            that all workers share. Default: ``.ossresume/`` in the target's bucket or folder
        :param most_batches: another upper limit for the number of batches, such as Airflow's limit for mapped tasks
        :raises PlanRefused: if the plan would delete more than is allowed, or leave out files; nothing is written then
        """
        chosen = _set_options(options)
        if most_batches is not None and int(chosen.max_batches) > most_batches:
            chosen = _set_options({**options, "max_batches": most_batches})
        return self._set_transfers(_current_try(context), watch).plan(
            self._source_or_target("source", source),
            self._source_or_target("target", target),
            options=chosen,
            work_folder=_work_folder(work_folder),
            is_dry_run=parse_flag("is_dry_run", is_dry_run),
        )

    def run_transfer_batch(
        self,
        batch: str,
        *,
        on_label: Callable[[str], None] = lambda label: None,
        context: Mapping[str, Any] | None = None,
        watch: Watch = lambda: None,
    ) -> BatchReport:
        """Move one batch of a plan.

        :param batch: its URI, one of the plan's ``batch_uris``
        :param on_label: called with the batch's label for the UI
        :raises NotProven: if files failed; the others have been moved
        """
        _check_uri("batch", batch)
        return self._set_transfers(_current_try(context), watch).run_batch(batch, on_label=on_label)

    def finish_transfer(
        self,
        plan: str,
        *,
        allow_skipped: str | Sequence[str] = (),
        recheck: Recheck | None = None,
        context: Mapping[str, Any] | None = None,
        watch: Watch = lambda: None,
    ) -> Verdict:
        """Check that every file of a plan has been moved, and delete what a mirror has to delete.

        :param plan: its URI
        :param allow_skipped: accept files that were skipped for these reasons: ``vanished``, ``source_changed``. If any
            file was skipped, nothing is deleted
        :param recheck: ``ledger`` relies on what the batches reported. ``list`` also lists the target, and does not
            accept files that someone else has deleted or overwritten since. Default: ``list`` for a mirror that
            deletes, else ``ledger``
        :raises NotProven: if a file is not proven
        """
        _check_uri("plan", plan)
        if recheck is not None:
            check_choice("recheck", recheck, get_args(Recheck))
        allowed, this_try = _skip_reasons(allow_skipped), _current_try(context)
        verdict = self._set_transfers(this_try, watch).finish(plan, allow_skipped=allowed, recheck=recheck)
        return self._reported(this_try, verdict)

    def _transfer(
        self,
        source: LocationRef,
        target: LocationRef,
        options: Mapping[str, Any],
        *,
        work_folder: str | None,
        is_dry_run: Flag,
        allow_skipped: str | Sequence[str],
        context: Mapping[str, Any] | None,
        watch: Watch,
    ) -> Verdict:
        this_try = _current_try(context)
        verdict = self._set_transfers(this_try, watch).transfer(
            source,
            target,
            options=_set_options(options),
            work_folder=_work_folder(work_folder),
            is_dry_run=parse_flag("is_dry_run", is_dry_run),
            allow_skipped=_skip_reasons(allow_skipped),
        )
        return self._reported(this_try, verdict)

    def _set_transfers(self, this_try: CurrentTry, watch: Watch) -> SetTransfers:
        return SetTransfers(self.get_conn(), self.transfer_config, this_try.owner, self._stoppable(watch))

    def _reported(self, this_try: CurrentTry, verdict: Verdict) -> Verdict:
        report_set_lineage(self, this_try.context, verdict)
        return verdict

    def _source_or_target(self, argument: str, where: str | PrefixRef | os.PathLike[str]) -> LocationRef:
        if isinstance(where, PrefixRef) or (isinstance(where, str) and where.startswith("oss://")):
            return self._prefix(argument, where)
        return _folder(argument, where)

    def _prefix(self, argument: str, prefix: str | PrefixRef, bucket_name: str | None = None) -> PrefixRef:
        """:raises ArgumentError: also for None, because here you must name the whole bucket"""
        if not isinstance(prefix, PrefixRef):
            check_text(argument, prefix)
        try:
            return self.prefix(prefix, bucket_name)
        except ArgumentError as error:
            if error.argument != "prefix":
                raise
            raise ArgumentError(argument, error.value, error.reason) from None


def _current_try(context: Mapping[str, Any] | None) -> CurrentTry:
    return CurrentTry(context or current_context())


def _folder(argument: str, folder: str | os.PathLike[str]) -> LocalFolder:
    if not isinstance(folder, os.PathLike):
        check_text(argument, folder)
        refuse_empty(argument, folder)
    found = LocalFolder(os.fspath(folder), argument=argument)
    if os.path.realpath(found.path) == "/":
        raise ArgumentError(argument, str(folder), "this is the root of the file system; give a folder in it")
    return found


def _work_folder(where: str | None) -> str | None:
    if where is None:
        return None
    _check_uri("work_folder", where)
    return where


def _skip_reasons(allow_skipped: str | Sequence[str]) -> list[str]:
    reasons = parse_texts("allow_skipped", allow_skipped)
    for reason in reasons:
        check_choice("allow_skipped", reason, get_args(SkipReason))
    return reasons


def _check_uri(argument: str, uri: object) -> None:
    check_text(argument, uri)
    refuse_empty(argument, uri)


def _set_options(given: Mapping[str, Any]) -> SetOptions:
    """Return the options that were passed as arguments."""
    if unknown := sorted(given.keys() - _SET_OPTIONS - ObjectOptions.__annotations__.keys()):
        known = ", ".join(sorted(_SET_OPTIONS | ObjectOptions.__annotations__.keys()))
        raise ArgumentError(unknown[0], given[unknown[0]], f"unknown option; the options are {known}")
    own = {name: value for name, value in given.items() if name in _SET_OPTIONS}
    return SetOptions(**own, object_options=cast(ObjectOptions, {**given, **dict.fromkeys(own)}))
