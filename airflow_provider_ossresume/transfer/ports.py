"""The interfaces of the two ends of a transfer: a source, which is read, and a sink, which is written.

For a new kind of transfer, write a new pair. The engine and the other pairs stay as they are.
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

Published = tuple[ObjectMeta, int | None]  # the object or file that was published, and its CRC-64 if known
AnySource = TypeVar("AnySource", contravariant=True)
AnyClient = TypeVar("AnyClient", bound="StoppableClient")


class StoppableClient(Protocol):
    """A client whose requests a stop can end; see ``oss.client.OssClient``."""

    def with_stop(self: AnyClient, stop: Crew | Stop) -> AnyClient:
        """Return a client that ends its requests when the stop, or that of the crew, is given."""


class Source(Protocol):
    """What a transfer reads. Any number of threads may call the methods."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def fingerprint(self) -> str:
        """A text for the checkpoint that identifies the present content; empty if nothing identifies it."""

    def read(self, part: Part, stop: Stop, *, most: int) -> Iterator[memoryview]:
        """Yield the part's bytes in pieces of at most ``most`` bytes. A piece is valid until the next one is yielded.

        :raises SourceChanged: if the source has become shorter
        :raises TransferStopped: if the stop is given
        """

    def crc64(self, part: Part, stop: Stop) -> int:
        """Read the part and return the CRC-64 of its bytes; errors as in :meth:`read`."""

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """Check, before the last piece of a part is sent, that the source did not change while the part was read.

        :param crc64: of the bytes that were read of the part; None if not known
        :raises SourceChanged: if it may have changed
        """

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """Check, before the sink publishes, that the source still has the bytes that were put.

        :raises SourceChanged: if it does not
        """


@dataclass(frozen=True)
class Job:
    """What a worker needs to move a part, besides the part itself.

    :ivar meter: returns a new byte counter for a part
    :ivar rate: bytes per second for one worker; None is unlimited
    """

    stop: Stop
    meter: Callable[[], Meter]
    rate: float | None


class Lease(Protocol):
    """The right to publish, abort and delete."""

    def check_owner(self) -> None:
        """Call this right before each step that cannot be undone.

        :raises TrySuperseded: if a newer try has taken over
        """


class Sink(Protocol[AnySource]):
    """What a transfer writes, part by part."""

    def receipts(self, crew: Crew, source: AnySource) -> dict[int, Receipt]:
        """Compare the parts that are there with the source. Return the receipts of those that match, by part number."""

    def put(self, part: Part, source: AnySource, job: Job) -> Receipt:
        """Put one part in its place, completely or not at all. Workers call this."""

    def record(self, receipt: Receipt) -> None:
        """Note a part that has been put, so that a later try keeps it."""

    def record_rest(self) -> None:
        """Note all parts that were put but not recorded. A signal may arrive before the task's thread has a receipt."""

    def publish(self, crew: Crew, source: AnySource, receipts: Mapping[int, Receipt], lease: Lease) -> Published:
        """Prove that the parts equal the source, and publish them in one step.

        :raises SourceChanged: if the source has changed; nothing is published
        :raises IntegrityError: if the bytes differ
        :raises InvalidPart: if another writer has replaced parts; ask for the receipts again then
        """


@dataclass(frozen=True)
class TransferPlan:
    """The parts of a transfer, and those that are in place already.

    :ivar parts: all parts, in order
    :ivar receipts: of the parts that are in place, by part number
    :ivar done: bytes already received of parts that are not yet in place
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
