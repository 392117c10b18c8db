"""An object that is written from a stream of unknown length."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Protocol

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    ArgumentError,
    CredentialsError,
    IntegrityError,
    RequestError,
    TransferError,
    TransferStopped,
)
from airflow_provider_ossresume.model.objects import ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import MAX_PART_COUNT, GrowingPlan, Part, format_size
from airflow_provider_ossresume.transfer.buffered_part import BufferedPart, ByteBuffer
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.crew import Crew, Deadline
from airflow_provider_ossresume.transfer.multipart_upload import MultipartClient, MultipartUpload, begin_upload
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.outcomes import Outcome
from airflow_provider_ossresume.transfer.ports import Job, Published, StoppableClient
from airflow_provider_ossresume.transfer.progress import Progress
from airflow_provider_ossresume.transfer.stream_comparison import StreamComparison
from airflow_provider_ossresume.transfer.target_object import HeadClient, TargetObject
from airflow_provider_ossresume.transfer.whole_object import PutClient, WholeObject

log = logging.getLogger(__name__)

ABORT_TIME = 3.0  # seconds; a task that is being stopped has little more


class WritingClient(HeadClient, MultipartClient, PutClient, StoppableClient, Protocol):
    """The client methods that a written object needs; see ``oss.client.OssClient``."""


class WrittenObject:
    """Collects the bytes that are written, and creates one object from them when :meth:`publish` is called.

    A few bytes are sent by one PutObject. More are sent in parts, several at once; each part and the whole are compared
    by CRC-64. After any error, SIGTERM included, nothing is published and the parts are removed.

    Only one thread may use it. In a forked child it sends nothing and aborts nothing.

    :param config: concurrency, bandwidth, progress lines, and whether to compare CRC-64s
    :param options: the object's headers, and what to do if it exists: ``overwrite`` or ``fail``
    :param part_size: of the first parts; see :class:`~airflow_provider_ossresume.model.parts.GrowingPlan`
    :param whole: fewer bytes than this are kept in memory and sent by one request
    :param max_workers: parts in flight at once; each of them is in memory, and one more that is being filled
    :param memory: limit for the bytes of these parts; at least one part in flight and one that is filled are allowed
    :param watch: called by this thread while it waits for OSS; an error that it raises ends the upload
    :ivar size: bytes written so far
    :ivar upload_id: None while there are no parts
    :ivar progress: counts the bytes that are sent
    """

    def __init__(
        self,
        client: WritingClient,
        target: ObjectRef,
        *,
        config: TransferConfig,
        options: UploadOptions,
        part_size: int,
        whole: int,
        max_workers: int,
        memory: int | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self.size = 0
        self.upload_id: str | None = None
        self.progress = Progress("upload", target, interval=0)
        self._client = client
        self._target = target
        self._config = config
        self._options = options
        self._plan = GrowingPlan(0, part_size)
        self._whole = whole
        self._memory = memory
        self._watch = watch
        self._workers = self._most_parts(max_workers, part_size)
        self._crew = Crew(
            workers=min(config.initial_workers, self._workers),
            most=self._workers,
            tick=self._tick,
            traffic=lambda: (self.progress.bytes_moved, self.progress.retries),
        )
        self._oss = client.with_stop(self._crew)
        self._job = Job(self._crew.stop, self.progress.meter, config.rate_per_worker(self._workers))
        self._buffer = ByteBuffer()
        self._number = 1  # of the part that is being filled
        self._done: SimpleQueue[Outcome[Receipt] | None] = SimpleQueue()
        self._receipts: dict[int, Receipt] = {}
        self._comparison: StreamComparison | None = None  # set if the object exists; then no parts are sent
        self._failure: BaseException | None = None
        self._is_over = False
        self._is_complete = False  # OSS was asked to join the parts, and may have done so
        self._logged = time.monotonic()
        self._process = os.getpid()

    @property
    def room(self) -> int:
        """How many bytes fit in before a part is sent."""
        most = self._part_size if self._is_large else max(self._part_size, self._whole - 1)
        return most - self._buffer.size

    @property
    def parts_under_way(self) -> int:
        return self._crew.under_way

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append bytes and return their number. The caller may overwrite its buffer afterwards.

        If the memory is used up, wait until a part has been sent.

        :raises RequestError: if a part could not be sent; nothing will be published
        :raises ArgumentError: if there are more bytes than 10,000 parts hold
        """
        self._check()
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while view:
                if not self.room:  # only now it is known that more bytes follow
                    self._send_full()
                taken = view[: self.room]
                # Kept without a copy only if it fits into one part; otherwise it would stay in memory for too long.
                self._buffer.add(data if type(data) is bytes and len(taken) == size else taken)
                self.size += len(taken)
                view = view[len(taken) :]
                if self._is_large:
                    self._send_full()
        except BaseException as error:
            self._fail(error)
            raise
        return size

    def publish(self) -> Published:
        """Send the rest, create the object, and return it. This ends the upload, even if it fails.

        :raises AlreadyExists: if the object exists and ``if_exists="fail"``
        :raises IntegrityError: if OSS holds other bytes than were written
        :raises RequestError: if OSS does not accept it; nothing is published
        """
        self._check()
        try:
            published = self._complete() if self._is_large else self._put_whole()
        except BaseException as error:
            self._fail(error)
            raise
        self._is_over = True
        self._crew.end()
        self.progress.finish(self.size)
        return published

    def discard(self) -> None:
        """Remove the parts from OSS and publish nothing. Does nothing if the upload has ended."""
        if not self._is_over and self._process == os.getpid():
            self._drop()

    def forget(self) -> None:
        """End without any request, for a caller that is garbage collected. The parts stay on OSS."""
        self._is_over = True
        if self._process == os.getpid():  # a forked child has the sockets of its parent
            self._crew.end_now()

    # --- parts --------------------------------------------------------------------------------------------------------

    @property
    def _is_large(self) -> bool:
        return self.size >= self._whole or self._number > 1

    @property
    def _part_size(self) -> int:
        return self._plan.size_of(self._number)

    def _most_parts(self, most: int, part_size: int) -> int:
        return most if self._memory is None else max(1, min(most, self._memory // part_size - 1))

    def _send_full(self) -> None:
        while self._buffer.size >= self._part_size:
            self._send(self._part_size)

    def _send(self, size: int) -> None:
        if self._number > MAX_PART_COUNT:
            raise ArgumentError(
                "part_size", self._plan.part_size, f"{self._target} would have more than "
                f"{format_size(self._plan.most)}, the most that {MAX_PART_COUNT} such parts hold; raise part_size"
            )  # fmt: skip
        if self._number == 1:
            self._begin()
        most = self._most_parts(self._workers, self._part_size)
        while not self._done.empty() or self._crew.under_way >= most:
            self._take()
        start = self.size - self._buffer.size
        buffered = BufferedPart(Part(self._number, start, start + size), self._buffer.cut(size))
        self._number += 1
        if self._comparison:
            self._comparison.add(buffered)
            return
        self._crew.begin(partial(self._sink(self._plan).put, buffered.part, buffered, self._job), self._done)

    def _begin(self) -> None:
        headers = self._options.initiate_headers
        try:
            begin_upload(self._crew, self._oss, self._target, headers=headers, begun=self._set_upload_id)
        except AlreadyExists as error:
            log.info("%s exists. Reading the stream to compare its CRC-64 with the object's", self._target)
            self._comparison = StreamComparison(self._crew, self._existing(self._oss), error)
            return
        log.info(
            "Uploading a stream to %s in parts of %s, %s at once at most",
            self._target, format_size(self._plan.part_size), self._workers,
        )  # fmt: skip

    def _set_upload_id(self, upload_id: str) -> None:
        self.upload_id = upload_id

    def _take(self) -> None:
        if receipt := self._crew.take(self._done):
            self._receipts[receipt.number] = receipt
            self.progress.parts = len(self._receipts)
            self.progress.finish_part(receipt.size)

    # --- its end ------------------------------------------------------------------------------------------------------

    def _put_whole(self) -> Published:
        log.info("Uploading a stream (%s) to %s in one request", format_size(self.size), self._target)
        buffered = BufferedPart(Part(1, 0, self.size), self._buffer.cut(self.size))
        existing, verify = self._existing(self._oss), self._config.verify
        headers = self._options.put_headers
        sink = WholeObject(self._oss, self._target, existing=existing, headers=headers, verify=verify)
        receipt = self._crew.call(lambda: sink.put(buffered.part, buffered, self._job))
        self.progress.parts = 1
        self.progress.finish_part(self.size)
        return sink.publish(self._crew, buffered, {1: receipt}, Unleased())

    def _complete(self) -> Published:
        while self._buffer.size:
            self._send(min(self._part_size, self._buffer.size))
        if self._comparison:
            published = self._comparison.publish()
            sizes = self._comparison.sizes
            self.progress.begin(total=self.size, parts=len(sizes), kept=sizes)
            return published
        while self._crew.under_way:
            self._take()
        self.progress.tick()
        self._is_complete = True
        sink = self._sink(GrowingPlan(self.size, self._plan.part_size))
        return sink.publish(self._crew, BufferedPart.empty(), self._receipts, Unleased())

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        if self._is_complete and isinstance(error, IntegrityError):
            self._is_over = True  # the object exists, so there are no parts any more
            self._crew.end()
        else:
            self._drop()

    def _drop(self) -> None:
        """Remove the parts. Requests that still send parts are ended first, or their parts would remain."""
        self._is_over = True
        self._crew.end()
        self._buffer = ByteBuffer()
        if self.upload_id is None:
            return
        with Crew(workers=1, tick=Deadline(ABORT_TIME)) as crew:
            upload = self._sink(self._plan, self._client.with_stop(crew))
            try:
                was_open = upload.abort(crew)
            except (RequestError, CredentialsError, TimeoutError) as error:
                upload.warn_of_left_parts(error)
                return
        if self._is_complete and not was_open:
            log.warning(
                "OSS had joined the parts of upload ID %s before it could be aborted: %s may exist and be complete",
                self.upload_id, self._target,
            )  # fmt: skip
            return
        log.warning(
            "The finished parts of the upload to %s are removed: upload ID %s is aborted", self._target, self.upload_id
        )

    # --- shared -------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._process != os.getpid():
            raise TransferError(f"{self._target} is being written by the process that this one was forked from")
        if self._failure is not None:
            raise TransferStopped(f"the upload to {self._target} has failed: {self._failure}") from self._failure
        if self._is_over:
            raise TransferStopped(f"the upload to {self._target} has already ended")

    def _existing(self, oss: WritingClient) -> TargetObject:
        return TargetObject(oss, self._target, self._options.headers)

    def _sink(self, plan: GrowingPlan, oss: WritingClient | None = None) -> MultipartUpload:
        oss = oss or self._oss
        return MultipartUpload(
            oss,
            self._target,
            self.upload_id or "",
            plan,
            existing=self._existing(oss),
            headers=self._options.complete_headers,
            verify=self._config.verify,
            refuses_damage=False,
        )

    def _tick(self) -> None:
        self._watch()
        self.progress.tick()
        now = time.monotonic()
        if self._config.progress_interval and now - self._logged >= self._config.progress_interval:
            self._logged = now
            log.info("Uploading a stream to %s: %s sent", self._target, format_size(self.progress.bytes_moved))


class Unleased:
    """The lease of an upload that no other try knows of."""

    def check_owner(self) -> None:
        """Nothing to check: it has only one owner."""
