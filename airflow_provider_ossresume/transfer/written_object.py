"""An object made of bytes that come one after the other, of which nobody knows how many there will be."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Protocol

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    ArgumentError,
    CredentialsError,
    RequestError,
    TransferError,
    TransferStopped,
)
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import MAX_PART_COUNT, GrowingPlan, format_size
from airflow_provider_ossresume.transfer.crew import Crew, Deadline
from airflow_provider_ossresume.transfer.multipart_upload import MultipartClient, MultipartUpload
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.ports import StoppableClient
from airflow_provider_ossresume.transfer.target_object import LooksClient, TargetObject
from airflow_provider_ossresume.transfer.workers import Pending, Workers

log = logging.getLogger(__name__)


class HeldBody:
    """Bytes that are held in memory, as the body of a request."""

    def __init__(self, *pieces: bytes | bytearray) -> None:
        self._pieces = [memoryview(piece) for piece in pieces]
        self._crc64 = 0
        for piece in self._pieces:
            self._crc64 = crc64(piece, self._crc64)

    @property
    def size(self) -> int:
        return sum(map(len, self._pieces))

    def open(self) -> Iterable[memoryview]:
        """Yield them in pieces, so that a slow link is seen to move."""
        return (piece[at : at + _PIECE] for piece in self._pieces for at in range(0, len(piece), _PIECE))

    def content_md5(self) -> str | None:
        return content_md5(self._pieces)

    def crc64(self) -> int:
        return self._crc64


_PIECE = 256 * 1024
_KEPT = 64 * 1024  # from so many bytes on, a copy costs more than to keep what was given
DROP_TIME = 3.0  # seconds; whoever ends a task gives it little more


class WritingClient(LooksClient, MultipartClient, StoppableClient, Protocol):
    """What it needs of OSS; see ``oss.client.OssClient``."""

    def put_object(
        self, target: ObjectRef, body: HeldBody, *, headers: Mapping[str, str] | None = None
    ) -> ObjectMeta: ...


class WrittenObject:
    """Takes bytes, and makes one object of all of them when it is told to; until then nothing of them is seen.

    What fits into one part is sent by one PutObject. More goes part by part, several at once, and each part and the
    whole are compared by CRC-64. It holds at most ``memory`` bytes, or one part that is sent and one that grows.

    Used by one thread. A fork's child has no part in it: there nothing is sent and nothing aborted.

    :param part_size: of the first parts; see :class:`~airflow_provider_ossresume.model.parts.GrowingPlan`
    :param most_workers: parts in flight at once
    """

    def __init__(
        self,
        client: WritingClient,
        target: ObjectRef,
        *,
        options: UploadOptions | None = None,
        part_size: int,
        memory: int,
        most_workers: int,
    ) -> None:
        self.size = 0
        self.upload_id: str | None = None
        self._client = client
        self._target = target
        self._options = options or UploadOptions()
        self._plan = GrowingPlan(0, part_size)
        self._memory = memory
        self._workers = Workers(most_workers)
        self._most_workers = most_workers
        self._oss = client.with_stop(self._workers.stop)
        self._part: list[bytes | bytearray] = []
        self._held = 0  # bytes of it
        self._sent: deque[Pending[Receipt]] = deque()
        self._receipts: dict[int, Receipt] = {}
        self._failure: BaseException | None = None
        self._is_over = False
        self._process = os.getpid()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take the bytes, which may be overwritten afterwards, and return how many they are.

        Waits for a part to be sent when the memory is used up.

        :raises RequestError: when a part could not be sent; nothing is published any more
        :raises ArgumentError: when there are more bytes than 10,000 parts hold
        """
        view = memoryview(data).cast("B")
        self._check()
        size = len(view)
        while view:
            if self._held == self._part_size:  # only when more comes: an object of just one part takes one request
                self._send()
            taken = view[: self._part_size - self._held]
            # Kept as it is only when it lies in this part alone: else it would be held for longer than its part.
            self._hold(data if type(data) is bytes and _KEPT <= len(data) == len(taken) else taken)
            view = view[len(taken) :]
        self.size += size
        return size

    def publish(self) -> ObjectMeta:
        """Send what is left, and let the object appear. It is over then, whatever comes of it.

        :raises AlreadyExists: under ``if_exists="fail"``
        :raises IntegrityError: when OSS holds other bytes than were written
        :raises RequestError: when OSS cannot be made to take it; then nothing of it is published
        """
        self._check()
        self._is_over = True
        try:
            return self._put_whole() if self.upload_id is None and not self._sent else self._complete()
        except BaseException:
            self._drop()
            raise

    def discard(self) -> None:
        """Publish nothing, and remove from OSS what was sent; once it is over this does nothing."""
        if not self._is_over and self._process == os.getpid():
            self._is_over = True
            self._drop()

    def forget(self) -> None:
        """Publish nothing and ask OSS for nothing, as an object must that is collected; what is sent stays on OSS."""
        self._is_over = True
        self._workers.stop.give()

    # --- parts --------------------------------------------------------------------------------------------------------

    @property
    def _part_size(self) -> int:
        return self._plan.size_of(self._next_position + 1)

    @property
    def _next_position(self) -> int:
        return len(self._receipts) + len(self._sent)

    def _hold(self, taken: bytes | memoryview) -> None:
        if isinstance(taken, bytes):
            self._part.append(taken)
        elif self._part and isinstance(self._part[-1], bytearray):
            self._part[-1] += taken
        else:
            self._part.append(bytearray(taken))
        self._held += len(taken)

    def _check(self) -> None:
        if self._process != os.getpid():
            raise TransferError(f"{self._target} is written by another process, and this is a fork of it")
        if self._failure is not None:
            raise TransferStopped(f"nothing more is written to {self._target}: {self._failure}") from self._failure
        if self._is_over:
            raise TransferStopped(f"the upload to {self._target} is over")

    def _send(self) -> None:
        if self._next_position == MAX_PART_COUNT:
            error = ArgumentError(
                "part_size", self._plan.part_size, f"OSS allows 10,000 parts, which hold "
                f"{format_size(self._plan.most)}, and more was written to {self._target}; choose a larger one"
            )  # fmt: skip
            self._failure = error
            raise error
        try:
            if self.upload_id is None:
                self.upload_id = self._oss.initiate(self._target, headers=self._options.initiate_headers)
            most = max(1, min(self._most_workers, self._memory // self._part_size - 1))
            while self._sent and (len(self._sent) >= most or self._sent[0].is_done):
                self._take()
        except BaseException as error:
            self._failure = error
            raise
        number, body = self._next_position + 1, HeldBody(*self._part)
        self._forget_part()
        self._sent.append(
            self._workers.begin(partial(self._oss.upload_part, self._target, self.upload_id, number, body))  # type: ignore[arg-type]  # a body, as a PartBody is
        )

    def _forget_part(self) -> None:
        self._part, self._held = [], 0

    def _take(self) -> None:
        receipt = self._sent[0].result()
        self._sent.popleft()
        self._receipts[receipt.number] = receipt

    # --- its end ------------------------------------------------------------------------------------------------------

    def _put_whole(self) -> ObjectMeta:
        body = HeldBody(*self._part)
        headers = {**self._options.headers, **self._options.guard}
        try:
            return self._oss.put_object(self._target, body, headers=headers)
        except AlreadyExists as error:  # perhaps an attempt whose answer was lost has made it
            return self._there.made_in_spite_of(error, size=body.size, crc64=body.crc64())

    def _complete(self) -> ObjectMeta:
        if self._part:
            self._send()
        while self._sent:
            self._take()
        with Crew(workers=1, tick=_nothing, stop=self._workers.stop) as crew:
            upload = self._upload(self._oss, GrowingPlan(self.size, self._plan.part_size))
            meta, _ = upload.publish(crew, _Unchanging(), self._receipts, _Owned())  # type: ignore[arg-type]
        return meta

    def _drop(self) -> None:
        """Remove the parts. Those that are on their way are ended first, or they would come back."""
        self._workers.stop.give()
        while self._sent:
            try:
                self._sent.popleft().result()
            except BaseException as error:  # it is discarded, whatever it is
                log.debug("A part of %s was not sent: %s", self._target, error)
        self._forget_part()
        if self.upload_id is None:
            return
        try:
            with Crew(workers=1, tick=Deadline(DROP_TIME)) as crew:
                self._upload(self._client.with_stop(crew), self._plan).abort(crew)
        except (RequestError, CredentialsError, TimeoutError) as error:
            log.warning(
                "The parts of upload ID %s of %s could not be removed and still cost storage: %s",
                self.upload_id, self._target, error,
            )  # fmt: skip

    @property
    def _there(self) -> TargetObject:
        return TargetObject(self._oss, self._target, self._options.headers)

    def _upload(self, oss: WritingClient, plan: GrowingPlan) -> MultipartUpload:
        return MultipartUpload(
            oss,
            self._target,
            self.upload_id or "",
            plan,
            there=self._there,
            headers=self._options.complete_headers,
            verify=True,
            refuses_damage=False,
        )


class _Unchanging:
    """What was written once does not change."""

    def check_unchanged(self, crew: Crew, parts: object, receipts: object) -> None:
        """It never does."""


class _Owned:
    """Nobody takes over a stream."""

    def check_owner(self) -> None:
        """This try is the only one."""


def _nothing() -> None:
    """What a crew is to do meanwhile."""
