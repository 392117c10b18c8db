"""What a scan of a source leaves out, by the options, and what it refuses to leave out."""

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
from airflow_provider_ossresume.sets.ports import Found, NameRules
from airflow_provider_ossresume.transfer.left_files import PART_FILE

MOST_REFUSED = 100  # that are named before a scan gives up

_OPTIONS = {"symlink": "symlinks", "special": "special_files", "bad_name": "bad_names", "archived": "archived"}
_PART_FILE_END = ".ossresume-part"


class Sieve:
    """Tells what the options leave out of a source.

    :param names: of the target; by default each name is good
    :param now: seconds since 1970
    """

    def __init__(
        self, options: SetOptions, names: NameRules | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._options = options
        self._filters = options.filters
        self._names = names
        self._least, self._most = options.min_size, options.max_size
        moment = now()
        self._oldest = None if options.newer_than is None else moment - _seconds(options.newer_than)
        self._newest = None if options.older_than is None else moment - _seconds(options.older_than)
        self._has_limits = any(limit is not None for limit in (self._least, self._most, self._oldest, self._newest))

    def filtered(self, entry: Entry) -> LeftOut | None:
        """Return the entry as left out when a filter does that: by its name, its size, or its time."""
        if why := self._why_filtered(entry):
            return LeftOut.of(entry.name, "filtered", why)
        return None

    def judged(self, entry: Entry) -> Found:
        """Return the entry when it can come to the target; else as left out."""
        if is_folder_marker(entry.name):
            if entry.size:
                return LeftOut.of(entry.name, "bad_name", "its key ends with a slash, as that of a folder, and it has "
                                  f"{format_size(entry.size)}")  # fmt: skip
            if self._options.empty_folders == "ignore":
                return LeftOut.of(entry.name, "empty_folder")
        if self._names is not None and (why := self._names.why_not(entry)):
            return LeftOut.of(entry.name, "bad_name", why)
        return entry

    def seen(self, left_out: LeftOut) -> LeftOut:
        """Return what has been left out already, with the filter for its reason when one hides it anyway."""
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
        return self._why_beyond(entry) if self._has_limits else ""

    def _why_beyond(self, entry: Entry) -> str:
        if (self._least is not None and entry.size < int(self._least)) or (
            self._most is not None and entry.size > int(self._most)
        ):
            return f"it has {format_size(entry.size)}"
        if self._oldest is None and self._newest is None:
            return ""
        if entry.modified is None:
            return "nothing tells when it was modified"
        if (self._oldest is not None and entry.modified < self._oldest) or (
            self._newest is not None and entry.modified > self._newest
        ):
            return f"it was modified at {datetime.fromtimestamp(entry.modified, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        return ""


def refusing(found: Iterable[Found], options: SetOptions, *, where: str) -> Iterator[Found]:
    """Yield what a scan has found, until there is something that the options do not let be left out.

    Then nothing is yielded any more, so that nothing is compared for a plan that is not made; but up to a hundred such
    things are named.

    :param where: what is scanned, for the error
    :raises PlanRefused: at the end, with what was found
    """
    refused: dict[str, str] = {}
    for each in found:
        if isinstance(each, LeftOut) and (option := _refuses(each.reason, options)):
            way_out = f"; set {option} to leave it out"
            refused[each.name] = f"{each.detail}{way_out}"
            if len(refused) == MOST_REFUSED:
                break
        if not refused:
            yield each
    if refused:
        count = f"{MOST_REFUSED} or more" if len(refused) == MOST_REFUSED else str(len(refused))
        raise PlanRefused(f"{count} of {where} cannot be transferred, and nothing is left out unasked", refused)


def _refuses(reason: str, options: SetOptions) -> str:
    """Return the option that does not let something be left out, with the value that would; nothing if it may."""
    if reason == "vanished" and options.files_from is not None and options.vanished == "fail":
        return 'vanished="skip"'
    option = _OPTIONS.get(reason)
    return f'{option}="skip"' if option and getattr(options, option) != "skip" else ""


def is_part_file(name: str) -> bool:
    """True for a download's part file, whatever folder it is in."""
    if not name.endswith(_PART_FILE_END):
        return False
    return re.fullmatch(PART_FILE, name.rpartition("/")[2].encode("utf-8", "surrogateescape")) is not None


def _seconds(duration: object) -> float:
    if not isinstance(duration, (int, float)):
        raise TypeError("the options have durations in seconds")
    return float(duration)
