"""The server, and the methods with which a test prepares and inspects it."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.local_oss.answers import FileRange, Refusal
from airflow_provider_ossresume.local_oss.authentication import Account
from airflow_provider_ossresume.local_oss.connection import Connection
from airflow_provider_ossresume.local_oss.exchange import Backend, Hook, serve
from airflow_provider_ossresume.local_oss.fault_rules import FaultControls
from airflow_provider_ossresume.local_oss.incoming import STEP, is_address
from airflow_provider_ossresume.local_oss.journal import Journal, Request
from airflow_provider_ossresume.local_oss.listener import Listener
from airflow_provider_ossresume.local_oss.records import ENABLED, NULL_VERSION, StoredObject
from airflow_provider_ossresume.local_oss.restoring import DAY
from airflow_provider_ossresume.local_oss.service import RESTORE_SECONDS, Service, kept_headers
from airflow_provider_ossresume.local_oss.storage import Storage
from airflow_provider_ossresume.local_oss.symlinks import symlink
from airflow_provider_ossresume.local_oss.tls import server_tls

ACCESS_KEY_ID = "local-oss-key-id"
ACCESS_KEY_SECRET = "local-oss-key-secret"  # noqa: S105  it opens nothing but this server


class LocalOSS(FaultControls):
    """An OSS server on this machine. Use it as a context manager, or call ``start`` and ``close``.

    :param root: the folder for buckets and objects; by default a temporary one, which ``close`` removes
    :param buckets: the buckets to create if they do not exist yet
    :param security_token: the STS token that requests must carry; None: requests need none
    :param port: the port to listen on; 0: any free port
    :param host: the address to listen on
    :param allow_remote: allow an address that other machines can reach
    :param clock: returns the seconds since 1970, for dates and for checking signatures
    :param log: a file to which one JSON line is written for each request
    :param restore_seconds: how long a RestoreObject takes, by that clock
    :param tls: serve HTTPS, with a new certificate
    :ivar root: the folder
    """

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        *,
        buckets: Sequence[str] = ("bucket",),
        access_key_id: str = ACCESS_KEY_ID,
        access_key_secret: str = ACCESS_KEY_SECRET,
        security_token: str | None = None,
        region: str = "cn-hangzhou",
        host: str = "127.0.0.1",
        allow_remote: bool = False,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        log: str | PathLike[str] | None = None,
        restore_seconds: float = RESTORE_SECONDS,
        tls: bool = False,
    ) -> None:
        check_host(host, allow_remote=allow_remote)
        context, ca = server_tls(host) if tls else (None, b"")
        self.root = Path(root or tempfile.mkdtemp(prefix="local-oss-"))
        self._owns_root = root is None
        self._storage = Storage(self.root, clock=clock)
        self._backend = Backend(
            Service(self._storage, region, clock, restore_seconds),
            Account(access_key_id, access_key_secret, security_token),
            Journal(Path(log) if log else None),
        )
        super().__init__(self._backend.rules)
        self._ca_file = self.root / "ca.pem" if tls else None
        if self._ca_file:
            self._ca_file.write_bytes(ca)
        self._host = host
        self._listener = Listener(host, port, serve=self._serve, tls=context)
        for name in buckets:
            self.create_bucket(name)

    # --- start and stop

    def start(self) -> LocalOSS:
        """Start listening. After ``stop``, it uses the same port and has the same objects and uploads."""
        self._listener.start()
        return self

    def stop(self) -> None:
        """Stop listening, and end all connections at once."""
        self._listener.stop()

    def close(self) -> None:
        """Stop for good. A folder that was passed in stays as it is."""
        self.stop()
        self._backend.journal.close()
        if self._owns_root:
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> LocalOSS:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, connection: Connection) -> None:
        serve(connection, self._backend)

    # --- endpoint and credentials

    @property
    def endpoint(self) -> str:
        """The URL for clients, such as ``http://127.0.0.1:4000``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self.ca_file else 'http'}://{host}:{self.port}"

    @property
    def port(self) -> int:
        """The port; 0 before the first start if any free port was requested."""
        return self._listener.port

    @property
    def ca_file(self) -> Path | None:
        """The CA bundle for clients; None without TLS."""
        return self._ca_file

    @property
    def region(self) -> str:
        """The region that V4 signatures must name."""
        return self._backend.service.region

    @property
    def access_key_id(self) -> str:
        """The only Access Key ID that the server accepts."""
        return self._backend.account.access_key_id

    @property
    def access_key_secret(self) -> str:
        """The secret of this Access Key."""
        return self._backend.account.access_key_secret

    @property
    def security_token(self) -> str | None:
        """The STS token that requests must carry. Set it to replace an expired one."""
        return self._backend.account.security_token

    @security_token.setter
    def security_token(self, token: str | None) -> None:
        self._backend.account = replace(self._backend.account, security_token=token, token_expired=False)

    def set_credentials(self, *, access_key_id: str, access_key_secret: str, security_token: str | None = None) -> None:
        """Accept only this key pair from now on."""
        self._backend.account = Account(access_key_id, access_key_secret, security_token)

    def expire_token(self) -> None:
        """Answer 403 SecurityTokenExpired until another token or other credentials are set."""
        self._backend.account = replace(self._backend.account, token_expired=True)

    def airflow_connection(self) -> str:
        """Return the Airflow connection, as JSON for an environment variable such as ``AIRFLOW_CONN_OSS_DEFAULT``."""
        extra = {"endpoint": self.endpoint, "region": self.region}
        if self.ca_file:
            extra["ca_bundle"] = str(self.ca_file)
        if not is_address(self._host):  # for an address it is the default
            extra["addressing"] = "path"
        if self.security_token:
            extra["security_token"] = self.security_token
        return json.dumps(
            {
                "conn_type": "oss_resume",
                "login": self.access_key_id,
                "password": self.access_key_secret,
                "extra": extra,
            }
        )

    # --- buckets and objects

    def create_bucket(self, name: str) -> None:
        """Create a bucket. One that exists already stays as it is."""
        self._storage.create_bucket(name)

    def put(self, bucket: str, key: str, data: bytes, **headers: str) -> None:
        """Store an object without a request. ``content_type="text/plain"`` sets the header Content-Type."""
        given = {name.lower().replace("_", "-"): value for name, value in headers.items()}
        content = self._storage.contents.receive([memoryview(data)])
        now = self._backend.service.clock()
        self._storage.put(bucket, StoredObject(key, content, content.md5, "Normal", kept_headers(given), now))

    def put_zeros(self, bucket: str, key: str, size: int, **headers: str) -> None:
        """Store an object of that many zeros, of any size, as if uploaded in parts. It takes no space on the disk.

        Neither do copies of it or of its parts, if the file system supports holes.
        """
        given = {name.lower().replace("_", "-"): value for name, value in headers.items()}
        digest = hashlib.md5(str(size).encode(), usedforsecurity=False).hexdigest().upper()
        stored = StoredObject(
            key, self._storage.contents.zeros(size), f"{digest}-1", "Multipart", kept_headers(given),
            self._backend.service.clock(),
        )  # fmt: skip
        self._storage.put(bucket, stored)

    @property
    def restore_seconds(self) -> float:
        """How long each further RestoreObject takes, by the server's clock; ``math.inf``: until ``restore``."""
        return self._backend.service.restore_seconds

    @restore_seconds.setter
    def restore_seconds(self, seconds: float) -> None:
        self._backend.service = replace(self._backend.service, restore_seconds=seconds)

    def restore(self, bucket: str, key: str, *, ongoing: bool = False, days: int = 1) -> None:
        """Restore an archived object for that many days, or start to. Raises KeyError if it does not exist."""
        now = self._backend.service.clock()
        at, until = (math.inf, math.inf) if ongoing else (now, now + days * DAY)
        try:
            self._storage.change(
                bucket, key, change=lambda stored: replace(stored, restored_at=at, restored_until=until)
            )
        except Refusal as refusal:
            raise KeyError(key) from refusal

    def keep_versions(self, bucket: str) -> None:
        """Enable versioning: from now on, overwritten and deleted objects can still be read by their version ID."""
        self._storage.set_versioning(bucket, ENABLED)

    def retain(self, bucket: str, *, days: int) -> None:
        """Protect each object of a bucket for that many days after its creation, like a retention policy (WORM)."""
        self._storage.retain(bucket, days=days)

    def link(self, bucket: str, key: str, target: str) -> None:
        """Create a symbolic link to another object of the bucket, without a request."""
        link = symlink(key, target, {}, self._storage.contents, now=self._backend.service.clock())
        self._storage.put(bucket, link)

    def versions(self, bucket: str, key: str) -> list[str]:
        """Return the IDs of a key's versions and delete markers, the newest first."""
        return [stored.version or NULL_VERSION for stored in self._storage.versions(bucket, key)]

    def object(self, bucket: str, key: str, version: str = "") -> bytes:
        """Return the bytes of an object, or of a version of it. Raises KeyError if it does not exist."""
        try:
            stored, file = self._storage.open(bucket, key, version)
        except Refusal as refusal:
            raise KeyError(key) from refusal
        with file:
            return b"".join(FileRange(file, 0, stored.content.size).steps(STEP))

    def objects(self, bucket: str) -> list[str]:
        """Return the keys of a bucket in order."""
        return [stored.key for stored in self._storage.list_objects(bucket)]

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, as DeleteObject does. Raises KeyError if it does not exist."""
        if key not in self._storage.bucket(bucket).objects:
            raise KeyError(key)
        self._storage.delete(bucket, key)

    def uploads(self, bucket: str) -> list[tuple[str, str]]:
        """Return key and upload ID of each unfinished upload."""
        return [(upload.key, upload.upload_id) for upload in self._storage.list_uploads(bucket)]

    def parts(self, bucket: str, key: str, upload_id: str) -> dict[int, bytes]:
        """Return the bytes of each part of an upload, by number. Raises KeyError if the upload does not exist."""
        try:
            upload = self._storage.upload(bucket, key, upload_id)
        except Refusal as refusal:
            raise KeyError(upload_id) from refusal
        with upload.lock:
            return {part.number: self._storage.contents.read(part.content) for part in upload.sorted_parts()}

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Remove an upload, as a lifecycle rule would. Raises KeyError if it does not exist."""
        try:
            self._storage.abort(bucket, self._storage.upload(bucket, key, upload_id))
        except Refusal as refusal:
            raise KeyError(upload_id) from refusal

    # --- requests

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in the order of their answers. Requests without an answer yet are not included."""
        return self._backend.journal.requests()

    def calls(self, operation: str) -> list[Request]:
        """Return the requests of one operation."""
        return [request for request in self.requests if request.operation == operation]

    def clear_requests(self) -> None:
        """Remove the requests so far from the journal."""
        self._backend.journal.clear()

    @property
    def on_request(self) -> Hook | None:
        """Called with each request before it is carried out, in the thread of its connection."""
        return self._backend.on_request

    @on_request.setter
    def on_request(self, hook: Hook | None) -> None:
        self._backend.on_request = hook

    @property
    def after_request(self) -> Hook | None:
        """Called with each request after its answer was sent or the connection was lost, in the connection's thread."""
        return self._backend.after_request

    @after_request.setter
    def after_request(self, hook: Hook | None) -> None:
        self._backend.after_request = hook


def check_host(host: str, *, allow_remote: bool) -> None:
    """:raises ArgumentError: if other machines can reach the address and that is not allowed"""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"  # any other name may resolve to anything
    if not (is_loopback or allow_remote):
        raise ArgumentError("host", host, "other machines can reach this address; set allow_remote to allow that")
