"""Decides by the options which files of a source are left out, and for which ones the plan is refused."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone

from airflow_provider_ossresume.errors import PlanRefused
from airflow_provider_ossresume.model.entries import Entry, LeftOut
from airflow_provider_ossresume.model.parts import format_size
from airflow_provider_ossresume.model.set_names import is_folder_marker
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.ports import NameRules, ScanItem
from airflow_provider_ossresume.transfer.left_files import PART_FILE

MAX_REFUSED = 100  # refused names; then the scan stops

_OPTIONS = {"symlink": "symlinks", "special": "special_files", "bad_name": "bad_names", "archived": "archived"}
_PART_FILE_SUFFIX = ".ossresume-part"


class SourceFilter:
    """Decides which files of a source are left out.

    :param names: the target's rules; by default every name is accepted
    :param now: returns seconds since 1970
    """

    def __init__(
        self, options: SetOptions, names: NameRules | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._options = options
        self._filters = options.filters
        self._names = names
        self._min_size, self._max_size = options.min_size, options.max_size
        moment = now()
        self._modified_after = None if options.newer_than is None else moment - _seconds(options.newer_than)
        self._modified_before = None if options.older_than is None else moment - _seconds(options.older_than)
        self._has_range = any(
            limit is not None for limit in (self._min_size, self._max_size, self._modified_after, self._modified_before)
        )

    def check_filters(self, entry: Entry) -> LeftOut | None:
        """Return ``LeftOut`` if a filter excludes the entry's name, size or time; else None."""
        if why := self._why_filtered(entry):
            return LeftOut.of(entry.name, "filtered", why)
        return None

    def accept(self, entry: Entry) -> ScanItem:
        """Return the entry if the target can have it; else ``LeftOut``."""
        if is_folder_marker(entry.name):
            if entry.size:
                return LeftOut.of(entry.name, "bad_name", "its key ends with a slash like that of a folder, but its "
                                  f"size is {format_size(entry.size)}")  # fmt: skip
            if self._options.empty_folders == "ignore":
                return LeftOut.of(entry.name, "empty_folder")
        if self._names is not None and (why := self._names.why_refused(entry)):
            return LeftOut.of(entry.name, "bad_name", why)
        return entry

    def prefer_filter(self, left_out: LeftOut) -> LeftOut:
        """Return an item that is left out already, with the reason ``filtered`` if a filter excludes it too."""
        name = left_out.place.decode("utf-8", "surrogateescape")
        is_hidden = (
            self._filters.excludes_folder(name[:-1]) if is_folder_marker(name) else not self._filters.matches(name)
        )
        return LeftOut.of(name, "filtered", "by its name") if is_hidden else left_out

    def _why_filtered(self, entry: Entry) -> str:
        name = entry.name
        if is_folder_marker(name):
            return "by its name" if self._filters.excludes_folder(name[:-1]) else ""
        if not self._filters.matches(name):
            return "by its name"
        return self._why_out_of_range(entry) if self._has_range else ""

    def _why_out_of_range(self, entry: Entry) -> str:
        if (self._min_size is not None and entry.size < int(self._min_size)) or (
            self._max_size is not None and entry.size > int(self._max_size)
        ):
            return f"its size is {format_size(entry.size)}"
        if self._modified_after is None and self._modified_before is None:
            return ""
        if entry.modified is None:
            return "its time of modification is unknown"
        if (self._modified_after is not None and entry.modified < self._modified_after) or (
            self._modified_before is not None and entry.modified > self._modified_before
        ):
            return f"it was modified at {datetime.fromtimestamp(entry.modified, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        return ""


def refuse_unallowed(found: Iterable[ScanItem], options: SetOptions, *, where: str) -> Iterator[ScanItem]:
    """Yield the items of a scan, up to the first one that the options refuse to leave out.

    After that nothing is yielded, so that nothing is compared for a plan that is refused anyway. The scan continues to
    name up to a hundred refused items.

    :param where: what is scanned, for the error
    :raises PlanRefused: at the end, with the refused items
    """
    refused: dict[str, str] = {}
    for each in found:
        if isinstance(each, LeftOut) and (option := _option_that_refuses(each.reason, options)):
            way_out = f"; set {option} to leave it out"
            refused[each.name] = f"{each.detail}{way_out}"
            if len(refused) == MAX_REFUSED:
                break
        if not refused:
            yield each
    if refused:
        count = f"{MAX_REFUSED} or more" if len(refused) == MAX_REFUSED else str(len(refused))
        raise PlanRefused(
            f"{count} of the files in {where} cannot be transferred, and the options do not leave them out", refused
        )


def _option_that_refuses(reason: str, options: SetOptions) -> str:
    """Return the option and value that would leave such an item out; empty if no option refuses it."""
    if reason == "vanished" and options.files_from is not None and options.vanished == "fail":
        return 'vanished="skip"'
    option = _OPTIONS.get(reason)
    return f'{option}="skip"' if option and getattr(options, option) != "skip" else ""


def is_part_file(name: str) -> bool:
    """Return True for a download's part file, in any folder."""
    if not name.endswith(_PART_FILE_SUFFIX):
        return False
    return re.fullmatch(PART_FILE, name.rpartition("/")[2].encode("utf-8", "surrogateescape")) is not None


def _seconds(duration: object) -> float:
    if not isinstance(duration, (int, float)):
        raise TypeError("a duration of the options is not a number of seconds")
    return float(duration)
