"""Checkpoints: what a later try needs to resume, as versioned JSON that people can read.

An upload's checkpoint names the upload ID; OSS lists the parts. A download's checkpoint says which bytes of the part
file are done: runs of neighbouring parts, each with one CRC-64, so that it stays small and can be verified against the
disk. Neither contains credentials.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, ClassVar

from airflow_provider_ossresume.errors import CheckpointUnreadable
from airflow_provider_ossresume.model.crc64 import combine
from airflow_provider_ossresume.model.parts import (
    MAX_OBJECT_SIZE,
    MAX_PART_COUNT,
    MAX_PART_SIZE,
    MIN_PART_SIZE,
    Part,
    PartPlan,
)

FORMAT_VERSION = 1
MAX_CHECKPOINT_SIZE = 64 * 1024  # a larger text is not a checkpoint; Airflow's state store warns above this size


@dataclass(frozen=True)
class Owner:
    """The try that owns the transfer now: its number, and an identity that no other try has.

    Outside Airflow the number is 0, and the try that wrote last is the owner.
    """

    try_number: int
    identity: str

    def is_superseded_by(self, other: Owner) -> bool:
        """Return whether the other try is a later one, or another one with the same number."""
        return other.identity != self.identity and other.try_number >= self.try_number


@dataclass(frozen=True)
class UploadCheckpoint:
    """An unfinished upload.

    :ivar source: the file's stat (inode, size, mtime, ctime), if all parts were sent from it and OSS would have refused
        damaged ones. Else empty
    :ivar options: a digest of the object options that Initiate has set; if they change, the upload restarts
    """

    kind: ClassVar[str] = "upload"

    bucket: str
    key: str
    upload_id: str
    size: int
    part_size: int
    options: str
    owner: Owner
    source: str = ""

    @property
    def plan(self) -> PartPlan:
        return PartPlan(self.size, self.part_size)

    @property
    def is_possible(self) -> bool:
        """Whether OSS accepts such parts. A checkpoint that was edited by hand could fail at each try."""
        return _is_possible(self.plan)


def _is_possible(plan: PartPlan) -> bool:
    return MIN_PART_SIZE <= plan.part_size <= MAX_PART_SIZE and len(plan) <= MAX_PART_COUNT


@dataclass(frozen=True)
class Run:
    """Finished neighbouring parts, first to last, and the CRC-64 of all their bytes."""

    first: int
    last: int
    crc64: int


@dataclass(frozen=True)
class DownloadCheckpoint:
    """An unfinished download.

    :ivar part_file: the part file's name, in the folder of the final file
    :ivar runs: finished parts, in ascending order
    :ivar start: where the first part begins in the object; not 0 if only a range is wanted. The size is the range's.
    """

    kind: ClassVar[str] = "download"

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    crc64: int | None
    part_size: int
    part_file: str
    owner: Owner
    runs: tuple[Run, ...] = field(default=())
    start: int = 0

    @property
    def plan(self) -> PartPlan:
        return PartPlan(self.size, self.part_size)

    @property
    def is_possible(self) -> bool:
        """Whether a download would have such parts. A checkpoint that was edited by hand could ask for single bytes."""
        return _is_possible(self.plan)

    def has(self, part: Part) -> bool:
        return any(run.first <= part.number <= run.last for run in self.runs)

    def with_part(self, part: Part, crc64: int) -> DownloadCheckpoint:
        """Return the checkpoint with one more finished part, merged with the runs next to it."""
        before = [run for run in self.runs if run.last < part.number]
        after = [run for run in self.runs if run.first > part.number]
        joined = Run(part.number, part.number, crc64)
        if before and before[-1].last == part.number - 1:
            joined = self._join(before.pop(), joined)
        if after and after[0].first == part.number + 1:
            joined = self._join(joined, after.pop(0))
        return replace(self, runs=(*before, joined, *after))

    def _join(self, left: Run, right: Run) -> Run:
        size = self.plan[right.last - 1].stop - self.plan[right.first - 1].start
        return Run(left.first, right.last, combine(left.crc64, right.crc64, size))


Checkpoint = UploadCheckpoint | DownloadCheckpoint


def checkpoint_key(direction: str, target: str, *identity: object) -> str:
    """Return the key under which version 0.1 saved a checkpoint: 40 hex digits of a hash.

    See :func:`~airflow_provider_ossresume.model.checkpoint_keys.checkpoint_keys` for the present key.

    :param direction: ``upload`` or ``download``
    :param target: the object, such as ``oss://bucket/key``
    :param identity: dag, run, task and map index, or the local path
    """
    text = json.dumps([direction, target, *map(str, identity)])
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def options_digest(options: Mapping[str, str]) -> str:
    """Return a digest of an upload's object options: 16 hex digits."""
    text = json.dumps(sorted((name.lower(), value) for name, value in options.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(checkpoint: Checkpoint, *, saved_at: float | None = None) -> str:
    """Return the checkpoint as one line of JSON: under 2 KiB, unless the finished parts are scattered.

    :param saved_at: seconds since 1970; shows how old an unused checkpoint is, and whether it existed before a try
        began
    """
    content = asdict(checkpoint)
    if isinstance(checkpoint, DownloadCheckpoint):
        content["runs"] = [[run.first, run.last, f"{run.crc64:016x}"] for run in checkpoint.runs]
    content = {"ossresume": FORMAT_VERSION, "kind": checkpoint.kind, **content}
    if saved_at is not None:
        content["saved_at"] = datetime.fromtimestamp(saved_at, timezone.utc).isoformat(timespec="microseconds")
    text = json.dumps(content, ensure_ascii=False)
    # A file name that is not UTF-8 is stored with escapes.
    return text if _is_unicode(text) else json.dumps(content)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode(text: object) -> Checkpoint:
    """Return the checkpoint in a text from a store.

    :raises CheckpointUnreadable: for anything that :func:`encode` of this format version did not write. Nothing else is
        raised, whatever the value is.
    """
    if not isinstance(text, str) or len(text) > MAX_CHECKPOINT_SIZE:
        raise CheckpointUnreadable(f"a checkpoint is a string of at most {MAX_CHECKPOINT_SIZE} characters")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointUnreadable(f"the stored text is not JSON: {error}") from error
    if not isinstance(content, dict) or "ossresume" not in content:
        raise CheckpointUnreadable("the stored JSON is not a checkpoint")
    if type(content["ossresume"]) is not int or content["ossresume"] != FORMAT_VERSION:
        raise CheckpointUnreadable(
            f"the checkpoint has format {content['ossresume']!r}, and this version reads {FORMAT_VERSION}"
        )
    reader = _Fields(content)
    if content.get("kind") == UploadCheckpoint.kind:
        return _read_upload(reader)
    if content.get("kind") == DownloadCheckpoint.kind:
        return _read_download(reader)
    raise CheckpointUnreadable(f"the checkpoint is of unknown kind {content.get('kind')!r}")


def saved_at(text: str) -> datetime | None:
    """Return when a checkpoint was saved, by the clock of the worker that did; None if unknown, or if it is none."""
    try:
        found = datetime.fromisoformat(json.loads(text)["saved_at"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if found.tzinfo else None


def _read_upload(fields: _Fields) -> UploadCheckpoint:
    return UploadCheckpoint(
        bucket=fields.text("bucket"),
        key=fields.text("key"),
        upload_id=fields.text("upload_id"),
        size=fields.number("size"),
        part_size=fields.number("part_size", least=1),
        options=fields.text("options", may_be_empty=True),
        owner=fields.owner(),
        source=fields.optional_text("source", may_be_empty=True) or "",
    )


def _read_download(fields: _Fields) -> DownloadCheckpoint:
    checkpoint = DownloadCheckpoint(
        bucket=fields.text("bucket"),
        key=fields.text("key"),
        version_id=fields.optional_text("version_id"),
        etag=fields.text("etag"),
        size=fields.number("size"),
        crc64=fields.optional_crc64("crc64"),
        part_size=fields.number("part_size", least=1),
        part_file=fields.text("part_file"),
        owner=fields.owner(),
        start=fields.number("start", default=0),
    )
    if "/" in checkpoint.part_file or checkpoint.part_file in (".", ".."):
        raise CheckpointUnreadable(f"part_file {checkpoint.part_file!r} is not a plain file name")
    return replace(checkpoint, runs=fields.runs(len(checkpoint.plan)))


class _Fields:
    """Reads typed fields. A field that does not fit raises CheckpointUnreadable with its name."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def text(self, name: str, *, may_be_empty: bool = False) -> str:
        value = self._content.get(name)
        if not isinstance(value, str) or not (value or may_be_empty):
            raise CheckpointUnreadable(f"the checkpoint's {name} is {value!r}, not a string")
        return value

    def optional_text(self, name: str, *, may_be_empty: bool = False) -> str | None:
        return None if self._content.get(name) is None else self.text(name, may_be_empty=may_be_empty)

    def number(self, name: str, *, least: int = 0, most: int = MAX_OBJECT_SIZE, default: int | None = None) -> int:
        value = self._content.get(name, default)
        if type(value) is not int or not least <= value <= most:
            raise CheckpointUnreadable(f"the checkpoint's {name} is {value!r}, not a number from {least} to {most}")
        return value

    def optional_crc64(self, name: str) -> int | None:
        return None if self._content.get(name) is None else self.number(name, most=2**64 - 1)

    def owner(self) -> Owner:
        value = self._content.get("owner")
        fields = _Fields(value if isinstance(value, dict) else {})
        return Owner(try_number=fields.number("try_number"), identity=fields.text("identity"))

    def runs(self, part_count: int) -> tuple[Run, ...]:
        value = self._content.get("runs")
        if not isinstance(value, list):
            raise CheckpointUnreadable(f"the checkpoint's runs are {value!r}, not a list")
        runs = tuple(self._run(entry) for entry in value)
        done = 0
        for run in runs:
            if not done < run.first <= run.last <= part_count:
                raise CheckpointUnreadable(f"the checkpoint's runs do not fit {part_count} parts")
            done = run.last
        return runs

    def _run(self, entry: object) -> Run:
        match entry:
            case [first, last, str(crc64)] if type(first) is type(last) is int and re.fullmatch("[0-9a-f]{16}", crc64):
                return Run(first, last, int(crc64, 16))
        raise CheckpointUnreadable(f"the checkpoint's run {entry!r} is not [first, last, crc64]")
