"""Moves the many files of one call. fsspec decides which file goes where; several small ones are moved at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.filesystem import paths
from airflow_provider_ossresume.filesystem.file_transfers import Watch, no_watch
from airflow_provider_ossresume.transfer.crew import Crew

FILES_AT_ONCE = 8  # small files; a large one uses many connections by itself


class Pair(NamedTuple):
    """A file and its target."""

    source: Any
    target: Any


def check_paths(path1: Any, path2: Any, *, remote: Sequence[Any]) -> None:
    """Check the paths that a caller gives, before they are expanded to files.

    :param remote: those of the two that are paths on OSS
    :raises ArgumentError: for two lists of different length, and for a path without a bucket
    """
    if isinstance(path1, list) and isinstance(path2, list) and len(path1) != len(path2):
        raise ArgumentError("path2", f"{len(path2)} paths", f"there are {len(path1)} sources; give one target for each")
    for named in remote:
        for each in named if isinstance(named, (list, tuple)) else (named,):
            if not paths.strip(each):
                raise ArgumentError(
                    "path", each, "it names no bucket (a template may have rendered to nothing); write bucket/key"
                )


def check_pairs(
    pairs: Sequence[Pair],
    *,
    source_of: Callable[[Any], Hashable],
    target_of: Callable[[Any], Hashable],
    is_directory: Callable[[Pair], bool],
) -> None:
    """Check that no file overwrites another target, or a source, of the same call.

    :param source_of: returns a key that identifies a source among sources and targets
    :raises ArgumentError: if one does
    """
    sources = {source_of(pair.source): pair for pair in pairs}
    targets: dict[Hashable, Pair] = {}
    for pair in pairs:
        target = target_of(pair.target)
        other = targets.setdefault(target, pair)
        if other is not pair and not is_directory(other) and not is_directory(pair):
            reason = f"{other.source} and {pair.source} would both be written there; move them one by one"
            raise ArgumentError("path2", pair.target, reason)
        over = sources.get(target)
        if over and over is not pair and over.source != pair.source and not is_directory(over):
            raise ArgumentError(
                "path2", pair.target, f"{pair.source} would overwrite it, but it is a source too; move them one by one"
            )


class PairRecorder:
    """Replaces the filesystem in fsspec's own methods, and records the files that they would move."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs
        self.pairs: list[Pair] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def cp_file(self, path1: Any, path2: Any, **kwargs: Any) -> None:
        """Record a copy."""
        self.pairs.append(Pair(path1, path2))

    def put_file(self, lpath: Any, rpath: Any, **kwargs: Any) -> None:
        """Record an upload."""
        self.pairs.append(Pair(lpath, rpath))

    def get_file(self, rpath: Any, lpath: Any, **kwargs: Any) -> None:
        """Record a download."""
        self.pairs.append(Pair(rpath, lpath))


def move_pairs(
    pairs: Sequence[Pair],
    *,
    is_large: Callable[[Pair], bool],
    small: Callable[[Pair, Watch], None],
    large: Callable[[Pair], None],
) -> Iterator[Pair]:
    """Move the files, and yield each one when it is done: first the small ones, several at once, then the large ones.

    :param small: moves a file in a worker. It must call its second argument at least four times a second, which raises
        an exception to end it
    :param large: moves a file in this thread. A single file always counts as large
    """
    alone = [pair for pair in pairs if is_large(pair)] if len(pairs) > 1 else list(pairs)
    apart = set(alone)
    together = [pair for pair in pairs if pair not in apart]
    if together:
        with Crew(workers=min(FILES_AT_ONCE, len(together)), tick=no_watch) as crew:

            def moved(pair: Pair) -> Pair:
                small(pair, crew.stop.check)
                return pair

            yield from crew.run(moved, together)
    for pair in alone:
        large(pair)
        yield pair
