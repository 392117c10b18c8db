"""Hypothesis drives the world: any program of tries, faults, kills and other hands keeps the invariants.

A failing program is printed in its shortest form, and is the same one on each run. Its lines, put into a test with
``state = UploadMachine()`` in front, run it alone.
"""

from __future__ import annotations

from contextlib import ExitStack

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.simulation.chaos import all_ends, all_troubles, what_others_do
from tests.simulation.scripts import is_sound
from tests.simulation.seeds import a_profile
from tests.simulation.world import MAX_TRIES_AT_ONCE, Engine, Profile, Try, World, a_world

FLIPS = ("flip", "bad join")

Fault = tuple[str, str, int, str]


@st.composite
def profiles(draw: st.DrawFn, direction: str) -> Profile:
    return a_profile(lambda options: draw(st.sampled_from(options)), directions=[direction])


def faults(direction: str) -> st.SearchStrategy[list[Fault]]:
    """What happens in a try: operation, phase, at which passing, and what; mostly it ends the try."""
    end = faults_among(all_ends(direction))
    others = st.lists(faults_among(all_troubles(direction)), max_size=3)
    return st.one_of(others, *3 * [st.builds(lambda end, others: [end, *others], end, others)])


def faults_among(troubles: list[tuple[str, str, str]]) -> st.SearchStrategy[Fault]:
    return st.builds(
        lambda trouble, nth: (trouble[0], trouble[1], nth, trouble[2]), st.sampled_from(troubles), st.integers(1, 6)
    )


class Machine(RuleBasedStateMachine):
    """Tries of one transfer, one after and beside the other.

    A try runs until it is over, or frozen, or given up; the others that are alive go on beside it.
    """

    engine: Engine | None = None

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.world: World | None = None

    # --- rules --------------------------------------------------------------------------------------------------------

    def _set_up(self, profile: Profile, seed: int) -> None:
        self.world = self._stack.enter_context(a_world(profile, seed=seed, engine=self.engine))

    def _begin(self, faults: list[Fault]) -> None:
        world = self._world
        if len(world.living()) >= MAX_TRIES_AT_ONCE:
            world.kill(world.living()[0])
        world.rivals.restore()
        notices = world.profile.verify and world.profile.crc_headers
        world.begin(*(fault for fault in faults if notices or fault[3] not in FLIPS))

    @precondition(lambda self: self.waiting())
    @rule(index=st.integers(0, MAX_TRIES_AT_ONCE - 1))
    def a_try_goes_on(self, index: int) -> None:
        process = self.waiting()[index % len(self.waiting())]
        process.is_frozen = process.is_overlapped = False
        self._world.run(process)

    @precondition(lambda self: self.living())
    @rule(index=st.integers(0, MAX_TRIES_AT_ONCE - 1))
    def a_try_is_killed(self, index: int) -> None:
        self._world.kill(self.living()[index % len(self.living())])

    @precondition(lambda self: self.world and self.world.agenda)
    @rule()
    def what_is_late_arrives(self) -> None:
        self._world.hurry()

    @precondition(lambda self: self.world and not self.world.chaos.is_calm)
    @rule(kill_older=st.booleans())
    def all_faults_end(self, kill_older: bool) -> None:
        self._world.calm_down(kill_older=kill_older)

    # --- what holds ---------------------------------------------------------------------------------------------------

    @invariant()
    def the_ledger_is_sound(self) -> None:
        assert self.world is None or is_sound(self.world)

    def teardown(self) -> None:
        try:
            if self.world and self.world.tries and not self.world.ledger.violation:
                self.world.finish()
                assert is_sound(self.world)
        finally:
            self._stack.close()

    # --- helpers ------------------------------------------------------------------------------------------------------

    @property
    def _world(self) -> World:
        assert self.world
        return self.world

    def living(self) -> list[Try]:
        return [process for process in self.world.living() if not process.is_dead] if self.world else []

    def waiting(self) -> list[Try]:
        return [process for process in self.living() if process.is_frozen or process.is_overlapped]


class UploadMachine(Machine):
    @initialize(profile=profiles("upload"), seed=st.integers(0, 9))
    def set_up(self, profile: Profile, seed: int) -> None:
        self._set_up(profile, seed)

    @rule(faults=faults("upload"))
    def a_try_begins(self, faults: list[Fault]) -> None:
        self._begin(faults)

    @rule(what=st.sampled_from(what_others_do("upload")))
    def others_act(self, what: str) -> None:
        self._world.rivals.do(what)


class DownloadMachine(Machine):
    @initialize(profile=profiles("download"), seed=st.integers(0, 9))
    def set_up(self, profile: Profile, seed: int) -> None:
        self._set_up(profile, seed)

    @rule(faults=faults("download"))
    def a_try_begins(self, faults: list[Fault]) -> None:
        self._begin(faults)

    @rule(what=st.sampled_from(what_others_do("download")))
    def others_act(self, what: str) -> None:
        self._world.rivals.do(what)


class CopyMachine(Machine):
    @initialize(profile=profiles("copy"), seed=st.integers(0, 9))
    def set_up(self, profile: Profile, seed: int) -> None:
        self._set_up(profile, seed)

    @rule(faults=faults("copy"))
    def a_try_begins(self, faults: list[Fault]) -> None:
        self._begin(faults)

    @rule(what=st.sampled_from(what_others_do("copy")))
    def others_act(self, what: str) -> None:
        self._world.rivals.do(what)


machines = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=400,
    stateful_step_count=10,
    suppress_health_check=list(HealthCheck),
)
TestUploads = UploadMachine.TestCase
TestUploads.settings = machines
TestDownloads = DownloadMachine.TestCase
TestDownloads.settings = machines
TestCopies = CopyMachine.TestCase
TestCopies.settings = machines
