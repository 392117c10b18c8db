"""Puts two scans side by side: what source and target have under each name, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_ossresume.errors import SetError
from airflow_provider_ossresume.model.entries import Entry, LeftOut, printable
from airflow_provider_ossresume.model.set_names import Above
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.source_filter import Sieve
from airflow_provider_ossresume.sets.ports import End, Found, NameRules, Watch

Pair = tuple[Found | None, Found | None]


def scan_both(
    source: End, target: End, options: SetOptions, *, work_uri: str, watch: Watch, names: NameRules | None = None
) -> Iterator[Pair]:
    """Yield what source and target have under each name, as :func:`merge` does, with the target's rules for names.

    A target that the source does not have, and that the options would leave out of a source, comes as ``(None,
    LeftOut)``: a mirror deletes nothing that a filter hides.

    :param work_uri: of the work folder, which belongs to neither
    :param names: the target's rules, for who asks them afterwards
    :raises OSSResumeError: as :meth:`~airflow_provider_ossresume.sets.ports.End.scan` does
    """
    names = names or target.name_rules()
    sieve = Sieve(options)
    sources = source.scan(options, is_source=True, watch=watch, names=names, work_uri=work_uri)
    targets = target.scan(options, is_source=False, watch=watch, work_uri=work_uri)
    for from_source, from_target in merge(sources, targets):
        if from_source is None and isinstance(from_target, Entry):
            yield None, sieve.filtered(from_target) or from_target
        else:
            yield from_source, from_target


def merge(sources: Iterable[Found], targets: Iterable[Found]) -> Iterator[Pair]:
    """Yield what source and target have under each name, in the order of the names' bytes; None for nothing.

    Only what comes as ``(None, Entry)`` is known to be in the target alone. What has the name of a source that was left
    out comes beside it: ``(LeftOut, Entry)``. What lies below one, as in a folder that was not looked into, comes as
    ``(None, LeftOut)``; below an empty folder the source has nothing, so what the target has there is in it alone.

    :raises SetError: when one of the two is not in order, or has a name twice
    """
    left, right = _Ascending(sources, "source"), _Ascending(targets, "target")
    hiding: Above[LeftOut] = Above()
    while (place := _first(left.place, right.place)) is not None:
        source = left.take() if left.place == place else None
        target = right.take() if right.place == place else None
        if isinstance(source, LeftOut):
            if source.reason != "empty_folder":  # of which it is known that nothing is below
                hiding.add(place, source)
        elif source is None and isinstance(target, Entry) and (hidden := hiding.of(place)):
            target = LeftOut.of(target.name, hidden.reason, f"nothing is known of what {hidden.name} has")
        yield source, target


class _Ascending:
    """One of the two, with its next place."""

    def __init__(self, found: Iterable[Found], what: str) -> None:
        self._found = iter(found)
        self._what = what
        self.place: bytes | None = None
        self._advance()

    def take(self) -> Found:
        taken = self._next
        self._advance()
        return taken

    def _advance(self) -> None:
        before = self.place
        try:
            self._next = next(self._found)
        except StopIteration:
            self.place = None
            return
        self.place = self._next.place
        if before is not None and self.place <= before:
            raise SetError(
                f"the scan of the {self._what} is not in order: {printable(self.place)} came behind {printable(before)}"
            )


def _first(left: bytes | None, right: bytes | None) -> bytes | None:
    if left is None or right is None:
        return right if left is None else left
    return min(left, right)
