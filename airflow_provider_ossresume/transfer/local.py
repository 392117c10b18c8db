"""Local files: the source of an upload, and the part file that a download grows in."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType

from airflow_provider_ossresume.errors import ArgumentError, LocalFileError, SourceChanged, TransferStopped
from airflow_provider_ossresume.model.crc64 import combine_all, crc64
from airflow_provider_ossresume.model.md5 import content_md5
from airflow_provider_ossresume.model.parts import Part, format_size
from airflow_provider_ossresume.transfer.pool import Pool
from airflow_provider_ossresume.transfer.progress import Meter

log = logging.getLogger(__name__)

READ_SIZE = 2**18  # measured, as the next: a piece stays in the processor's cache from the disk to the socket
WRITE_SIZE = 2**20  # more bytes for each turn at Python's lock (docs/performance)
OWNER_WRITES = 0o600
SPAN = 2**24  # what one worker reads of a file that several read at once
LEAST_PIECE_SIZE = 2**14  # of a transfer whose bandwidth is limited


@dataclass(frozen=True)
class FileIdentity:
    """What tells a file from another one, and from itself after a change."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileIdentity:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    @classmethod
    def at(cls, path: Path) -> FileIdentity | None:
        """Return that of what stands there, which may be a link; None for nothing."""
        try:
            return cls.of(os.lstat(path))
        except OSError:
            return None

    @property
    def text(self) -> str:
        """The same as a checkpoint has it."""
        return f"{self.device}:{self.inode}:{self.size}:{self.mtime_ns}"


class Pace:
    """Holds one attempt of one worker to its share of the bandwidth."""

    def __init__(self, bytes_per_second: float | None, stopped: Event) -> None:
        self._rate = bytes_per_second
        self._stopped = stopped
        self._began = time.monotonic()
        self._moved = 0

    def moved(self, size: int) -> None:
        """Wait as long as the bytes moved so far should have taken.

        :raises TransferStopped: when the pool was told to stop
        """
        self._moved += size
        if self._rate:
            self._stopped.wait(max(0.0, self._began + self._moved / self._rate - time.monotonic()))
        check_not_stopped(self._stopped)


def check_not_stopped(stopped: Event) -> None:
    """:raises TransferStopped: when the pool was told to stop: its files may be closed, and their numbers another's"""
    if stopped.is_set():
        raise TransferStopped("the transfer was stopped")


def piece_size(most: int, rate: float | None) -> int:
    """Return how many bytes to move at once; of a worker held to a rate, what it may move in a quarter second."""
    return most if rate is None else max(LEAST_PIECE_SIZE, min(most, int(rate / 4)))


class SourceFile:
    """The file to upload, open for reading by any number of threads.

    :raises ArgumentError: when it is missing, unreadable or no regular file
    """

    def __init__(self, path: str | os.PathLike[str], *, argument: str = "file") -> None:
        self.path = Path(path)
        try:
            found = os.stat(self.path)  # not opened yet: opening a FIFO would wait for its writer
            if not stat.S_ISREG(found.st_mode):
                kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
                raise ArgumentError(argument, str(path), f"it is {kind}; name a file")
            self._file = self.path.open("rb", buffering=0)
        except ArgumentError:
            raise
        except FileNotFoundError:
            missing = ArgumentError(
                argument, str(path), "there is no such file on this worker; check the path and which worker wrote it"
            )
            missing.retryable = True  # the next try may run on the worker that has it
            raise missing from None
        except (OSError, ValueError) as error:
            raise ArgumentError(argument, str(path), f"the file cannot be read: {_reason(error)}") from error
        self.identity = FileIdentity.of(os.fstat(self._file.fileno()))

    @property
    def size(self) -> int:
        return self.identity.size

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def reopen(self) -> SourceFile:
        """Return the file that stands there now, under its present identity."""
        return SourceFile(self.path)

    def check_unchanged(self) -> None:
        """:raises SourceChanged: when the path leads to other bytes than those that were opened"""
        try:
            now = FileIdentity.of(os.stat(self.path))
        except OSError as error:
            raise SourceChanged(f"{self.path} went away while it was uploaded: {_reason(error)}") from error
        if now != self.identity:
            raise SourceChanged(f"{self.path} changed while it was uploaded: it was {self.identity}, is {now}")

    def pieces(self, part: Part, stopped: Event, *, most: int) -> Iterator[memoryview]:
        """Yield the part's bytes in pieces of ``most`` bytes, each valid until the next is asked for.

        :raises SourceChanged: when the file has become shorter
        :raises LocalFileError: when the disk fails
        """
        buffer = memoryview(bytearray(min(most, part.size)))
        offset = part.start
        while offset < part.stop:
            check_not_stopped(stopped)
            try:
                size = os.preadv(self._file.fileno(), [buffer[: part.stop - offset]], offset)
            except OSError as error:
                raise LocalFileError(f"{self.path} cannot be read at byte {offset}: {_reason(error)}") from error
            if not size:
                raise SourceChanged(f"{self.path} ended at byte {offset} while it was uploaded")
            yield buffer[:size]
            offset += size

    def crc64_of(self, part: Part, stopped: Event) -> int:
        """Return the CRC-64 of the part's bytes on the disk; errors as in :meth:`pieces`."""
        crc = 0
        for piece in self.pieces(part, stopped, most=READ_SIZE):
            crc = crc64(piece, crc)
        return crc


