"""A source file by its open descriptor. If the file changes while it is read, it is refused."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from airflow_provider_ossresume.errors import LocalFileError, SourceChanged
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.entries import file_identity, is_lasting
from airflow_provider_ossresume.model.file_errors import reason
from airflow_provider_ossresume.model.objects import Receipt
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.descriptor import Descriptor
from airflow_provider_ossresume.transfer.local_file import READ_SIZE, FileIdentity
from airflow_provider_ossresume.transfer.stop import Stop


class OpenedFile:
    """A regular file by its descriptor, which is closed at the end of the ``with`` block.

    Its name is no longer used, so the file cannot be replaced while it is read.

    :param name: for messages
    :ivar size: in bytes, when it was opened
    :raises LocalFileError: if it is not a regular file, or has bytes although its size is 0, as files in /proc do
    """

    def __init__(self, number: int, name: str) -> None:
        self._name = name
        try:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode):
                raise _permanent_error(name, "it is not a regular file")
            if not found.st_size and os.pread(number, 1, 0):
                raise _permanent_error(name, "its reported size is 0, but it has bytes; copy it to a local disk")
        except OSError as error:
            os.close(number)
            raise LocalFileError(f"{name} cannot be read: {reason(error)}") from error
        except LocalFileError:
            os.close(number)
            raise
        self._file = Descriptor(number)
        self._stat = FileIdentity.of(found)
        self._lasts = is_lasting(mtime_ns=found.st_mtime_ns, ctime_ns=found.st_ctime_ns, now_ns=time.time_ns())
        self.size = found.st_size
        self.mtime_ns = found.st_mtime_ns

    def __enter__(self) -> OpenedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def __str__(self) -> str:
        return self._name

    @property
    def number(self) -> int:
        """The descriptor, which is valid within the ``with`` block."""
        return self._file.files[0].fileno()

    @property
    def identity(self) -> str:
        """The file's identity when its content was last known not to have changed since it was opened."""
        now = self._stat
        return file_identity(inode=now.inode, mtime_ns=now.mtime_ns, ctime_ns=now.ctime_ns)

    @property
    def lasting_identity(self) -> str:
        """The identity if it can prove later that the file has not changed; else empty."""
        return self.identity if self._lasts else ""

    @property
    def fingerprint(self) -> str:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`.

        It is empty, because a file that is sent in one request is never resumed.
        """
        return ""

    def read(self, part: Part, stop: Stop, *, most: int = READ_SIZE) -> Iterator[memoryview]:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`.

        :raises LocalFileError: if the disk fails
        """
        buffer = memoryview(bytearray(min(most, part.size)))
        offset = part.start
        while offset < part.stop:
            stop.check()
            try:
                with self._file.use() as number:
                    size = os.preadv(number, [buffer[: part.stop - offset]], offset)
            except OSError as error:
                raise LocalFileError(f"{self} cannot be read at byte {offset}: {reason(error)}") from error
            if not size:
                raise SourceChanged(f"{self} ended at byte {offset} while it was read")
            yield buffer[:size]
            offset += size

    def crc64(self, part: Part, stop: Stop) -> int:
        """Return the CRC-64 of the part's bytes; errors as for :meth:`read`."""
        crc = 0
        for piece in self.read(part, stop):
            crc = crc64(piece, crc)
        return crc

    def proven_crc64(self, stop: Stop) -> int:
        """Return the CRC-64 of the whole file, after checking that it did not change while it was read.

        :raises SourceChanged: if it may have changed
        """
        whole = Part(1, 0, self.size)
        crc = self.crc64(whole, stop)
        self.check_sent(whole, stop, crc64=crc)
        return crc

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`.

        Both a rewrite with its mtime set back and a new hard link change the ctime. The bytes tell them apart.
        """
        if (now := self._check_identity()) != self._stat:
            if crc64 is None or self.crc64(part, stop) != crc64 or self._check_identity() != now:
                raise SourceChanged(f"{self} was written to while it was read")
            self._stat = now

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """Do nothing: :meth:`check_sent` has checked it."""

    def _check_identity(self) -> FileIdentity:
        """Return the file's identity now. Only its ctime may differ from before.

        :raises SourceChanged: if it was written to
        """
        with self._file.use() as number:
            now = FileIdentity.of(os.fstat(number))
        if now != self._stat and not self._stat.is_touched(now):
            raise SourceChanged(f"{self} changed while it was read: {self._stat.change_to(now)}")
        return now


def _permanent_error(name: str, why: str) -> LocalFileError:
    error = LocalFileError(f"{name} cannot be moved: {why}")
    error.retryable = False
    return error


class NoBytes:
    """A source without bytes, for the marker of an empty folder."""

    size = 0
    fingerprint = ""

    def read(self, part: Part, stop: Stop, *, most: int = READ_SIZE) -> Iterator[memoryview]:
        """See :class:`~airflow_provider_ossresume.transfer.ports.Source`."""
        return iter(())

    def crc64(self, part: Part, stop: Stop) -> int:
        """Return 0, the CRC-64 of no bytes."""
        return 0

    def check_sent(self, part: Part, stop: Stop, *, crc64: int | None) -> None:
        """Do nothing: there is nothing that can change."""

    def check_unchanged(self, crew: Crew, parts: Sequence[Part], receipts: Mapping[int, Receipt]) -> None:
        """Do nothing, for the same reason."""
