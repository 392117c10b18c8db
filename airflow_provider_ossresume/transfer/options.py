"""Options of transfers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_choice, parse_flag, parse_mode
from airflow_provider_ossresume.model.checkpoint import options_digest
from airflow_provider_ossresume.model.copy_options import Properties
from airflow_provider_ossresume.model.copying import DEFAULT_COPY_THRESHOLD, CopyMode
from airflow_provider_ossresume.model.object_options import FORBID_OVERWRITE
from airflow_provider_ossresume.model.parts import parse_byte_range

IfExists = Literal["overwrite", "skip", "skip_if_same", "fail"]
OnChange = Literal["restart", "fail"]
Fingerprint = Literal["content", "stat"]

REQUEST_HEADERS = frozenset({"x-oss-request-payer", "x-oss-traffic-limit"})  # each request needs them
COMPLETE_HEADERS = frozenset({"x-oss-object-acl", "x-oss-callback", "x-oss-callback-var"})


@dataclass(frozen=True)
class UploadOptions:
    """Options of an upload.

    :param if_exists: what to do if the object exists: ``overwrite`` it; ``skip`` the upload; ``skip_if_same``: skip it
        if size and CRC-64 are equal; ``fail``, which OSS itself enforces
    :param source_changed: what to do if the file changes during the upload: ``restart`` once, or ``fail``
    :param fingerprint: what proves that a part on OSS holds the file's bytes. ``content``: the bytes are read again and
        compared. ``stat``: the file still has the inode, size, mtime and ctime that it had when the part was sent
    :param headers: the object's headers and metadata, with OSS's names
    :param earlier_try: an earlier try may have finished. An object with exactly these bytes then counts as uploaded
    """

    if_exists: IfExists = "overwrite"
    source_changed: OnChange = "restart"
    fingerprint: Fingerprint = "content"
    headers: Mapping[str, str] = field(default_factory=dict)
    earlier_try: bool = False

    def __post_init__(self) -> None:
        check_choice("if_exists", self.if_exists, get_args(IfExists))
        check_choice("source_changed", self.source_changed, get_args(OnChange))
        check_choice("fingerprint", self.fingerprint, get_args(Fingerprint))

    @property
    def guard(self) -> dict[str, str]:
        return {FORBID_OVERWRITE: "true"} if self.if_exists == "fail" else {}

    @property
    def put_headers(self) -> dict[str, str]:
        """The headers for PutObject."""
        return {**self.headers, **self.guard}

    @property
    def initiate_headers(self) -> dict[str, str]:
        """The headers for InitiateMultipartUpload."""
        fixed = {name: value for name, value in self.headers.items() if name.lower() not in COMPLETE_HEADERS}
        return {**fixed, **self.guard}

    @property
    def digest(self) -> str:
        """The digest of ``initiate_headers`` in a checkpoint."""
        return options_digest(self.initiate_headers)

    @property
    def complete_headers(self) -> dict[str, str]:
        """The headers for CompleteMultipartUpload: those that OSS accepts only when the object is created."""
        late = {name: value for name, value in self.headers.items() if name.lower() in COMPLETE_HEADERS}
        return {**late, **self.guard}


@dataclass(frozen=True)
class CopyTransferOptions:
    """Options of a copy.

    :param properties: headers, metadata, tags and ACL of the copy
    :param mode: ``server``: OSS copies; ``stream``: the bytes pass through the worker
    :param if_exists: as for an upload; ``skip_if_same`` compares the source's CRC-64, headers, tags and ACL
    :param object_changed: what to do if the source changes during the copy: ``restart`` once, or ``fail``
    :param threshold: size in bytes above which a copy is made in parts, if OSS has to move bytes for it
    :param regions: of the source's and the target's bucket; empty if not known
    :param earlier_try: an earlier try may have finished. An equal object then counts as copied
    """

    properties: Properties = field(default_factory=Properties)
    mode: CopyMode = "server"
    if_exists: IfExists = "overwrite"
    object_changed: OnChange = "restart"
    threshold: int = DEFAULT_COPY_THRESHOLD
    regions: tuple[str, str] = ("", "")
    earlier_try: bool = False

    def __post_init__(self) -> None:
        check_choice("copy_mode", self.mode, get_args(CopyMode))
        check_choice("if_exists", self.if_exists, get_args(IfExists))
        check_choice("object_changed", self.object_changed, get_args(OnChange))


@dataclass(frozen=True)
class DownloadOptions:
    """Options of a download.

    :param if_exists: what to do if the file exists: ``overwrite`` it; ``skip`` the download; ``skip_if_same``: skip it
        if size and CRC-64 are equal; ``fail``
    :param object_changed: what to do if the object changes during the download: ``restart`` once, or ``fail``
    :param create_parents: create the file's folder if it is missing
    :param file_mode: the file's permissions, such as ``0o640`` or ``"640"``; by default the process's umask decides
    :param preserve_mtime: set the file's modification time to the object's Last-Modified
    :param byte_range: ``(start, stop)`` of the object's bytes, stop excluded; by default all of them. OSS has the
        CRC-64 of whole objects only, so a range cannot be compared with it
    :param earlier_try: an earlier try may have finished. A file with exactly the object's bytes then counts as
        downloaded
    """

    if_exists: IfExists = "overwrite"
    object_changed: OnChange = "restart"
    create_parents: bool = True
    file_mode: int | str | None = None
    preserve_mtime: bool = False
    byte_range: Sequence[int | str] | None = None
    earlier_try: bool = False

    def __post_init__(self) -> None:
        check_choice("if_exists", self.if_exists, get_args(IfExists))
        check_choice("object_changed", self.object_changed, get_args(OnChange))
        for flag in ("create_parents", "preserve_mtime"):
            object.__setattr__(self, flag, parse_flag(flag, getattr(self, flag)))
        if self.file_mode == "":
            object.__setattr__(self, "file_mode", None)
        if self.file_mode is not None:
            object.__setattr__(self, "file_mode", parse_mode("file_mode", self.file_mode))
        if self.slice and self.if_exists == "skip_if_same":
            raise ArgumentError(
                "if_exists", self.if_exists, "OSS has no CRC-64 of a byte_range to compare with; choose another value"
            )

    @property
    def slice(self) -> tuple[int, int] | None:
        return parse_byte_range("byte_range", self.byte_range)

    @property
    def mode(self) -> int | None:
        return None if self.file_mode is None else int(self.file_mode)


def split_headers(headers: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers to send with every request, and those of the object."""
    with_requests = {name: value for name, value in headers.items() if name.lower() in REQUEST_HEADERS}
    return with_requests, {name: value for name, value in headers.items() if name not in with_requests}
