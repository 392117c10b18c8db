"""Checks the target again after all files are moved: finds files that others have deleted or overwritten since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from airflow_provider_ossresume.model.entries import Entry, is_touched_only
from airflow_provider_ossresume.model.manifest import Named
from airflow_provider_ossresume.model.plan_decisions import is_unchanged
from airflow_provider_ossresume.model.set_names import is_folder_marker
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.ports import Location, ScanItem, Watch
from airflow_provider_ossresume.sets.spool import ExpectedFile
from airflow_provider_ossresume.transfer.crew import Crew

PAGE = 1_000  # names that are looked up at once

GONE = "it was deleted after its batch moved it; make a new plan"
CHANGED = "it was overwritten after its batch moved it; make a new plan"


def find_lost(
    target: Location,
    expected: Iterable[ExpectedFile],
    options: SetOptions,
    crew: Crew,
    *,
    work_uri: str,
    watch: Watch,
) -> Iterator[tuple[ExpectedFile, Named]]:
    """Yield files that are no longer in the target as they were, with the reason ``target_gone`` or ``target_changed``.

    The target is listed once. A file that the listing shows differently, or not at all, is looked up by its name first,
    because a listing may be out of date, or show the name in another case. With ``files_from`` nothing is listed; each
    file is looked up.

    :param expected: in the order of the names' bytes
    :param crew: must not be used for anything else meanwhile
    :raises OSSResumeError: if the target cannot be listed
    """
    listing: Iterator[ScanItem] = iter(())
    if options.files_from is None:
        listing = target.scan(options, is_source=False, watch=watch, work_uri=work_uri)
    suspects = _suspects(listing, expected)
    while page := list(islice(suspects, PAGE)):
        names = [each.name for each in page]
        there = {found.name: found for found in target.look_up(names, options, is_source=False, crew=crew)}
        for each in page:
            found = there.get(each.name)
            if found is None:
                yield each, Named(each.name, "target_gone", GONE)
            elif not _is_unchanged(each, found):
                yield each, Named(each.name, "target_changed", CHANGED)


def _suspects(listing: Iterator[ScanItem], expected: Iterable[ExpectedFile]) -> Iterator[ExpectedFile]:
    found = next(listing, None)
    for each in expected:
        place = each.name.encode()
        while found is not None and found.place < place:
            found = next(listing, None)
        if found is None or found.place != place or not _is_unchanged(each, found):
            yield each


def _is_unchanged(expected: ExpectedFile, found: ScanItem) -> bool:
    if not isinstance(found, Entry):  # for example a link
        return False
    if is_folder_marker(expected.name):  # files that were added to the folder have changed its mtime
        return True
    if not expected.target:
        return expected.size == found.size
    return is_unchanged(expected.target, found.identity) or is_touched_only(expected.target, found.identity)
