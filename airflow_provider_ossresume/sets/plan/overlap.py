"""Checks that source, target, work folder and backup do not overlap in a harmful way."""

from __future__ import annotations

import os

from airflow_provider_ossresume.errors import PlanRefused
from airflow_provider_ossresume.transfer.paths import path_of_uri


def check_overlap(source: str, target: str, work: str) -> None:
    """Check the three URIs. A work folder may be inside the source or target, because scans leave it out.

    :raises PlanRefused: if source and target overlap, or one of them is inside the work folder
    """
    places = {"source": _canonical_uri(source), "target": _canonical_uri(target)}
    if _lies_in(places["source"], places["target"]) or _lies_in(places["target"], places["source"]):
        raise PlanRefused(
            f"the source {source} and the target {target} overlap; choose two that do not contain each other"
        )
    for what, place in places.items():
        if _lies_in(place, _canonical_uri(work)):
            raise PlanRefused(
                f"the {what} {place} is inside the work folder {work}, which is never moved; choose another work folder"
            )


def check_backup_prefix(backup: str, *, source: str, target: str, work: str) -> None:
    """Check the prefix where a mirror copies files before it deletes them.

    :raises PlanRefused: if it overlaps with one of the others, or the target is not a prefix
    """
    if not target.startswith("oss://"):
        raise PlanRefused(
            f"backup_prefix={backup} needs a target on OSS, but {target} is a local folder; leave backup_prefix out, "
            "and back up the files in another way"
        )
    for what, other in (("source", source), ("target", target), ("work folder", work)):
        if _lies_in(_canonical_uri(backup), _canonical_uri(other)) or _lies_in(
            _canonical_uri(other), _canonical_uri(backup)
        ):
            raise PlanRefused(f"backup_prefix={backup} and the {what} {other} overlap; choose another prefix")


def _lies_in(inner: str, outer: str) -> bool:
    return inner.startswith(outer)


def _canonical_uri(uri: str) -> str:
    """Return one URI for all names of a folder. Links in its path are followed."""
    if not uri.startswith("file://"):
        return uri.rstrip("/") + "/"
    path = os.path.realpath(path_of_uri(uri))
    return f"file://{path.rstrip('/')}/"
