"""Answers of the server: successes, their XML, and refusals, which become error answers."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate
from typing import BinaryIO, TypeAlias
from xml.sax.saxutils import escape

Children: TypeAlias = "Iterable[tuple[str, str | int | float | Children]]"

XML_TYPE = "application/xml"


@dataclass(frozen=True)
class FileRange:
    """The bytes ``[start, stop)`` of an open file. The code that sends them closes the file."""

    file: BinaryIO
    start: int
    stop: int

    def steps(self, size: int) -> Iterator[memoryview]:
        """Read the bytes in steps of at most ``size``."""
        for start in range(self.start, self.stop, size):
            yield memoryview(os.pread(self.file.fileno(), min(size, self.stop - start), start))


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. ``code`` is OSS's error code, empty for a success.

    A Content-Length in ``headers`` is sent as it is (a HEAD has one without a body); else it is the body's length.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | FileRange = b""
    code: str = ""

    @property
    def size(self) -> int:
        """The bytes of the body."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.stop - self.body.start

    def close(self) -> None:
        """Close the body's file, if there is one."""
        if isinstance(self.body, FileRange):
            self.body.file.close()


class Refusal(Exception):
    """OSS refuses the request. ``exchange`` catches this and turns it into an error answer.

    ``details`` are the elements that OSS adds for this code. ``headers`` are added to the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        ec: str = "",
        details: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.ec = ec or KNOWN_EC.get(code, "")
        self.details = details or {}
        self.headers = headers or {}

    def answer(self, *, method: str, request_id: str, host: str) -> Answer:
        """Return the error answer. For a HEAD, its XML is in the header ``x-oss-err``."""
        headers = dict(self.headers)
        if self.ec:
            headers["x-oss-ec"] = self.ec
        if self.status == 304:
            return Answer(self.status, headers, code=self.code)
        body = self._body(request_id, host)
        if method == "HEAD":
            headers["x-oss-err"] = base64.b64encode(body).decode()
            return Answer(self.status, {**headers, "Content-Length": "0"}, code=self.code)
        return Answer(self.status, {**headers, "Content-Type": XML_TYPE}, body, self.code)

    def _body(self, request_id: str, host: str) -> bytes:
        children: list[tuple[str, str | int]] = [
            ("Code", self.code),
            ("Message", self.message),
            ("RequestId", request_id),
            ("HostId", host),
            *self.details.items(),
        ]
        if self.ec:
            children += [("EC", self.ec), ("RecommendDoc", f"https://api.aliyun.com/troubleshoot?q={self.ec}")]
        return document("Error", children)


# As OSS sends them. Other codes are sent without an EC.
KNOWN_EC = {
    "AccessDenied": "0003-00000001",
    "EntityTooSmall": "0042-00000213",
    "FileAlreadyExists": "0026-00000002",
    "InvalidAccessKeyId": "0002-00000902",
    "InvalidSecurityToken": "0002-00000006",
    "NoSuchBucket": "0015-00000101",
    "NoSuchKey": "0026-00000001",
    "NoSuchUpload": "0042-00000002",
    "NotImplemented": "0017-00000245",
    "PreconditionFailed": "0017-00001001",
    "QpsLimitExceeded": "0004-00000302",
    "RequestTimeTooSkewed": "0002-00000504",
    "SecurityTokenExpired": "0002-00000007",
    "SignatureDoesNotMatch": "0002-00000040",
}


def invalid_argument(name: str, value: str, *, message: str = "", ec: str = "") -> Refusal:
    """Return OSS's refusal of an argument."""
    details = {"ArgumentName": name, "ArgumentValue": value}
    return Refusal(400, "InvalidArgument", message or f"The argument {name} is invalid.", ec=ec, details=details)


def xml_answer(root: str, children: Children, *, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a success whose body is an XML document."""
    return Answer(200, {"Content-Type": XML_TYPE, **(headers or {})}, document(root, children))


def document(root: str, children: str | Children) -> bytes:
    """Return an XML document. A child is a name and a text, a number, or further children."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_element(root, children)}'.encode()


def _element(name: str, content: str | int | float | Children) -> str:
    if isinstance(content, str | int | float):
        return f"<{name}>{escape(str(content))}</{name}>"
    return f"<{name}>{''.join(_element(*child) for child in content)}</{name}>"


def http_date(moment: float) -> str:
    """Return ``Thu, 01 Jan 1970 00:00:00 GMT``."""
    return formatdate(moment, usegmt=True)


def xml_date(moment: float) -> str:
    """Return ``1970-01-01T00:00:00.000Z``."""
    return datetime.fromtimestamp(int(moment), tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
