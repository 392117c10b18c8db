"""Merges the scans of source and target by name. Memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_ossresume.errors import SetError
from airflow_provider_ossresume.model.entries import Entry, LeftOut, printable
from airflow_provider_ossresume.model.set_names import Ancestors
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.source_filter import SourceFilter
from airflow_provider_ossresume.sets.ports import Location, NameRules, ScanItem, Watch

Pair = tuple[ScanItem | None, ScanItem | None]


def scan_both(
    source: Location,
    target: Location,
    options: SetOptions,
    *,
    work_uri: str,
    watch: Watch,
    names: NameRules | None = None,
) -> Iterator[Pair]:
    """Scan both, and yield what source and target have under each name, as :func:`merge` does.

    A file that only the target has comes as ``(None, LeftOut)`` if a filter excludes it, because a mirror deletes
    nothing that a filter hides.

    :param work_uri: of the work folder, which is left out
    :param names: the target's rules for names; pass them to use them afterwards
    :raises OSSResumeError: as :meth:`~airflow_provider_ossresume.sets.ports.Location.scan` does
    """
    names = names or target.name_rules()
    source_filter = SourceFilter(options)
    sources = source.scan(options, is_source=True, watch=watch, names=names, work_uri=work_uri)
    targets = target.scan(options, is_source=False, watch=watch, work_uri=work_uri)
    for from_source, from_target in merge(sources, targets):
        if from_source is None and isinstance(from_target, Entry):
            yield None, source_filter.check_filters(from_target) or from_target
        else:
            yield from_source, from_target


def merge(sources: Iterable[ScanItem], targets: Iterable[ScanItem]) -> Iterator[Pair]:
    """Yield what source and target have under each name, in the order of the names' bytes; None if there is nothing.

    ``(None, Entry)`` means that only the target has the file. If the source left out the same name, the pair is
    ``(LeftOut, Entry)``. If the source left out a folder above it, the pair is ``(None, LeftOut)``, because its
    contents are unknown. An empty folder in the source contains nothing, so files below it are only in the target.

    :raises SetError: if one of the two is out of order, or has a name twice
    """
    left, right = _Ascending(sources, "source"), _Ascending(targets, "target")
    hiding: Ancestors[LeftOut] = Ancestors()
    while (place := _first(left.place, right.place)) is not None:
        source = left.take() if left.place == place else None
        target = right.take() if right.place == place else None
        if isinstance(source, LeftOut):
            if source.reason != "empty_folder":  # an empty folder certainly has nothing below it
                hiding.add(place, source)
        elif source is None and isinstance(target, Entry) and (hidden := hiding.of(place)):
            target = LeftOut.of(target.name, hidden.reason, f"it is unknown what {hidden.name} contains")
        yield source, target


class _Ascending:
    """One of the two scans, with the place of its next item."""

    def __init__(self, found: Iterable[ScanItem], what: str) -> None:
        self._found = iter(found)
        self._what = what
        self.place: bytes | None = None
        self._advance()

    def take(self) -> ScanItem:
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
                f"the scan of the {self._what} is out of order: {printable(self.place)} came after {printable(before)}"
            )


def _first(left: bytes | None, right: bytes | None) -> bytes | None:
    if left is None or right is None:
        return right if left is None else left
    return min(left, right)
