"""Keeps watch while a work folder is used, or many rows are gone through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from airflow_provider_ossresume.sets.ports import Watch, WorkFolder
from airflow_provider_ossresume.transfer.crew import Crew

WRITTEN_AT_ONCE = 16
AT_A_LOOK = 1_000  # rows, which take some milliseconds
PAGE = 1_000  # names that are asked for at once


T = TypeVar("T")


def watched(rows: Iterable[T], watch: Watch) -> Iterator[T]:
    """Yield the rows, and keep watch."""
    for number, row in enumerate(rows):
        if not number % AT_A_LOOK:
            watch()
        yield row


class Watched:
    """The same as the work folder, used by a worker while the caller's own thread keeps watch.

    A share that hangs, or OSS that does not answer, holds up no stop.

    :param crew: nothing else of it is under way meanwhile
    """

    def __init__(self, work: WorkFolder, crew: Crew) -> None:
        self._work = work
        self._crew = crew

    @property
    def uri(self) -> str:
        return self._work.uri

    def read(self, name: str) -> bytes | None:
        return self._crew.call(lambda: self._work.read(name))

    def write(self, name: str, data: bytes) -> None:
        self._crew.call(lambda: self._work.write(name, data))

    def write_many(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write files, several at once; memory does not grow with their number."""
        files = iter(files)
        while some := list(islice(files, WRITTEN_AT_ONCE)):
            for _ in self._crew.run(lambda file: self._work.write(*file), some):
                pass

    def create(self, name: str, data: bytes) -> None:
        self._crew.call(lambda: self._work.create(name, data))

    def names(self, prefix: str) -> Iterator[str]:
        names = iter(self._work.names(prefix))
        while page := self._crew.call(lambda: list(islice(names, PAGE))):
            yield from page

    def delete(self, names: Iterable[str]) -> None:
        self._crew.call(lambda: self._work.delete(names))
