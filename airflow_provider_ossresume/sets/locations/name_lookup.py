"""Looks up the names of a list in source and target, many at once. Memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from airflow_provider_ossresume.model.entries import Entry, LeftOut
from airflow_provider_ossresume.model.set_names import is_own
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.source_filter import SourceFilter, is_part_file, refuse_unallowed
from airflow_provider_ossresume.sets.ports import Location, NameRules, ScanItem, Watch
from airflow_provider_ossresume.transfer.crew import Crew

LOOKUP_WORKERS = 32  # threads
PAGE = 1_000  # names

T = TypeVar("T")


def look_up_both(
    source: Location,
    target: Location,
    names: Iterable[bytes],
    options: SetOptions,
    *,
    work_uri: str,
    watch: Watch,
    rules: NameRules,
) -> Iterator[tuple[ScanItem, ScanItem | None]]:
    """Yield what source and target have under each name, in the order of the names. Neither is listed.

    :param names: in the order of their bytes, each once
    :param work_uri: of the work folder, which is left out
    :param rules: the target's rules for names
    :raises PlanRefused: at the end, if something cannot be moved and the options do not allow leaving it out
    :raises OSSResumeError: as soon as a name cannot be looked up
    """
    with Crew(workers=LOOKUP_WORKERS, tick=watch) as crew:
        texts = (name.decode("utf-8", "surrogateescape") for name in names)
        looked_up = source.look_up(texts, options, is_source=True, crew=crew, rules=rules, work_uri=work_uri)
        found = refuse_unallowed(looked_up, options, where=source.uri)
        while page := list(islice(found, PAGE)):
            wanted = [each.name for each in page if isinstance(each, Entry)]
            there = {each.name: each for each in target.look_up(wanted, options, is_source=False, crew=crew)}
            for each in page:
                yield each, there.get(each.name) if isinstance(each, Entry) else None


def look_up_each(
    names: Iterable[str], look: Callable[[str], T], crew: Crew, *, known: Callable[[str], LeftOut | None]
) -> Iterator[tuple[str, T | LeftOut]]:
    """Yield each name with what the crew's workers find there, in the order of the names.

    :param known: returns the item of a name that need not be looked up, else None
    """
    names = iter(names)
    while page := list(islice(names, PAGE)):
        seen: dict[str, T | LeftOut] = {name: left_out for name in page if (left_out := known(name))}
        asked = [name for name in page if name not in seen]
        for name, answer in crew.run(lambda name: (name, look(name)), asked):
            seen[name] = answer
        yield from ((name, seen[name]) for name in page)


def left_out_by_name(
    name: str, source_filter: SourceFilter, why_bad: Callable[[str], str], *, work: str = ""
) -> LeftOut | None:
    """Return ``LeftOut`` for a name that can be left out without looking it up; else None.

    :param why_bad: returns the reason why the source cannot have a name, else an empty text
    :param work: name of the work folder below the source, with a slash at its end
    """
    left_out = None
    if bad := _why_no_name(name) or why_bad(name):
        left_out = LeftOut.of(name, "bad_name", bad)
    elif is_own(name) or (work and name.startswith(work)):
        left_out = LeftOut.of(name, "bad_name", "it is in a work folder, and those are never moved")
    elif is_part_file(name):
        left_out = LeftOut.of(name, "part_file")
    # A filter may hide the name, whatever is there.
    seen = source_filter.prefer_filter(left_out or vanished_item(name))
    return seen if left_out or seen.reason == "filtered" else None


def vanished_item(name: str) -> LeftOut:
    """Return the item for a name that the source does not have."""
    return LeftOut.of(name, "vanished", "it is in the list but not in the source")


def _why_no_name(name: str) -> str:
    if name.startswith("/"):
        return "names in a list are relative to the source; remove the slash at the beginning"
    if ".." in name.split("/"):
        return "a name must not contain '..'"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8, and OSS keys must be"
    return ""
