"""What a plan does about each name: move, leave, delete, or ask first whether both sides hold the same bytes."""

from __future__ import annotations

from typing import Literal

from airflow_provider_ossresume.model.entries import OBJECT_IDENTITY, Entry
from airflow_provider_ossresume.model.manifest import Fact
from airflow_provider_ossresume.model.set_names import is_folder_marker
from airflow_provider_ossresume.model.set_options import SetOptions

Decision = Literal["put", "same", "compare", "delete", "keep"]
LINK = "Symlink"  # OSS: its ETag stays when what it leads to gets another content


def decide(source: Entry | None, target: Entry | None, options: SetOptions, *, is_proven: bool) -> Decision:
    """Return what is to be done about a name; ``keep`` is for what only the target has.

    :param is_proven: a fact :func:`still_holds`
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
    """True when what was proven once is still so, as neither side has changed since.

    Where CRC-64s are to be compared, one must be known: what has been taken for the same by its mtime is not proven.
    """
    return (
        (fact.crc64 is not None or options.compare != "crc64")
        and LINK not in (source.kind, target.kind)
        and fact.size == source.size == target.size
        and is_unchanged(fact.source, source.identity)
        and is_unchanged(fact.target, target.identity)
    )


def _is_surplus(target: Entry, options: SetOptions) -> bool:
    """A mirror leaves the markers of folders unless it makes such markers itself, and links: a HEAD tells of what a
    link leads to, so nobody could see whether the link is still what the plan saw."""
    if options.mode != "mirror" or target.kind == LINK:
        return False
    return not (is_folder_marker(target.name) and options.empty_folders == "ignore")


def is_unchanged(then: str, now: str) -> bool:
    """True when two identities are of the same content; a listing tells an object's ETag, and not its version."""
    if then == now:
        return True
    old, new = then.split(":"), now.split(":")
    return old[0] == new[0] == OBJECT_IDENTITY and old[1] == new[1] and min(len(old), len(new)) == 2
