"""Decides what a plan does with each name: move it, leave it, delete it, or compare both sides first."""

from __future__ import annotations

from typing import Literal

from airflow_provider_ossresume.model.entries import OBJECT_IDENTITY, Entry
from airflow_provider_ossresume.model.manifest import Fact
from airflow_provider_ossresume.model.set_names import is_folder_marker
from airflow_provider_ossresume.model.set_options import SetOptions

Decision = Literal["put", "same", "compare", "delete", "keep"]
LINK = "Symlink"  # OSS: its ETag does not change when the content of its target does


def decide(source: Entry | None, target: Entry | None, options: SetOptions, *, is_proven: bool) -> Decision:
    """Return what to do with a name. ``keep`` is for names that only the target has.

    :param is_proven: there is a fact that :func:`still_holds`
    """
    if source is None:
        return "delete" if target is not None and _is_surplus(target, options) else "keep"
    if target is None or options.compare == "always":
        return "put"
    if options.compare == "missing":
        return "same"
    if source.size != target.size:
        return "put"
    if is_folder_marker(source.name):
        return "same"  # a marker has no bytes, and a folder cannot be read
    return "same" if is_proven or options.compare == "size" else "compare"


def still_holds(fact: Fact, source: Entry, target: Entry, options: SetOptions) -> bool:
    """Return whether a fact is still true, because neither side has changed since.

    If CRC-64s are to be compared, the fact must have one: files that were equal only by mtime are not proven.
    """
    return (
        (fact.crc64 is not None or options.compare != "crc64")
        and LINK not in (source.kind, target.kind)
        and fact.size == source.size == target.size
        and is_unchanged(fact.source, source.identity)
        and is_unchanged(fact.target, target.identity)
    )


def _is_surplus(target: Entry, options: SetOptions) -> bool:
    """Return whether a mirror deletes the target. It keeps links, because a HEAD describes a link's target and would
    not show that the link has changed. It keeps folder markers, unless it creates them itself."""
    if options.mode != "mirror" or target.kind == LINK:
        return False
    return not (is_folder_marker(target.name) and options.empty_folders == "ignore")


def is_unchanged(then: str, now: str) -> bool:
    """Return whether two identities are of the same content. A listing has an object's ETag, but not its version."""
    if then == now:
        return True
    old, new = then.split(":"), now.split(":")
    return old[0] == new[0] == OBJECT_IDENTITY and old[1] == new[1] and min(len(old), len(new)) == 2
