"""Each operation in the work that needs it: what earlier tries left, a try, and how one sees that all is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.copy_options import copied_properties
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.credentials import Credentials
from tests.faults.front import Certificates, Front
from tests.faults.hook_calls import (
    APPENDED,
    TAGS,
    a_bucket_to_delete,
    a_tagged_object,
    appends,
    bucket_is_there,
    by_the_hook,
    creates_a_bucket,
    deletes_the_bucket,
    has_tags,
    is_appended,
    removes_tags,
    sets_tags,
)
from tests.faults.way import Keys, Way
from tests.world import BUCKET, PART, Transfers, a_client, some_bytes

CONTENT = some_bytes(3 * PART)
OLD = b"what stood there before"
TARGET = ObjectRef(BUCKET, "key")
SENDS_CONTENT = ("PutObject", "UploadPart", "AppendObject")


class World:
    """A server, a folder, and tries that share one checkpoint store.

    :ivar found: what the try got, for an operation that only asks
    """

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self._ahead = 0.0
        self.oss = LocalOSS(buckets=(BUCKET,), clock=lambda: time.time() + self._ahead).start()
        self.front = Front(self.oss.port, certificates)
        self.bundle = certificates.bundle
        self.source = folder / "source.bin"
        self.target = folder / "target" / "file"
        self.target.parent.mkdir()
        self.transfers = Transfers(self.oss, checkpoint_interval=0)
        self.keys = Keys(self.new_credentials())
        self.found: object = None
        self.oss.put(BUCKET, "key", OLD)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.front.close()
        self.oss.close()

    def heal(self) -> None:
        """Take back all faults, and forget the requests so far."""
        self.oss.stop()  # it ends connections that wait, and settles what is in the log
        self.oss.start()
        self.oss.clear_faults()
        self.oss.clear_requests()
        self.front.mode = "pass"
        self.set_clock(0)
        self.keys.renewed = None
        self.keys.current = self.new_credentials()

    def set_clock(self, ahead: float) -> None:
        """Set OSS's clock to so many seconds ahead of this machine's."""
        self._ahead = ahead

    def way(self, *, over_tls: bool = False) -> Way:
        """Return a new client, which the following tries will use."""
        endpoint = self.front.endpoint if over_tls else self.oss.endpoint
        way = Way(endpoint, self.keys, region=self.oss.region, verify_tls=str(self.bundle) if over_tls else True)
        self.transfers.client = way
        return way

    def settle(self) -> None:
        """Wait until the server has written into its log what became of every request."""
        self.oss.stop()
        self.oss.start()

    def moved(self) -> int:
        """Return how many bytes of content crossed the wire since the log was cleared."""
        sent = [request for request in self.oss.requests if request.operation in SENDS_CONTENT]
        fetched = [request for request in self.oss.requests if request.operation == "GetObject"]
        return sum(request.bytes_received for request in sent) + sum(
            request.bytes_sent for request in fetched if request.status < 300
        )

    def moves(self) -> int:
        """Return how many requests moved content, since the log was cleared."""
        operations = (*SENDS_CONTENT, "GetObject", "CopyObject", "UploadPartCopy")
        return sum(request.operation in operations and request.status < 300 for request in self.oss.requests)

    def new_credentials(self) -> Credentials:
        """Return credentials with a new token; the server takes no other from now on."""
        self.oss.security_token = f"token {time.monotonic_ns()}"
        return Credentials(self.oss.access_key_id, self.oss.access_key_secret, self.oss.security_token)


@dataclass(frozen=True)
class Operation:
    """An operation, the call of it that is struck, and the work around it.

    :ivar kind: what tells it from others of that name
    :ivar next_moves: how many requests for content a try needs after one that failed at the struck call
    :ivar unit: what such a request moves
    :ivar body_size: bytes of content that the struck call sends
    :ivar uploads_needed: uploads that are there for the operation to find
    """

    name: str
    nth: int
    work: str
    begin: Callable[[World], object]
    act: Callable[[World], object]
    is_right: Callable[[World], bool]
    next_moves: int = 0
    unit: str = ""
    body_size: int = 0
    uploads_needed: int = 0
    kind: str = ""

    @property
    def title(self) -> str:
        return self.name + (f", {self.kind}" if self.kind else "")


def uploads(world: World) -> None:
    world.transfers.upload(world.source)


def object_is_right(world: World) -> bool:
    return world.oss.object(BUCKET, "key") == world.source.read_bytes()


def downloads(world: World) -> None:
    world.transfers.download(world.target)


def file_is_right(world: World) -> bool:
    return world.target.read_bytes() == CONTENT


def a_source(size: int = 3 * PART) -> Callable[[World], object]:
    return lambda world: world.source.write_bytes(CONTENT[:size])


def an_object(world: World) -> None:
    world.oss.put(BUCKET, "key", CONTENT)
    world.target.write_bytes(OLD)


def a_download_that_broke_off(world: World) -> None:
    an_object(world)
    world.transfers.client = a_client(world.oss)
    with world.oss.failing("GetObject", after=2, fault=Fault("status", status=403, code="AccessDenied")):
        try:
            downloads(world)
        except OSSResumeError:
            return
    raise AssertionError("nothing broke off")


def an_upload_that_broke_off(world: World, *, size: int = 3 * PART) -> None:
    world.source.write_bytes(CONTENT[:size])
    world.transfers.client = a_client(world.oss)
    with world.oss.failing("UploadPart", after=2, fault=Fault("status", status=403, code="AccessDenied")):
        try:
            uploads(world)
        except OSSResumeError:
            return
    raise AssertionError("nothing broke off")


def an_upload_that_does_not_fit(world: World) -> None:
    an_upload_that_broke_off(world, size=3 * PART)
    world.source.write_bytes(CONTENT[: 2 * PART])


def two_objects(world: World) -> None:
    world.oss.put(BUCKET, "a", b"a")
    world.oss.put(BUCKET, "b", b"b")


def an_object_to_copy(world: World) -> None:
    world.oss.put(BUCKET, "a", CONTENT, x_oss_tagging="team=data")
    world.oss.put(BUCKET, "copy", OLD)


def copies(world: World) -> None:
    world.transfers.copy("a", "copy")


def copies_by_parts(world: World) -> None:
    world.transfers.copy("a", "copy", threshold=0, properties=copied_properties("copy", {"storage_class": "IA"}))


def copy_is_right(world: World) -> bool:
    tags = a_client(world.oss).get_object_tagging(ObjectRef(BUCKET, "copy"))
    return (world.oss.object(BUCKET, "copy"), tags) == (CONTENT, {"team": "data"})


def an_object_to_fetch(world: World) -> None:
    world.oss.put(BUCKET, "a", CONTENT)


class Fetched:
    """A sink, and what OSS says of the bytes."""

    piece_size = PART

    def __init__(self) -> None:
        self.data = b""
        self.said: int | None = None

    def open(self) -> None:
        self.data = b""

    def resume(self) -> None: ...

    def write(self, data: memoryview) -> None:
        self.data += data


def fetches(world: World) -> None:
    world.found = fetched = Fetched()
    fetched.said = world.transfers.client.get_object(A, fetched).crc64


def fetched_or_told(world: World) -> bool:
    """True also when the CRC-64 tells of the damage: comparing it is up to whoever calls the client."""
    fetched = world.found
    assert isinstance(fetched, Fetched)
    return fetched.data == CONTENT or (len(fetched.data) == len(CONTENT) and fetched.said != crc64(fetched.data))


def asks(ask: Callable[[Way], object]) -> Callable[[World], object]:
    def act(world: World) -> None:
        world.found = ask(world.transfers.client)  # type: ignore[arg-type]

    return act


def found(expected: object) -> Callable[[World], bool]:
    return lambda world: world.found == expected


A = ObjectRef(BUCKET, "a")

OPERATIONS = {
    operation.title: operation
    for operation in (
        Operation(
            "PutObject", 1, "an upload in one request", a_source(PART - 1), uploads, object_is_right,
            1, "object", PART - 1,
        ),
        Operation(
            "InitiateMultipartUpload", 1, "an upload of 3 parts", a_source(), uploads, object_is_right,
            3, "of 3 parts",
        ),
        Operation(
            "UploadPart", 2, "an upload of 3 parts, with the second", a_source(), uploads, object_is_right,
            2, "of 3 parts", PART,
        ),
        Operation(
            "ListParts", 1, "an upload that resumes with 2 of 3 parts",
            an_upload_that_broke_off, uploads, object_is_right, 1, "of 3 parts",
        ),
        Operation(
            "CompleteMultipartUpload", 1, "an upload of 3 parts", a_source(), uploads, object_is_right,
            0, "of 3 parts",
        ),
        Operation(
            "AbortMultipartUpload", 1, "an upload of 2 parts that drops one begun for a file of another size",
            an_upload_that_does_not_fit, uploads, object_is_right, 2, "of 2 parts",
        ),
        Operation(
            "HeadObject", 1, "a download that resumes with 2 of 3 parts", a_download_that_broke_off, downloads,
            file_is_right, 1, "of 3 parts",
        ),
        Operation(
            "GetObject", 1, "a download of 3 parts, with the first, which tells what the object is", an_object,
            downloads, file_is_right, 3, "of 3 parts", kind="first",
        ),
        Operation(
            "GetObject", 2, "a download of 3 parts, with the second", an_object, downloads, file_is_right,
            2, "of 3 parts",
        ),
        Operation(
            "GetObject", 1, "a call of the client, whose caller compares the CRC-64",
            an_object_to_fetch, fetches, fetched_or_told, 1, "object", kind="whole",
        ),
        Operation(
            "DeleteObject", 1, "a call of the client", two_objects,
            asks(lambda client: client.delete_object(A)),
            lambda world: world.oss.objects(BUCKET) == ["b", "key"],
        ),
        Operation(
            "DeleteMultipleObjects", 1, "a call of the client", two_objects,
            asks(lambda client: client.delete_objects(BUCKET, ["a", "b"])),
            lambda world: world.found == ["a", "b"] and world.oss.objects(BUCKET) == ["key"],
        ),
        Operation(
            "AppendObject", 1, "a call of the hook that names the position", lambda world: None,
            by_the_hook(appends), is_appended, 1, "append", len(APPENDED),
        ),
        Operation(
            "PutObjectTagging", 1, "a call of the hook", a_tagged_object,
            by_the_hook(sets_tags), has_tags(TAGS),
        ),
        Operation(
            "DeleteObjectTagging", 1, "a call of the hook", a_tagged_object,
            by_the_hook(removes_tags), has_tags({}),
        ),
        Operation(
            "CopyObject", 1, "a copy by one request", an_object_to_copy, copies, copy_is_right, 1, "object",
        ),
        Operation(
            "UploadPartCopy", 2, "a copy of 3 parts, with the second", an_object_to_copy, copies_by_parts,
            copy_is_right, 2, "of 3 parts",
        ),
        Operation(
            "ListObjectsV2", 1, "a call of the client", two_objects,
            asks(lambda client: [each.key for each in client.list_objects(BUCKET)]),
            found(["a", "b", "key"]),
        ),
        Operation(
            "ListMultipartUploads", 1, "a call of the client", an_upload_that_broke_off,
            asks(lambda client: [each.key for each in client.list_uploads(BUCKET)]),
            found(["key"]), uploads_needed=1,
        ),
        Operation(
            "GetObjectAcl", 1, "a call of the client", two_objects,
            asks(lambda client: client.get_object_acl(A)),
            found("default"),
        ),
        Operation(
            "GetObjectTagging", 1, "a call of the client", two_objects,
            asks(lambda client: client.get_object_tagging(A)),
            found({}),
        ),
        Operation(
            "GetSymlink", 1, "a call of the client", lambda world: world.oss.link(BUCKET, "a", "b"),
            asks(lambda client: client.get_symlink(A).key),
            found("b"),
        ),
        Operation(
            "GetBucketInfo", 1, "a call of the client", two_objects,
            asks(lambda client: client.get_bucket_info(BUCKET).region),
            found("cn-hangzhou"),
        ),
        Operation(
            "GetBucketWorm", 1, "a call of the client", lambda world: world.oss.retain(BUCKET, days=3),
            asks(lambda client: client.get_retention_days(BUCKET)),
            found(3),
        ),
        Operation(
            "ListBuckets", 1, "a call of the client", two_objects,
            asks(lambda client: client.get_service_info().owner),
            found("1234567890"),
        ),
        Operation(
            "ListBuckets", 1, "a call of the client that lists them", two_objects,
            asks(lambda client: [each.name for each in client.list_buckets()]),
            found([BUCKET]), kind="all",
        ),
        Operation(
            "PutBucket", 1, "a call of the hook, which asks first whether the bucket is there", lambda world: None,
            by_the_hook(creates_a_bucket), bucket_is_there,
        ),
        Operation(
            "DeleteBucket", 1, "a call of the hook, which lists what the bucket holds first", a_bucket_to_delete,
            by_the_hook(deletes_the_bucket), lambda world: not bucket_is_there(world),
        ),
    )
}  # fmt: skip
