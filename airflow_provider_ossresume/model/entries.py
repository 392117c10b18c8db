"""Entries of a scan: files of a folder, or objects of a prefix, with names relative to it."""

from __future__ import annotations

from dataclasses import dataclass

FILE_IDENTITY = "f"
OBJECT_IDENTITY = "o"
FINE = 10**6  # ns; multiples of it count as coarse time stamps: whole seconds (HFS+, ext3, many shares), 10 ms
COARSEST = 2 * 10**9  # ns; FAT


@dataclass(frozen=True)
class Entry:
    """One file or object.

    :ivar name: relative to the folder or the prefix, its segments joined by ``/``; bytes are kept, never normalised
    :ivar size: in bytes
    :ivar identity: identifies its present content; see :func:`file_identity` and :func:`object_identity`
    :ivar modified: when it was modified, in seconds since 1970; None if unknown
    :ivar kind: OSS's type of an object, such as ``Normal``, ``Multipart``, ``Appendable`` or ``Symlink``; else empty
    :ivar storage_class: of an object; else empty
    """

    name: str
    size: int
    identity: str
    modified: float | None = None
    kind: str = ""
    storage_class: str = ""

    @property
    def place(self) -> bytes:
        """The sort key of scans: the bytes of the name."""
        return self.name.encode()


@dataclass(frozen=True)
class LeftOut:
    """A file or object that a scan has left out, with the reason. Nothing is left out silently.

    :ivar name: as :func:`printable` returns it; a key may be unable to have this name. It ends with ``/`` if a whole
        folder is left out
    :ivar reason: one word: ``symlink``, ``loop`` (a link to a folder above it), ``special``, ``bad_name``,
        ``archived``, ``filtered``, ``empty_folder``, ``part_file`` or ``vanished``
    :ivar detail: the same in words
    :ivar raw: the bytes of the name; None if ``name`` shows them unchanged
    """

    name: str
    reason: str
    detail: str = ""
    raw: bytes | None = None

    @classmethod
    def of(cls, name: str, reason: str, detail: str = "") -> LeftOut:
        """:param name: the name; bytes that are not UTF-8 are escaped as by Python's ``surrogateescape``"""
        return cls(printable(name), reason, detail, _bytes(name))

    @property
    def place(self) -> bytes:
        """The sort key of scans: the bytes of the name."""
        return _bytes(self.name) if self.raw is None else self.raw


def file_identity(*, inode: int, mtime_ns: int, ctime_ns: int) -> str:
    """Return a file's identity. The device is left out, because a share has another one on each worker.

    The ctime is the only time stamp that nobody can set back.
    """
    return f"{FILE_IDENTITY}:{mtime_ns}:{ctime_ns}:{inode}"


def is_lasting(*, mtime_ns: int, ctime_ns: int, now_ns: int) -> bool:
    """Return whether any later write to the file changes its identity.

    If time stamps are coarse, a file that was just written can be written again with the same time stamps.

    :param now_ns: the time before the file's bytes are read
    """
    if mtime_ns % FINE or ctime_ns % FINE:
        return True
    return min(abs(now_ns - mtime_ns), abs(now_ns - ctime_ns)) > COARSEST


def object_identity(etag: str, version_id: str | None = None) -> str:
    """Return an object's identity: its ETag without quotes, and its version, if any."""
    return f"{OBJECT_IDENTITY}:{etag}" + (f":{version_id}" if version_id else "")


def is_touched_only(then: str, now: str) -> bool:
    """Return whether only the ctime differs between two identities of a file: a new mode, owner or hard link."""
    old, new = then.split(":"), now.split(":")
    return old[0] == new[0] == FILE_IDENTITY and (old[1], old[3]) == (new[1], new[3])


def printable(name: str | bytes) -> str:
    """Return a name for a log, a report or JSON. What is not UTF-8 or not printable is shown as ``\\xb1``."""
    raw = name if isinstance(name, bytes) else _bytes(name)
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in raw.decode("utf-8", "backslashreplace")
    )


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
