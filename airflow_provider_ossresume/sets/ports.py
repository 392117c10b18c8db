"""The Protocols between the steps of a transfer of many files, its source and target, and its work folder.

Scan, plan, batch and finish are the same for every source and target. To add a kind of source or target, write a
:class:`Location`. To move files between two kinds, write a :class:`Mover`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_ossresume.model.entries import Entry, LeftOut
from airflow_provider_ossresume.model.manifest import Fact, LedgerRow, Row, Victim
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.progress import Meter

ScanItem = Entry | LeftOut
Watch = Callable[[], None]  # called at least four times a second; an exception from it ends the work


class NameRules(Protocol):
    """Decides for each file of a scan, in order, whether the target can have a file of that name."""

    def why_refused(self, entry: Entry) -> str:
        """Return the reason why the target cannot have that name; empty if it can."""

    def is_taken(self, name: str) -> bool:
        """True if the target ignores case and treats the name as one that was accepted before."""


class Location(Protocol):
    """A folder, or the objects of a prefix."""

    @property
    def uri(self) -> str:
        """``file:///folder/`` or ``oss://bucket/prefix/``."""

    def name_rules(self) -> NameRules:
        """Return the rules for the names that this target can have, for one scan of the source."""

    def scan(
        self,
        options: SetOptions,
        *,
        is_source: bool,
        watch: Watch,
        names: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        """Yield every file, in the order of the names' UTF-8 bytes. Memory does not grow with the number of files.

        In a source, files that the options leave out come as ``LeftOut``. A target lists all files, so that a mirror
        deletes nothing that a filter hides. Anything else in a target, such as a link, comes as ``LeftOut`` and must
        not be touched. The work folder, folders named ``.ossresume`` and part files of downloads are never listed.

        After the first item that the options refuse, nothing more is yielded. The scan continues only to name the
        other refused items in the error.

        :param names: the target's rules; by default every name is accepted
        :param work_uri: of the work folder
        :raises PlanRefused: at the end, if something cannot be moved and the options do not allow leaving it out
        :raises OSSResumeError: as soon as anything cannot be listed; a scan that ends without an error is complete
        """

    def look_up(
        self,
        names: Iterable[str],
        options: SetOptions,
        *,
        is_source: bool,
        crew: Crew,
        rules: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        """Yield what a scan would yield for each of these names, in their order. The crew's workers look them up.

        A name that does not exist comes as ``LeftOut`` with the reason ``vanished`` in a source. In a target it is
        omitted.

        :param names: in the order of their bytes; names that are not UTF-8 use Python's ``surrogateescape``
        :param rules: the target's rules for names
        :param crew: must not be used for anything else meanwhile
        :raises OSSResumeError: as soon as a name cannot be looked up
        """


class WorkFolder(Protocol):
    """Holds plans, batches, ledgers and checkpoints: a prefix on OSS, or a folder that all workers share."""

    @property
    def uri(self) -> str:
        """``file:///folder/`` or ``oss://bucket/prefix/``."""

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None if it does not exist."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, completely or not at all. It replaces an existing one."""

    def create(self, name: str, data: bytes) -> None:
        """Write a file that must not exist yet.

        :raises AlreadyExists: if it exists with other bytes
        """

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of all files that begin with the prefix, in the order of their bytes."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete files. It is not an error if one does not exist."""


class Ledger(Protocol):
    """Keeps the result of each row of a batch. One thread at a time calls it."""

    def rows(self) -> Mapping[int, LedgerRow]:
        """Return the rows that earlier tries have proven, by row number."""

    def add(self, row: LedgerRow) -> None:
        """Add a row. The next flush writes it."""

    def flush(self) -> None:
        """Write the added rows to the work folder; it may block as long as the work folder does."""


@dataclass(frozen=True)
class FileJob:
    """How one worker moves one small file.

    :ivar crew: its stop ends the file's requests and reads
    :ivar meter: makes the byte counter of one file
    :ivar rate: bytes per second that one worker may move; None is unlimited
    :ivar check_first: compare the target before bytes move, because an earlier try may have moved the file
    """

    crew: Crew
    meter: Callable[[], Meter]
    rate: float | None = None
    check_first: bool = False


class Mover(Protocol):
    """Moves files from the source to the target. Workers call all methods but :meth:`delete` and :meth:`make_durable`.

    If a file has changed since the plan, the options decide: move it, skip it or fail. A skipped row comes back with
    the result ``skipped`` and the reason ``vanished`` or ``source_changed``.
    """

    @property
    def source(self) -> Location: ...

    @property
    def target(self) -> Location: ...

    def compare(self, source: Entry, target: Entry, crew: Crew) -> Fact | None:
        """Return the proof, by CRC-64, that both hold the same bytes; None if they differ or there is no proof."""

    def move_small(self, row: Row, job: FileJob) -> LedgerRow:
        """Move one file in one request, and prove it.

        :raises OSSResumeError: if it could not be moved or proven
        """

    def move_large(self, row: Row, *, workers: int, check_first: bool, watch: Watch) -> LedgerRow:
        """Move one file part by part, resuming from earlier tries, and prove it. Errors as for :meth:`move_small`."""

    def make_durable(self, crew: Crew) -> None:
        """Make sure that a crash does not lose the moved files. It is called before the ledger is written."""

    def delete(self, victims: Iterable[Victim], crew: Crew) -> Iterator[tuple[Victim, str]]:
        """Delete the files that have not changed since the plan; yield each with ``deleted``, ``gone`` or ``changed``.

        If files are backed up first, a file whose copy cannot be proven is kept and yielded as ``unproven``.
        """
