"""Each operation in the work that needs it: what earlier tries left, a try, and how one sees that all is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.credentials import Credentials
from tests.faults.front import Certificates, Front
from tests.faults.way import Keys, Way
from tests.world import BUCKET, PART, Transfers, a_client, some_bytes

CONTENT = some_bytes(3 * PART)
OLD = b"what stood there before"
TARGET = ObjectRef(BUCKET, "key")
DATA = {"PutObject": "bytes_received", "UploadPart": "bytes_received", "GetObject": "bytes_sent"}


class World:
    """A server, a folder, and tries that share one checkpoint store.

    :ivar found: what the try got, for an operation that only asks
    """

    def __init__(self, oss: LocalOSS, folder: Path, certificates: Certificates) -> None:
        self.oss = oss
        self.front = Front(oss.port, certificates)
        self.bundle = certificates.bundle
        self.source = folder / "source.bin"
        self.target = folder / "target" / "file"
        self.target.parent.mkdir()
        self.transfers = Transfers(oss, checkpoint_interval=0)
        self.keys = Keys(Credentials(oss.access_key_id, oss.access_key_secret, oss.security_token))
        self.found: object = None
        oss.put(BUCKET, "key", OLD)

    def way(self, *, over_tls: bool = False) -> Way:
        """Return a new client, which the following tries will use."""
        endpoint = self.front.endpoint if over_tls else self.oss.endpoint
        way = Way(endpoint, self.keys, region=self.oss.region, verify_tls=str(self.bundle) if over_tls else True)
        self.transfers.client = way
        return way

    def settle(self) -> None:
        """Wait until the server has done with every request, and forget no figure of it."""
        self.oss.stop()
        self.oss.start()

    def moved(self) -> int:
        """Return how many bytes of content crossed the wire since the log was cleared."""
        return sum(getattr(request, DATA.get(request.operation, ""), 0) for request in self.oss.requests)

    def moves(self) -> int:
        """Return how many requests for content there were."""
        return sum(request.operation in DATA for request in self.oss.requests)

    def renew_token(self) -> Credentials:
        self.oss.security_token = f"token {time.monotonic_ns()}"
        return Credentials(self.oss.access_key_id, self.oss.access_key_secret, self.oss.security_token)


@dataclass(frozen=True)
class Operation:
    """An operation, the call of it that is struck, and the work around it."""

    name: str
    nth: int
    work: str
    begin: Callable[[World], object]
    act: Callable[[World], object]
    is_right: Callable[[World], bool]


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


def asks(ask: Callable[[Way], object]) -> Callable[[World], object]:
    def act(world: World) -> None:
        world.found = ask(world.transfers.client)  # type: ignore[arg-type]

    return act


def found(expected: object) -> Callable[[World], bool]:
    return lambda world: world.found == expected


A, B, COPY = (ObjectRef(BUCKET, key) for key in ("a", "b", "copy"))

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("PutObject", 1, "upload in one request", a_source(PART - 1), uploads, object_is_right),
        Operation("InitiateMultipartUpload", 1, "upload of 3 parts", a_source(), uploads, object_is_right),
        Operation("UploadPart", 2, "upload of 3 parts, the second", a_source(), uploads, object_is_right),
        Operation(
            "ListParts", 1, "upload that resumes with 2 of 3 parts",
            an_upload_that_broke_off, uploads, object_is_right,
        ),
        Operation("CompleteMultipartUpload", 1, "upload of 3 parts", a_source(), uploads, object_is_right),
        Operation(
            "AbortMultipartUpload", 1, "upload of 2 parts that drops an upload which does not fit",
            an_upload_that_does_not_fit, uploads, object_is_right,
        ),
        Operation("HeadObject", 1, "download of 3 parts", an_object, downloads, file_is_right),
        Operation("GetObject", 2, "download of 3 parts, the second", an_object, downloads, file_is_right),
        Operation(
            "DeleteObject", 1, "call", two_objects,
            asks(lambda client: client.delete_object(A)),
            lambda world: world.oss.objects(BUCKET) == ["b", "key"],
        ),
        Operation(
            "DeleteMultipleObjects", 1, "call", two_objects,
            asks(lambda client: client.delete_objects(BUCKET, ["a", "b"])),
            lambda world: world.found == ["a", "b"] and world.oss.objects(BUCKET) == ["key"],
        ),
        Operation(
            "CopyObject", 1, "call", two_objects,
            asks(lambda client: client.copy_object(B, COPY)),
            lambda world: world.oss.object(BUCKET, "copy") == b"b",
        ),
        Operation(
            "ListObjectsV2", 1, "call", two_objects,
            asks(lambda client: [each.key for each in client.list_objects(BUCKET)]),
            found(["a", "b", "key"]),
        ),
        Operation(
            "ListMultipartUploads", 1, "call", an_upload_that_broke_off,
            asks(lambda client: [each.key for each in client.list_uploads(BUCKET)]),
            found(["key"]),
        ),
        Operation(
            "GetBucketInfo", 1, "call", two_objects,
            asks(lambda client: client.get_bucket_info(BUCKET).region),
            found("cn-hangzhou"),
        ),
    )
}  # fmt: skip
