"""What a transfer of many files knows of its two ends, and of where it keeps its own files.

Scan, plan, batch and finish are the same for every pair of ends. A new kind of end is one class with :class:`Location`,
and a new pair is one with :class:`Mover`.
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
Watch = Callable[[], None]  # called at least four times a second; what it raises ends the work


class NameRules(Protocol):
    """Says of each file of a scan, in their order, whether it can come to the other end."""

    def why_refused(self, entry: Entry) -> str:
        """Return why nothing of that name can come there, in words; nothing when it can."""

    def is_taken(self, name: str) -> bool:
        """True when the other end takes the name for one of those that were found good, as it does not tell case."""


class Location(Protocol):
    """A folder, or the objects of a prefix."""

    @property
    def uri(self) -> str:
        """``file:///folder/`` or ``oss://bucket/prefix/``."""

    def name_rules(self) -> NameRules:
        """Return the rules for names of what is to come here, for one scan of the other end."""

    def scan(
        self,
        options: SetOptions,
        *,
        is_source: bool,
        watch: Watch,
        names: NameRules | None = None,
        work_uri: str = "",
    ) -> Iterator[ScanItem]:
        """Yield all that there is, in the order of the names' UTF-8 bytes, in memory that does not grow with it.

        Of a source, what the options leave out comes as ``LeftOut``. A target has everything, so that a mirror
        deletes nothing that a filter hides; what is no file there, such as a link, comes as ``LeftOut`` too, and
        is not to be touched. What lies in the work folder, in a folder ``.ossresume``, and part files of downloads
        belong to neither.

        Nothing more is yielded when the first thing was found that the options refuse; the scan only goes on to name
        the others.

        :param names: of the target; by default each name is good
        :param work_uri: of the work folder
        :raises PlanRefused: at the end, when the options do not let something be left out that has to be
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
        """Yield what there is under each of these names, in their order, as a scan would; the crew's workers look.

        A name that is not there comes as ``LeftOut``, with the reason ``vanished``, when this is the source; a target
        leaves it out.

        :param names: in the order of their bytes; those that are not UTF-8 as Python's ``surrogateescape`` has them
        :param rules: of the target
        :param crew: nothing else of it is under way while the next one is asked for
        :raises OSSResumeError: as soon as anything cannot be looked at
        """


class WorkFolder(Protocol):
    """Where plans, batches, ledgers and checkpoints lie: a prefix of OSS, or a folder that all workers share."""

    @property
    def uri(self) -> str:
        """``file:///folder/`` or ``oss://bucket/prefix/``."""

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, or None when there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all, in place of a former one."""

    def create(self, name: str, data: bytes) -> None:
        """The same for one that must not exist.

        :raises AlreadyExists: when it exists with other bytes
        """

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of all files that begin so, in the order of their bytes."""

    def delete(self, names: Iterable[str]) -> None:
        """Remove files; one that does not exist is no error."""


class Ledger(Protocol):
    """Says what has become of a batch's rows. One thread at a time calls it."""

    def rows(self) -> Mapping[int, LedgerRow]:
        """Return the rows that earlier tries have proven, by their numbers."""

    def add(self, row: LedgerRow) -> None:
        """Take one more row, to be kept at the next flush."""

    def flush(self) -> None:
        """Keep what was added; it may take as long as the work folder does."""


@dataclass(frozen=True)
class FileJob:
    """What goes with each file that one worker moves.

    :ivar crew: its requests and its reads end with the crew's stop
    :ivar meter: makes the counter of one file
    :ivar rate: bytes per second that one worker may move; None is unlimited
    :ivar check_first: an earlier try may have moved the file, so the target is compared before bytes move
    """

    crew: Crew
    meter: Callable[[], Meter]
    rate: float | None = None
    check_first: bool = False


class Mover(Protocol):
    """Moves files from one end to the other. Workers call all methods but :meth:`delete` and :meth:`make_durable`.

    What is not as the plan saw it is moved, left or refused as the options say. A row that is left comes back as
    ``skipped``, with the reason ``vanished`` or ``source_changed``.
    """

    @property
    def source(self) -> Location: ...

    @property
    def target(self) -> Location: ...

    def compare(self, source: Entry, target: Entry, crew: Crew) -> Fact | None:
        """Return the proof that both hold the same bytes, by the CRC-64; None when they differ or nothing tells."""

    def move_small(self, row: Row, job: FileJob) -> LedgerRow:
        """Move one file in one go and prove it.

        :raises OSSResumeError: when that did not work
        """

    def move_large(self, row: Row, *, workers: int, check_first: bool, watch: Watch) -> LedgerRow:
        """Move one file part by part, going on from what earlier tries have moved, and prove it; errors as above."""

    def make_durable(self, crew: Crew) -> None:
        """Make what was moved last: called before the ledger says so."""

    def delete(self, victims: Iterable[Victim], crew: Crew) -> Iterator[tuple[Victim, str]]:
        """Delete what is still as the plan saw it; yield each with ``deleted``, ``gone`` or ``changed``.

        Where copies are made before, it may come as ``unproven``: it is kept, as nothing proves its copy.
        """
