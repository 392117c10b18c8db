"""The last plan of a source and a target: which it is, and what has been proven of it."""

from __future__ import annotations

import json
import logging

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.manifest import FORMAT
from airflow_provider_ossresume.model.plan_layout import last_name
from airflow_provider_ossresume.model.untrusted_json import read_json
from airflow_provider_ossresume.sets.ports import Watch, WorkFolder
from airflow_provider_ossresume.sets.spool import Spool
from airflow_provider_ossresume.sets.work_folder.plan_results import fact_of, what_became
from airflow_provider_ossresume.sets.work_folder.sealed_plan import read_plan, read_verdict
from airflow_provider_ossresume.sets.work_folder.watched_work_folder import Watched, watched
from airflow_provider_ossresume.transfer.crew import Crew

log = logging.getLogger(__name__)


def remember_last_plan(work: WorkFolder, pair: str, plan_id: str) -> None:
    """Say that a plan is the last one."""
    work.write(last_name(pair), json.dumps({"format": FORMAT, "plan_id": plan_id}).encode())


def last_plan_id(work: WorkFolder, pair: str) -> str | None:
    """Return the ID of the last plan that was sealed for a source and a target; None when there was none.

    :raises ManifestUnreadable: when what tells it is foreign, or of a newer version
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
    raise ManifestUnreadable(f"{work.uri}{last_name(pair)} is not of this version; use a newer one, or remove it")


def proven_by_last_plan(work: WorkFolder, pair: str, crew: Crew, spool: Spool, *, watch: Watch) -> None:
    """Take from the last plan's ledger what its batches have proven, unless its verdict says that all is known.

    What cannot be read is warned about: those files are compared again.
    """
    folder = Watched(work, crew)
    try:
        plan_id = last_plan_id(folder, pair)
        if plan_id is None:
            return
        verdict = read_verdict(folder, plan_id)
        if verdict is not None and verdict.outcome == "proven":
            return
        header = read_plan(folder, plan_id).header
        for row, became in watched(what_became(work, header, crew, tried_only=True), watch):
            if became is not None and became.is_proven and became.source and became.target:
                spool.add_fact(fact_of(row, became))
        log.info("The last plan, %s, has no proof of all its files; %s were proven", plan_id, f"{spool.facts:,}")
    except ManifestUnreadable as error:
        log.warning("What the last plan has proven is partly lost, so those files are compared again: %s", error)
