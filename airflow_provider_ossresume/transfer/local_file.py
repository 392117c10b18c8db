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
MAX_COMPARISONS = 3  # of a file whose ctime changes while its bytes are compared
MAX_UNREPORTED_SIZE = (
    16 * MIB
)  # bytes that are read into memory if the reported size is 0; as many as one request sends


@dataclass(frozen=True)
class FileIdentity:
    """Identifies a file and its present content.

    ``ctime_ns`` is the only time stamp that nobody can set back. A new hard link or new permissions change it too.
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
        """Return the identity of the file, or of the link, at a path; None if there is none.

        :raises LocalFileError: if the file system does not tell
        """
        try:
            return cls.of(os.lstat(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise LocalFileError(f"the file system cannot tell what {path} is: {reason(error)}") from error

    def is_touched(self, now: FileIdentity) -> bool:
        """True if ``now`` is the same file with the same size and mtime, and only the ctime differs."""
        return now != self and now == replace(self, ctime_ns=now.ctime_ns)

    def change_to(self, now: FileIdentity) -> str:
        """Return in words how the file has changed."""
        if (self.device, self.inode) != (now.device, now.inode):
            return "another file took its place"
        if self.size != now.size:
            return f"it had {self.size} bytes and now has {now.size}; upload only files that nobody writes to"
        return "somebody wrote to it, or changed its time stamp"

    @property
    def text(self) -> str:
        """The identity as text, for a checkpoint.

        It leaves out the device number of a network share, which is different on each worker.
        """
        device = self.device if os.major(self.device) else ""
        return f"stat:{device}:{self.inode}:{self.size}:{self.mtime_ns}:{self.ctime_ns}"


class LocalFile:
    """The file to upload, open for reading by any number of threads.

    If the reported size is 0, the file is read into memory at once, because files in /proc and in some FUSE mounts have
    bytes all the same. These bytes are uploaded, even if the file changes later.

    :param name: for messages and the log; by default the path
    :ivar size: bytes to upload
    :ivar identity: of the file when it was opened
    :raises ArgumentError: if it is missing, unreadable or not a regular file, or its reported size is 0 and it has more
        than 16 MiB
    :raises LocalFileError: if its mount has crashed, or does not answer now
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
                self._unreported = b"" if self.identity.size else self._read_unreported(number)
        except BaseException:
            self._file.close()
            raise
        self.size = len(self._unreported) or self.identity.size

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
        """The identity as text; empty for a file that was read into memory, because it proves nothing there."""
        return "" if self._unreported else self.identity.text

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`.

        Both a rewrite whose mtime was set back and a new hard link change the ctime. Then the bytes are compared.
        """
        if self._look() != self.identity:
            self._check_bytes(part, stop, expected=crc64)

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`. If only the ctime is new, bytes decide."""

        def check(part: Part) -> None:
            self._check_bytes(part, crew.stop, expected=receipts[part.number].crc64)

        for _ in range(MAX_COMPARISONS):
            now = self._look()
            if now == self.identity:
                return
            log.info("%s was written to, or got a new link or other permissions; comparing its bytes again", self)
            for _ in crew.run(check, parts):
                pass
            self.identity = now
        raise SourceChanged(f"{self} keeps changing; upload it when no program writes to it any more")

    def _look(self) -> FileIdentity:
        """Return the file's present identity. Only its ctime may differ from the one at the start.

        :raises SourceChanged: if more than that differs
        """
        if self._unreported:
            return self.identity
        try:
            now = FileIdentity.of(os.stat(self.path))
        except OSError as error:
            raise SourceChanged(f"{self} disappeared during the upload: {reason(error)}") from error
        if now != self.identity and not self.identity.is_touched(now):
            raise SourceChanged(f"{self} changed during the upload: {self.identity.change_to(now)}")
        return now

    def _check_bytes(self, part: Part, stop: Stop, *, expected: int | None) -> None:
        """:raises SourceChanged: if the part's bytes are not those that were sent, or if that is not known"""
        if expected is None or self.crc64(part, stop) != expected:
            raise SourceChanged(f"part {part.number} of {self} was written to during the upload")

    def read(self, part: Part, stop: Stop, *, most: int = READ_SIZE) -> Iterator[memoryview]:
        """Yield the part's bytes in pieces of at most ``most`` bytes. A piece is valid until the next one is yielded.

        :raises SourceChanged: if the file has become shorter
        :raises LocalFileError: if the disk fails
        :raises TransferStopped: if the stop is given
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
                raise SourceChanged(f"{self} became shorter during the upload: it ends at byte {offset}")
            yield buffer[:size]
            offset += size

    def crc64(self, part: Part, stop: Stop) -> int:
        """Return the CRC-64 of the part's bytes; errors as in :meth:`read`."""
        crc = 0
        for piece in self.read(part, stop):
            crc = crc64(piece, crc)
        return crc

    def _read_at(self, buffer: memoryview, offset: int) -> int:
        if self._unreported:
            data = self._unreported[offset : offset + len(buffer)]
            buffer[: len(data)] = data
            return len(data)
        with self._file.use() as number:
            return os.preadv(number, [buffer], offset)

    def _read_unreported(self, number: int) -> bytes:
        """Return the bytes of a file whose reported size is 0. Nearly always there are none."""
        data = bytearray()
        try:
            while len(data) <= MAX_UNREPORTED_SIZE and (more := os.pread(number, READ_SIZE, len(data))):
                data += more
            now = FileIdentity.of(os.fstat(number))
        except OSError as error:
            raise LocalFileError(f"{self} cannot be read: {reason(error)}") from error
        if now.size:  # somebody has started to write it, so it is an ordinary file
            self.identity = now
            return b""
        if len(data) > MAX_UNREPORTED_SIZE:
            raise ArgumentError(
                self._argument, self._name, f"its reported size is 0, but it has more than "
                f"{format_size(MAX_UNREPORTED_SIZE)}; copy it to a local disk and upload the copy",
            )  # fmt: skip
        return bytes(data)