class PartBody:
    """One part of the source as the body of a request; opened anew at each attempt."""

    def __init__(
        self, source: SourceFile, part: Part, *, meter: Meter, rate: float | None, stopped: Event, verify: bool
    ) -> None:
        self._source = source
        self._part = part
        self._meter = meter
        self._rate = rate
        self._stopped = stopped
        self._verify = verify
        self._crc64: int | None = None
        self._kept: list[bytes] = []

    @property
    def size(self) -> int:
        return self._part.size

    def open(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes; errors as in :meth:`SourceFile.pieces`, and SourceChanged after any other change.

        :raises TransferStopped: at once, so that nothing of a request is sent after a stop
        """
        check_not_stopped(self._stopped)
        return self._opened()

    def _opened(self) -> Iterator[bytes | memoryview]:
        self._meter.begin()
        pace = Pace(self._rate, self._stopped)
        crc = 0
        left = self._part.size
        if not left:
            self._source.check_unchanged()
        for piece in self._kept or self._pieces():
            if self._verify:
                crc = crc64(piece, crc)
            left -= len(piece)
            if not left:
                self._source.check_unchanged()  # OSS stores nothing of a body whose last piece does not come
            yield piece
            self._meter.add(len(piece))
            pace.moved(len(piece))
        self._crc64 = crc if self._verify else None

    def content_md5(self) -> str | None:
        """Read the bytes for their Content-MD5; errors as in :meth:`SourceFile.pieces`.

        What is sent in one piece is kept until then, so it is read once, and each attempt sends what was digested.
        """
        if not self._verify:
            return None
        pieces: Iterable[bytes | memoryview] = self._pieces()
        if self._part.size <= piece_size(READ_SIZE, self._rate):
            pieces = self._kept = [b"".join(pieces)]
        return content_md5(pieces)

    def crc64(self) -> int | None:
        return self._crc64

    def _pieces(self) -> Iterator[memoryview]:
        return self._source.pieces(self._part, self._stopped, most=piece_size(READ_SIZE, self._rate))


class PartFile:
    """Where a download grows, beside its final name; held under a lock, so it has one writer at a time.

    On a file system without locks each try has one of its own, which no other one goes on with.

    :ivar name: the one that all tries of a download have for it
    :ivar is_new: True when it did not exist before
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._file = self._open()

    def _open(self) -> int:
        self.is_new = not self.path.exists()
        try:
            # Not through a symlink: whoever may write to the folder must not make us write elsewhere.
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise LocalFileError(f"{self.path} cannot be opened for writing: {_reason(error)}") from error

    def lock(self) -> bool:
        """Become its one writer; False when somebody else is. Held until close, or the end of the process."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise LocalFileError(f"{self.path} cannot be locked: {_reason(error)}") from error
            self._become_own()
            return True
        if self._is_at_its_path():
            return True
        # The former writer published or removed it while we waited: what we locked is not the part file any more. A
        # third one may have begun another.
        reopened = self._open()
        os.close(self._file)
        self._file = reopened
        return self.lock()

    def _become_own(self) -> None:
        log.warning("%s is on a file system without locks; a later try cannot go on with this download", self.path)
        if self.is_new:
            with suppress(OSError):
                os.unlink(self.path)
        self.path = self.path.with_name(f".{secrets.token_hex(8)}.ossresume-part")
        own = self._open()
        os.close(self._file)
        self._file = own

    def _is_at_its_path(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), os.lstat(self.path))  # a link to it is not it
        except FileNotFoundError:
            return False

    def __enter__(self) -> PartFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)
        if self.path.name != self.name:  # its own; published it is there no more
            with suppress(OSError):
                os.unlink(self.path)

    def check_space(self, size: int) -> None:
        """:raises LocalFileError: when growing to ``size`` bytes needs more than the file system has free"""
        free = os.fstatvfs(self._file)
        available = free.f_bavail * free.f_frsize
        needed = size - os.fstat(self._file).st_blocks * 512
        if needed > available:
            raise LocalFileError(
                f"{self.path.parent} has {format_size(available)} free, the download needs {format_size(needed)} more; "
                "free some space or choose another folder"
            )

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of the data; errors are LocalFileErrors with the numbers."""
        view = memoryview(data)
        try:
            while view:
                size = os.pwrite(self._file, view, offset)
                view, offset = view[size:], offset + size
        except OSError as error:
            raise LocalFileError(
                f"{self.path} cannot be written at byte {offset}: {_reason(error)}{_numbers(error, self.path)}"
            ) from error

    def crc64_of(self, part: Part, stopped: Event) -> int | None:
        """Return the CRC-64 of the part's bytes, or None when the file is shorter or cannot be read."""
        crc, offset = 0, part.start
        buffer = memoryview(bytearray(min(READ_SIZE, part.size)))
        while offset < part.stop:
            check_not_stopped(stopped)
            try:
                size = os.preadv(self._file, [buffer[: part.stop - offset]], offset)
            except OSError:
                return None  # a bad sector: these bytes are fetched again
            if not size:
                return None
            crc = crc64(buffer[:size], crc)
            offset += size
        return crc

    def reset(self) -> None:
        """Forget everything in it."""
        try:
            os.ftruncate(self._file, 0)
        except OSError as error:
            raise LocalFileError(f"{self.path} cannot be emptied: {_reason(error)}") from error

    def set_mode(self, mode: int) -> None:
        """Give it permissions before its first byte; its owner may go on writing to it until it is published."""
        try:
            os.fchmod(self._file, mode | OWNER_WRITES)
        except OSError as error:
            raise LocalFileError(f"{self.path} cannot get the mode {mode:04o}: {_reason(error)}") from error

    def publish(self, final: Path, *, size: int, mode: int | None = None, mtime: float | None = None) -> None:
        """Put it on the disk, then under its final name, at once and whole; what stood there is replaced.

        :param mode: its permissions; as they are by default
        :param mtime: its time of modification, in seconds since 1970; now by default
        """
        try:
            os.ftruncate(self._file, size)
            if mode is not None:
                os.fchmod(self._file, mode)
            if mtime is not None:
                os.utime(self._file, (mtime, mtime))
            os.fsync(self._file)
            if not self._is_at_its_path():
                raise LocalFileError(f"{self.path} was removed or replaced while the download wrote to it")
            os.replace(self.path, final)
            _sync_folder(final.parent)
        except OSError as error:
            raise LocalFileError(
                f"{self.path.name} could not become {final}: {_reason(error)}{_numbers(error, self.path)}"
            ) from error


class Beginning:
    """The first bytes of an object, kept in memory until it is known what becomes of them."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        self.data[offset:] = data  # and forget what an attempt before this one wrote


class PartSink:
    """Where one part of the object goes: its place in the part file; begun anew at each attempt.

    :param beginning: bytes of the part that have come already; the attempts bring what is behind them
    :ivar crc64: of what the last attempt wrote, the beginning included
    """

    def __init__(
        self,
        file: PartFile | Beginning,
        part: Part,
        *,
        meter: Meter,
        rate: float | None,
        stopped: Event,
        beginning: bytes | bytearray = b"",
    ) -> None:
        self._file = file
        self._part = part
        self._beginning = beginning
        self._meter = meter
        self._rate = rate
        self._stopped = stopped

    @property
    def piece_size(self) -> int:
        return max(1, min(piece_size(WRITE_SIZE, self._rate), self._part.size))

    @property
    def missing(self) -> tuple[int, int]:
        """Which of the object's bytes are to be written, ``[start, stop)``."""
        return self._part.start + len(self._beginning), self._part.stop

    def open(self) -> None:
        self._meter.begin()
        self._pace = Pace(self._rate, self._stopped)
        self._offset = self._part.start
        self.crc64 = 0
        self._put(self._beginning)

    def write(self, data: bytes | memoryview) -> None:
        if self._offset + len(data) > self._part.stop:
            raise LocalFileError(f"part {self._part.number} is {self._part.size} bytes, OSS sent more")
        self._put(data)
        self._meter.add(len(data))
        self._pace.moved(len(data))

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        check_not_stopped(self._stopped)
        if data:
            self._file.write(data, self._offset)
            self.crc64 = crc64(data, self.crc64)
            self._offset += len(data)


def crc64_of_range(pool: Pool, file: SourceFile | PartFile, start: int, stop: int) -> int | None:
    """Return the CRC-64 of the bytes ``[start, stop)``, read by several workers; None when they cannot be read."""
    spans = [Part(number, at, min(at + SPAN, stop)) for number, at in enumerate(range(start, stop, SPAN))]
    crcs = dict(pool.run(lambda span: (span, file.crc64_of(span, pool.stopped)), spans))
    known = [(crc, span.size) for span in spans if (crc := crcs[span]) is not None]
    return combine_all(known) if len(known) == len(spans) else None


def check_target_file(file: str | os.PathLike[str], *, create_parents: bool) -> Path:
    """Return the path that a download will appear under.

    :raises ArgumentError: when it is a folder, or its folder is absent or not writable
    """
    path = Path(file).absolute()
    text = os.fspath(file)
    if "\0" in text:
        raise ArgumentError("file", text, "a path holds no NUL")
    if create_parents:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError("file", text, f"its folder cannot be made: {_reason(error)}") from error
    kind = _kind(path, text)
    if text.endswith(os.sep) or kind == stat.S_IFDIR:
        raise ArgumentError("file", text, "it is a folder; name the file that the object becomes")
    if kind not in (None, stat.S_IFREG):
        raise ArgumentError("file", text, "it is no regular file, and a download would take its place; name another")
    if not path.parent.is_dir():
        raise ArgumentError("file", text, f"the folder {path.parent} does not exist; make it or set create_parents")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ArgumentError("file", text, f"the folder {path.parent} is not writable for this worker's user")
    return path


def _kind(path: Path, text: str) -> int | None:
    """Return the kind of file that stands there, as :mod:`stat` names them; None for none."""
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:  # too long a name, for one
        raise ArgumentError("file", text, f"no file can stand there: {_reason(error)}") from error


def remove_part_file(path: Path) -> None:
    """Remove a part file that is of no use any more, if there is one.

    :raises LocalFileError: when it cannot be removed
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LocalFileError(f"{path} is of no use any more and cannot be removed: {_reason(error)}") from error


def _sync_folder(folder: Path) -> None:
    # Some network file systems cannot, and some folders are only for putting files in; the file itself is on the disk.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _numbers(error: OSError, path: Path) -> str:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    free = os.statvfs(path.parent)
    return f"; {format_size(free.f_bavail * free.f_frsize)} are free in {path.parent}"
