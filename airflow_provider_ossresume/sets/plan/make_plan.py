"""Makes a plan: lists source and target, decides about each name, and seals the result.

A plan exists once its ``plan.json`` exists, which is written last. A process that is killed before that leaves files
that nobody reads. If a scan fails or a limit is exceeded, no files are left.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import islice

from airflow_provider_ossresume.model import plan_layout
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.plan.comparer import COMPARE_WORKERS, Comparer
from airflow_provider_ossresume.sets.plan.name_list import ListClient, read_names
from airflow_provider_ossresume.sets.plan.overlap import check_backup_prefix, check_overlap
from airflow_provider_ossresume.sets.plan.plan_writer import PlanWriter
from airflow_provider_ossresume.sets.plan.survey import Survey
from airflow_provider_ossresume.sets.ports import Mover, Watch, WorkFolder
from airflow_provider_ossresume.sets.spool import Spool
from airflow_provider_ossresume.sets.work_folder.fact_store import FactsByName, FactStore, merge_facts
from airflow_provider_ossresume.sets.work_folder.last_plan import recover_facts, remember_last_plan
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan
from airflow_provider_ossresume.sets.work_folder.watched_work_folder import WatchedWorkFolder, with_watch
from airflow_provider_ossresume.transfer.crew import Crew

log = logging.getLogger(__name__)

MANY_STALE_FACTS = 1_000  # stale facts; with fewer, the stored facts are not rewritten
SAMPLE_NAMES = 100  # names in a report


def make_plan(
    mover: Mover,
    work: WorkFolder,
    options: SetOptions,
    *,
    is_dry_run: bool = False,
    client: ListClient | None = None,
    watch: Watch = lambda: None,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Plan:
    """List source and target, compare them, and seal a plan.

    A file that was proven before and has not changed since costs no request and no read. Memory does not grow with the
    number of files, because rows are kept in a temporary file.

    :param is_dry_run: seal the plan as a dry run, which cannot be carried out
    :param client: needed if ``files_from`` is on OSS
    :param watch: called at least four times a second; an exception from it ends the work, and nothing is sealed
    :raises ArgumentError: if ``files_from`` is not a list of names, or is empty
    :raises PlanRefused: if the plan would do something that the options do not allow; nothing has been written
    :raises OSSResumeError: if a scan fails, or the work folder cannot be written to
    """
    check_overlap(mover.source.uri, mover.target.uri, work.uri)
    if options.backup_prefix is not None:
        check_backup_prefix(options.backup_prefix, source=mover.source.uri, target=mover.target.uri, work=work.uri)
    pair = plan_layout.pair_key(mover.source.uri, mover.target.uri)
    plan_id = plan_layout.plan_id(now=now(), random=os.urandom(4))
    with Crew(workers=COMPARE_WORKERS, tick=watch) as crew, Spool() as spool, Spool() as recovered, Spool() as listed:
        if options.files_from is not None:
            read_names(options.files_from, listed, crew, client=client)
        recover_facts(work, pair, crew, recovered, watch=watch)
        folder = WatchedWorkFolder(work, crew)
        facts = FactStore(folder, pair)
        known = FactsByName(merge_facts(facts.read(), recovered.all_facts()))
        is_whole = options.files_from is None
        survey = Survey(mover, options, spool, listed=None if is_whole else listed.all_listed)
        comparer = Comparer(mover, crew)
        survey.record(comparer.decided(survey.pairs(known, work_uri=work.uri, watch=watch)), watch=watch)
        survey.check_limits()
        if not is_dry_run and not is_whole:
            if comparer.proven or recovered.facts:  # facts about files that the list does not name are kept
                newer = merge_facts(recovered.all_facts(), spool.all_facts())
                facts.replace(with_watch(merge_facts(facts.read(), newer), watch), plan_id=plan_id)
        elif not is_dry_run:
            known.skip_rest()
            is_stale = known.count - spool.facts > max(MANY_STALE_FACTS, spool.facts // 10)
            if comparer.proven or recovered.facts or is_stale:
                facts.replace(with_watch(spool.all_facts(), watch), plan_id=plan_id)
        header = PlanWriter(folder, survey, spool, plan_id, now=now(), is_dry_run=is_dry_run, watch=watch).seal()
        if not is_dry_run:
            remember_last_plan(folder, pair, plan_id)
        samples = {
            "put": spool.first_names(SAMPLE_NAMES),
            "delete": [victim.name for victim in islice(spool.all_victims(), SAMPLE_NAMES)],
        }
    plan = Plan(work.uri + plan_layout.plan_folder(plan_id), header, samples)
    _log_plan(plan)
    return plan


def _log_plan(plan: Plan) -> None:
    header = plan.header
    log.info(
        "%s %s: %s of %s files in %s (%s) will be moved to %s in %s batches; %s are already there, %s are left out, "
        "%s will be deleted",
        "Dry run" if header.is_dry_run else "Plan",
        header.plan_id,
        f"{header.actions['put']:,}",
        f"{header.found['source_files']:,}",
        header.source,
        format_size(sum(batch.size for batch in header.batches)),
        header.target,
        len(header.batches),
        f"{header.actions['same']:,}",
        f"{sum(header.left_out.values()):,}",
        f"{header.actions['delete']:,}",
    )
    listed = header.options.get("files_from")
    if listed is not None and (count := header.left_out.get("vanished", 0)):
        log.warning(
            "%s names of the list %s are not in the source %s; left_out.jsonl.gz in the plan's folder has them",
            f"{count:,}",
            listed,
            header.source,
        )
    if not header.found["source_files"]:
        log.warning(
            "The source %s has no files to transfer, and %s were left out; check its name and the filters",
            header.source,
            f"{sum(header.left_out.values()):,}",
        )
    if header.is_dry_run:
        names = plan.first_names()
        for name in names["put"]:
            log.info("Would move %s", name)
        for name in names["delete"]:
            log.info("Would delete %s", name)
