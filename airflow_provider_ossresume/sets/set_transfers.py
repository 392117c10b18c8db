"""Moves many files: step by step, by the URIs of a plan and its batches, or in one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from airflow_provider_ossresume.errors import ArgumentError, NotProven
from airflow_provider_ossresume.model.checkpoint import Owner
from airflow_provider_ossresume.model.manifest import PlanHeader, Recheck
from airflow_provider_ossresume.model.object_names import parse_oss_url
from airflow_provider_ossresume.model.object_options import object_headers
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.plan_layout import split_batch_uri, split_plan_uri
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.sets.batch.batch_report import BatchReport
from airflow_provider_ossresume.sets.batch.run_batch import run_batch
from airflow_provider_ossresume.sets.finish.finish_plan import finish_plan
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers.folder_upload import FolderUpload
from airflow_provider_ossresume.sets.movers.mover_base import MoverSettings
from airflow_provider_ossresume.sets.movers.prefix_backup import PrefixBackup
from airflow_provider_ossresume.sets.movers.prefix_copy import PrefixCopy
from airflow_provider_ossresume.sets.movers.prefix_download import PrefixDownload
from airflow_provider_ossresume.sets.plan.make_plan import make_plan
from airflow_provider_ossresume.sets.ports import Mover, Watch, WorkFolder
from airflow_provider_ossresume.sets.work_folder.ledger import Ledger
from airflow_provider_ossresume.sets.work_folder.open_work_folder import open_work_folder
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan, read_batch, read_plan
from airflow_provider_ossresume.sets.work_folder.work_checkpoints import WorkFolderCheckpoints
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.lease import this_process
from airflow_provider_ossresume.transfer.options import split_headers
from airflow_provider_ossresume.transfer.paths import path_of_uri

log = logging.getLogger(__name__)

DEFAULT_WORK_FOLDER = ".ossresume/"  # in the target's bucket or folder

LocationRef = LocalFolder | PrefixRef


@dataclass(frozen=True)
class SetTransfers:
    """Moves many files with one client.

    :param config: how each file is moved
    :param owner: this try; its number is 0 outside Airflow
    :param watch: called at least four times a second in the calling thread; an exception from it ends the work
    """

    client: OssClient
    config: TransferConfig = field(default_factory=TransferConfig)
    owner: Owner = field(default_factory=this_process)
    watch: Watch = lambda: None

    def plan(
        self,
        source: LocationRef,
        target: LocationRef,
        *,
        options: SetOptions,
        work_folder: str | None = None,
        is_dry_run: bool = False,
    ) -> Plan:
        """List source and target, and seal a plan.

        See :func:`~airflow_provider_ossresume.sets.plan.make_plan.make_plan`.

        :param work_folder: an ``oss://bucket/prefix/`` URL or a path; by default ``.ossresume/`` in the target's bucket
            or folder
        """
        work = self._work(work_folder or default_work_folder(target))
        return self._plan(self._mover(source, target, options, work), work, options, is_dry_run=is_dry_run)

    def run_batch(self, batch_uri: str, *, on_label: Callable[[str], None] = lambda label: None) -> BatchReport:
        """Move one batch of a plan.

        :param batch_uri: one of :attr:`~airflow_provider_ossresume.sets.work_folder.sealed_plan.Plan.batch_uris`
        :param on_label: called with a label of the batch, for the UI, before anything moves
        :raises NotProven: if files failed; all others have been moved
        """
        work_uri, plan_id, _ = split_batch_uri(batch_uri)
        work = self._work(work_uri)
        plan = read_plan(work, plan_id)
        batch = plan.batch(batch_uri)
        on_label(f"{batch.number}: {batch.files:,} file{'s' * (batch.files != 1)}, {format_size(batch.size)}")
        return self._run_batch(self._mover_of_plan(plan.header, work), work, plan, batch_uri)

    def finish(self, plan_uri: str, *, allow_skipped: Collection[str] = (), recheck: Recheck | None = None) -> Verdict:
        """Return the verdict on a plan; see :func:`~airflow_provider_ossresume.sets.finish.finish_plan.finish_plan`."""
        work_uri, plan_id = split_plan_uri(plan_uri)
        work = self._work(work_uri)
        plan = read_plan(work, plan_id)
        mover = self._mover_of_plan(plan.header, work)
        return finish_plan(mover, work, plan, allow_skipped=allow_skipped, recheck=recheck, watch=self.watch)

    def transfer(
        self,
        source: LocationRef,
        target: LocationRef,
        *,
        options: SetOptions,
        work_folder: str | None = None,
        is_dry_run: bool = False,
        allow_skipped: Collection[str] = (),
    ) -> Verdict:
        """Plan, move every batch, and finish. A batch that fails does not stop the others.

        :raises NotProven: if not every file is proven
        """
        work = self._work(work_folder or default_work_folder(target))
        mover = self._mover(source, target, options, work)
        plan = self._plan(mover, work, options, is_dry_run=is_dry_run)
        for uri in plan.batch_uris:
            try:
                self._run_batch(mover, work, plan, uri)
            except NotProven as error:
                log.warning("%s", error)
        verdict = finish_plan(mover, work, plan, allow_skipped=allow_skipped, watch=self.watch)
        return replace(verdict, first_names=plan.first_names()) if is_dry_run else verdict

    def _plan(self, mover: Mover, work: WorkFolder, options: SetOptions, *, is_dry_run: bool) -> Plan:
        return make_plan(mover, work, options, is_dry_run=is_dry_run, client=self.client, watch=self.watch)

    def _run_batch(self, mover: Mover, work: WorkFolder, plan: Plan, batch_uri: str) -> BatchReport:
        batch = plan.batch(batch_uri)
        report = run_batch(
            mover,
            plan.header,
            batch,
            read_batch(work, batch_uri),
            Ledger(work, plan.header.plan_id, batch.number, self.owner.try_number),
            config=self.config,
            watch=self.watch,
            check_first=True if self.owner.try_number > 1 else None,
        )
        report.raise_for_failures()
        return report

    # --- building a mover ---------------------------------------------------------------------------------------------

    def _work(self, where: str) -> WorkFolder:
        return open_work_folder(where, self.client)

    def _mover_of_plan(self, header: PlanHeader, work: WorkFolder) -> Mover:
        return self._mover(
            parse_location(header.source), parse_location(header.target), SetOptions.of_json(header.options), work
        )

    def _mover(self, source: LocationRef, target: LocationRef, options: SetOptions, work: WorkFolder) -> Mover:
        with_requests, _ = split_headers(object_headers("name", options.object_options))
        client = self.client.with_headers(with_requests)
        settings = MoverSettings(
            options,
            lambda: WorkFolderCheckpoints(work),
            self.config,
            self.owner,
            lambda key: split_headers(object_headers(key, options.object_options))[1],
        )
        if options.backup_prefix is not None and isinstance(target, PrefixRef):
            to = OssPrefix(client, PrefixRef(*parse_oss_url(options.backup_prefix)))
            settings = replace(settings, backup=PrefixBackup(client, OssPrefix(client, target), to, settings=settings))
        if isinstance(source, LocalFolder) and isinstance(target, PrefixRef):
            return FolderUpload(client, source, OssPrefix(client, target), settings=settings)
        if isinstance(source, PrefixRef) and isinstance(target, LocalFolder):
            return PrefixDownload(client, OssPrefix(client, source), target, settings=settings)
        if isinstance(source, PrefixRef) and isinstance(target, PrefixRef):
            return PrefixCopy(client, OssPrefix(client, source), OssPrefix(client, target), settings=settings)
        raise ArgumentError(
            "target", str(target), "source and target are both local folders; give an oss:// URL for one of them"
        )


def parse_location(uri: str) -> LocationRef:
    """Return the folder or prefix that a plan's URI names."""
    if uri.startswith("oss://"):
        bucket, prefix = parse_oss_url(uri)
        return PrefixRef(bucket, prefix)
    return LocalFolder(path_of_uri(uri))


def default_work_folder(target: LocationRef) -> str:
    """Return the work folder that is used if none is given."""
    if isinstance(target, PrefixRef):
        return f"oss://{target.bucket}/{DEFAULT_WORK_FOLDER}"
    return f"{target.uri}{DEFAULT_WORK_FOLDER}"
