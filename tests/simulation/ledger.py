"""The invariants, in words, and the bookkeeping that checks them while a run goes on.

*Truth* are the bytes of the source: the local file of an upload, the object of a download or a copy. Its versions are
known with the moments at which they came and went; a try sees those that were present between its begin and its end.

1. **Right bytes.** When a try returns, there was a moment during it at which what it was to produce held exactly what
   the source then held, or had held during the try. If nobody else wrote afterwards it still does.
   (``if_exists="skip"`` is exempt: it promises nothing of the bytes.)
2. **Never mixed.** Whatever a try publishes under the final key or name is byte for byte one version that the source
   had during that try; under ``if_exists="fail"`` it does so only where nothing stands. A file is on the disk (fsync)
   before it gets its final name. No bytes of another version of an object than the one that HEAD has shown come into a
   part file or an upload, even if they would be noticed later.
3. **No finished part moves again.** *Upload and copy:* a part that OSS holds with the right bytes when the try lists
   the parts is not sent by it, and a try does not begin a new upload while the one that its checkpoint names is open
   and fits (same size, same options, of a copy the same ETag) or has become the object that is there with the right
   bytes. Out of this: a source that changes during the try, a checkpoint that others edited, an OSS that tells no
   CRC-64, ``verify=False``.
   *Download:* a part of a run that the checkpoint names, while the object still has that ETag, and whose bytes lie in
   the part file with that CRC-64 when the try loads its checkpoint, is not fetched by it. Out of this: a part file that
   others write to, a bad sector, a checkpoint that others edited, what follows a restart.
   And a download that ends by anything but kill -9 leaves a checkpoint that proves every part that it fetched, unless
   the store failed it, other tries were about, or damaged bytes came (then all are thrown away).
4. **Nothing is left.** After a run no upload is open but the one that the checkpoint names and those for which there is
   an excuse, which are counted: the answer to its initiate was lost, or had not come within the grace of a stop;
   kill -9 came before the save of its checkpoint; the store answered no save of it; its checkpoint was lost by other
   hands; OSS refused to abort it, or did not answer that in time; a try that did not know of it overwrote its
   checkpoint; its try was ended a second time while it was on its way out.
   After a success there is no part file and no checkpoint, unless the store, the disk or an overlapping try left it.
   The same after a try that was to drop what is done and failed, unless the store, the disk or OSS failed it on its
   way out, too.
5. **Bounded.** A try makes a number of calls that is bounded by its parts and attempts, and by the time it took. The
   thread that hears of a stop never waits for a flush, nor for what is read of a file.
6. **The superseded bow out.** While the store holds a newer try's checkpoint, a try completes, publishes, saves,
   deletes, or aborts the upload that this checkpoint names only when its last step before that was a look at the store
   that was answered before the newer checkpoint came, or that the store did not answer. What it has sent by then may
   land later. No try aborts or completes an upload of another transfer. No two tries write into one part file by turns.
   A try is superseded only by a newer one. No try uses the checkpoint or the part file of another transfer to the same
   object or file. The checkpoint is deleted after the result stands, or after what it leads to is gone (the upload, the
   part file), and the one of an upload is offered to the store before the first part is sent.
   Once its caller knows that it is over, a try sends no request and begins no write; what the disk still has in hand
   keeps its descriptor.
7. **Errors tell the truth.** A try that fails raises an OSSResumeError (or was killed, or timed out). One that is not
   retryable has a reason that a later try would meet again: no permission, nothing there, something there that must not
   be overwritten, a newer try. When all faults end, the next try succeeds, even over a link that only two connections
   can use.
8. **Links.** No request is given up before its attempts, or the seconds of failing and waiting, are used up; time in
   which bytes move does not count, and two attempts are always allowed. No connection is used that has waited for
   longer than it may, or that waited when another one failed. What fails on one that had waited, before a byte of the
   answer has come, costs no attempt, unless it may be done twice.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_ossresume.errors import CheckpointUnreadable, TrySuperseded
from airflow_provider_ossresume.model.checkpoint import (
    Checkpoint,
    DownloadCheckpoint,
    UploadCheckpoint,
    decode,
)
from airflow_provider_ossresume.model.crc64 import crc64
from tests.simulation.chaos import PARTS
from tests.simulation.oss import BEGINNING, BUCKET, KEY, MIN_PART_SIZE, StoredObject, StoredPart, Upload
from tests.simulation.scheduler import Killed

if TYPE_CHECKING:
    from tests.simulation.world import Try, World

FOREVER = 10**9
TOO_SHORT = b"no bytes that anybody wrote"  # stands for the range of an object that ends before it does


@dataclass
class Version:
    """Bytes that stood somewhere from one moment to another; None is: nothing stood there."""

    content: bytes | None
    since: int
    until: int = FOREVER
    by: Try | str = ""

    def was_there(self, since: int, until: int) -> bool:
        return self.since <= until and self.until >= since


class Violated(Exception):
    """An invariant does not hold."""


class Ledger:
    def __init__(self, world: World) -> None:
        self._world = world
        self.moment = 0
        self.violation: str | None = None
        self.truths: list[Version] = []
        self.products: list[Version] = []  # the object of an upload, the file of a download
        self.counts: Counter[str] = Counter()
        self._is_tampered = False
        self._writers: dict[int, list[int]] = {}

    def violate(self, what: str) -> None:
        """Note that an invariant is broken; the run ends."""
        if self.violation is None:
            self._world.note(f"VIOLATION {what}")
            for world in self._world.pair:
                world.ledger.violation = what
        for process in self._world.everybody():
            process.is_dead = True
        if self._world.scheduler.process is not None:
            raise Killed

    # --- what is there ------------------------------------------------------------------------------------------------

    @property
    def truth(self) -> bytes | None:
        return self.truths[-1].content

    def contents(self) -> list[bytes]:
        return [version.content for version in self.truths if version.content is not None]

    def truth_is(self, content: bytes | None) -> None:
        is_shared = self._world.profile.direction != "upload"
        for world in self._world.pair if is_shared else [self._world]:
            world.ledger._follow(world.ledger.truths, content, "")

    def product_is(self, content: bytes | None, by: Try | str) -> None:
        for world in self._world.pair:
            world.ledger._follow(world.ledger.products, content, by)

    def _follow(self, versions: list[Version], content: bytes | None, by: Try | str) -> None:
        self.moment += 1
        if versions:
            versions[-1].until = self.moment - 1
        versions.append(Version(content, self.moment, by=by))

    def object_put_by_others(self, content: bytes | None, by: str) -> None:
        self.product_is(content, by)

    def file_put_by_others(self, content: bytes | None) -> None:
        self.product_is(content, "put by others")

    def truths_of(self, process: Try) -> list[bytes | None]:
        """Return what the try may have moved: of a download of a range, that range of each version."""
        return [
            self._wanted(version.content) for version in self.truths if version.was_there(process.began, process.ended)
        ]

    def _wanted(self, content: bytes | None) -> bytes | None:
        start, stop = self._world.byte_range or (0, len(content or b""))
        return content if content is None else content[start:stop] if stop <= len(content) else TOO_SHORT

    def has_changed_under(self, process: Try) -> bool:
        return self.truths[-1].since >= process.began

    # --- calls --------------------------------------------------------------------------------------------------------

    def count_call(self, process: Try) -> None:
        """Invariant 5: at most two rounds, each at most twice over the parts, a few other requests, all attempts."""
        process.calls += 1
        parts = max(len(content) for content in self.contents()) // MIN_PART_SIZE + 1
        if process.calls > self._world.attempts * 2 * (4 * parts + 12) + process.progress:
            self.violate(f"(5) {process} made {process.calls} requests")

    def count_store_call(self, process: Try) -> None:
        """Invariant 5: the store is asked a few times a request, and as time passes: at most at every tick."""
        process.store_calls += 1
        if process.store_calls > 40 + 6 * process.calls + 10 * (self._world.scheduler.now - process.began_at):
            self.violate(f"(5) {process} asked the store {process.store_calls} times")

    def call_begins(self, process: Try, operation: str, label: str = "") -> None:
        self.moment += 1
        looks = ("load", "head", "tagging") if self._world.profile.direction == "copy" else ("load",)
        process.has_acted |= operation not in looks
        if operation == "complete" and self._is_anothers(label):
            self.violate(f"(6) {process} completes {label}, an upload of another transfer")
        if operation in ("complete", "save", "delete") or (operation == "abort" and self._is_named(label)):
            self._check_not_superseded(process, operation)
        if operation == "delete":
            self._check_result_stands(process)
        if operation not in PARTS:
            process.last_step = (operation, False)

    def call_ends(self, process: Try, operation: str, *, failed: bool) -> None:
        if operation not in PARTS:
            self.moment += 1
            process.last_step = (operation, failed)

    def _is_anothers(self, upload_id: str) -> bool:
        """True for an upload that no try of this transfer has begun."""
        upload = self._world.oss.uploads.get(upload_id)
        return upload is not None and (upload.by is None or upload.by.world is not self._world)

    def _is_named(self, upload_id: str) -> bool:
        """True for the upload that the checkpoint in the store names."""
        stored = _decoded(self._world.shelf.text)
        return isinstance(stored, UploadCheckpoint) and stored.upload_id == upload_id

    def newer_than(self, process: Try) -> tuple[Try, int] | None:
        """Return the newer try whose checkpoint stands in the store, and since when."""
        shelf = self._world.shelf
        writer = shelf.writer
        if writer is None or writer is process:
            return None
        # Outside Airflow tries have no numbers: who has written last owns the transfer, so a first save is a claim.
        # Only the one that a try goes on from is no newer one, whatever it writes.
        is_known = process.predecessor == writer.owner
        if writer.number > process.number or (writer.number == process.number and process.saves and not is_known):
            return writer, shelf.written_at
        return None

    def _check_not_superseded(self, process: Try, step: str) -> None:
        """Invariant 6."""
        newer = self.newer_than(process)
        if newer is None:
            return
        operation, failed = process.last_step
        if operation == "load" and (failed or process.looked_at < newer[1]):
            self.counts[f"window: {step} by a try that was superseded just after it had looked"] += 1
            return
        self.violate(f"(6) {process} would {step}, and {newer[0]} has taken over")

    def _check_result_stands(self, process: Try) -> None:
        if process.drops and not self._leads_to_something(_decoded(self._world.shelf.text)):
            return
        if process.drops and process.saves and self._is_tampered:
            return  # it has claimed the transfer, and then somebody put another one's checkpoint into its place
        if self._world.profile.options["if_exists"] == "skip":
            return
        if not self._result_stood(process):
            self.violate(f"(6) {process} deletes the checkpoint, and the result does not stand")

    def _result_stood(self, process: Try) -> bool:
        truths = self.truths_of(process)
        return any(
            version.content in truths
            for version in self.products
            if version.content is not None and version.was_there(process.began, process.ended)
        )

    def _leads_to_something(self, checkpoint: Checkpoint | None) -> bool:
        if isinstance(checkpoint, UploadCheckpoint):
            upload = self._world.oss.uploads.get(checkpoint.upload_id)
            return upload is not None and upload.state == "open"
        return bool(self._proven(checkpoint))  # a part file may be there again, which a newer try has begun

    def check_key(self, process: Try, key: str) -> None:
        """Invariant 6."""
        writer = self._world.shelf.writer
        if key != self._world.checkpoint_key or (writer is not None and writer.world is not self._world):
            self.violate(f"(6) {process} asks for the checkpoint of another transfer")

    # --- the store ----------------------------------------------------------------------------------------------------

    def loaded(self, process: Try, text: str | None, moment: int) -> None:
        process.looked_at = moment
        if process.has_acted:
            return
        found = _decoded(text)
        process.predecessor = found.owner if found else None
        process.loaded = None if self._is_tampered else found
        process.part_file_touched = False
        process.proven = self._proven(process.loaded)

    def saved(self, process: Try, text: str) -> None:
        self.moment += 1
        process.saves += 1
        process.save_has_failed = False
        checkpoint = _decoded(text)
        if checkpoint is None or checkpoint.owner.identity != process.owner.identity:
            self.violate(f"(6) {process} saves what is not its checkpoint: {text}")
        if isinstance(checkpoint, UploadCheckpoint) and checkpoint.upload_id in self._world.oss.uploads:
            self._world.oss.uploads[checkpoint.upload_id].is_saved = True
            process.known.add(checkpoint.upload_id)
        self._lose_upload(text, process)
        self._is_tampered = False

    def store_failed(self, process: Try) -> None:
        process.store_has_failed = True

    def save_failed(self, process: Try) -> None:
        process.save_has_failed = True
        for upload in self._world.oss.uploads.values():
            if upload.by is process and not upload.is_saved:
                upload.save_failed = True

    def deleted(self, process: Try) -> None:
        self.moment += 1
        self._lose_upload(None, process)
        self._is_tampered = False

    def tampered(self, text: str | None) -> None:
        self._lose_upload(text, None)
        self._is_tampered = True
        for process in self._world.tries:
            process.is_loaded_tampered = True
        self._world.shelf.put(text, None, self.moment)

    def _lose_upload(self, text: str | None, by: Try | None) -> None:
        """Mark the upload that the store's checkpoint names, and the coming one does not."""
        old, new = _decoded(self._world.shelf.text), _decoded(text)
        if not isinstance(old, UploadCheckpoint) or old.upload_id not in self._world.oss.uploads:
            return
        if isinstance(new, UploadCheckpoint) and new.upload_id == old.upload_id and new.is_possible:
            return
        upload = self._world.oss.uploads[old.upload_id]
        if by is None:
            upload.checkpoint_lost = True
        elif old.upload_id not in by.known and not (
            isinstance(by.loaded, UploadCheckpoint) and by.loaded.upload_id == old.upload_id
        ):
            upload.overlapped = True

    # --- uploads ------------------------------------------------------------------------------------------------------

    def initiated(self, process: Try, upload: Upload) -> None:
        """Invariant 3: a new upload is begun only when the old one is of no use."""
        world = self._world
        checkpoint = process.loaded
        if not isinstance(checkpoint, UploadCheckpoint) or (checkpoint.bucket, checkpoint.key) != (BUCKET, KEY):
            return
        if process.is_loaded_tampered:
            return
        old = world.oss.uploads.get(checkpoint.upload_id)
        if old is None or self.has_changed_under(process) or checkpoint.size != len(self.truth or b""):
            return
        if old.headers != upload.headers or old.of_etag != upload.of_etag:
            return
        if old.state == "open" and not old.abort_failed:
            self.violate(f"(3) {process} begins {upload.upload_id}, and {old.upload_id} is open and fits")
        product, standing = self.products[-1], world.oss.object
        if (
            old.state == "completed"
            and product.content == self.truth
            # An older try may have completed its own upload, of other headers, behind this one.
            and standing is not None
            and standing.headers == upload.headers
            and product.since < process.began
            and world.profile.crc_headers
            and not any(product.by in other.tries for other in world.neighbours)  # with headers of its own
        ):
            self.violate(f"(3) {process} begins {upload.upload_id}, and the object is there with these bytes")

    def listed(self, process: Try, upload_id: str, parts: dict[int, StoredPart]) -> None:
        process.listed[upload_id] = (self.moment, parts)

    def sends(self, process: Try, upload_id: str, number: int, content: bytes, *, attempt: int, of_etag: str) -> None:
        """Invariants 2, 3 and 6.

        :param of_etag: of the source of a copy, as the try knew it when it asked for this; it may land late
        """
        upload = self._world.oss.uploads.get(upload_id)
        if upload is None or upload.state != "open":
            return
        process.sent += 1
        if self._is_anothers(upload_id):
            self.violate(f"(6) {process} sends a part to {upload_id}, an upload of another transfer")
        if not (process.saves or process.save_has_failed):
            self.violate(f"(6) {process} sends a part before it has offered its checkpoint to the store")
        if upload.of_etag not in ("", of_etag):
            self.violate(f"(2) {process} puts a part of {of_etag} to those of {upload.of_etag}")
        if upload.by is not process and upload_id not in process.listed:
            self.violate(f"(3) {process} sends to {upload_id} without having asked what is there")
        when, listed = process.listed.get(upload_id, (0, {}))
        held = listed.get(number)
        if (
            attempt == 1
            and held is not None
            and held.content == content
            and upload.parts.get(number) is held
            and f"{upload_id}/{number}" not in process.damaged
            and self.truths[-1].since <= when
            and not self.has_changed_under(process)
            and self._world.profile.verify
            and self._world.profile.crc_headers
        ):
            self.violate(f"(3) {process} sends part {number}, which OSS has")

    def aborts(self, process: Try, upload_id: str) -> None:
        if self._is_anothers(upload_id):
            self.violate(f"(6) {process} aborts {upload_id}, an upload of another transfer")
        if self._is_named(upload_id) and self.newer_than(process):
            self.counts["window: abort by a try that was superseded after it had sent it"] += 1

    def object_published(self, process: Try, content: bytes) -> None:
        """Invariant 2."""
        self._check_place(process)
        self.product_is(content, process)
        process.has_published = True
        if content not in self.truths_of(process):
            self.violate(f"(2) {process} published {len(content)} bytes that the source never held during it")

    def saw_object(self, process: Try, found: StoredObject) -> None:
        process.heads += 1
        process.seen_etag = found.etag
        process.fetches_since_head.clear()
        process.failed_at = None

    # --- downloads ----------------------------------------------------------------------------------------------------

    def _proven(self, checkpoint: Checkpoint | None) -> set[tuple[int, int]]:
        """Return the byte ranges that the checkpoint proves against the part file as it is now."""
        if not isinstance(checkpoint, DownloadCheckpoint) or (checkpoint.bucket, checkpoint.key) != (BUCKET, KEY):
            return set()
        path = self._world.folder / checkpoint.part_file
        if not path.exists():
            return set()
        data, plan = path.read_bytes(), checkpoint.plan
        return {
            (checkpoint.start + part.start, checkpoint.start + part.stop)
            for run in checkpoint.runs
            if crc64(data[plan[run.first - 1].start : plan[run.last - 1].stop]) == run.crc64
            and len(data) >= plan[run.last - 1].stop
            for part in plan[run.first - 1 : run.last]
        }

    def fetches(self, process: Try, start: int, stop: int | None, if_match: str | None) -> None:
        """Invariant 3."""
        process.sent += 1
        checkpoint = process.loaded
        if (
            process.heads == 1
            and not process.is_loaded_tampered
            and not process.part_file_touched
            and not process.has_met_bad_sector
            and isinstance(checkpoint, DownloadCheckpoint)
            and checkpoint.etag == if_match
            and (start, stop) in process.proven
        ):
            self.violate(f"(3) {process} fetches bytes {start} to {stop}, which its checkpoint proves")

    def serves(self, process: Try, found: StoredObject, *, of_etag: str) -> None:
        """Invariant 2; ``of_etag`` as in :meth:`sends`."""
        if found.etag != of_etag:
            self.violate(f"(2) {process} fetches bytes of {found.etag}, and began with {of_etag}")

    def fetched(self, process: Try, start: int, stop: int | None, if_match: str | None, *, size: int) -> None:
        # A download of one part keeps no checkpoint, and nobody waits for what comes after a failure.
        first, end = self._world.byte_range or (0, size)
        is_one_part = stop == end and start in (first, BEGINNING)
        if stop is not None and if_match is not None and not is_one_part and process.failed_at is None:
            process.fetches_since_head.add((start, stop, if_match))

    def check_kept(self, process: Try) -> None:
        """Invariant 3: what a failing download leaves."""
        if process.drops or any(other.has_met_flip for other in self._world.tries):
            return  # the whole differs, nobody knows which part is wrong, so all are thrown away
        if any(other.ended >= process.began for other in self._world.tries if other is not process):
            return
        if process.save_has_failed or process.part_file_touched or self.newer_than(process):
            return
        if process.has_published or process.was_ended_twice:
            return
        if self._is_tampered or not process.fetches_since_head:
            return
        proven = self._proven(_decoded(self._world.shelf.text))
        # The first part's first bytes came before all others.
        lost = [
            (start, stop)
            for start, stop, _ in sorted(process.fetches_since_head)
            if (0 if start == BEGINNING and not self._world.byte_range else start, stop) not in proven
        ]
        if lost:
            self.violate(f"(3) {process} ended and left no proof of the bytes that it fetched: {lost}")

    def check_dropped(self, process: Try) -> None:
        """Invariant 4: what a try leaves that was to drop what is done."""
        if isinstance(process.error, TrySuperseded) or self.newer_than(process) or process.was_ended_twice:
            return
        if any(other.ended >= process.began for other in self._world.tries if other is not process):
            return
        if process.store_has_failed or self._is_tampered or process.has_published:
            return
        if process.last_step[1]:
            return  # the alarm has rung in the middle of its way out, and nothing came after it
        if process.has_left_part_file or process.was_held_by_disk:  # which holds its lock, too
            return  # its checkpoint stays with it
        if self._world.profile.latency > 1:
            return  # what OSS does not answer in time is kept
        if any(upload.abort_failed for upload in self._world.oss.uploads.values()):
            return
        stored = _decoded(self._world.shelf.text)
        if stored is not None or (self._world.part_files() and not process.part_file_touched):
            self.violate(f"(4) {process} was to drop all, and left {stored or self._world.part_files()}")
        self.counts["dropped all"] += 1

    def waits(self, process: Try, operation: str) -> None:
        """Invariant 5. What a small download writes at once, and the byte that tries a part file, are its own."""
        process.was_held_by_disk = True
        if operation != "pwrite" and not self._world.scheduler.current.is_worker:
            self.violate(f"(5) the own thread of {process} waits for {operation}")

    def is_held(self, process: Try, descriptor: int | None) -> None:
        """Invariant 6: called where the disk ends what it has held back."""
        try:
            os.fstat(-1 if descriptor is None else descriptor)
        except OSError:
            self.violate(f"(6) {process} has closed a file under the disk's hands")

    def begins_to_write(self, process: Try) -> None:
        """Invariant 6."""
        if process.is_over:
            self.violate(f"(6) {process} is over, and begins to write")

    def writes(self, process: Try, inode: int, opened: int) -> None:
        """Invariant 6; ``opened`` tells one opening of the file from another one."""
        writers = self._writers.setdefault(inode, [])
        self.part_file_touched(process)
        if opened not in writers[-1:]:
            if opened in writers:
                self.violate(f"(6) {process} and others write into one part file by turns")
            writers.append(opened)

    def part_file_touched(self, by: Try | None) -> None:
        for process in self._world.tries:
            if process is not by:
                process.part_file_touched = True

    def file_published(self, process: Try, *, is_synced: bool) -> None:
        """Invariants 2 and 6."""
        self.part_file_touched(process)
        content = self._world.target.read_bytes()
        self._check_place(process)
        self.product_is(content, process)
        process.has_published = True
        if content not in self.truths_of(process):
            self.violate(f"(2) {process} published {len(content)} bytes that the object never held during it")
        if not is_synced:
            self.violate(f"(2) {process} published a file that was not on the disk")
        self._check_not_superseded(process, "publish")

    def _check_place(self, process: Try) -> None:
        """Invariant 2."""
        if self._world.profile.options["if_exists"] == "fail" and self.products[-1].content is not None:
            self.violate(f"(2) {process} replaces what stands there, and if_exists='fail' forbids it")

    # --- ends ---------------------------------------------------------------------------------------------------------

    def check_success(self, process: Try) -> None:
        """Invariant 1."""
        if process.result is None or (
            process.result.outcome == "skipped" and self._world.profile.options["if_exists"] == "skip"
        ):
            return
        if not self._result_stood(process):
            self.violate(f"(1) {process} returned, and the result never held what the source held")
        last = self.products[-1]
        if last.by is process and last.content not in self.truths_of(process):
            self.violate(f"(1) {process} returned, and the result is not what the source held")
        if process.result.size != len(last.content or b"") and last.by is process:
            self.violate(f"(1) {process} reports {process.result.size} bytes, there are {len(last.content or b'')}")

    def check_left(self, *, success: bool, overlapped: bool) -> None:
        """Invariant 4."""
        world = self._world
        stored = _decoded(world.shelf.text)
        named = stored.upload_id if isinstance(stored, UploadCheckpoint) else None
        for upload in world.oss.open_uploads():
            if self._is_anothers(upload.upload_id):
                continue
            if upload.upload_id == named and not success:
                continue
            excuse = self._excuse(upload)
            if excuse is None and upload.upload_id == named and (overlapped or self._has_delete_failed()):
                excuse = "a checkpoint that was left names it"
            if excuse is None:
                self.violate(f"(4) {upload.upload_id} of {upload.by} is left behind")
            self.counts[f"upload left: {excuse}"] += 1
        if not success:
            return
        if world.shelf.text is not None and not self._is_tampered:
            if not self._has_delete_failed() and not overlapped:
                self.violate("(4) the checkpoint is left behind")
            self.counts["checkpoint left"] += 1
        if world.part_files():
            is_stuck = any(process.has_left_part_file for process in world.tries)
            if not overlapped and not is_stuck:
                self.violate("(4) the part file is left behind")
            self.counts[f"part file left by {'a disk that fails' if is_stuck else 'an overlapping try'}"] += 1

    def _has_delete_failed(self) -> bool:
        # A try that is done and cannot look deletes nothing either: what lies there may be another try's.
        return any(
            process.delete_failed
            or (process.result is not None and (process.last_look_failed or process.store_has_failed))
            for process in self._world.tries
        )

    def _excuse(self, upload: Upload) -> str | None:
        if upload.answered == "too late":
            return "the answer to its initiate had not come within the grace"
        if not upload.answered:
            return "the answer to its initiate was lost"
        if upload.abort_failed:
            return "OSS refused to abort it, or did not answer in time"
        if upload.checkpoint_lost:
            return "its checkpoint was lost by other hands"
        assert upload.by is not None
        if upload.overlapped and upload.by.was_killed:
            return "its checkpoint was overwritten by an overlapping try, and its try was killed"
        if upload.overlapped:
            return "its checkpoint was overwritten by an overlapping try"
        if not upload.is_saved and upload.save_failed:
            return "the store answered no save of its checkpoint"
        if not upload.is_saved and upload.by.was_killed:
            return "its try was killed before it could save"
        if not upload.is_saved and upload.by.was_ended_twice:
            return "its try was ended twice"
        if not upload.is_saved and upload.by.rang_after == "load":
            return "the alarm rang while its try, which had seen that it was superseded, aborted it"
        return None


def _decoded(text: str | None) -> Checkpoint | None:
    try:
        return decode(text) if text is not None else None
    except CheckpointUnreadable:
        return None
