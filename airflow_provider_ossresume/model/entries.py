"""What a scan finds: files of a folder, or objects of a prefix, by their names relative to it."""

from __future__ import annotations

from dataclasses import dataclass

FILE_IDENTITY = "f"
OBJECT_IDENTITY = "o"
FINE = 10**6  # ns; stamps that are multiples of it are taken for coarse: whole seconds (HFS+, ext3, many shares), 10 ms
COARSEST = 2 * 10**9  # ns; FAT


@dataclass(frozen=True)
class Entry:
    """One file or object.

    :ivar name: relative to the folder or the prefix, its segments joined by ``/``; bytes are kept, never normalised
    :ivar size: in bytes
    :ivar identity: what tells its present content from any other; see :func:`file_identity` and :func:`object_identity`
    :ivar modified: when it was modified, in seconds since 1970; None when nothing tells
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
        """What scans are ordered by: the bytes of the name."""
        return self.name.encode()


@dataclass(frozen=True)
class LeftOut:
    """What a scan has found and left out, with the reason; nothing is left out silently.

    :ivar name: as :func:`printable` shows it; it may be no name that a key can have. It ends with ``/`` when a whole
        folder is left out
    :ivar reason: one word: ``symlink``, ``loop`` (a link to a folder above it), ``special``, ``bad_name``,
        ``archived``, ``filtered``, ``empty_folder``, ``part_file`` or ``vanished``
    :ivar detail: the same in words
    :ivar raw: the bytes of the name as it is; None when that is how it is shown
    """

    name: str
    reason: str
    detail: str = ""
    raw: bytes | None = None

    @classmethod
    def of(cls, name: str, reason: str, detail: str = "") -> LeftOut:
        """:param name: as it is; bytes that are not UTF-8 as Python's ``surrogateescape`` has them"""
        return cls(printable(name), reason, detail, _bytes(name))

    @property
    def place(self) -> bytes:
        """What scans are ordered by: the bytes of the name."""
        return _bytes(self.name) if self.raw is None else self.raw


def file_identity(*, inode: int, mtime_ns: int, ctime_ns: int) -> str:
    """Return a file's identity. The device is left out: a share has another one on each worker.

    The ctime is the one time stamp that nobody can set back.
    """
    return f"{FILE_IDENTITY}:{mtime_ns}:{ctime_ns}:{inode}"


def is_lasting(*, mtime_ns: int, ctime_ns: int, now_ns: int) -> bool:
    """True when whoever writes to a file from now on gives it another identity.

    Where time stamps are coarse, a file that was just written may be written again under the same ones.

    :param now_ns: the present time, before the file's bytes are read
    """
    if mtime_ns % FINE or ctime_ns % FINE:
        return True
    return min(abs(now_ns - mtime_ns), abs(now_ns - ctime_ns)) > COARSEST


def object_identity(etag: str, version_id: str | None = None) -> str:
    """Return an object's identity: its ETag without quotes, and its version where there are versions."""
    return f"{OBJECT_IDENTITY}:{etag}" + (f":{version_id}" if version_id else "")


def is_touched_only(then: str, now: str) -> bool:
    """True when two identities are of one file whose ctime alone differs: a new mode, owner or hard link."""
    old, new = then.split(":"), now.split(":")
    return old[0] == new[0] == FILE_IDENTITY and (old[1], old[3]) == (new[1], new[3])


def printable(name: str | bytes) -> str:
    """Return a name for a log, a report and JSON: what is not UTF-8, or not printable, as ``\\xb1``."""
    raw = name if isinstance(name, bytes) else _bytes(name)
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in raw.decode("utf-8", "backslashreplace")
    )


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
