"""Goes through the names of source and target, decides about each, and checks the limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

from airflow_provider_ossresume.errors import PlanRefused
from airflow_provider_ossresume.model.entries import Entry, LeftOut, printable
from airflow_provider_ossresume.model.manifest import Named, Victim
from airflow_provider_ossresume.model.plan_decisions import decide, still_holds
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.name_lookup import look_up_both
from airflow_provider_ossresume.sets.plan.comparer import ComparedPair
from airflow_provider_ossresume.sets.plan.merge_scans import scan_both
from airflow_provider_ossresume.sets.ports import Mover, NameRules, ScanItem, Watch
from airflow_provider_ossresume.sets.spool import Spool
from airflow_provider_ossresume.sets.work_folder.fact_store import FactsByName

NAMES_IN_ERROR = 100  # names in an error


class Survey:
    """The findings of one plan.

    :param spool: stores the rows, deletions and facts
    :param listed: returns the names to look up, in the order of their bytes; None to scan both sides
    :ivar found: number of files and bytes
    :ivar actions: number of names for each decision
    :ivar left_out: number of names of the source that are left out, by reason
    """

    def __init__(
        self,
        mover: Mover,
        options: SetOptions,
        spool: Spool,
        *,
        listed: Callable[[], Iterator[bytes]] | None = None,
    ) -> None:
        self._mover = mover
        self._listed = listed
        self._spool = spool
        self.options = options
        self.source, self.target = mover.source.uri, mover.target.uri
        self.found: Counter[str] = Counter(source_files=0, source_bytes=0, target_files=0)
        self.actions: Counter[str] = Counter(put=0, same=0, delete=0, keep=0)
        self.left_out: Counter[str] = Counter()
        self._names: NameRules | None = None  # of the target, once it is scanned

    def pairs(self, known: FactsByName, *, work_uri: str, watch: Watch) -> Iterator[ComparedPair]:
        """Yield source and target of each name, with the decision. It may be ``compare``, to be decided later.

        :raises PlanRefused: as soon as there are more files than the options allow
        """
        source_end, target_end = self._mover.source, self._mover.target
        self._names = target_end.name_rules()
        both: Iterator[tuple[ScanItem | None, ScanItem | None]]
        if self._listed is None:
            both = scan_both(source_end, target_end, self.options, work_uri=work_uri, watch=watch, names=self._names)
        else:
            both = look_up_both(
                source_end, target_end, self._listed(), self.options, work_uri=work_uri, watch=watch, rules=self._names
            )
        for from_source, from_target in both:
            self._count(from_source, from_target)
            source = from_source if isinstance(from_source, Entry) else None
            target = from_target if isinstance(from_target, Entry) else None
            if source is not None:
                fact = known.get(source.name)
                if fact is not None and (target is None or not still_holds(fact, source, target, self.options)):
                    fact = None
                yield ComparedPair(
                    source, target, decide(source, target, self.options, is_proven=fact is not None), fact
                )
            elif from_source is None and target is not None:
                yield ComparedPair(None, target, decide(None, target, self.options, is_proven=False))

    def _count(self, source: Entry | LeftOut | None, target: Entry | LeftOut | None) -> None:
        self.found["target_files"] += target is not None
        if isinstance(source, LeftOut):
            self.left_out[source.reason] += 1
            self._spool.add_named(Named(source.name, source.reason, source.detail))
        elif source is not None:
            self.found["source_files"] += 1
            self.found["source_bytes"] += source.size
            if self.found["source_files"] > int(self.options.max_files):
                raise PlanRefused(
                    f"the source {self.source} has more than max_files={self.options.max_files} files; "
                    "raise max_files, or transfer its sub-folders one by one"
                )

    def record(self, pairs: Iterator[ComparedPair], *, watch: Watch = lambda: None) -> None:
        """Store the decisions."""
        for pair in pairs:
            self.actions[pair.decision] += 1
            source, target = pair.source, pair.target
            if source is not None and pair.decision == "put":
                was = target.identity if target else None
                self._spool.add_row(name=source.name, size=source.size, identity=source.identity, was=was)
            elif pair.decision == "same" and pair.fact is not None:
                self._spool.add_fact(pair.fact)
            elif target is not None and pair.decision == "delete":
                self._spool.add_victim(Victim(target.name, target.size, target.identity))
        self._keep_case_twins(watch)

    def _keep_case_twins(self, watch: Watch) -> None:
        """Keep files whose names differ only in case from a source name, if the target folder ignores case."""
        names = self._names
        if names is not None and (spared := self._spool.remove_victims(names.is_taken, watch=watch)):
            self.actions["delete"] -= spared
            self.actions["keep"] += spared

    def check_limits(self) -> None:
        """:raises PlanRefused: if the source is empty, or a mirror would delete more than is allowed"""
        options, target = self.options, self.target
        if options.mode != "mirror":
            if not self.found["source_files"] and not self.left_out.total() and not options.allow_empty_source:
                raise PlanRefused(
                    f"the source {self.source} is empty; check that it is mounted and its name is right, or set "
                    "allow_empty_source"
                )
            return
        if not self.found["source_files"] and not options.allow_empty_source:
            raise PlanRefused(
                f"the source {self.source} has no files, so the mirror would delete everything in {target}; check that "
                "the source is mounted and its name is right, or set allow_empty_source"
            )
        count, files = self._spool.victims, self.found["target_files"]
        share = float(options.max_delete_share)
        if count > int(options.max_delete):
            self._refuse(count, f"max_delete={options.max_delete}")
        if count > share * files:
            self._refuse(count, f"max_delete_share={share:g} of its {files:,} files")

    def _refuse(self, count: int, limit: str) -> None:
        names = {
            printable(victim.name): "to be deleted" for victim in islice(self._spool.all_victims(), NAMES_IN_ERROR)
        }
        raise PlanRefused(
            f"the mirror would delete {count:,} files in {self.target}, more than {limit} allows; check that the "
            "source is complete, or raise the limit",
            names,
        )
