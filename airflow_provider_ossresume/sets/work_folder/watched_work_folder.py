"""Keeps the watch running while a work folder is used, or many rows are processed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from airflow_provider_ossresume.sets.ports import Watch, WorkFolder
from airflow_provider_ossresume.transfer.crew import Crew

WRITTEN_AT_ONCE = 16
ROWS_PER_WATCH = 1_000  # rows; they take a few milliseconds
PAGE = 1_000  # names that are listed at once


T = TypeVar("T")


def with_watch(rows: Iterable[T], watch: Watch) -> Iterator[T]:
    """Yield the rows, and call the watch between them."""
    for number, row in enumerate(rows):
        if not number % ROWS_PER_WATCH:
            watch()
        yield row


class WatchedWorkFolder:
    """A work folder that a worker reads and writes while the calling thread keeps its watch.

    So a share that hangs, or OSS that does not answer, cannot delay a stop.

    :param crew: must not be used for anything else meanwhile
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
        """Write files, several at once. Memory does not grow with their number."""
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
