"""The last plan of a source and a target, and the files that it has proven."""

from __future__ import annotations

import json
import logging

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.manifest import FORMAT
from airflow_provider_ossresume.model.plan_layout import last_name
from airflow_provider_ossresume.model.untrusted_json import read_json
from airflow_provider_ossresume.sets.ports import Watch, WorkFolder
from airflow_provider_ossresume.sets.spool import Spool
from airflow_provider_ossresume.sets.work_folder.plan_results import fact_of, plan_results
from airflow_provider_ossresume.sets.work_folder.sealed_plan import read_plan, read_verdict
from airflow_provider_ossresume.sets.work_folder.watched_work_folder import WatchedWorkFolder, with_watch
from airflow_provider_ossresume.transfer.crew import Crew

log = logging.getLogger(__name__)


def remember_last_plan(work: WorkFolder, pair: str, plan_id: str) -> None:
    """Record a plan as the last one."""
    work.write(last_name(pair), json.dumps({"format": FORMAT, "plan_id": plan_id}).encode())


def last_plan_id(work: WorkFolder, pair: str) -> str | None:
    """Return the ID of the last plan that was sealed for a source and a target; None if there is none.

    :raises ManifestUnreadable: if the file that names it is foreign, or of a newer version
    """
    data = work.read(last_name(pair))
    if data is None:
        return None
    try:
        match read_json(data):
            case {"format": int(number), "plan_id": str(plan_id)} if number <= FORMAT:
                return plan_id
    except ValueError:
        pass
    raise ManifestUnreadable(
        f"{work.uri}{last_name(pair)} is from another version of this provider; upgrade, or remove the file"
    )


def recover_facts(work: WorkFolder, pair: str, crew: Crew, spool: Spool, *, watch: Watch) -> None:
    """Read the facts from the ledgers of the last plan, unless that plan is proven and its facts are stored.

    If something cannot be read, a warning is logged and those files are compared again.
    """
    folder = WatchedWorkFolder(work, crew)
    try:
        plan_id = last_plan_id(folder, pair)
        if plan_id is None:
            return
        verdict = read_verdict(folder, plan_id)
        if verdict is not None and verdict.outcome == "proven":
            return
        header = read_plan(folder, plan_id).header
        for row, became in with_watch(plan_results(work, header, crew, tried_only=True), watch):
            if became is not None and became.is_proven and became.source and became.target:
                spool.add_fact(fact_of(row, became))
        log.info("The last plan, %s, did not prove all its files; %s were proven", plan_id, f"{spool.facts:,}")
    except ManifestUnreadable as error:
        log.warning("Some results of the last plan cannot be read, so those files are compared again: %s", error)
