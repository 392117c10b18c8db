"""Uploads a stream whose length nobody knows: little of it by one request, more of it part by part."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    CredentialsError,
    IntegrityError,
    NoSuchUpload,
    RequestError,
    ServiceError,
)
from airflow_provider_ossresume.model.crc64 import combine
from airflow_provider_ossresume.model.objects import ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import GrowingPlan, determine_part_size, format_size
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.crew import Crew, Deadline
from airflow_provider_ossresume.transfer.held_part import HeldPart, Readable, StreamParts
from airflow_provider_ossresume.transfer.multipart_upload import MultipartClient, MultipartUpload
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.ports import Job, Published, StoppableClient
from airflow_provider_ossresume.transfer.progress import Progress
from airflow_provider_ossresume.transfer.result import Stopwatch, TransferResult
from airflow_provider_ossresume.transfer.target_object import LooksClient, TargetObject
from airflow_provider_ossresume.transfer.whole_object import PutClient, WholeObject

log = logging.getLogger(__name__)

MOST_WORKERS = 8  # by default: each holds a part in memory
ABORT_TIME = 10.0  # seconds that are left to an abort


class StreamClient(LooksClient, MultipartClient, PutClient, StoppableClient, Protocol):
    """What is needed of OSS; see ``oss.client.OssClient``."""


class StreamUploader:
    """One upload of a stream to one object. A stream cannot be read twice, so no later try goes on with it.

    In memory are the parts that are on their way, at most ``max_concurrency`` of them, or 8, and one more; at first
    ``multipart_threshold`` bytes on top. A stream of fewer bytes is held whole, and goes by one request.

    :param config: part size, concurrency, bandwidth and whether CRC-64s are compared
    :param options: the object's headers, and whether it may exist: ``overwrite`` or ``fail``
    :param watch: called by this thread; what it raises ends the upload
    """

    def __init__(
        self,
        oss: StreamClient,
        target: ObjectRef,
        *,
        config: TransferConfig,
        options: UploadOptions,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = self._oss = oss
        self._target = target
        self._config = config
        self._options = options
        self._watch = watch
        self._workers = config.most_workers if config.max_concurrency else min(config.most_workers, MOST_WORKERS)
        self._progress = Progress("upload", target, interval=0)
        self._upload_id: str | None = None
        self._is_complete = False  # it holds all parts, and may have become the object
        self._logged = time.monotonic()

    def upload(self, stream: Readable) -> TransferResult:
        """Read the stream to its end and return what was done; the object then holds exactly what was read.

        The stream is read from where it stands, and not closed. Whatever goes wrong before OSS joins the parts, no
        object appears, and the parts that were sent are removed.

        :raises ArgumentError: when the stream gives no bytes, or more than OSS takes in 10,000 such parts
        :raises AlreadyExists: under ``if_exists="fail"``, when the object has other bytes
        :raises IntegrityError: when OSS holds other bytes than were sent
        :raises RequestError: when OSS cannot be made to take it
        """
        stopwatch = Stopwatch(self._target, "", direction="upload")
        plan = GrowingPlan(0, determine_part_size(0, self._config.part_bytes))
        parts = StreamParts(stream, plan, whole=self._config.threshold_bytes)
        whole = parts.whole()
        meta, crc = self._put_parts(parts) if whole is None else self._put_whole(whole)
        self._progress.finish(meta.size)
        result = stopwatch.result("transferred", meta, crc64=crc, progress=self._progress)
        log.info("%s: %s", result.outcome.capitalize(), str(result))
        return result

    def _put_whole(self, held: HeldPart) -> Published:
        size = held.size
        log.info("Uploading a stream (%s) to %s in one request", format_size(size), self._target)
        self._progress.parts = 1
        with self._crew() as crew:
            self._oss = self._client.with_stop(crew)
            headers = {**self._options.headers, **self._options.guard}
            verify = self._config.verify
            sink = WholeObject(self._oss, self._target, there=self._there, headers=headers, verify=verify)
            receipt = crew.call(lambda: sink.put(held.part, held, self._job(crew)))
            self._progress.finish_part(size)
            return sink.publish(crew, held, {1: receipt}, Unleased())

    def _put_parts(self, parts: StreamParts) -> Published:
        try:
            with self._crew() as crew:
                self._oss = self._client.with_stop(crew)
                return self._initiate_and_put(crew, parts)
        except BaseException as error:  # whatever it is, a timeout or SIGTERM too: nobody can go on with these parts
            if not (self._is_complete and isinstance(error, IntegrityError)):
                self._abort()
            raise

    def _initiate_and_put(self, crew: Crew, parts: StreamParts) -> Published:
        try:
            upload_id = self._initiate(crew)
        except AlreadyExists as error:
            return self._compare(crew, parts, error)
        log.info(
            "Uploading a stream to %s in parts of %s, %s at once at most",
            self._target, format_size(parts.plan.part_size), self._workers,
        )  # fmt: skip
        sink, job = self._sink(upload_id, parts.plan), self._job(crew)
        receipts: dict[int, Receipt] = {}
        for receipt in crew.run(lambda held: sink.put(held.part, held, job), parts, ahead=self._workers):
            receipts[receipt.number] = receipt
            self._progress.parts = len(receipts)
            self._progress.finish_part(receipt.size)
        self._progress.tick()
        plan = GrowingPlan(sum(receipt.size for receipt in receipts.values()), parts.plan.part_size)
        self._is_complete = True
        return self._sink(upload_id, plan).publish(crew, HeldPart.nothing(), receipts, Unleased())

    def _compare(self, crew: Crew, parts: StreamParts, error: AlreadyExists) -> Published:
        """Return the object that exists if the stream has its very bytes, as when a task is retried that had succeeded.

        The stream is read no further than the object is long.

        :raises AlreadyExists: when it has others
        """
        log.info("%s exists. Reading the stream, to compare its CRC-64 with the object's", self._target)
        there = crew.call(self._there.look)
        sizes: list[int] = []
        crc = 0
        for held in parts:
            self._tick()
            sizes.append(held.size)
            crc = combine(crc, held.crc64(held.part, crew.stop), held.size)
            if there is None or sum(sizes) > there.size:
                raise error
        size = sum(sizes)
        meta = crew.call(lambda: self._there.made_in_spite_of(error, size=size, crc64=crc))
        self._progress.begin(total=size, parts=len(sizes), kept=sizes)
        return meta, crc

    def _initiate(self, crew: Crew) -> str:
        answered: list[str] = []

        def initiate() -> None:  # in a worker: a signal may strike before this thread has the answer
            self._upload_id = self._oss.initiate(self._target, headers=self._options.initiate_headers)
            answered.append(self._upload_id)

        try:
            crew.call(initiate)
        except ServiceError:
            raise  # OSS began none
        except BaseException:
            if not answered:
                log.warning(
                    "OSS did not answer the request to start the upload to %s. If it did start one, it holds no parts; "
                    "a lifecycle rule removes it", self._target,
                )  # fmt: skip
            raise
        return answered[0]

    def _abort(self) -> None:
        if self._upload_id is None:
            return
        try:
            with Crew(workers=1, tick=Deadline(ABORT_TIME)) as crew:
                self._oss = self._client.with_stop(crew)
                if self._is_complete and self._is_over(crew):
                    log.warning(
                        "OSS had joined the parts of upload ID %s before it could be aborted: %s may be there, whole",
                        self._upload_id, self._target,
                    )  # fmt: skip
                    return
                self._sink(self._upload_id, GrowingPlan(0, 1)).abort(crew)
            log.warning(
                "The finished parts of the upload to %s are removed: upload ID %s is aborted",
                self._target,
                self._upload_id,
            )
        except (RequestError, CredentialsError, TimeoutError) as error:
            log.warning(
                "The parts of upload ID %s of %s could not be removed and still cost storage: %s",
                self._upload_id, self._target, error,
            )  # fmt: skip

    def _is_over(self, crew: Crew) -> bool:
        """Abort it once, and return True when OSS does not know it any more."""
        try:
            crew.call(lambda: self._oss.abort(self._target, self._upload_id or ""))
        except NoSuchUpload:
            return True
        return False

    # --- shared -------------------------------------------------------------------------------------------------------

    @property
    def _there(self) -> TargetObject:
        return TargetObject(self._oss, self._target, self._options.headers)

    def _sink(self, upload_id: str, plan: GrowingPlan) -> MultipartUpload:
        return MultipartUpload(
            self._oss,
            self._target,
            upload_id,
            plan,
            there=self._there,
            headers=self._options.complete_headers,
            verify=self._config.verify,
            refuses_damage=False,
        )

    def _job(self, crew: Crew) -> Job:
        return Job(crew.stop, self._progress.meter, self._config.rate_per_worker(self._workers))

    def _crew(self) -> Crew:
        return Crew(
            workers=min(self._config.first_workers, self._workers),
            most=self._workers,
            tick=self._tick,
            traffic=lambda: (self._progress.bytes_moved, self._progress.retries),
        )

    def _tick(self) -> None:
        self._watch()
        self._progress.tick()
        now = time.monotonic()
        if self._config.progress_interval and now - self._logged >= self._config.progress_interval:
            self._logged = now
            log.info("Uploading a stream to %s: %s sent", self._target, format_size(self._progress.bytes_moved))


class Unleased:
    """The lease of an upload that no other try knows of."""

    def check_owner(self) -> None:
        """It has one owner."""
