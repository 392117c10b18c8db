"""The crew: results, errors and a prompt stop, whatever its workers wait for."""

from __future__ import annotations

import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from airflow_provider_ossresume.errors import TransferStopped
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.stop import Stop

LONG = 30.0  # seconds; only a test that fails waits for them


class Ended(Exception):
    """What a tick raises."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    for thread in workers():
        thread.join(LONG)
    assert workers() == []


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 4, 64])
def test_every_item_gives_its_result_once(size: int) -> None:
    with a_crew(size) as crew:
        assert sorted(crew.run(lambda number: number * number, range(50))) == [n * n for n in range(50)]


def test_one_worker_goes_through_the_items_in_their_order() -> None:
    begun: list[int] = []
    with a_crew(1) as crew:
        results = list(crew.run(lambda number: begun.append(number) or number, iter(range(20))))

    assert begun == results == list(range(20))


def test_results_come_as_they_are_done_not_in_order() -> None:
    second_is_done = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            second_is_done.wait(LONG)
        return number

    with a_crew(2) as crew:
        results = crew.run(work, [1, 2])
        first = next(results)
        second_is_done.set()

        assert (first, list(results)) == (2, [1])


def test_nothing_to_do_starts_no_thread() -> None:
    with a_crew(8) as crew:
        assert list(crew.run(str, [])) == []
        assert workers() == []


def test_results_may_be_anything_even_errors() -> None:
    error = ValueError("a value here")
    with a_crew(1) as crew:
        assert list(crew.run(lambda item: item, [None, error, False])) == [None, error, False]


@pytest.mark.parametrize(("size", "items", "threads"), [(8, 3, 3), (3, 8, 3), (1, 8, 1)])
def test_there_are_never_more_threads_than_workers_or_items(size: int, items: int, threads: int) -> None:
    with a_crew(size) as crew:
        for _ in range(2):
            all_began = threading.Barrier(threads)

            def work(number: int, all_began: threading.Barrier = all_began) -> threading.Thread:
                if number < threads:
                    all_began.wait(LONG)
                return threading.current_thread()

            assert len(set(crew.run(work, range(items)))) == threads


def test_a_crew_serves_one_run_after_the_other() -> None:
    with a_crew(2) as crew:
        first = sorted(crew.run(lambda number: number + 1, range(10)))
        second = sorted(crew.run(lambda number: number + 1, first))

    assert second == list(range(2, 12))


def test_a_worker_waits_for_what_comes_next_so_one_thread_does_one_call_after_the_other() -> None:
    with a_crew(2) as crew:
        assert len({crew.call(threading.current_thread) for _ in range(10)}) == 1


def test_a_worker_that_waits_keeps_nothing_of_what_it_has_done() -> None:
    with a_crew(1) as crew:
        item = Ended()
        seen = weakref.ref(item)
        assert list(crew.run(lambda each: str(each), [item])) == [""]
        del item
        crew.call(lambda: None)  # by the same worker, which has let go of the former item before

        assert seen() is None


def test_work_is_done_in_daemon_threads_so_none_holds_the_interpreter() -> None:
    with a_crew(2) as crew:
        worker, name = crew.call(lambda: (threading.current_thread(), threading.current_thread().name))

    assert worker is not threading.current_thread()
    assert worker.daemon
    assert name.startswith("ossresume-")


def test_a_call_returns_or_raises_what_the_function_does() -> None:
    with a_crew(2) as crew:
        assert crew.call(lambda: 7) == 7
        with pytest.raises(KeyError, match="x"):
            crew.call(lambda: {}["x"])
        assert crew.call(lambda: 8) == 8


# --- how many ---------------------------------------------------------------------------------------------------------


class Traffic:
    """What workers seem to have moved: so many bytes per second for each that there is."""

    def __init__(self, each: float) -> None:
        self.each = each
        self.failed = 0
        self.looks = 0
        self.seen_often = threading.Event()
        self._moved = 0.0
        self._before = time.monotonic()

    def __call__(self) -> tuple[int, int]:
        now = time.monotonic()
        self._moved += self.each * len(workers()) * (now - self._before)
        self._before = now
        self.looks += 1
        if self.looks >= 8:
            self.seen_often.set()
        return int(self._moved), self.failed


@pytest.mark.parametrize(("items", "threads"), [(100, 7), (7, 7), (5, 5), (2, 2), (1, 1)])
def test_workers_become_more_while_that_brings_throughput_up_to_the_most_or_one_for_each_item(
    items: int, threads: int
) -> None:
    all_began = threading.Barrier(threads)  # nobody gets on until there are so many

    def work(number: int) -> threading.Thread:
        if number < threads:
            all_began.wait(LONG)
        return threading.current_thread()

    with Crew(workers=2, most=7, tick=lambda: None, traffic=Traffic(1e9), processor_time=lambda: 0.0) as crew:
        assert len(set(crew.run(work, range(items)))) == threads


def test_workers_that_move_nothing_become_no_more() -> None:
    traffic = Traffic(0)
    with Crew(workers=2, most=7, tick=lambda: None, traffic=traffic, processor_time=lambda: 0.0) as crew:
        list(crew.run(lambda _: traffic.seen_often.wait(LONG), range(100)))
        assert crew.wanted == 2


def test_after_a_failed_attempt_no_more_than_half_are_at_work_when_those_have_done_what_they_have_in_hand() -> None:
    traffic, all_began, go = Traffic(0), threading.Barrier(9), threading.Event()
    at_work: list[int] = []
    most_at_work = 0

    def work(number: int) -> int:
        nonlocal most_at_work
        if number < 8:
            all_began.wait(LONG)
            assert go.wait(LONG)
        else:
            at_work.append(number)
            most_at_work = max(most_at_work, len(at_work))
            at_work.remove(number)
        return number

    def tick() -> None:
        if not traffic.failed and all_began.n_waiting == 8:
            traffic.failed = 1
            all_began.wait(LONG)
        elif traffic.failed and crew.wanted == 4:
            go.set()

    with Crew(workers=8, tick=tick, traffic=traffic) as crew:
        assert sorted(crew.run(work, range(500))) == list(range(500))

    assert most_at_work <= 4


def test_a_worker_that_waits_to_try_again_lends_its_turn() -> None:
    first_waits, second_is_done = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 1:
            first_waits.set()
            while not second_is_done.is_set():
                crew.wait(0.001)
        elif number == 2:
            assert first_waits.wait(LONG)
        elif number == 3:
            second_is_done.set()
        return number

    traffic = Traffic(0)
    with Crew(workers=2, tick=lambda: None, traffic=traffic) as crew:
        traffic.failed = 1  # so that there is one turn for both workers
        assert sorted(crew.run(work, [1, 2, 3])) == [1, 2, 3]
        assert crew.wanted == 1


def test_one_that_waits_for_its_turn_hears_the_stop() -> None:
    waits, busy, ended = threading.Event(), threading.Event(), threading.Event()

    def work(number: int) -> None:
        if number == 1:
            waits.set()
            try:
                crew.wait(0)
            finally:
                ended.set()
        else:
            busy.set()
            wait_for_stop(crew)

    def tick() -> None:
        if waits.is_set() and busy.is_set():
            raise Ended

    traffic = Traffic(0)
    with Crew(workers=2, tick=tick, traffic=traffic) as crew:
        traffic.failed = 1
        with pytest.raises(Ended):
            list(crew.run(work, [1, 2]))

    assert ended.wait(LONG)


def test_attempts_that_failed_before_a_crew_was_made_are_not_its_own() -> None:
    traffic = Traffic(0)
    traffic.failed = 3
    with Crew(workers=2, tick=lambda: None, traffic=traffic) as crew:
        list(crew.run(str, range(10)))

        assert crew.wanted == 2


def test_an_overload_that_anybody_tells_halves_the_workers() -> None:
    with Crew(workers=8, tick=lambda: None) as crew:
        list(crew.run(lambda number: crew.slow_down() if number == 1 else None, range(100)))

        assert crew.wanted == 4


def test_where_no_bytes_are_counted_the_finished_items_tell_whether_more_workers_bring_more() -> None:
    latency = threading.Event()
    with Crew(workers=2, most=8, tick=lambda: None, processor_time=lambda: 0.0) as crew:
        list(crew.run(lambda _: latency.wait(0.005), range(1_000)))

        assert crew.wanted == 8


def test_a_given_number_of_workers_begins_at_once_and_stays() -> None:
    all_began = threading.Barrier(3)

    def work(number: int) -> threading.Thread:
        if number < 3:
            all_began.wait(LONG)
        return threading.current_thread()

    with Crew(workers=3, tick=lambda: None, traffic=Traffic(1e9)) as crew:
        assert len(set(crew.run(work, range(100)))) == 3


def test_a_machine_that_starts_no_further_thread_goes_on_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start
    refused = threading.Event()

    def start_two(thread: threading.Thread) -> None:
        if len(workers()) == 2:
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)

    with Crew(workers=2, most=7, tick=lambda: None, traffic=Traffic(1e9), processor_time=lambda: 0.0) as crew:
        results = crew.run(lambda number: (number, refused.wait(LONG)), range(100))
        assert sorted(results) == [(number, True) for number in range(100)]


def test_one_that_starts_none_at_all_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    with a_crew(2) as crew, pytest.raises(RuntimeError, match="can't start new thread"):
        crew.call(lambda: 7)


def test_a_later_run_makes_do_with_the_threads_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_crew(2) as crew:
        crew.call(lambda: None)

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)

        assert sorted(crew.run(lambda number: number, range(10))) == list(range(10))


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_the_error_of_a_worker_is_raised_where_the_results_are_read(error: BaseException) -> None:
    def work(_: int) -> None:
        raise error

    with a_crew(2) as crew, pytest.raises(type(error)) as raised:
        list(crew.run(work, range(3)))

    assert raised.value is error


def test_nothing_is_begun_after_a_failure() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise ValueError(number)

    with a_crew(1) as crew, pytest.raises(ValueError, match="3"):
        list(crew.run(work, range(1, 100)))

    assert begun == [1, 2, 3]


def test_what_is_under_way_at_a_failure_may_finish_and_nothing_more_is_begun() -> None:
    begun: list[int] = []
    ticks_since: list[int] = []
    both_began, failing, failure_was_taken = threading.Barrier(2), threading.Event(), threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        both_began.wait(LONG)
        if number == 1:
            failing.set()
            raise ValueError("broken")
        assert failure_was_taken.wait(LONG)
        return number

    def tick() -> None:
        if failing.is_set():
            ticks_since.append(1)
        if len(ticks_since) == 3:  # the first may come before the error, the second with it
            failure_was_taken.set()

    results: list[int] = []
    with Crew(workers=2, tick=tick) as crew, pytest.raises(ValueError, match="broken"):
        results.extend(crew.run(work, range(1, 100)))

    assert (sorted(begun), results) == ([1, 2], [2])


def test_one_that_hangs_is_given_up_a_while_after_a_failure() -> None:
    both_began, may_end = threading.Barrier(2), threading.Event()

    def work(number: int) -> int:
        both_began.wait(LONG)
        if number == 1:
            raise ValueError("broken")
        may_end.wait(LONG)
        return number

    results: list[int] = []
    with a_crew(2) as crew:
        with pytest.raises(ValueError, match="broken"):
            results.extend(crew.run(work, [1, 2]))
        may_end.set()

    assert results == []


def test_a_stop_while_others_finish_is_what_is_raised() -> None:
    both_began, failing, stopped = threading.Barrier(2), threading.Event(), threading.Event()
    ticks_since: list[int] = []

    def work(number: int) -> int:
        both_began.wait(LONG)
        if number == 1:
            failing.set()
            raise ValueError("broken")
        stopped.wait(LONG)
        return number

    def tick() -> None:
        if failing.is_set():
            ticks_since.append(1)
        if len(ticks_since) == 3:
            raise Ended

    with Crew(workers=2, tick=tick) as crew, pytest.raises(Ended):
        list(crew.run(work, [1, 2]))
    stopped.set()


def test_results_that_were_ready_before_an_error_are_still_yielded() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("broken")
        return number

    results: list[int] = []
    with a_crew(1) as crew, pytest.raises(ValueError, match="broken"):
        results.extend(crew.run(work, [1, 2, 3, 4]))

    assert results == [1, 2]


def test_a_failure_drops_nothing_that_is_finished() -> None:
    all_began, first_is_taken = threading.Barrier(3), threading.Event()

    def work(number: int) -> int:
        all_began.wait(LONG)
        if number > 1:
            first_is_taken.wait(LONG)
        if number == 2:
            raise ValueError("broken")
        return number

    with a_crew(3) as crew:
        finished = crew.run(work, [1, 2, 3])
        results = [next(finished)]
        first_is_taken.set()
        crew.join()  # until the others are done as well
        with pytest.raises(ValueError, match="broken"):
            results.extend(finished)

    assert results == [1, 3]


# --- ticks and stops --------------------------------------------------------------------------------------------------


def test_ticks_go_on_while_every_worker_is_busy() -> None:
    ticks, enough = [0], threading.Event()

    def tick() -> None:
        ticks[0] += 1
        if ticks[0] == 4:
            enough.set()

    with Crew(workers=1, tick=tick) as crew:
        assert crew.call(lambda: enough.wait(LONG))


def test_ticks_run_in_the_thread_that_reads_the_results() -> None:
    threads = set()

    with Crew(workers=2, tick=lambda: threads.add(threading.current_thread())) as crew:
        list(crew.run(str, range(5)))

    assert threads == {threading.current_thread()}


def test_a_tick_ends_the_iteration_while_a_worker_hangs() -> None:
    hangs, release = threading.Event(), threading.Event()
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        hangs.set()
        release.wait(LONG)

    def tick() -> None:
        if hangs.is_set():
            raise Ended

    with pytest.raises(Ended), Crew(workers=1, tick=tick) as crew:
        list(crew.run(work, range(100)))

    assert not release.is_set()  # we came here before the worker did
    assert crew.stop.is_given
    release.set()
    for thread in workers():
        thread.join(LONG)
    assert begun == [0]


def test_a_worker_that_waits_begins_nothing_after_a_stop() -> None:
    begun: list[int] = []
    is_over = False

    def tick() -> None:
        if is_over:
            raise Ended

    with Crew(workers=1, tick=tick) as crew:
        crew.call(lambda: None)  # its worker waits for more
        is_over = True
        crew.stop.give()
        with pytest.raises(Ended):  # what the tick says comes before the bare fact of the stop
            list(crew.run(begun.append, [1]))

    assert begun == []


def test_what_gets_finished_in_the_grace_of_a_stop_is_yielded_before_it_is_raised() -> None:
    began = threading.Event()

    def work(number: int) -> int:
        began.set()
        wait_for_stop(crew)  # told to stop, and done all the same
        return number

    def tick() -> None:
        if began.is_set():
            raise Ended

    results: list[int] = []
    with Crew(workers=2, tick=tick) as crew, pytest.raises(Ended):
        results.extend(crew.run(work, [1, 2]))

    assert sorted(results) == [1, 2]


def test_a_signal_that_strikes_the_waiting_thread_drops_nothing_either() -> None:
    """Airflow raises a timeout, and on 2.11 SIGTERM too, out of a handler."""
    ticking, seen = threading.Event(), threading.get_ident()

    def work(number: int) -> int:
        ticking.wait(LONG)
        signal.pthread_kill(seen, signal.SIGUSR1)
        wait_for_stop(crew)
        return number

    def handler(*_: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGUSR1, handler)
    results: list[int] = []
    try:
        with Crew(workers=1, tick=ticking.set) as crew, pytest.raises(Ended):
            results.extend(crew.run(work, [1]))
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert results == [1]


def test_workers_that_look_at_the_stop_end_with_the_crew() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number:
            wait_for_stop(crew)

    with a_crew(1) as crew:
        next(crew.run(work, range(100)))

    assert begun in ([0], [0, 1])
    assert workers() == []


def test_a_crew_that_is_left_without_an_error_stops_too() -> None:
    with a_crew(3) as crew:
        list(crew.run(str, range(3)))
        assert not crew.stop.is_given

    assert crew.stop.is_given
    assert workers() == []


def test_join_waits_for_what_the_workers_have_in_hand_and_ticks_meanwhile() -> None:
    release, began = threading.Event(), threading.Event()
    ticks_while_joining: list[int] = []
    joining = False

    def tick() -> None:
        if joining:
            ticks_while_joining.append(1)
            if len(ticks_while_joining) == 2:
                release.set()
        elif began.is_set():
            raise Ended

    def work(_: int) -> None:
        began.set()
        release.wait(LONG)

    with Crew(workers=1, tick=tick) as crew:
        with pytest.raises(Ended):
            list(crew.run(work, range(2)))
        joining = True
        crew.join()
        assert workers() == []

    assert release.is_set()


def test_join_ends_those_that_wait_for_more() -> None:
    with a_crew(3) as crew:
        all_began = threading.Barrier(3)
        list(crew.run(lambda _: all_began.wait(LONG), range(3)))
        assert len(workers()) == 3

        crew.join()

        assert workers() == []


def test_a_tick_may_end_a_join_as_well() -> None:
    began, release = threading.Event(), threading.Event()

    def tick() -> None:
        if began.is_set():
            raise Ended

    def work() -> None:
        began.set()
        release.wait(LONG)

    with Crew(workers=1, tick=tick) as crew:
        with pytest.raises(Ended):
            crew.call(work)
        with pytest.raises(Ended):
            crew.join()
        release.set()


def test_a_stop_that_is_given_from_outside_ends_the_iteration_too() -> None:
    stop = Stop()

    with Crew(workers=1, tick=lambda: None, stop=stop) as crew:
        assert crew.stop is stop
        with pytest.raises(TransferStopped):
            list(crew.run(lambda number: stop.give() if number == 3 else None, range(1, 100)))


# --- helpers ----------------------------------------------------------------------------------------------------------


def a_crew(size: int) -> Crew:
    return Crew(workers=size, tick=lambda: None)


def wait_for_stop(crew: Crew) -> None:
    with suppress(TransferStopped):
        crew.stop.wait(LONG)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("ossresume-")]


# --- items that cost memory -------------------------------------------------------------------------------------------


def test_no_more_items_are_asked_for_than_there_is_room() -> None:
    given: list[int] = []
    most: list[int] = []
    done: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            given.append(number)
            most.append(len(given) - len(done))
            yield number

    with a_crew(2) as crew:
        for result in crew.run(lambda number: number, items(), ahead=3):
            done.append(result)

    assert sorted(done) == list(range(50))
    assert (
        max(most) <= 4
    )  # three that are under way, of which one may be done and not yet taken, and the one that is given


def test_workers_begin_while_items_are_still_to_come() -> None:
    first_is_done = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert first_is_done.wait(LONG)
        yield 2

    def work(number: int) -> int:
        first_is_done.set()
        return number

    with a_crew(2) as crew:
        assert sorted(crew.run(work, items(), ahead=5)) == [1, 2]


def test_no_items_are_no_results() -> None:
    with a_crew(2) as crew:
        assert list(crew.run(lambda number: number, iter(()), ahead=5)) == []


def test_what_the_items_raise_ends_the_iteration_when_all_that_is_done_was_yielded() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise Ended

    results: list[int] = []
    with a_crew(2) as crew, pytest.raises(Ended):
        results.extend(crew.run(lambda number: number, items(), ahead=1))


def test_after_a_failure_no_item_is_asked_for() -> None:
    given: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            given.append(number)
            yield number

    with a_crew(1) as crew, pytest.raises(ZeroDivisionError):
        list(crew.run(lambda number: 1 / number, items(), ahead=2))

    assert len(given) <= 4
