"""Links that carry little, and connections that are dead without anybody knowing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.oss import MIN_PART_SIZE
from tests.simulation.scripts import DOWNLOAD, UPLOAD, succeeded
from tests.simulation.wires import NARROW, READ_TIMEOUT
from tests.simulation.world import Profile, a_world

BOTH = pytest.mark.parametrize(("profile", "part"), [(UPLOAD, "part"), (DOWNLOAD, "get")], ids=["upload", "download"])


@BOTH
@pytest.mark.parametrize("connections", [None, 8], ids=["default", "eight"])
def test_a_link_that_two_connections_can_use_carries_a_transfer(
    profile: Profile, part: str, connections: int | None
) -> None:
    """With as many as are asked for each gets so little that its attempts time out, so they become fewer."""
    slow = replace(profile, size=7 * MIN_PART_SIZE, link=NARROW, attempts=8, concurrency=connections)
    with a_world(slow) as world:
        assert succeeded(world, world.begin())


@BOTH
def test_connections_that_were_forgotten_while_they_waited_cost_no_attempt(profile: Profile, part: str) -> None:
    with a_world(replace(profile, attempts=1)) as world:
        process = world.begin((part, "before", 3, "forgotten"))

        assert succeeded(world, process)
        assert READ_TIMEOUT < world.scheduler.now - process.began_at < 2 * READ_TIMEOUT  # by the clock of the run


@BOTH
def test_a_body_that_moves_for_longer_than_the_retries_may_take_is_sent_again(profile: Profile, part: str) -> None:
    """Only failing and waiting count: each of these attempts takes six seconds to its very end."""
    with a_world(replace(profile, link=NARROW, attempts=3, retry_total=3.0)) as world:
        assert succeeded(world, world.begin((part, "before", 2, "breaks")))


def test_a_part_whose_answer_never_comes_is_sent_again_and_the_others_go_on() -> None:
    with a_world(replace(UPLOAD, concurrency=3)) as world:
        process = world.begin(("part", "after", 2, "unheard"))

        assert succeeded(world, process)
        assert process.sent == UPLOAD.parts + 1
