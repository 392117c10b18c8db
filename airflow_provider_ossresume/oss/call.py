"""A call to OSS before it is signed: the operation, its target, its headers and its body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import quote, unquote

from airflow_provider_ossresume.errors import BadAnswer, ConnectionFailed
from airflow_provider_ossresume.model import etags
from airflow_provider_ossresume.model.object_names import check_bucket, check_key
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.endpoint import quote_key

T = TypeVar("T")


class Body(Protocol):
    """The body of a request. Each attempt opens it again, so that a retry sends it from the start."""

    @property
    def size(self) -> int: ...

    def open(self) -> Iterable[bytes | memoryview]: ...

    def content_md5(self) -> str | None:
        """The header Content-MD5 of what will be sent; None if nothing is to be verified, or Python has no MD5."""

    def crc64(self) -> int | None:
        """The CRC-64 of what the last attempt sent; None if nothing is to be verified."""


@dataclass(frozen=True)
class Call:
    """One request before it is signed.

    :ivar success: the statuses that are a success
    """

    operation: str
    method: str
    bucket: str | None = None
    key: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | bytes | None = None
    success: Sequence[int] = (200,)

    @property
    def target(self) -> str:
        if self.bucket is None:
            return "OSS"
        if self.key is None:
            return f"oss://{self.bucket}"
        part = self.query.get("partNumber")
        return ObjectRef(self.bucket, self.key).uri + (f" part {part}" if part else "")

    @property
    def copy_source(self) -> str:
        """The URI of a copy's source; empty for other calls."""
        path = self._header("x-oss-copy-source")
        return f"oss:/{unquote(path.partition('?')[0])}" if path else ""

    @property
    def has_callback(self) -> bool:
        """True if OSS is to call an application's server. That server's response then replaces OSS's body."""
        return self._header("x-oss-callback") is not None

    @property
    def takes_long(self) -> bool:
        """True if OSS may start its response before its work is done. It sends blanks until then."""
        return self.operation in ("CompleteMultipartUpload", "CopyObject", "UploadPartCopy")

    def _header(self, wanted: str) -> str | None:
        return next((value for name, value in self.headers.items() if name.lower() == wanted), None)

    def __str__(self) -> str:
        return f"{self.operation} {self.target}"

    def bad_answer(self, what: str) -> BadAnswer:
        return BadAnswer(f"{self}: {what}", operation=self.operation, target=self.target)

    def failed(self, what: str) -> ConnectionFailed:
        return ConnectionFailed(f"{self}: {what}", operation=self.operation, target=self.target)


# --- pieces that several operations send ------------------------------------------------------------------------------


def version_query(target: ObjectRef) -> dict[str, str]:
    """Return the query that names a version; empty for the current one."""
    return {"versionId": target.version_id} if target.version_id else {}


def md5_header(md5: str | None) -> dict[str, str]:
    """Return the header with which OSS refuses a damaged body; empty if nothing is to be verified."""
    return {"Content-MD5": md5} if md5 else {}


def copy_source_headers(source: ObjectRef, if_match: str | None) -> dict[str, str]:
    """Return the headers that name what is copied, and the ETag that it must still have."""
    version = f"?versionId={quote(source.version_id, safe='')}" if source.version_id else ""
    headers = {"x-oss-copy-source": f"/{check_bucket(source.bucket)}/{quote_key(check_key(source.key))}{version}"}
    if if_match:  # OSS compares with its own ETag, without the mark of a proxy
        headers["x-oss-copy-source-if-match"] = f'"{etags.opaque(if_match)}"'
    return headers


def without_empty(query: Mapping[str, str], *, keep: str = "") -> dict[str, str]:
    """Return the query without parameters that have no value, except the one to keep."""
    return {name: value for name, value in query.items() if value or name == keep}


def next_marker(call: Call, marker: T, following: T | None) -> T | None:
    """Return the next page's marker, or None after the last page.

    :raises BadAnswer: if it is the marker of this page, because the listing would never end
    """
    if following is not None and following == marker:
        raise call.bad_answer("the listing does not advance")
    return following
