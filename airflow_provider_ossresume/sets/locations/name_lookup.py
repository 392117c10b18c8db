"""Looks up names of a list on both sides, many at once, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from airflow_provider_ossresume.model.entries import Entry, LeftOut
from airflow_provider_ossresume.model.set_names import is_own
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.source_filter import Sieve, is_part_file, refusing
from airflow_provider_ossresume.sets.ports import End, Found, NameRules, Watch
from airflow_provider_ossresume.transfer.crew import Crew

LOOKERS = 32  # at once
PAGE = 1_000  # names

T = TypeVar("T")


def look_up_both(
    source: End,
    target: End,
    names: Iterable[bytes],
    options: SetOptions,
    *,
    work_uri: str,
    watch: Watch,
    rules: NameRules,
) -> Iterator[tuple[Found, Found | None]]:
    """Yield what source and target have under each name, in their order; neither side is listed.

    :param names: in the order of their bytes, each once
    :param work_uri: of the work folder, which belongs to neither
    :param rules: the target's, for names
    :raises PlanRefused: at the end, when the options do not let something be left out that has to be
    :raises OSSResumeError: as soon as anything cannot be looked at
    """
    with Crew(workers=LOOKERS, tick=watch) as crew:
        texts = (name.decode("utf-8", "surrogateescape") for name in names)
        looked_up = source.look_up(texts, options, is_source=True, crew=crew, rules=rules, work_uri=work_uri)
        found = refusing(looked_up, options, where=source.uri)
        while page := list(islice(found, PAGE)):
            wanted = [each.name for each in page if isinstance(each, Entry)]
            there = {each.name: each for each in target.look_up(wanted, options, is_source=False, crew=crew)}
            for each in page:
                yield each, there.get(each.name) if isinstance(each, Entry) else None


def each_looked_up(
    names: Iterable[str], look: Callable[[str], T], crew: Crew, *, known: Callable[[str], LeftOut | None]
) -> Iterator[tuple[str, T | LeftOut]]:
    """Yield each name with what the crew's workers see there, in the order of the names.

    :param known: returns what need not be looked at
    """
    names = iter(names)
    while page := list(islice(names, PAGE)):
        seen: dict[str, T | LeftOut] = {name: left_out for name in page if (left_out := known(name))}
        asked = [name for name in page if name not in seen]
        for name, answer in crew.run(lambda name: (name, look(name)), asked):
            seen[name] = answer
        yield from ((name, seen[name]) for name in page)


def not_looked_at(name: str, sieve: Sieve, why_bad: Callable[[str], str], *, work: str = "") -> LeftOut | None:
    """Return a name of a list as left out when nothing is to be looked at under it.

    :param why_bad: tells what the source cannot have, in words
    :param work: of the work folder, as a name below the source, with a slash at its end
    """
    left_out = None
    if bad := _why_no_name(name) or why_bad(name):
        left_out = LeftOut.of(name, "bad_name", bad)
    elif is_own(name) or (work and name.startswith(work)):
        left_out = LeftOut.of(name, "bad_name", "it lies in a work folder, which is never moved")
    elif is_part_file(name):
        left_out = LeftOut.of(name, "part_file")
    # A filter hides it by its name whatever there is.
    seen = sieve.seen(left_out or absent(name))
    return seen if left_out or seen.reason == "filtered" else None


def absent(name: str) -> LeftOut:
    """Return what stands for a name that the source does not have."""
    return LeftOut.of(name, "vanished", "the list names it, and the source does not have it")


def _why_no_name(name: str) -> str:
    if name.startswith("/"):
        return "a name of a list is relative to the source, so it begins with no slash"
    if ".." in name.split("/"):
        return "'..' names no file of its own"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8, as OSS's keys are"
    return ""
