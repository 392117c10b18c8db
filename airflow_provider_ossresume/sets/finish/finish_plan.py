"""Proves a plan as a whole, then deletes what a mirror has to delete."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import islice

from airflow_provider_ossresume.errors import ArgumentError, ManifestUnreadable, NotProven
from airflow_provider_ossresume.model import plan_layout
from airflow_provider_ossresume.model.entries import printable
from airflow_provider_ossresume.model.manifest import LedgerRow, Named, PlanHeader, Recheck, Row, Victim
from airflow_provider_ossresume.model.packed_rows import pack_rows
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.model.verdict import Outcome, Verdict
from airflow_provider_ossresume.sets.finish.recheck import find_lost
from airflow_provider_ossresume.sets.ports import Mover, Watch, WorkFolder
from airflow_provider_ossresume.sets.spool import ExpectedFile, Spool
from airflow_provider_ossresume.sets.work_folder.fact_store import FactStore, merge_facts
from airflow_provider_ossresume.sets.work_folder.last_plan import last_plan_id
from airflow_provider_ossresume.sets.work_folder.plan_results import RowResult, fact_of, plan_results
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan, read_verdict, victims_of
from airflow_provider_ossresume.sets.work_folder.watched_work_folder import WatchedWorkFolder, with_watch
from airflow_provider_ossresume.transfer.crew import Crew

log = logging.getLogger(__name__)

WORKERS = 32  # threads that read batches and check files before their deletion
DELETED_AT_ONCE = 1_000  # files; then the finish checks again that there is no newer plan
NAMES_SHOWN = 100  # names of each kind in the log and the verdict

_WHY_KEPT = {
    "changed": "it has changed since the plan",
    "unproven": "its copy below backup_prefix is not proven: OSS has no CRC-64 for one of the two, or they differ",
}


def finish_plan(
    mover: Mover,
    work: WorkFolder,
    plan: Plan,
    *,
    allow_skipped: Collection[str] = (),
    recheck: Recheck | None = None,
    watch: Watch = lambda: None,
) -> Verdict:
    """Return the verdict on a plan, and write it into the plan's folder.

    A mirror deletes only files that its sealed list names and that have not changed since the plan. It deletes nothing
    unless every row is proven and there is no newer plan. You can call this again after any failure.

    :param allow_skipped: reasons for which a row may be skipped, such as ``vanished``; if one is, nothing is deleted
    :param recheck: ``ledger``: trust the ledgers of the batches. ``list``: list the target once; files that others have
        deleted or overwritten since are not proven. By default ``list`` if the plan deletes anything, else ``ledger``
    :param watch: called at least four times a second; an exception from it ends the work
    :raises NotProven: if a row is not proven; the verdict, with the list of all such rows, has been written
    :raises ManifestUnreadable: if a file of the plan or its ledger cannot be read; nothing has been deleted
    :raises ArgumentError: if the plan has another source or target
    """
    header = plan.header
    for what, end in (("source", mover.source), ("target", mover.target)):
        if end.uri != getattr(header, what):
            raise ArgumentError(
                "plan", plan.uri, f"its {what} is {getattr(header, what)}, not {end.uri}; pass the plan of this {what}"
            )
    if header.is_dry_run:
        log.info("Plan %s is a dry run: nothing is moved or deleted", header.plan_id)
        return _Tally().verdict(header, "dry run")
    with Crew(workers=WORKERS, tick=watch) as crew, Spool() as spool:
        folder = WatchedWorkFolder(work, crew)
        before = read_verdict(folder, header.plan_id)
        if before is not None and before.outcome == "proven":
            log.info("Plan %s is already proven: %s", header.plan_id, str(before))
            return before
        results = with_watch(plan_results(work, header, crew), watch)
        return _Finish(mover, folder, header, crew, spool, recheck=recheck, watch=watch).verdict(
            results, set(allow_skipped)
        )


class _Finish:
    """One finish of a plan."""

    def __init__(
        self,
        mover: Mover,
        work: WorkFolder,
        header: PlanHeader,
        crew: Crew,
        spool: Spool,
        *,
        recheck: Recheck | None,
        watch: Watch,
    ) -> None:
        self._mover = mover
        self._work = work
        self._header = header
        self._crew = crew
        self._spool = spool
        self._watch = watch
        self._must_list = recheck == "list"
        self._will_list = self._must_list or (recheck is None and bool(header.deletes))
        self._pair = plan_layout.pair_key(header.source, header.target)

    def verdict(self, results: Iterable[RowResult], allowed: set[str]) -> Verdict:
        tally = _Tally(allowed)
        for row, ledger_row in results:
            self._count(tally, row, ledger_row)
        planned = sum(batch.files for batch in self._header.batches)
        if tally.files != planned:
            raise ManifestUnreadable(
                f"the batches of plan {self._header.plan_id} have {tally.files} rows instead of {planned}; make a new "
                "plan"
            )
        if self._must_list or (self._will_list and tally.outcome == "proven"):
            self._recheck(tally)
        if self._spool.facts:
            facts = FactStore(self._work, self._pair)
            known = with_watch(merge_facts(facts.read(), self._spool.all_facts()), self._watch)
            facts.replace(known, plan_id=self._header.plan_id)
        outcome = tally.outcome
        newer = self._delete(tally, outcome)
        return self._publish(tally.verdict(self._header, "not proven" if newer else outcome), newer, tally)

    def _count(self, tally: _Tally, row: Row, ledger_row: LedgerRow | None) -> None:
        if ledger_row is not None and ledger_row.is_proven:
            tally.count_proven(ledger_row)
            if self._will_list:
                self._spool.add_expected(ExpectedFile(row.name, ledger_row.size, ledger_row.target, ledger_row.result))
            if ledger_row.source and ledger_row.target:
                self._spool.add_fact(fact_of(row, ledger_row))
            return
        named = Named(row.name, "not_tried", "no batch has reported it")
        if ledger_row is not None:
            named = Named(row.name, ledger_row.reason or ledger_row.result, ledger_row.detail)
        self._spool.add_named(named)
        tally.count_unproven(named, ledger_row)

    def _recheck(self, tally: _Tally) -> None:
        lost = find_lost(
            self._mover.target,
            self._spool.all_expected(),
            SetOptions.of_json(self._header.options),
            self._crew,
            work_uri=self._work.uri,
            watch=self._watch,
        )
        proven, found = tally.results["done"] + tally.results["same"], 0
        for expected, named in lost:
            found += 1
            self._spool.add_named(named)
            tally.count_lost(expected, named)
        log.info(
            "Checked %s again: %s of %s proven files were deleted or overwritten after their batch",
            self._header.target,
            f"{found:,}",
            f"{proven:,}",
        )

    # --- deletions ----------------------------------------------------------------------------------------------------

    def _delete(self, tally: _Tally, outcome: Outcome) -> str:
        """Delete the mirror's deletions if every row is proven. If there is a newer plan, stop and return its ID."""
        victims = victims_of(self._work, self._header)
        if outcome != "proven":
            tally.kept = sum(1 for _ in victims)
            if tally.kept:
                log.warning(
                    "%s files in %s are not deleted because not every file of plan %s is proven",
                    f"{tally.kept:,}",
                    self._header.target,
                    self._header.plan_id,
                )
            return ""
        while page := list(islice(victims, DELETED_AT_ONCE)):
            newer = last_plan_id(self._work, self._pair)
            if newer not in (None, self._header.plan_id):
                tally.kept += len(page) + sum(1 for _ in victims)
                return str(newer)
            self._delete_page(page, tally)
        return ""

    def _delete_page(self, page: list[Victim], tally: _Tally) -> None:
        for victim, end in self._mover.delete(page, self._crew):
            if end == "deleted":
                tally.deleted += 1
            elif end == "gone":
                tally.gone += 1
            else:
                tally.kept += 1
                if tally.kept <= NAMES_SHOWN:
                    log.warning("%s was not deleted: %s", printable(victim.name), _WHY_KEPT[end])

    # --- the verdict --------------------------------------------------------------------------------------------------

    def _publish(self, verdict: Verdict, newer: str, tally: _Tally) -> Verdict:
        plan_id, name = self._header.plan_id, plan_layout.failed_name(self._header.plan_id)
        if self._spool.named:
            self._work.write(name, pack_rows(with_watch(self._spool.all_named(), self._watch)))
            verdict = replace(verdict, failed_list=self._work.uri + name)
        else:
            self._work.delete([name])  # of an earlier finish
        self._work.write(plan_layout.verdict_name(plan_id), verdict.text().encode())
        log.info("Verdict on plan %s: %s, %s", plan_id, verdict.outcome, str(verdict))
        if newer:
            raise NotProven(
                f"plan {newer} is newer than plan {plan_id}, so {verdict.kept:,} files in {verdict.target} are not "
                "deleted; finish the newer plan",
                report=verdict,
            )
        if verdict.outcome == "not proven":
            raise NotProven(
                f"{tally.unproven:,} of {verdict.files:,} files of plan {plan_id} are not proven to be in "
                f"{verdict.target}; {verdict.failed_list} names all of them",
                verdict.failures,
                report=verdict,
                retryable=tally.is_retryable,
            )
        return verdict


