"""Says what has become of a plan as a whole, and deletes for a mirror when each row of it is proven."""

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
from airflow_provider_ossresume.sets.finish.recheck import lost_since
from airflow_provider_ossresume.sets.ports import Mover, Watch, WorkFolder
from airflow_provider_ossresume.sets.spool import ExpectedFile, Spool
from airflow_provider_ossresume.sets.work_folder.fact_store import FactStore, merged
from airflow_provider_ossresume.sets.work_folder.last_plan import last_plan_id
from airflow_provider_ossresume.sets.work_folder.plan_results import Became, fact_of, what_became
from airflow_provider_ossresume.sets.work_folder.sealed_plan import Plan, read_verdict, victims_of
from airflow_provider_ossresume.sets.work_folder.watched_work_folder import Watched, watched
from airflow_provider_ossresume.transfer.crew import Crew

log = logging.getLogger(__name__)

WORKERS = 32  # read batches and look at victims, so many at once
DELETED_AT_ONCE = 1_000  # before it is asked again whether the plan is still the last one
SHOWN = 100  # names

_KEPT = {
    "changed": "it has changed since the plan",
    "unproven": "its copy below backup_prefix is not proven, as OSS has no CRC-64 of one of them, or they differ",
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
    """Return the verdict on a plan, and write it into its folder.

    A mirror deletes what its sealed list names and is still as the plan saw it, but only when each row is proven, and
    no later plan has been sealed. To call it again, after whatever end, does no harm.

    :param allow_skipped: reasons for which a row may be skipped, such as ``vanished``; then nothing is deleted
    :param recheck: ``ledger``: what the batches have said is believed; ``list``: the target is listed once, and what
        others have deleted or overwritten since is not proven. By default the second, for what deletes, before it does
    :param watch: called at least four times a second; what it raises ends the work
    :raises NotProven: when a row is not proven; the verdict has been written, with the list of all such rows
    :raises ManifestUnreadable: when a file of the plan or its ledger cannot be read; nothing has been deleted
    :raises ArgumentError: when it is another plan's source or target
    """
    header = plan.header
    for what, end in (("source", mover.source), ("target", mover.target)):
        if end.uri != getattr(header, what):
            raise ArgumentError("plan", plan.uri, f"its {what} is {getattr(header, what)}, and not {end.uri}")
    if header.is_dry_run:
        log.info("Plan %s was a dry run: nothing is moved and nothing deleted", header.plan_id)
        return _Tally().verdict(header, "dry run")
    with Crew(workers=WORKERS, tick=watch) as crew, Spool() as spool:
        folder = Watched(work, crew)
        before = read_verdict(folder, header.plan_id)
        if before is not None and before.outcome == "proven":
            log.info("Plan %s was proven before: %s", header.plan_id, str(before))
            return before
        became = watched(what_became(work, header, crew), watch)
        return _Finish(mover, folder, header, crew, spool, recheck=recheck, watch=watch).verdict(
            became, set(allow_skipped)
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
        self._is_asked_to_list = recheck == "list"
        self._may_list = self._is_asked_to_list or (recheck is None and bool(header.deletes))
        self._pair = plan_layout.pair_key(header.source, header.target)

    def verdict(self, became: Iterable[Became], allowed: set[str]) -> Verdict:
        tally = _Tally(allowed)
        for row, said in became:
            self._take(tally, row, said)
        planned = sum(batch.files for batch in self._header.batches)
        if tally.files != planned:
            raise ManifestUnreadable(
                f"the batches of plan {self._header.plan_id} have {tally.files} rows, and it was sealed with {planned}"
            )
        if self._is_asked_to_list or (self._may_list and tally.outcome == "proven"):
            self._recheck(tally)
        if self._spool.facts:
            facts = FactStore(self._work, self._pair)
            known = watched(merged(facts.read(), self._spool.all_facts()), self._watch)
            facts.replace(known, plan_id=self._header.plan_id)
        outcome = tally.outcome
        newer = self._delete(tally, outcome)
        return self._say(tally.verdict(self._header, "not proven" if newer else outcome), newer, tally)

    def _take(self, tally: _Tally, row: Row, said: LedgerRow | None) -> None:
        if said is not None and said.is_proven:
            tally.prove(said)
            if self._may_list:
                self._spool.add_expected(ExpectedFile(row.name, said.size, said.target, said.result))
            if said.source and said.target:
                self._spool.add_fact(fact_of(row, said))
            return
        named = Named(row.name, "not_tried", "no batch has said anything of it")
        if said is not None:
            named = Named(row.name, said.reason or said.result, said.detail)
        self._spool.add_named(named)
        tally.doubt(named, said)

    def _recheck(self, tally: _Tally) -> None:
        lost = lost_since(
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
            tally.lose(expected, named)
        log.info(
            "Looked at %s once more: of %s files that were proven, %s have been deleted or overwritten since",
            self._header.target,
            f"{proven:,}",
            f"{found:,}",
        )

    # --- deletions ----------------------------------------------------------------------------------------------------

    def _delete(self, tally: _Tally, outcome: Outcome) -> str:
        """Delete what may be deleted; return the ID of a newer plan when there is one, so that nothing may."""
        victims = victims_of(self._work, self._header)
        if outcome != "proven":
            tally.kept = sum(1 for _ in victims)
            if tally.kept:
                log.warning(
                    "%s files of %s are not deleted, as not each file of plan %s is proven",
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
                if tally.kept <= SHOWN:
                    log.warning("%s is not deleted: %s", printable(victim.name), _KEPT[end])

    # --- the end ------------------------------------------------------------------------------------------------------

    def _say(self, verdict: Verdict, newer: str, tally: _Tally) -> Verdict:
        plan_id, name = self._header.plan_id, plan_layout.failed_name(self._header.plan_id)
        if self._spool.named:
            self._work.write(name, pack_rows(watched(self._spool.all_named(), self._watch)))
            verdict = replace(verdict, failed_list=self._work.uri + name)
        else:
            self._work.delete([name])  # of a finish before
        self._work.write(plan_layout.verdict_name(plan_id), verdict.text().encode())
        log.info("Verdict on plan %s: %s, %s", plan_id, verdict.outcome, str(verdict))
        if newer:
            raise NotProven(
                f"plan {newer} is newer than plan {plan_id}, so {verdict.kept:,} files of {verdict.target} are not "
                "deleted; finish the newer one",
                report=verdict,
            )
        if verdict.outcome == "not proven":
            raise NotProven(
                f"{tally.doubted:,} of {verdict.files:,} files of plan {plan_id} are not proven to be in "
                f"{verdict.target}; all of them are named in {verdict.failed_list}",
                verdict.failures,
                report=verdict,
                retryable=tally.is_retryable,
            )
        return verdict


class _Tally:
    """Counts the rows of a plan by what has become of them."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = allowed
        self.results: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.failures: dict[str, str] = {}
        self.size = self.bytes_moved = self.files = 0
        self.doubted = 0  # rows that are neither proven nor allowed to be skipped
        self.is_retryable = False
        self.deleted = self.gone = self.kept = 0

    def prove(self, said: LedgerRow) -> None:
        self.files += 1
        self.results[said.result] += 1
        self.bytes_moved += said.moved
        self.size += said.size if said.result == "done" else 0

    def doubt(self, named: Named, said: LedgerRow | None) -> None:
        self.files += 1
        self.results["not_tried" if said is None else said.result] += 1
        self._show(named)
        if said is not None and said.result == "skipped":
            self.skipped[named.reason] += 1
            if named.reason in self._allowed:
                return
        self.doubted += 1
        # What has changed or gone is for a new plan to look at again, and that needs nobody.
        self.is_retryable = self.is_retryable or said is None or said.is_retryable or said.result == "skipped"

    def lose(self, expected: ExpectedFile, named: Named) -> None:
        """Take back that a row is proven."""
        self.results[expected.result] -= 1
        self.results["failed"] += 1
        self.size -= expected.size if expected.result == "done" else 0
        self._show(named)
        self.doubted += 1
        self.is_retryable = True  # a new plan moves it again

    def _show(self, named: Named) -> None:
        if len(self.failures) < SHOWN:
            self.failures[printable(named.name)] = f"{named.reason}: {named.detail}" if named.detail else named.reason

    @property
    def outcome(self) -> Outcome:
        if self.doubted:
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
