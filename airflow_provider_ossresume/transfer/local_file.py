"""The local file that an upload reads."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from airflow_provider_ossresume.errors import ArgumentError, LocalFileError, SourceChanged
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.file_errors import is_passing, reason
from airflow_provider_ossresume.model.objects import Receipt
from airflow_provider_ossresume.model.parts import MIB, Part, format_size
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.descriptor import Descriptor
from airflow_provider_ossresume.transfer.stop import Stop

log = logging.getLogger(__name__)

READ_SIZE = 2**18  # measured: a piece stays in the processor's cache from the disk to the socket (docs/performance)
LOOKS = 3  # at a file whose ctime changes while its bytes are compared
UNTOLD_SIZE = 16 * MIB  # what is read into memory of a file that is said to be empty; as much as one request sends


@dataclass(frozen=True)
class FileIdentity:
    """What tells a file from another one, and from itself after a change.

    ``ctime_ns`` is the time stamp that nobody can set back. A new hard link or new permissions change it too.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileIdentity:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    @classmethod
    def at(cls, path: Path) -> FileIdentity | None:
        """Return that of what stands there, which may be a link; None for nothing.

        :raises LocalFileError: when nobody can tell
        """
        try:
            return cls.of(os.lstat(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise LocalFileError(f"{path} cannot be looked at: {reason(error)}") from error

    def is_touched(self, now: FileIdentity) -> bool:
        """True when ``now`` is the same file with the same size and mtime, and only its ctime is another one."""
        return now != self and now == replace(self, ctime_ns=now.ctime_ns)

    def change_to(self, now: FileIdentity) -> str:
        """Return what has happened to the file, in words."""
        if (self.device, self.inode) != (now.device, now.inode):
            return "another file took its place"
        if self.size != now.size:
            return f"it had {self.size} bytes, has {now.size}; upload a file that nobody writes to any more"
        return "somebody wrote to it, or changed its time stamp"

    @property
    def text(self) -> str:
        """The same as a checkpoint has it.

        A share, as each file system without a disk of its own, has another device number on each worker.
        """
        device = self.device if os.major(self.device) else ""
        return f"stat:{device}:{self.inode}:{self.size}:{self.mtime_ns}:{self.ctime_ns}"


class LocalFile:
    """The file to upload, open for reading by any number of threads.

    A file that is said to be empty is read to its end at once, into memory: the ones in /proc, and some in FUSE mounts,
    have bytes all the same. These bytes are what is uploaded, whatever the file becomes.

    :param name: for messages and the log; by default the path
    :ivar size: of what is uploaded, in bytes
    :ivar identity: as it was opened
    :raises ArgumentError: when it is missing, unreadable or no regular file, or has more than 16 MiB and says 0
    :raises LocalFileError: when its mount has crashed, or does not answer now
    """

    def __init__(self, path: str | os.PathLike[str], *, argument: str = "file", name: str = "") -> None:
        self.path = Path(path)
        self._argument = argument
        self._name = name or str(path)
        try:
            found = os.stat(self.path)  # not opened yet: opening a FIFO would wait for its writer
            if not stat.S_ISREG(found.st_mode):
                kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
                raise ArgumentError(argument, self._name, f"it is {kind}; name a file")
            self._file = Descriptor(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except ArgumentError:
            raise
        except FileNotFoundError:
            missing = ArgumentError(
                argument, self._name, "there is no such file on this worker; check the path and which worker wrote it"
            )
            missing.retryable = True  # the next try may run on the worker that has it
            raise missing from None
        except (OSError, ValueError) as error:
            if is_passing(error):
                raise LocalFileError(f"{self} cannot be opened now: {reason(error)}") from error
            raise ArgumentError(argument, self._name, f"the file cannot be read: {reason(error)}") from error
        try:
            with self._file.use() as number:
                self.identity = FileIdentity.of(os.fstat(number))
                self._untold = b"" if self.identity.size else self._read_untold(number)
        except BaseException:
            self._file.close()
            raise
        self.size = len(self._untold) or self.identity.size

    def __enter__(self) -> LocalFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def __str__(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        """The identity as a checkpoint has it; nothing of a file that was read into memory, as it proves nothing."""
        return "" if self._untold else self.identity.text

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`.

        A rewrite whose mtime was set back changes the ctime, and so does a new hard link: then the bytes decide.
        """
        if self._look() != self.identity:
            self._check_bytes(part, stop, expected=crc64)

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`; when only the ctime is new, bytes decide."""

        def check(part: Part) -> None:
            self._check_bytes(part, crew.stop, expected=receipts[part.number].crc64)

        for _ in range(LOOKS):
            now = self._look()
            if now == self.identity:
                return
            log.info("%s was written, or got a link or other permissions; comparing its bytes again", self)
            for _ in crew.run(check, parts):
                pass
            self.identity = now
        raise SourceChanged(f"{self} keeps changing; upload a finished file")

    def _look(self) -> FileIdentity:
        """Return the file's present identity, of which only the ctime may be another one.

        :raises SourceChanged: when the path leads to other bytes than those that were opened
        """
        if self._untold:
            return self.identity
        try:
            now = FileIdentity.of(os.stat(self.path))
        except OSError as error:
            raise SourceChanged(f"{self} disappeared while it was uploaded: {reason(error)}") from error
        if now != self.identity and not self.identity.is_touched(now):
            raise SourceChanged(f"{self} changed while it was uploaded: {self.identity.change_to(now)}")
        return now

    def _check_bytes(self, part: Part, stop: Stop, *, expected: int | None) -> None:
        """:raises SourceChanged: when the part's bytes are not those that were sent, or nothing tells it"""
        if expected is None or self.crc64(part, stop) != expected:
            raise SourceChanged(f"{self} was written while it was uploaded, in part {part.number}")

    def read(self, part: Part, stop: Stop, *, most: int = READ_SIZE) -> Iterator[memoryview]:
        """Yield the part's bytes in pieces of ``most`` bytes, each valid until the next is asked for.

        :raises SourceChanged: when the file has become shorter
        :raises LocalFileError: when the disk fails
        :raises TransferStopped: when the stop is given
        """
        buffer = memoryview(bytearray(min(most, part.size)))
        offset = part.start
        while offset < part.stop:
            stop.check()
            try:
                size = self._read_at(buffer[: part.stop - offset], offset)
            except OSError as error:
                raise LocalFileError(f"{self} cannot be read at byte {offset}: {reason(error)}") from error
            if not size:
                raise SourceChanged(f"{self} ended at byte {offset} while it was uploaded")
            yield buffer[:size]
            offset += size

    def crc64(self, part: Part, stop: Stop) -> int:
        """Return the CRC-64 of the part's bytes on the disk; errors as in :meth:`read`."""
        crc = 0
        for piece in self.read(part, stop):
            crc = crc64(piece, crc)
        return crc

    def _read_at(self, buffer: memoryview, offset: int) -> int:
        if self._untold:
            data = self._untold[offset : offset + len(buffer)]
            buffer[: len(data)] = data
            return len(data)
        with self._file.use() as number:
            return os.preadv(number, [buffer], offset)

    def _read_untold(self, number: int) -> bytes:
        """Return what a file has whose size is told as 0: nothing, for nearly all of them."""
        data = bytearray()
        try:
            while len(data) <= UNTOLD_SIZE and (more := os.pread(number, READ_SIZE, len(data))):
                data += more
            now = FileIdentity.of(os.fstat(number))
        except OSError as error:
            raise LocalFileError(f"{self} cannot be read: {reason(error)}") from error
        if now.size:  # somebody has begun to write it: an ordinary file
            self.identity = now
            return b""
        if len(data) > UNTOLD_SIZE:
            raise ArgumentError(
                self._argument, self._name, f"its reported size is 0, but it has more than "
                f"{format_size(UNTOLD_SIZE)}; copy it to a local disk and upload the copy",
            )  # fmt: skip
        return bytes(data)
