"""Facts: files that are proven equal in a source and a target. A later plan skips those that have not changed since.

Facts only save requests and reads. If they cannot be read, the files are compared again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from itertools import islice

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.manifest import FORMAT, Fact
from airflow_provider_ossresume.model.packed_rows import pack_rows, unpack_rows
from airflow_provider_ossresume.model.plan_layout import digest, facts_folder, facts_name
from airflow_provider_ossresume.model.untrusted_json import read_json
from airflow_provider_ossresume.sets.ports import WorkFolder

log = logging.getLogger(__name__)

FACTS_PER_FILE = 20_000  # facts; about 1 MB


class FactStore:
    """The facts about one source and one target, in a work folder.

    :param pair: see :func:`~airflow_provider_ossresume.model.plan_layout.pair_key`
    """

    def __init__(self, work: WorkFolder, pair: str) -> None:
        self._work = work
        self._pair = pair

    def read(self) -> Iterator[Fact]:
        """Yield the facts in the order of the names' bytes. Warn about a file that cannot be read, and skip it."""
        for name in self._files():
            try:
                yield from self._read(name)
            except ManifestUnreadable as error:
                log.warning(
                    "Some facts about earlier transfers cannot be read, so those files are compared again: %s", error
                )

    def replace(self, facts: Iterable[Fact], *, plan_id: str) -> None:
        """Replace all facts. The new ones come in the order of the names' bytes.

        A plan that is reading the old ones at the same time may find them gone.
        """
        former, files = self._files(), list[str]()
        facts = iter(facts)
        while part := list(islice(facts, FACTS_PER_FILE)):
            data = pack_rows(part)
            files.append(f"{facts_folder(self._pair)}{plan_id}-{len(files):05}-{digest(data)}.jsonl.gz")
            self._work.write(files[-1], data)
        pointer = {"format": FORMAT, "plan_id": plan_id, "files": files}
        self._work.write(facts_name(self._pair), json.dumps(pointer, indent=1).encode())
        self._work.delete([name for name in former if name not in files])

    def _files(self) -> list[str]:
        data = self._work.read(facts_name(self._pair))
        if data is None:
            return []
        try:
            match read_json(data):
                case {"format": int(number), "files": [*names]} if number <= FORMAT:
                    return [str(name) for name in names if str(name).startswith(facts_folder(self._pair))]
        except ValueError:
            pass
        log.warning(
            "%s%s is from another version of this provider, so all files are compared again",
            self._work.uri,
            facts_name(self._pair),
        )
        return []

    def _read(self, name: str) -> Iterator[Fact]:
        data = self._work.read(name)
        if data is None:
            raise ManifestUnreadable(f"{self._work.uri}{name} no longer exists")
        try:
            yield from map(Fact.of, unpack_rows(data))
        except ManifestUnreadable as error:
            raise ManifestUnreadable(f"{self._work.uri}{name}: {error}") from error


class FactsByName:
    """Facts by name, for a plan that asks for them in the order of the names' bytes.

    :ivar count: number of facts read so far
    """

    def __init__(self, facts: Iterator[Fact]) -> None:
        self._facts = facts
        self.count = 0
        self._head = self._next()

    def get(self, name: str) -> Fact | None:
        """Return the fact about a name, or None. Ask for names in ascending order."""
        place = name.encode()
        while self._head is not None and self._head.name.encode() < place:
            self._head = self._next()
        return self._head if self._head is not None and self._head.name == name else None

    def skip_rest(self) -> None:
        """Read and count the remaining facts."""
        while self._head is not None:
            self._head = self._next()

    def _next(self) -> Fact | None:
        fact = next(self._facts, None)
        self.count += fact is not None
        return fact


def merge_facts(older: Iterator[Fact], newer: Iterator[Fact]) -> Iterator[Fact]:
    """Yield the facts of both in the order of the names' bytes. For a name in both, yield the newer fact."""
    old, new = next(older, None), next(newer, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old.name.encode() < new.name.encode()):
            if old is not None:
                yield old
            old = next(older, None)
        else:
            if old is not None and old.name == new.name:
                old = next(older, None)
            yield new
            new = next(newer, None)
