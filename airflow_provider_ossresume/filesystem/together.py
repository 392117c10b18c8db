"""Many files of one call: fsspec works out which go where, and small ones go several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from airflow_provider_ossresume.transfer.crew import Crew

Watch = Callable[[], None]
AT_ONCE = 8  # files; a large one has many connections of its own


class Pair(NamedTuple):
    """A file and where it goes."""

    source: Any
    target: Any


class Recorder:
    """Stands for a filesystem in fsspec's own methods, and takes note of the files that they would move."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs
        self.pairs: list[Pair] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def cp_file(self, path1: Any, path2: Any, **kwargs: Any) -> None:
        """Take note of a copy."""
        self.pairs.append(Pair(path1, path2))

    def put_file(self, lpath: Any, rpath: Any, **kwargs: Any) -> None:
        """Take note of an upload."""
        self.pairs.append(Pair(lpath, rpath))

    def get_file(self, rpath: Any, lpath: Any, **kwargs: Any) -> None:
        """Take note of a download."""
        self.pairs.append(Pair(rpath, lpath))


def each_moved(
    move: Callable[[Pair, Watch], None], pairs: Sequence[Pair], *, is_large: Callable[[Pair], bool], watch: Watch
) -> Iterator[Pair]:
    """Move the files and yield each that is done: first the small ones, several at once, then the large ones.

    :param move: moves one; it calls its second argument at least four times a second, which raises when it is to end
    :param watch: called as often by this thread
    """
    large = [pair for pair in pairs if is_large(pair)] if len(pairs) > 1 else list(pairs)
    apart = set(large)
    small = [pair for pair in pairs if pair not in apart]
    if small:
        with Crew(workers=min(AT_ONCE, len(small)), tick=watch) as crew:

            def moved(pair: Pair) -> Pair:
                move(pair, crew.stop.check)
                return pair

            yield from crew.run(moved, small)
    for pair in large:
        move(pair, watch)
        yield pair