class _Tally:
    """Counts the rows of a plan by their results."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = allowed
        self.results: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.failures: dict[str, str] = {}
        self.size = self.bytes_moved = self.files = 0
        self.unproven = 0  # rows that are neither proven nor skipped for an allowed reason
        self.is_retryable = False
        self.deleted = self.gone = self.kept = 0

    def count_proven(self, ledger_row: LedgerRow) -> None:
        self.files += 1
        self.results[ledger_row.result] += 1
        self.bytes_moved += ledger_row.moved
        self.size += ledger_row.size if ledger_row.result == "done" else 0

    def count_unproven(self, named: Named, ledger_row: LedgerRow | None) -> None:
        self.files += 1
        self.results["not_tried" if ledger_row is None else ledger_row.result] += 1
        self._show(named)
        if ledger_row is not None and ledger_row.result == "skipped":
            self.skipped[named.reason] += 1
            if named.reason in self._allowed:
                return
        self.unproven += 1
        # A new plan can handle a changed or vanished file by itself.
        self.is_retryable = (
            self.is_retryable or ledger_row is None or ledger_row.is_retryable or ledger_row.result == "skipped"
        )

    def count_lost(self, expected: ExpectedFile, named: Named) -> None:
        """Count a row that was proven and no longer is."""
        self.results[expected.result] -= 1
        self.results["failed"] += 1
        self.size -= expected.size if expected.result == "done" else 0
        self._show(named)
        self.unproven += 1
        self.is_retryable = True  # a new plan moves it again

    def _show(self, named: Named) -> None:
        if len(self.failures) < NAMES_SHOWN:
            self.failures[printable(named.name)] = f"{named.reason}: {named.detail}" if named.detail else named.reason

    @property
    def outcome(self) -> Outcome:
        if self.unproven:
            return "not proven"
        return "allowed" if self.skipped else "proven"

    def verdict(self, header: PlanHeader, outcome: Outcome) -> Verdict:
        return Verdict(
            plan_id=header.plan_id, source=header.source, target=header.target, mode=header.mode, outcome=outcome,
            files=self.files or sum(batch.files for batch in header.batches), moved=self.results["done"],
            same=self.results["same"], there=header.actions.get("same", 0), size=self.size,
            bytes_moved=self.bytes_moved, skipped=dict(self.skipped), failed=self.results["failed"],
            not_tried=self.results["not_tried"], deleted=self.deleted, gone=self.gone, kept=self.kept,
            left_out=dict(header.left_out), failures=self.failures,
        )  # fmt: skip
