"""Removes old plans from a work folder, with their ledgers and verdicts, and old facts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import groupby, islice

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.cleanup_reports import WorkFolderReport
from airflow_provider_ossresume.model.plan_layout import (
    LAST,
    PLANS,
    facts_folder,
    facts_name,
    header_name,
    last_name,
    pair_of,
    planned_at,
)
from airflow_provider_ossresume.sets.ports import Watch, WorkFolder
from airflow_provider_ossresume.sets.work_folder.last_plan import last_plan_id
from airflow_provider_ossresume.sets.work_folder.watched_work_folder import WatchedWorkFolder
from airflow_provider_ossresume.transfer.crew import Crew

log = logging.getLogger(__name__)

AT_ONCE = 1_000  # names deleted by one call


def clean_work_folder(
    work: WorkFolder,
    *,
    older_than: timedelta,
    is_dry_run: bool,
    watch: Watch = lambda: None,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> WorkFolderReport:
    """Remove the plans older than ``older_than``, and the facts about a source and target whose last plan is that old.

    Anything else in the work folder is left alone. The age of a plan comes from its ID.

    :param is_dry_run: remove nothing, and report what would be removed
    :param watch: called at least four times a second; an exception from it ends the work
    :raises OSSResumeError: if the work folder cannot be listed or written to; earlier removals stay
    """
    oldest = now() - older_than
    report = WorkFolderReport(work.uri, is_dry_run)
    with Crew(workers=1, tick=watch) as crew:
        watched_folder = WatchedWorkFolder(work, crew)
        # Before the plans are removed, because the last plan's ID shows the age of the facts.
        for pair in list(_pairs(watched_folder)):
            _clean_pair(watched_folder, pair, oldest, report)
        for folder, names in groupby(watched_folder.names(PLANS), key=_plan_folder):
            _clean_plan(watched_folder, folder, names, oldest, report)
    report.seal()
    log.info("Checked %s", str(report))
    return report


def _clean_plan(
    work: WorkFolder, folder: str, names: Iterable[str], oldest: datetime, report: WorkFolderReport
) -> None:
    made = planned_at(folder)
    if made is None:
        report.foreign += 1
        log.info("%s%s is kept because its name is not that of a plan", work.uri, folder)
    elif made >= oldest:
        report.kept_young += 1
    else:
        if not report.dry_run:
            work.delete([header_name(folder.split("/")[1])])  # first, so that nobody reads half a plan
        _remove(work, names, report)
        report.plans += 1
        report.name(folder)
        log.info("%s %s%s", "Would remove" if report.dry_run else "Removed", work.uri, folder)


def _clean_pair(work: WorkFolder, pair: str, oldest: datetime, report: WorkFolderReport) -> None:
    try:
        plan_id = last_plan_id(work, pair)
    except ManifestUnreadable as error:
        report.foreign += 1
        log.info("The facts of %s are kept: %s", pair, error)
        return
    made = planned_at(f"{PLANS}{plan_id}/") if plan_id else None
    if made is None or made >= oldest:
        return
    _remove(work, work.names(facts_folder(pair)), report)
    _remove(work, [facts_name(pair), last_name(pair)], report)
    report.pairs += 1


def _remove(work: WorkFolder, names: Iterable[str], report: WorkFolderReport) -> None:
    rest = iter(names)
    while page := list(islice(rest, AT_ONCE)):
        if not report.dry_run:
            work.delete(page)
        report.files += len(page)


def _pairs(work: WorkFolder) -> Iterator[str]:
    """Yield the key of each source and target that has a last plan."""
    for name in work.names(LAST):
        if pair := pair_of(name):
            yield pair


def _plan_folder(name: str) -> str:
    return "/".join(name.split("/")[:2]) + "/"
