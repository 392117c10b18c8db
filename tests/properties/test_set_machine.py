"""Hypothesis drives sets: any program of plans, batches, finishes, faults, kills and other hands keeps the rules.

A failing program is printed in its shortest form, and is the same one on each run. Its lines, put into a test with
``state = UploadMachine()`` in front, run it alone.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.manifest import Recheck
from tests.properties.set_events import FAULTS, NAMES, VERSIONS, Event
from tests.properties.set_mutants import MUTANTS, Mutant
from tests.properties.set_rules import Planned
from tests.properties.set_tries import Mode, SetTries
from tests.world import BUCKET

pytestmark = pytest.mark.slow

Write = tuple[bool, str, int | None]  # to the source, or to the target

names = st.sampled_from(NAMES)
versions = st.sampled_from([None, *range(VERSIONS)])
contents = st.dictionaries(names, st.integers(0, VERSIONS - 1))
kinds = st.sampled_from([*FAULTS, *2 * ["killed", "killed after", "source", "target", "twin"]])
events = st.lists(st.builds(Event, kinds, st.integers(1, 25), names, versions), max_size=2)
early_events = st.lists(st.builds(Event, kinds, st.integers(1, 8), names, versions), max_size=2)
writes = st.lists(st.tuples(st.booleans(), names, versions), max_size=2)
modes = st.sampled_from(["copy", "mirror", "mirror"])
rechecks = st.sampled_from([None, None, "list", "ledger"])
age = st.sampled_from([0, 0, 0, 1])  # of the plan: the last one, or the one before


class Machine(RuleBasedStateMachine):
    """Tries of one set, one after the other and within each other."""

    direction: str

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self.tries = SetTries(self._stack.enter_context(LocalOSS(buckets=(BUCKET,))), Path(folder), self.direction)

    @initialize(source=contents, there=contents)
    def some_files_are_there(self, source: dict[str, int], there: dict[str, int]) -> None:
        for name, version in source.items():
            self.tries.write_source(name, version)
        for name, version in there.items():
            self.tries.write_target(name, version)

    # --- rules --------------------------------------------------------------------------------------------------------

    @rule(name=names, version=versions)
    def others_write_to_the_source(self, name: str, version: int | None) -> None:
        self.tries.write_source(name, version)

    @rule(name=names, version=versions)
    def others_write_to_the_target(self, name: str, version: int | None) -> None:
        self.tries.write_target(name, version)

    @rule(mode=modes, events=early_events)
    def a_plan_is_made(self, mode: Mode, events: list[Event]) -> None:
        self.tries.plan(mode, *events)

    @precondition(lambda self: self.tries.plans)
    @rule(age=age, batch=st.integers(0, 2), is_new_try=st.booleans(), events=events)
    def a_batch_is_run(self, age: int, batch: int, is_new_try: bool, events: list[Event]) -> None:
        planned = self._planned(age)
        if count := len(planned.plan.batch_uris):
            self.tries.run(planned, batch % count, *events, is_new_try=is_new_try)

    @precondition(lambda self: self.tries.plans)
    @rule(age=age)
    def all_batches_are_run(self, age: int) -> None:
        planned = self._planned(age)
        for number in range(len(planned.plan.batch_uris)):
            self.tries.run(planned, number)

    @precondition(lambda self: self.tries.plans)
    @rule(age=age, recheck=rechecks, events=events)
    def a_plan_is_finished(self, age: int, recheck: Recheck | None, events: list[Event]) -> None:
        self.tries.finish(self._planned(age), recheck, *events)

    @rule(mode=modes, first=early_events, early=writes, late=writes, recheck=rechecks, last=events)
    def a_whole_run(
        self,
        mode: Mode,
        first: list[Event],
        early: list[Write],
        late: list[Write],
        recheck: Recheck | None,
        last: list[Event],
    ) -> None:
        """A plan that meets the first events, its batches, a finish that meets the last; others write in between."""
        planned = self.tries.plan(mode, *first)
        if planned is None:
            return
        self._others_write(early)
        for number in range(len(planned.plan.batch_uris)):
            self.tries.run(planned, number)
        self._others_write(late)
        self.tries.finish(planned, recheck, *last)

    # --- what holds ---------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_else_is_touched(self) -> None:
        self.tries.check()

    def teardown(self) -> None:
        """Whatever has happened, one more run without faults makes the target what it is to be."""
        try:
            if self.tries.source:
                self._run_undisturbed("mirror")
        finally:
            self._stack.close()

    def _others_write(self, writes: list[Write]) -> None:
        for is_to_source, name, version in writes:
            if is_to_source:
                self.tries.write_source(name, version)
            else:
                self.tries.write_target(name, version)

    def _run_undisturbed(self, mode: Mode) -> None:
        planned = self.tries.plan(mode)
        assert planned is not None
        for number in range(len(planned.plan.batch_uris)):
            self.tries.run(planned, number)
        assert self.tries.finish(planned, None) is not None
        assert {name: seen.data for name, seen in self.tries.target().items()} == self.tries.source

    def _planned(self, age: int) -> Planned:
        return self.tries.plans[-1 - min(age, len(self.tries.plans) - 1)]


class UploadMachine(Machine):
    direction = "upload"


class DownloadMachine(Machine):
    direction = "download"


class CopyMachine(Machine):
    direction = "copy"


machines = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=40,
    stateful_step_count=8,
    suppress_health_check=list(HealthCheck),
)
TestUploads = UploadMachine.TestCase
TestUploads.settings = machines
TestDownloads = DownloadMachine.TestCase
TestDownloads.settings = machines
TestCopies = CopyMachine.TestCase
TestCopies.settings = machines


MACHINES = {machine.direction: machine for machine in (UploadMachine, DownloadMachine, CopyMachine)}
first_failure = settings(machines, max_examples=200, phases=[Phase.generate], report_multiple_bugs=False)


def look_for(mutant: Mutant, folder: Path) -> None:
    """Run its program, or any programs."""
    if mutant.program is None:
        run_state_machine_as_test(MACHINES[mutant.direction], settings=first_failure)
        return
    folder.mkdir()
    with LocalOSS(buckets=(BUCKET,)) as oss:
        mutant.program(SetTries(oss, folder, mutant.direction))


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_planted_defect_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    if mutant.program:
        look_for(mutant, tmp_path / "without")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutant.place, mutant.attribute, mutant.wrong)
        with pytest.raises(AssertionError, match=mutant.message):
            look_for(mutant, tmp_path / "with")
