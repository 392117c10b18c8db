"""Writes a plan into its work folder: first its other files, last the header that seals it."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_ossresume import __version__
from airflow_provider_ossresume.model import plan_layout
from airflow_provider_ossresume.model.batch_assignment import count_batches
from airflow_provider_ossresume.model.manifest import BatchHeader, PlanHeader
from airflow_provider_ossresume.model.packed_rows import RowPacker, pack_rows
from airflow_provider_ossresume.sets.plan.survey import Survey
from airflow_provider_ossresume.sets.ports import Watch
from airflow_provider_ossresume.sets.spool import Spool
from airflow_provider_ossresume.sets.work_folder.watched_work_folder import WatchedWorkFolder, with_watch


class PlanWriter:
    """Writes and seals one plan.

    :param survey: the findings
    :param spool: the rows, deletions and facts
    """

    def __init__(
        self,
        work: WatchedWorkFolder,
        survey: Survey,
        spool: Spool,
        plan_id: str,
        *,
        now: datetime,
        is_dry_run: bool,
        watch: Watch,
    ) -> None:
        self._work = work
        self._survey = survey
        self._spool = spool
        self._plan_id = plan_id
        self._folder = plan_layout.plan_folder(plan_id)
        self._now = now
        self._is_dry_run = is_dry_run
        self._watch = watch

    def seal(self) -> PlanHeader:
        if self._spool.named:
            self._work.write(
                plan_layout.left_out_name(self._plan_id), pack_rows(with_watch(self._spool.all_named(), self._watch))
            )
        header = self._header(deletes=self._write_deletes(), batches=self._write_batches())
        self._work.create(plan_layout.header_name(self._plan_id), header.text().encode())
        return header

    def _write_deletes(self) -> str:
        if not self._spool.victims:
            return ""
        data = pack_rows(with_watch(self._spool.all_victims(), self._watch))
        name = plan_layout.deletes_name(data)
        self._work.write(self._folder + name, data)
        return name

    def _write_batches(self) -> tuple[BatchHeader, ...]:
        options = self._survey.options
        count = count_batches(
            files=self._spool.rows, size=self._spool.size, batch_files=int(options.batch_files),
            batch_bytes=int(options.batch_bytes), max_batches=int(options.max_batches),
        )  # fmt: skip
        self._spool.assign_batches(count)
        headers: list[BatchHeader] = []
        self._work.write_many(self._batch(number, headers) for number in range(count))
        return tuple(headers)

    def _batch(self, number: int, headers: list[BatchHeader]) -> tuple[str, bytes]:
        packer, size = RowPacker(), 0
        for row in with_watch(self._spool.rows_of(number), self._watch):
            packer.add(row)
            size += row.size
        data = packer.bytes()
        headers.append(BatchHeader(number, plan_layout.batch_name(number, data), packer.rows, size))
        return f"{self._folder}batches/{headers[-1].name}", data

    def _header(self, *, deletes: str, batches: tuple[BatchHeader, ...]) -> PlanHeader:
        survey, options = self._survey, self._survey.options
        return PlanHeader(
            plan_id=self._plan_id, provider=__version__, source=survey.source, target=survey.target,
            mode=options.mode, compare=options.compare, batches=batches, deletes=deletes, options=options.as_json(),
            found=dict(survey.found), actions=dict(survey.actions), left_out=dict(survey.left_out),
            is_dry_run=self._is_dry_run, made_at=f"{self._now:%Y-%m-%dT%H:%M:%SZ}",
        )  # fmt: skip
