"""Makes a plan: looks at both sides, decides about each name, and seals what is to be done.

A plan is there when its ``plan.json`` is, which is written last. What is killed before leaves files that nobody reads,
and a scan that fails, or limits that the plan would exceed, leave none.
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
from airflow_provider_ossresume.sets.plan.comparer import COMPARERS, Comparer
from airflow_provider_ossresume.sets.plan.name_list import ListClient, read_names
from airflow_provider_ossresume.sets.plan.overlap import check_apart, check_backup
from airflow_provider_ossresume.sets.plan.plan_writer import Sealer
from airflow_provider_ossresume.sets.plan.survey import Survey
from airflow_provider_ossresume.sets.ports import Mover, Watch, WorkFolder
from airflow_provider_ossresume.sets.spool import Spool
from airflow_provider_ossresume.sets.work_folder.fact_store import FactsByName, FactStore, merged
from airflow_provider_ossresume.sets.work_folder.last_plan import proven_by_last_plan, remember_last_plan
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan
from airflow_provider_ossresume.sets.work_folder.watched_work_folder import Watched, watched
from airflow_provider_ossresume.transfer.crew import Crew

log = logging.getLogger(__name__)

FEW = 1_000  # facts of files that are gone or have changed, which are not worth writing the others anew
SAMPLE = 100  # names that a report has


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
    """Look at both sides and seal what is to be done.

    Files that were proven before and have not changed since cost no request and no read. Memory does not grow with the
    number of files; rows wait in a temporary file.

    :param is_dry_run: the plan is sealed as one that is not to be carried out
    :param client: for a list of names on OSS
    :param watch: called at least four times a second; what it raises ends the work, and nothing is sealed
    :raises ArgumentError: when ``files_from`` is no list of names, or has none
    :raises PlanRefused: when the plan would do what the options do not allow; nothing has been written
    :raises OSSResumeError: when one side cannot be scanned to its end, or the work folder cannot be written to
    """
    check_apart(mover.source.uri, mover.target.uri, work.uri)
    if options.backup_prefix is not None:
        check_backup(options.backup_prefix, source=mover.source.uri, target=mover.target.uri, work=work.uri)
    pair = plan_layout.pair_key(mover.source.uri, mover.target.uri)
    plan_id = plan_layout.plan_id(now=now(), random=os.urandom(4))
    with Crew(workers=COMPARERS, tick=watch) as crew, Spool() as spool, Spool() as recovered, Spool() as listed:
        if options.files_from is not None:
            read_names(options.files_from, listed, crew, client=client)
        proven_by_last_plan(work, pair, crew, recovered, watch=watch)
        folder = Watched(work, crew)
        facts = FactStore(folder, pair)
        known = FactsByName(merged(facts.read(), recovered.all_facts()))
        is_whole = options.files_from is None
        survey = Survey(mover, options, spool, listed=None if is_whole else listed.all_listed)
        comparer = Comparer(mover, crew)
        survey.take(comparer.settled(survey.pairs(known, work_uri=work.uri, watch=watch)), watch=watch)
        survey.check_limits()
        if not is_dry_run and not is_whole:
            if comparer.proven or recovered.facts:  # of what the list does not name, all is kept
                newer = merged(recovered.all_facts(), spool.all_facts())
                facts.replace(watched(merged(facts.read(), newer), watch), plan_id=plan_id)
        elif not is_dry_run:
            known.pass_rest()
            is_stale = known.count - spool.facts > max(FEW, spool.facts // 10)
            if comparer.proven or recovered.facts or is_stale:
                facts.replace(watched(spool.all_facts(), watch), plan_id=plan_id)
        header = Sealer(folder, survey, spool, plan_id, now=now(), is_dry_run=is_dry_run, watch=watch).seal()
        if not is_dry_run:
            remember_last_plan(folder, pair, plan_id)
        samples = {
            "put": spool.first_names(SAMPLE),
            "delete": [victim.name for victim in islice(spool.all_victims(), SAMPLE)],
        }
    plan = Plan(work.uri + plan_layout.plan_folder(plan_id), header, samples)
    _tell(plan)
    return plan


def _tell(plan: Plan) -> None:
    header = plan.header
    log.info(
        "%s %s: %s of %s files of %s (%s) are to be moved to %s, in %s batches; %s are there already, %s were left "
        "out, %s are to be deleted",
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
            "%s of the names in %s are not in the source %s; left_out.jsonl.gz in the plan's folder has them",
            f"{count:,}",
            listed,
            header.source,
        )
    if not header.found["source_files"]:
        log.warning(
            "The source %s has no file that is to be transferred, and %s were left out; see that it is rightly named",
            header.source,
            f"{sum(header.left_out.values()):,}",
        )
    if header.is_dry_run:
        names = plan.first_names()
        for name in names["put"]:
            log.info("Would move %s", name)
        for name in names["delete"]:
            log.info("Would delete %s", name)
