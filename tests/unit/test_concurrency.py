"""The number of connections suits the link, whatever that is. The links are simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.transfer.concurrency import PAUSE, PLENTY, RECOVERY, Concurrency

MBIT = 125_000.0  # bytes per second
FIRST, MOST = 2, 32
TICK = 0.05
SEND_TIMEOUT, SENT_AT_ONCE = 60.0, 256 * 1024  # what the wire gives up


@dataclass
class Link:
    """A link that its connections share.

    :ivar rate: bytes per second of all connections together
    :ivar each: of one of them at most
    :ivar buffer: bytes of each connection that the sender's socket takes in before the link has carried any
    :ivar ramp: seconds in which a new connection comes to its full rate
    """

    rate: float
    each: float = float("inf")
    buffer: int = 300_000
    ramp: float = 0.1
    busy: float = 0.0
    now: float = 1.0
    moved: float = 0.0
    used: float = 0.0
    retries: int = 0
    since: list[float] = field(default_factory=list)  # when each connection began

    def run(self, concurrency: Concurrency, seconds: float, *, until: Callable[[], bool] = lambda: False) -> float:
        """Move bytes for a time, with as many connections as are wanted; return the bytes per second."""
        began, moved = self.now, self.moved
        while self.now < began + seconds and not until():
            self.step(concurrency)
        return (self.moved - moved) / max(self.now - began, TICK)

    def step(self, concurrency: Concurrency) -> None:
        concurrency.shrink(self.now, failed=self.retries)
        concurrency.look(self.now, moved=int(self.moved), used=self.used)
        wanted = concurrency.wanted
        while len(self.since) < wanted:
            self.since.append(self.now)
            self.moved += self.buffer
        del self.since[wanted:]
        speeds = [min(self.each, self.rate) * min(1.0, (self.now - since) / self.ramp) for since in self.since]
        self.moved += min(self.rate, sum(speeds)) * TICK
        self.used += self.busy * TICK
        self.now += TICK


def test_it_begins_with_the_first_number() -> None:
    assert Concurrency(2, 32).wanted == 2


@given(rate=st.floats(-3.8, 13.3).map(lambda power: 2**power * MBIT), ramp=st.floats(0.05, 1.5))
@settings(deadline=None, max_examples=30)
def test_on_a_link_that_one_connection_fills_none_gets_too_little_to_go_on(rate: float, ramp: float) -> None:
    """From 72 kbit/s, which two can use, to 10 Gbit/s, each connection moves enough not to time out."""
    link, concurrency = Link(rate, ramp=ramp), Concurrency(FIRST, MOST)
    most = 0

    def watch() -> bool:
        nonlocal most
        most = max(most, concurrency.wanted)
        return False

    link.run(concurrency, 600, until=watch)

    assert most <= 4 or rate / most > PLENTY / 8
    assert rate / most * SEND_TIMEOUT > SENT_AT_ONCE


@given(rate=st.floats(0.25 * MBIT, 100 * MBIT), ramp=st.floats(0.05, 1.5))
@settings(deadline=None, max_examples=10)
def test_a_link_that_one_connection_fills_is_filled(rate: float, ramp: float) -> None:
    link, concurrency = Link(rate, ramp=ramp), Concurrency(FIRST, MOST)
    link.run(concurrency, 10)

    assert link.run(concurrency, 600) >= 0.9 * rate


@pytest.mark.parametrize("each", [100_000, 300_000, 2_000_000, 30_000_000])
def test_where_each_connection_is_slow_there_come_to_be_as_many_as_may_be(each: float) -> None:
    link, concurrency = Link(1e12, each=each), Concurrency(FIRST, MOST)
    a_step = max(0.2, 3 * 2**20 / each)

    link.run(concurrency, 5 * a_step, until=lambda: concurrency.wanted == MOST)

    assert concurrency.wanted == MOST


def test_on_a_fat_and_long_link_that_takes_less_than_half_a_second() -> None:
    link, concurrency = Link(1e12, each=30e6), Concurrency(FIRST, MOST)

    link.run(concurrency, 30, until=lambda: concurrency.wanted == MOST)

    assert link.now - 1.0 < 0.6


@given(full_at=st.integers(1, 40), each=st.floats(100_000, 30e6))
@settings(deadline=None, max_examples=20)
def test_a_link_that_some_connections_fill_is_filled_within_a_tenth(full_at: int, each: float) -> None:
    rate = min(full_at, MOST) * each
    link, concurrency = Link(full_at * each, each=each, buffer=0), Concurrency(FIRST, MOST)
    link.run(concurrency, 1_500 if each < PLENTY else 300)

    assert link.run(concurrency, 300) >= 0.85 * rate


def test_a_processor_that_is_busy_gets_no_more_work() -> None:
    link, concurrency = Link(1e12, each=500e6, busy=1.4), Concurrency(FIRST, MOST)

    link.run(concurrency, 60)

    assert concurrency.wanted == FIRST


def test_a_failed_attempt_halves_the_number_and_those_that_fail_with_it_do_not() -> None:
    link, concurrency = Link(1e12, each=30e6), Concurrency(FIRST, MOST)
    link.run(concurrency, 5)

    for _ in range(20):
        link.retries += 1
        link.step(concurrency)

    assert concurrency.wanted == MOST // 2


def test_failures_that_go_on_bring_it_down_to_one_connection() -> None:
    link, concurrency = Link(1e12, each=30e6), Concurrency(FIRST, MOST)
    link.run(concurrency, 5)

    for _ in range(10):
        link.retries += 1
        link.run(concurrency, RECOVERY + 1)

    assert concurrency.wanted == 1


def test_after_a_pause_without_failures_the_number_grows_by_and_by() -> None:
    link, concurrency = Link(1e12, each=300_000), Concurrency(FIRST, MOST)
    link.run(concurrency, 300)
    link.retries += 1
    link.step(concurrency)
    assert concurrency.wanted == 16

    link.run(concurrency, PAUSE - 1)
    assert concurrency.wanted == 16
    link.run(concurrency, 600)
    assert concurrency.wanted >= 0.9 * MOST


def test_a_number_that_was_given_is_never_exceeded_and_is_there_at_once() -> None:
    link, concurrency = Link(1e12, each=30e6), Concurrency(16, 16)

    link.run(concurrency, 60)

    assert concurrency.wanted == 16


@given(tasks=st.integers(2, 16), each=st.floats(1.1 * MBIT, 20 * MBIT))
@settings(deadline=None, max_examples=10)
def test_tasks_that_share_a_link_leave_each_other_enough_to_go_on(tasks: int, each: float) -> None:
    """Mapped tasks know nothing of each other; what 1.1 Mbit/s carries for one, 18 carry for 16."""
    links = [Link(0, now=1.0 + number / 7) for number in range(tasks)]
    crews = [Concurrency(FIRST, MOST) for _ in range(tasks)]

    for _ in range(int(600 / TICK)):
        connections = sum(crew.wanted for crew in crews)
        for link, crew in zip(links, crews, strict=True):
            link.rate = tasks * each * crew.wanted / connections
            link.step(crew)
        assert tasks * each / connections * SEND_TIMEOUT > SENT_AT_ONCE

    assert sum(link.moved for link in links) >= 0.9 * tasks * each * 600


@pytest.mark.parametrize("enough", [1, 4, 12, 25])
def test_where_more_than_so_many_are_refused_it_stays_near_that_number(enough: int) -> None:
    link, concurrency = Link(1e12, each=2_000_000), Concurrency(FIRST, MOST)
    numbers: list[int] = []

    def refuse() -> bool:
        link.retries += concurrency.wanted > enough
        numbers.append(concurrency.wanted)
        return False

    link.run(concurrency, 120, until=refuse)
    numbers.clear()
    link.run(concurrency, 1_200, until=refuse)

    assert sum(number > enough for number in numbers) < 0.05 * len(numbers)
    assert sum(numbers) / len(numbers) >= 0.5 * enough


def test_what_begins_anew_is_not_compared_with_what_was_before() -> None:
    link, concurrency = Link(1e12, each=500_000), Concurrency(FIRST, MOST)
    link.run(concurrency, 12)
    number = concurrency.wanted
    assert FIRST < number < MOST

    concurrency.begin(link.now, used=link.used)
    concurrency.look(link.now + 5, moved=0, used=link.used)

    assert concurrency.wanted == number


def test_no_more_are_wanted_than_the_machine_can_start() -> None:
    link, concurrency = Link(1e12, each=30e6), Concurrency(FIRST, MOST)
    link.run(concurrency, 5)

    concurrency.limit(9)
    link.run(concurrency, 5)

    assert concurrency.wanted == 9
