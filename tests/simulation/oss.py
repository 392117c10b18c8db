"""OSS in memory, by its rules, and the client that a try has.

The rules are those of the local OSS server, which the official SDKs judge. The client behaves as ``oss.client`` does:
it retries what may pass, compares what OSS stored with what was sent, and checks the range of what came.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_ossresume.errors import (
    AccessDenied,
    AlreadyExists,
    BadAnswer,
    ConnectionFailed,
    IntegrityError,
    InvalidPart,
    InvalidRange,
    NoSuchKey,
    NoSuchUpload,
    ObjectTooLarge,
    PreconditionFailed,
    RequestError,
    ServiceError,
)
from airflow_provider_ossresume.model.crc64 import combine_all, crc64
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.object_options import FORBID_OVERWRITE
from airflow_provider_ossresume.model.objects import CopiedObject, ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.oss.stop import NeverStopped, Stop
from airflow_provider_ossresume.transfer.part_body import PartBody
from airflow_provider_ossresume.transfer.part_sink import PartSink

if TYPE_CHECKING:
    from tests.simulation.world import Try, World

T = TypeVar("T")

BUCKET, KEY = "bucket", "key"
SOURCE = ObjectRef("source-bucket", "source-key")  # of a copy
MIN_PART_SIZE = 100 * 1024  # OSS: every part but the last, checked at Complete
MAX_PART_COUNT = 10_000
STEP = 40 * 1024  # bytes that a body moves at once; a part has three steps or more
BEGINNING = 60 * 1024  # bytes that a new download asks for first

DELAY = 10.0  # seconds: longer than any grace
SLOW = 0.5  # seconds: longer than a tick, and within the grace of a stop that comes at the first one

NAMES = {
    "head": "HeadObject",
    "put": "PutObject",
    "get": "GetObject",
    "acl": "GetObjectAcl",
    "tagging": "GetObjectTagging",
    "retention": "GetBucketWorm",
    "copy": "CopyObject",
    "part copy": "UploadPartCopy",
    "initiate": "InitiateMultipartUpload",
    "part": "UploadPart",
    "list": "ListParts",
    "complete": "CompleteMultipartUpload",
    "abort": "AbortMultipartUpload",
}


def refusal(kind: type[ServiceError], operation: str, status: int, code: str) -> ServiceError:
    return kind(operation=NAMES[operation], target=f"oss://{BUCKET}/{KEY}", status=status, code=code)


def no_answer(operation: str, why: str) -> ConnectionFailed:
    return ConnectionFailed(f"{NAMES[operation]}: {why}", operation=NAMES[operation], target=f"oss://{BUCKET}/{KEY}")


@dataclass(frozen=True)
class StoredPart:
    content: bytes
    crc64: int

    @classmethod
    def of(cls, content: bytes) -> StoredPart:
        return cls(content, crc64(content))

    @property
    def etag(self) -> str:
        return f"{self.crc64:016X}"


@dataclass
class Upload:
    """A multipart upload.

    The marks below the parts are the ledger's, who has to tell why one was left behind.
    """

    upload_id: str
    by: Try | None  # None: another writer's
    headers: Mapping[str, str]
    of_etag: str = ""  # the source's, of a copy, when it was begun
    parts: dict[int, StoredPart] = field(default_factory=dict)
    state: str = "open"  # or completed, aborted, removed

    answered: str = ""  # or in time, or too late: whether the try that initiated it got to know its ID
    is_saved: bool = False  # a checkpoint that names it has been in the store
    save_failed: bool = False
    abort_failed: bool = False
    checkpoint_lost: bool = False  # by other hands than a try's
    overlapped: bool = False  # its checkpoint was overwritten by a try that did not know of it


@dataclass(frozen=True)
class StoredObject:
    content: bytes
    etag: str
    crc64: int
    headers: Mapping[str, str]


def stored(content: bytes, headers: Mapping[str, str]) -> StoredObject:
    part = StoredPart.of(content)
    return StoredObject(content, part.etag, part.crc64, headers)


class OSS:
    """The service: every method is one effect, whole or not at all."""

    def __init__(self) -> None:
        self.uploads: dict[str, Upload] = {}
        self.object: StoredObject | None = None
        self.source: StoredObject | None = None  # of a copy
        self._ids = itertools.count(1)

    def open_uploads(self) -> list[Upload]:
        return [upload for upload in self.uploads.values() if upload.state == "open"]

    def head(
        self, operation: str = "head", *, of: ObjectRef | None = None, if_match: str | None = None
    ) -> StoredObject:
        """Return an object: the one that a copy reads, or by default the other one."""
        found = self.source if of == SOURCE else self.object
        if found is None:
            raise refusal(NoSuchKey, operation, 404, "NoSuchKey")
        if if_match is not None and if_match != found.etag:
            raise refusal(PreconditionFailed, operation, 412, "PreconditionFailed")
        return found

    def put(self, content: bytes, headers: Mapping[str, str], *, operation: str = "put") -> StoredObject:
        self._check_overwrite(operation, headers)
        self.object = stored(content, headers)
        return self.object

    def get(self, start: int, stop: int | None, if_match: str | None, *, of: ObjectRef | None = None) -> bytes:
        found = self.head("get", of=of, if_match=if_match)
        if stop is not None and start >= len(found.content):
            raise refusal(InvalidRange, "get", 416, "InvalidRange")
        return found.content[start:stop]

    def initiate(self, headers: Mapping[str, str], by: Try | None) -> Upload:
        self._check_overwrite("initiate", headers)
        upload = Upload(f"U{next(self._ids)}", by, headers)
        self.uploads[upload.upload_id] = upload
        return upload

    def upload(self, operation: str, upload_id: str) -> Upload:
        found = self.uploads.get(upload_id)
        if found is None or found.state != "open":
            raise refusal(NoSuchUpload, operation, 404, "NoSuchUpload")
        return found

    def put_part(self, upload_id: str, number: int, content: bytes, *, operation: str = "part") -> StoredPart:
        upload = self.upload(operation, upload_id)
        if not 1 <= number <= MAX_PART_COUNT:
            raise refusal(ServiceError, operation, 400, "InvalidArgument")
        upload.parts[number] = part = StoredPart.of(content)
        return part

    def list_parts(self, upload_id: str, *, after: int, limit: int) -> list[tuple[int, StoredPart]]:
        parts = sorted(self.upload("list", upload_id).parts.items())
        return [(number, part) for number, part in parts if number > after][:limit]

    def complete(self, upload_id: str, named: list[tuple[int, str]], headers: Mapping[str, str]) -> StoredObject:
        upload = self.upload("complete", upload_id)
        if not named or any(one[0] >= other[0] for one, other in itertools.pairwise(named)):
            raise refusal(ServiceError, "complete", 400, "InvalidPartOrder")
        parts = []
        for number, etag in named:
            part = upload.parts.get(number)
            if part is None or part.etag != etag:
                raise refusal(InvalidPart, "complete", 400, "InvalidPart")
            parts.append(part)
        if any(len(part.content) < MIN_PART_SIZE for part in parts[:-1]):
            raise refusal(ServiceError, "complete", 400, "EntityTooSmall")
        self._check_overwrite("complete", headers)
        upload.state = "completed"
        crc = combine_all((part.crc64, len(part.content)) for part in parts)
        content = b"".join(part.content for part in parts)
        self.object = StoredObject(content, f"{crc:016X}-{len(parts)}", crc, upload.headers)
        return self.object

    def abort(self, upload_id: str) -> None:
        self.upload("abort", upload_id).state = "aborted"

    def _check_overwrite(self, operation: str, headers: Mapping[str, str]) -> None:
        if headers.get(FORBID_OVERWRITE) == "true" and self.object is not None:
            raise refusal(AlreadyExists, operation, 409, "FileAlreadyExists")


class Client:
    """What one try has of OSS: the client of uploads, downloads and copies."""

    def __init__(self, world: World, process: Try) -> None:
        self._world = world
        self._oss = world.oss
        self._ledger = world.ledger
        self._try = process
        self._stop: Stop = NeverStopped(world.scheduler.sleep)
        self._of_thread = threading.local()

    def with_stop(self, stop: Stop) -> Client:
        client = Client(self._world, self._try)
        client._stop = stop
        return client

    # --- objects ------------------------------------------------------------------------------------------------------

    def head_object(self, target: ObjectRef) -> ObjectMeta:
        def effect() -> ObjectMeta:
            found = self._oss.head(of=target)
            if target == self._world.read_object:
                self._ledger.saw_object(self._try, found)
            return self._meta(found)

        return self._exchange("head", effect)

    def check_readable(self, target: ObjectRef, *, if_match: str | None = None) -> None:
        self._exchange("get", lambda: self._oss.get(0, 1, if_match, of=target))

    def get_retention_days(self, bucket: str) -> int:
        return self._exchange("retention", lambda: 0)

    def get_symlink(self, target: ObjectRef) -> ObjectRef:
        raise AssertionError("the simulation has no symbolic links")

    def get_object_acl(self, target: ObjectRef) -> str:
        return self._exchange("acl", lambda: "default")

    def get_object_tagging(self, target: ObjectRef) -> dict[str, str]:
        return self._exchange("tagging", dict[str, str])

    def put_object(self, target: ObjectRef, body: PartBody, *, headers: Mapping[str, str] | None = None) -> ObjectMeta:
        digest = body.content_md5()

        def store(content: bytes) -> ObjectMeta:
            _check_digest("put", digest, content)
            found = self._oss.put(content, headers or {})
            self._ledger.object_published(self._try, found.content)
            return self._meta(found)

        return self._send("put", body, store)

    def get_object(
        self,
        target: ObjectRef,
        sink: PartSink,
        *,
        start: int = 0,
        stop: int | None = None,
        may_end_before: bool = False,
        if_match: str | None = None,
        total: int | None = None,
    ) -> ObjectMeta:
        fetched: list[bytes] = []  # of the object that the first answer was of
        known: list[StoredObject] = []
        attempts = itertools.count(1)

        def ask(first: int, last: int | None, etag: str | None) -> bytes:
            if next(attempts) == 1:
                self._ledger.fetches(self._try, first, last, etag)
            content = self._oss.get(first, last, self._sent(etag), of=target)
            found = self._oss.head("get", of=target, if_match=etag)  # the client looks, whoever has dropped If-Match
            if may_end_before and not any(fetched):
                self._ledger.saw_object(self._try, found)
            self._ledger.serves(self._try, found, of_etag=self._try.seen_etag)
            if last is not None and len(content) != last - first and not (may_end_before and not any(fetched)):
                raise BadAnswer("Content-Range", operation="GetObject", target=str(target))
            known[:] = [found]
            return content

        def effect() -> ObjectMeta:
            """Go on behind the last byte that came, as ``oss.fetch`` does."""
            come = sum(map(len, fetched))
            size = len(known[0].content[start:stop]) if come else 0
            if come and come == size:
                return self._meta(known[0])  # all has come, and what was lost is of no importance
            if come:
                try:
                    content = ask(start + come, start + size, known[0].etag)
                except (PreconditionFailed, InvalidRange):
                    if if_match is not None:
                        raise
                    fetched.clear()
                    return effect()
                sink.go_on()
            else:
                content = ask(start, stop, if_match)
                sink.open()
            for offset in range(0, len(content), STEP):
                piece = content[offset : offset + STEP]
                action = self._world.point("get", "body", f"{start + come}+{offset}")
                if action == "flip":
                    self._try.has_met_flip = True
                    piece = _flipped(piece)
                if action == "break":
                    piece = piece[: len(piece) // 2]
                sink.write(piece)
                fetched.append(piece)
                if action == "break":
                    raise no_answer("get", "broke off")
            return self._meta(known[0])

        meta = self._exchange("get", effect, f"{start}-{stop}")
        self._ledger.fetched(self._try, start, stop, if_match, size=meta.size)
        return meta

    def copy_object(
        self,
        source: ObjectRef,
        target: ObjectRef,
        *,
        headers: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> CopiedObject:
        asked, of_etag = headers or {}, self._try.seen_etag

        def effect() -> CopiedObject:
            found = self._oss.head("copy", of=source, if_match=self._sent(if_match))
            if self._sent(found.etag):
                self._ledger.serves(self._try, found, of_etag=of_etag)
            replaces = asked.get("x-oss-metadata-directive") == "REPLACE"
            made = self._oss.put(found.content, {**({} if replaces else found.headers), **asked}, operation="copy")
            self._ledger.object_published(self._try, made.content)
            return CopiedObject(made.etag, self._crc(made.crc64))

        return self._exchange("copy", effect)

    # --- multipart uploads --------------------------------------------------------------------------------------------

    def initiate(self, target: ObjectRef, *, headers: Mapping[str, str] | None = None) -> str:
        def effect() -> Upload:
            upload = self._oss.initiate(headers or {}, self._try)
            if self._world.profile.direction == "copy":
                upload.of_etag = self._try.seen_etag
            self._ledger.initiated(self._try, upload)
            return upload

        self._try.stopped_at = None
        upload = self._exchange("initiate", effect)
        upload.answered = "in time" if self._try.is_in_time(self._world.scheduler.now) else "too late"
        return upload.upload_id

    def upload_part(
        self, target: ObjectRef, upload_id: str, number: int, body: PartBody, *, refuse_damage: bool = False
    ) -> Receipt:
        attempts, of_etag = itertools.count(1), self._try.seen_etag
        digest = body.content_md5() if refuse_damage else None

        def store(content: bytes) -> ObjectMeta:
            _check_digest("part", digest, content)
            self._ledger.sends(self._try, upload_id, number, content, attempt=next(attempts), of_etag=of_etag)
            part = self._oss.put_part(upload_id, number, content)
            return ObjectMeta(size=len(content), etag=part.etag, crc64=self._crc(part.crc64))

        stored = self._send("part", body, store, f"{upload_id}/{number}")
        return Receipt(number, stored.etag, body.size, body.crc64())

    def upload_part_copy(
        self, source: ObjectRef, target: ObjectRef, upload_id: str, number: int, *, start: int, stop: int, if_match: str
    ) -> Receipt:
        attempts, of_etag = itertools.count(1), self._try.seen_etag

        def effect() -> StoredPart:
            found = self._oss.head("part copy", of=source, if_match=self._sent(if_match))
            if self._sent(found.etag):
                self._ledger.serves(self._try, found, of_etag=of_etag)
            content = found.content[start:stop]
            self._ledger.sends(self._try, upload_id, number, content, attempt=next(attempts), of_etag=of_etag)
            return self._oss.put_part(upload_id, number, content, operation="part copy")

        part = self._exchange("part copy", effect, f"{upload_id}/{number}")
        # Only ListParts tells its CRC-64, or the answer does too.
        return Receipt(number, part.etag, len(part.content), self._crc(part.crc64) if number % 2 else None)

    def list_parts(self, target: ObjectRef, upload_id: str) -> list[Receipt]:
        listed: dict[int, StoredPart] = {}
        limit = self._world.page_size

        def page(after: int) -> list[tuple[int, StoredPart]]:
            return self._exchange("list", lambda: self._oss.list_parts(upload_id, after=after, limit=limit), upload_id)

        while len(found := page(max(listed, default=0))) == limit:
            listed.update(found)
        listed.update(found)
        self._ledger.listed(self._try, upload_id, listed)
        return [Receipt(number, part.etag, len(part.content), self._crc(part.crc64)) for number, part in listed.items()]

    def complete(
        self,
        target: ObjectRef,
        upload_id: str,
        parts: Iterable[Receipt],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        named = [(part.number, part.etag) for part in parts]

        def effect() -> ObjectMeta:
            try:
                found = self._oss.complete(upload_id, named, headers or {})
            except ServiceError as error:
                if self._try.is_garbled:  # a status can be read, and no code
                    raise refusal(ServiceError, "complete", error.status, "") from error
                raise
            if self._world.bad_join:
                self._world.bad_join = False
                found = self._oss.put(_flipped(found.content), {})
                self._ledger.object_put_by_others(found.content, "joined wrongly")
            else:
                self._ledger.object_published(self._try, found.content)
            return self._meta(found)

        return self._exchange("complete", effect, upload_id)

    def abort(self, target: ObjectRef, upload_id: str) -> None:
        def effect() -> None:
            self._ledger.aborts(self._try, upload_id)
            self._oss.abort(upload_id)

        upload = self._oss.uploads.get(upload_id)
        if upload is not None:
            upload.abort_failed = True  # until it is answered; one that is gone needs no excuse
        self._exchange("abort", effect, upload_id)
        if upload is not None:
            upload.abort_failed = False

    # --- one exchange -------------------------------------------------------------------------------------------------

    def _exchange(self, operation: str, effect: Callable[[], T], label: str = "") -> T:
        """Do it until it succeeds, as the real client does."""
        world = self._world
        self._ledger.call_begins(self._try, operation, label)
        failed = True
        try:
            for attempt in itertools.count(1):
                try:
                    result = self._attempt(operation, effect, label)
                    failed = False
                    return result
                except (RequestError, IntegrityError) as error:
                    world.note(f"{operation} {label} -> {_brief(error)}")
                    if not error.retryable or attempt >= world.attempts:
                        raise
                    self._stop.wait(0.1 * 2**attempt)
            raise AssertionError("unreachable")
        finally:
            self._ledger.call_ends(self._try, operation, failed=failed)

    def _attempt(self, operation: str, effect: Callable[[], T], label: str) -> T:
        """One request. A stop lets none begin, and shuts the socket of one that is under way when the grace is over."""
        shut: list[bool] = []
        with self._stop.guard(lambda: shut.append(True)):
            try:
                return self._attempt_until(shut, operation, effect, label)
            except (RequestError, IntegrityError):
                if shut:
                    self._stop.check()
                raise

    def _attempt_until(self, shut: list[bool], operation: str, effect: Callable[[], T], label: str) -> T:
        def wait(seconds: float) -> None:
            world.scheduler.sleep(seconds)
            if shut:
                raise no_answer(operation, "the socket was shut down")

        world = self._world
        if self._try.is_over:
            self._ledger.violate(f"(6) {self._try} is over, and sends a {operation}")
        self._ledger.count_call(self._try)
        wait(world.a_while())
        if self._try.outage > 0:
            self._try.outage -= 1
            raise no_answer(operation, "still no answer")
        action = world.point(operation, "before", label)
        if action == "refused":
            raise no_answer(operation, "refused")
        if action == "outage":
            self._try.outage = world.attempts - 1
            raise no_answer(operation, "refused, for longer")
        if action == "slow":
            wait(SLOW)
        if action == "stall":
            wait(12.0)
            raise no_answer(operation, "stalled")
        if action == "delay":
            wait(DELAY)
        if action == "busy":
            raise refusal(ServiceError, operation, 503, "ServiceUnavailable")
        if action == "denied":
            self._try.was_denied = True
            raise refusal(AccessDenied, operation, 403, "AccessDenied")
        if action == "damaged":
            raise refusal(ServiceError, operation, 400, "InvalidDigest")
        if action == "too large" and self._oss.head(operation, of=SOURCE).content:
            raise refusal(ObjectTooLarge, operation, 400, "EntityTooLarge")
        if action == "late" and operation in ("complete", "initiate", "copy", "part copy"):
            world.later(lambda: self._land(operation, effect))
            raise no_answer(operation, "no answer yet")
        if action == "bad join":
            world.bad_join = True
        self._of_thread.is_unconditioned = action == "unconditioned"
        try:
            result = effect()
        finally:
            self._of_thread.is_unconditioned = False
        world.note(f"{operation} {label} ok")
        action = world.point(operation, "after", label)
        if action == "lost":
            raise no_answer(operation, "answer lost")
        if action == "slow":
            wait(SLOW)
        if action in ("garbled", "garbled for good") or (self._try.is_garbled and operation == "complete"):
            self._try.is_garbled = self._try.is_garbled or action == "garbled for good"
            raise BadAnswer("XML that breaks off", operation=NAMES[operation], target=f"oss://{BUCKET}/{KEY}")
        if action == "lost outage":
            self._try.outage = world.attempts - 1
            raise no_answer(operation, "answer lost, and no other came")
        return result

    def _sent(self, if_match: str | None) -> str | None:
        """Return the condition as OSS gets it: a proxy may drop it."""
        return None if getattr(self._of_thread, "is_unconditioned", False) else if_match

    def _land(self, operation: str, effect: Callable[[], T]) -> None:
        """A request that its sender had given up arrives."""
        try:
            effect()
            self._world.note(f"a late {operation} of {self._try} lands")
        except ServiceError as error:
            self._world.note(f"a late {operation} of {self._try} -> {_brief(error)}")

    def _send(
        self, operation: str, body: PartBody, store: Callable[[bytes], ObjectMeta], label: str = ""
    ) -> ObjectMeta:
        """Send a body; OSS acts when it has all bytes, whatever the sender makes of them afterwards."""

        def effect() -> ObjectMeta:
            content, late = b"", False
            stored = _Answer(store, b"") if body.size == 0 else None
            for piece in body.open():
                data = bytes(piece)
                action = self._world.point(operation, "body", f"{label}+{len(content)}")
                if action == "flip":
                    data = _flipped(data, by=0x0F)  # not as on the way here: twice the same damage would look right
                    self._try.damaged.add(label)
                late = late or action == "late"
                content += data
                if len(content) == body.size:
                    if late:
                        self._world.later(partial(self._land, operation, partial(store, content)))
                        raise no_answer(operation, "no answer yet")
                    stored = _Answer(store, content)
            assert stored is not None, "a body that is shorter than it said"
            meta, sent = stored.read(), body.crc64()
            if sent is not None and meta.crc64 is not None and sent != meta.crc64:
                raise IntegrityError(f"{label}: OSS stored other bytes than were sent")
            return meta

        return self._exchange(operation, effect, label)

    def _meta(self, found: StoredObject) -> ObjectMeta:
        shown = {name: value for name, value in found.headers.items() if name.startswith("x-oss-meta-")}
        return ObjectMeta(size=len(found.content), etag=found.etag, crc64=self._crc(found.crc64), headers=shown)

    def _crc(self, value: int) -> int | None:
        return value if self._world.profile.crc_headers else None


class _Answer:
    """What OSS made of a body; the sender reads it when he has sent all."""

    def __init__(self, store: Callable[[bytes], ObjectMeta], content: bytes) -> None:
        self._error: ServiceError | None = None
        try:
            self._meta = store(content)
        except ServiceError as error:
            self._error = error

    def read(self) -> ObjectMeta:
        if self._error is not None:
            raise self._error
        return self._meta


def _check_digest(operation: str, digest: str | None, content: bytes) -> None:
    if digest not in (None, content_md5([content])):
        raise refusal(ServiceError, operation, 400, "InvalidDigest")


def _flipped(data: bytes, by: int = 0x55) -> bytes:
    return bytes([data[0] ^ by]) + data[1:] if data else data


def _brief(error: BaseException) -> str:
    code = getattr(error, "code", "")
    return f"{type(error).__name__}{' ' + code if code else ''}"
