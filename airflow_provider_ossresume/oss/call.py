"""A call as it is meant, before it is signed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from airflow_provider_ossresume.errors import BadAnswer, ConnectionFailed
from airflow_provider_ossresume.model.objects import ObjectRef


class Body(Protocol):
    """What is sent: opened anew at each attempt, so that a retry sends it from its start."""

    @property
    def size(self) -> int: ...

    def open(self) -> Iterable[bytes | memoryview]: ...

    def content_md5(self) -> str | None:
        """The header Content-MD5 of what will be sent; None when nothing is to be verified, or cannot."""

    def crc64(self) -> int | None:
        """The CRC-64 of what the last attempt sent; None when nothing is to be verified."""


@dataclass(frozen=True)
class Call:
    """One request as it is meant, before it is signed."""

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
        """What a copy is made of; empty for anything else."""
        path = self._header("x-oss-copy-source")
        return f"oss:/{unquote(path.partition('?')[0])}" if path else ""

    @property
    def has_callback(self) -> bool:
        """True when OSS is to call an application's server, whose response then takes the place of OSS's body."""
        return self._header("x-oss-callback") is not None

    @property
    def takes_long(self) -> bool:
        """True when OSS may begin its response before its work is done, and sends blanks until then."""
        return self.operation in ("CompleteMultipartUpload", "CopyObject", "UploadPartCopy")

    def _header(self, wanted: str) -> str | None:
        return next((value for name, value in self.headers.items() if name.lower() == wanted), None)

    def __str__(self) -> str:
        return f"{self.operation} {self.target}"

    def bad_answer(self, what: str) -> BadAnswer:
        return BadAnswer(f"{self}: {what}", operation=self.operation, target=self.target)

    def failed(self, what: str) -> ConnectionFailed:
        return ConnectionFailed(f"{self}: {what}", operation=self.operation, target=self.target)
