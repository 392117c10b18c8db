"""The client that a try has: what it asks of the simulated OSS, over the engine's pool and with its retries.

It compares what OSS stored with what was sent, and checks the range of what came, as ``oss.client`` does.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_ossresume.errors import (
    BadAnswer,
    IntegrityError,
    InvalidRange,
    PreconditionFailed,
    RequestError,
    ServiceError,
)
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.objects import CopiedObject, ObjectMeta, ObjectRef, Receipt
from airflow_provider_ossresume.model.parts import STALL_SIZE
from airflow_provider_ossresume.oss.base_client import is_overload
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed
from airflow_provider_ossresume.oss.retry import Attempts, RetryPolicy
from airflow_provider_ossresume.oss.stop import NeverStopped, Stop
from airflow_provider_ossresume.transfer.part_body import PartBody
from airflow_provider_ossresume.transfer.part_sink import PartSink
from tests.simulation.account import Account
from tests.simulation.errand import Errand
from tests.simulation.oss import STEP, StoredObject, StoredPart, Upload, flipped, refusal

if TYPE_CHECKING:
    from tests.simulation.world import Try, World

T = TypeVar("T")


class Client:
    """What one try has of OSS: the client of uploads, downloads and copies."""

    def __init__(self, world: World, process: Try) -> None:
        self._world = world
        self._oss = world.oss
        self._ledger = world.ledger
        self._try = process
        self._connections = world.network.connections()
        self._retry = RetryPolicy(
            attempts=world.attempts, total=world.profile.retry_total, clock=lambda: world.scheduler.now
        )
        self._stop: Stop = NeverStopped(world.scheduler.sleep)
        self._retrying = self._retry.retrying(wait=self._stop.wait)

    def with_stop(self, stop: Stop) -> Client:
        """Return it for one crew, as ``OssClient`` does."""
        client = copy.copy(self)
        client._stop = stop
        client._retrying = self._retry.retrying(wait=stop.wait, before_wait=client._before_retry)
        return client

    def _before_retry(self, error: BaseException | None) -> None:
        slow_down = getattr(self._stop, "slow_down", None)
        if slow_down and is_overload(error):
            slow_down()

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
        furthest = 0

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
            """Go on behind the last byte that came, as ``oss.resumable_get`` does."""
            nonlocal furthest
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
                sink.resume()
            else:
                content = ask(start, stop, if_match)
                sink.open()
            try:
                receive(content, come)
            finally:
                come, furthest = sum(map(len, fetched)), max(furthest, come)
                if come >= furthest + STALL_SIZE:
                    self._errand.progressed()
            return self._meta(known[0])

        def receive(content: bytes, come: int) -> None:
            errand, flow = self._errand, self._connections.body_limit()
            assert errand.wire is not None
            errand.wire.has_answered = True
            for offset in range(0, len(content), STEP):
                piece = content[offset : offset + STEP]
                action = self._world.point("get", "body", f"{start + come}+{offset}")
                if action == "flip":
                    self._try.has_met_flip = True
                    piece = flipped(piece)
                if action == "break":
                    piece = piece[: len(piece) // 2]
                errand.wire.carry(len(piece), flow)
                errand.moved()
                if offset + STEP >= len(content):
                    errand.break_some()
                sink.write(piece)
                fetched.append(piece)
                if action == "break":
                    raise ExchangeFailed("broke off")

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
                found = self._oss.put(flipped(found.content), {})
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
        return self._retried(operation, label, effect=effect)

    def _send(
        self, operation: str, body: PartBody, store: Callable[[bytes], ObjectMeta], label: str = ""
    ) -> ObjectMeta:
        def compare(meta: ObjectMeta) -> None:
            sent = body.crc64()
            if sent is not None and meta.crc64 is not None and sent != meta.crc64:
                raise IntegrityError(f"{label}: OSS stored other bytes than were sent")

        return self._retried(operation, label, body=body, store=store, compare=compare)

    def _retried(
        self,
        operation: str,
        label: str,
        *,
        effect: Callable[[], T] | None = None,
        body: PartBody | None = None,
        store: Callable[[bytes], T] | None = None,
        compare: Callable[[T], None] = lambda result: None,
    ) -> T:
        """Do it until it succeeds, or the engine's retry policy ends it."""
        account = Account(self._world, self._try, operation)

        def attempt(attempts: Attempts) -> T:
            self._stop.check()  # as the real one does before it sends
            if self._try.is_over:
                self._ledger.violate(f"(6) {self._try} is over, and sends a {operation}")
            self._ledger.count_call(self._try)
            account.begin()
            errand = Errand(
                self._world, self._try, operation, label, attempts, account, effect=effect, body=body, store=store
            )
            try:
                result = errand.run(self._connections, self._stop)
                compare(result)
                return result
            except (RequestError, IntegrityError) as error:
                self._world.note(f"{operation} {label} -> {_brief(error)}")
                account.failed()
                raise

        self._ledger.call_begins(self._try, operation, label)
        failed = True
        try:
            result = self._retrying(attempt)
            failed = False
            return result
        except (RequestError, IntegrityError) as error:
            if error.retryable:
                account.check_given_up()
            raise
        finally:
            self._ledger.call_ends(self._try, operation, failed=failed)

    @property
    def _errand(self) -> Errand[Any]:
        errand: Errand[Any] = self._world.scheduler.current.errand
        return errand

    def _sent(self, if_match: str | None) -> str | None:
        """Return the condition as OSS gets it: a proxy may drop it."""
        return None if self._errand.is_unconditioned else if_match

    def _meta(self, found: StoredObject) -> ObjectMeta:
        shown = {name: value for name, value in found.headers.items() if name.startswith("x-oss-meta-")}
        return ObjectMeta(size=len(found.content), etag=found.etag, crc64=self._crc(found.crc64), headers=shown)

    def _crc(self, value: int) -> int | None:
        return value if self._world.profile.crc_headers else None


def _check_digest(operation: str, digest: str | None, content: bytes) -> None:
    if digest not in (None, content_md5([content])):
        raise refusal(ServiceError, operation, 400, "InvalidDigest")


def _brief(error: BaseException) -> str:
    code = getattr(error, "code", "")
    return f"{type(error).__name__}{' ' + code if code else ''}"
