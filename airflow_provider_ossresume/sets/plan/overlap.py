"""Source, target and work folder must not lie in each other in a way that harms."""

from __future__ import annotations

import os

from airflow_provider_ossresume.errors import PlanRefused
from airflow_provider_ossresume.transfer.paths import path_of_uri


def check_apart(source: str, target: str, work: str) -> None:
    """Look at the URIs of the three. A work folder may lie within source or target: both scans leave it out.

    :raises PlanRefused: when source and target overlap, or one of them lies in the work folder
    """
    places = {"source": _place(source), "target": _place(target)}
    if _is_in(places["source"], places["target"]) or _is_in(places["target"], places["source"]):
        raise PlanRefused(f"the source {source} and the target {target} overlap; files would be moved onto each other")
    for what, place in places.items():
        if _is_in(place, _place(work)):
            raise PlanRefused(
                f"the {what} {place} lies in the work folder {work}, which is left out; name another work folder"
            )


def check_backup(backup: str, *, source: str, target: str, work: str) -> None:
    """Look at where a mirror copies what it deletes.

    :raises PlanRefused: when it overlaps with one of the others, or the target is no prefix
    """
    if not target.startswith("oss://"):
        raise PlanRefused(
            f"backup_prefix={backup} is for a target on OSS, and {target} is a folder; leave it out, and save the "
            "files in another way"
        )
    for what, other in (("source", source), ("target", target), ("work folder", work)):
        if _is_in(_place(backup), _place(other)) or _is_in(_place(other), _place(backup)):
            raise PlanRefused(f"backup_prefix={backup} and the {what} {other} overlap; name another prefix")


def _is_in(inner: str, outer: str) -> bool:
    return inner.startswith(outer)


def _place(uri: str) -> str:
    """Return a URI that is the same for all names of one folder; links in its path are followed."""
    if not uri.startswith("file://"):
        return uri.rstrip("/") + "/"
    path = os.path.realpath(path_of_uri(uri))
    return f"file://{path.rstrip('/')}/"
