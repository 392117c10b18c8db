"""Pages of a listing: which names a page has, and where the next one begins."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

from airflow_provider_ossresume.local_oss.answers import Children

MAX_PAGE = 1000  # OSS: entries in one listing
DEFAULT_PAGE = 100  # OSS: objects, versions and buckets; uploads default to MAX_PAGE


@dataclass(frozen=True)
class Page:
    """One page of a listing: names and common prefixes in order, and the last of them if more follow."""

    names: list[str]
    prefixes: list[str]
    next_marker: str | None


def page_of(names: list[str], *, prefix: str, delimiter: str, marker: str, limit: int) -> Page:
    """Return the first ``limit`` entries after ``marker``, from sorted names.

    Names that share a prefix up to ``delimiter`` are grouped into one entry. If the marker is such an entry, the page
    begins after all names in that group.
    """
    behind = is_rolled_up(marker, prefix=prefix, delimiter=delimiter)
    entries: dict[str, bool] = {}
    last = ""
    first = bisect_right(names, marker) if marker >= prefix else bisect_left(names, prefix)
    for name in islice(names, first, None):
        if not name.startswith(prefix):
            break
        if behind and name.startswith(marker):
            continue
        end = name.find(delimiter, len(prefix)) if delimiter else -1
        entry = name if end < 0 else name[: end + len(delimiter)]
        if entry in entries:
            continue
        if len(entries) == limit:
            return _page(entries, next_marker=last)
        entries[entry] = end >= 0
        last = entry
    return _page(entries, next_marker=None)


def is_rolled_up(marker: str, *, prefix: str, delimiter: str) -> bool:
    """Return True if a marker is an entry that stands for many names."""
    return bool(delimiter) and marker.endswith(delimiter) and len(marker) > len(prefix)


def _page(entries: Mapping[str, bool], *, next_marker: str | None) -> Page:
    names = [name for name, rolled_up in entries.items() if not rolled_up]
    return Page(names, [name for name, rolled_up in entries.items() if rolled_up], next_marker)


def common_prefixes(page: Page, encode: Callable[[str], str]) -> list[tuple[str, Children]]:
    """Return the CommonPrefixes elements of a listing."""
    return [("CommonPrefixes", [("Prefix", encode(prefix))]) for prefix in page.prefixes]


def is_truncated(marker: str | None) -> str:
    """Return a listing's IsTruncated: ``true`` if more entries follow, else ``false``."""
    return "false" if marker is None else "true"
