"""What the engine knows of the two ends of a transfer: a source, which is read, and a sink, which is written.

A new kind of transfer is a new pair of them; the engine and the other pairs stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from airflow_provider_ossresume.model.objects import ObjectMeta, Receipt
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.progress import Meter
from airflow_provider_ossresume.transfer.stop import Stop

Published = tuple[ObjectMeta, int | None]  # what is there now, and the CRC-64 of its bytes as far as it is known
AnySource = TypeVar("AnySource", contravariant=True)
AnyClient = TypeVar("AnyClient", bound="StoppableClient")


class StoppableClient(Protocol):
    """A client whose requests can be ended; see ``oss.client.OssClient``."""

    def with_stop(self: AnyClient, stop: Crew | Stop) -> AnyClient:
        """Return it with the stop, or with a crew for its stop."""


class Source(Protocol):
    """What is read, by any number of threads."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def fingerprint(self) -> str:
        """What tells its present content from any other, as a checkpoint has it; empty when nothing does."""

    def read(self, part: Part, stop: Stop, *, most: int) -> Iterator[memoryview]:
        """Yield the part's bytes in pieces of at most ``most`` bytes, each valid until the next is asked for.

        :raises SourceChanged: when it has become shorter
        :raises TransferStopped: when the stop is given
        """

    def crc64(self, part: Part, stop: Stop) -> int:
        """Return the CRC-64 of the part's bytes, by reading them; errors as in :meth:`read`."""

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """Called before the last piece of a part is sent.

        :param crc64: of what was read of the part; None when nothing tells it
        :raises SourceChanged: when it may be of two contents
        """

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """Called before the sink publishes.

        :raises SourceChanged: when what was put is not what the source has now
        """


@dataclass(frozen=True)
class Job:
    """What goes with each part that a worker moves.

    :ivar meter: makes the counter of one part
    :ivar rate: bytes per second that one worker may move; None is unlimited
    """

    stop: Stop
    meter: Callable[[], Meter]
    rate: float | None


class Lease(Protocol):
    """The right to publish, abort and delete."""

    def check_owner(self) -> None:
        """Called before anything that cannot be undone.

        :raises TrySuperseded: when a newer try has taken over
        """


class Sink(Protocol[AnySource]):
    """What is written, part by part."""

    def receipts(self, crew: Crew, source: AnySource) -> dict[int, Receipt]:
        """Return the receipts of the parts that hold the source's bytes, each of them compared, by part number."""

    def put(self, part: Part, source: AnySource, job: Job) -> Receipt:
        """Put one part in its place, whole or not at all. Workers call it."""

    def record(self, receipt: Receipt) -> None:
        """Take note of a part that has been put, so that a later try keeps it."""

    def record_rest(self) -> None:
        """Take note of what was put and not recorded: a signal may strike before the task's thread has the receipt."""

    def publish(self, crew: Crew, source: AnySource, receipts: Mapping[int, Receipt], lease: Lease) -> Published:
        """Make what was put appear, at once and whole, and prove it equal to what the source has.

        :raises SourceChanged: when the source has something else by now; nothing is published
        :raises IntegrityError: when it is not
        :raises InvalidPart: when another writer has replaced parts; then the receipts are to be asked for again
        """


@dataclass(frozen=True)
class TransferPlan:
    """What a transfer has to move.

    :ivar parts: all of them, in order
    :ivar receipts: of those that are in their place, by part number
    :ivar done: bytes that have come already, of parts that are not in their place
    """

    parts: Sequence[Part]
    receipts: Mapping[int, Receipt] = field(default_factory=dict)
    done: int = 0

    @property
    def size(self) -> int:
        return self.parts[-1].stop if self.parts else 0

    @property
    def missing(self) -> list[Part]:
        return [part for part in self.parts if part.number not in self.receipts]
