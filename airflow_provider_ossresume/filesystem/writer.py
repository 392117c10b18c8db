"""File objects that write bytes, text or compressed data to an object. It appears on close, or not at all."""

from __future__ import annotations

import errno
import io
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

from airflow_provider_ossresume.errors import FileExists
from airflow_provider_ossresume.filesystem.os_errors import os_errors
from airflow_provider_ossresume.filesystem.paths import object_at
from airflow_provider_ossresume.filesystem.with_block import exception_leaving_with_block
from airflow_provider_ossresume.model.object_names import check_new_key
from airflow_provider_ossresume.model.parts import MIN_PART_SIZE
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.written_object import WrittenObject

if TYPE_CHECKING:
    from airflow_provider_ossresume.filesystem.metadata import MetadataFileSystem

log = logging.getLogger(__name__)

PART_SIZE = 8 * 1024 * 1024


class PublishOnClose:
    """Publishes a written file at the normal end of its ``with`` block, and discards it after an exception."""

    if TYPE_CHECKING:

        def close(self) -> None: ...
        def discard(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class OssWriter(PublishOnClose, AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """Sends bytes as they are written, and publishes the object when it is closed.

    If an exception leaves the ``with`` block, nothing is published and an existing object stays. The same holds for the
    block of ``fsspec.open``, which closes the file without passing the exception, and for a file that nobody closes.

    :param is_exclusive: fail if the object exists, which OSS checks
    :param autocommit: publish on close; False to publish by :meth:`commit`, at the end of a transaction
    """

    def __init__(
        self,
        fs: MetadataFileSystem,
        path: str,
        *,
        is_exclusive: bool,
        block_size: int | str | None,
        autocommit: bool,
        headers: Mapping[str, str],
    ) -> None:
        """Open the file; nothing is sent yet."""
        self._closed = True  # until __init__ has finished, so that __del__ does nothing
        target = object_at(path)
        check_new_key(target.key, argument="path")
        if is_exclusive and fs.exists_now(path):
            raise FileExists(errno.EEXIST, f"{target} exists, and mode 'x' does not overwrite it")
        wanted = block_size if isinstance(block_size, int) and block_size >= MIN_PART_SIZE else PART_SIZE
        size = max(MIN_PART_SIZE, min(wanted, fs.file_memory // 2))  # one part is sent while the next one fills
        super().__init__(fs, path, "wb", block_size=size, autocommit=autocommit)
        self.buffer = None  # fsspec's own buffer is not used
        self._is_discarded = False
        self._stream = WrittenObject(
            fs.client,
            target,
            options=UploadOptions(if_exists="fail" if is_exclusive else "overwrite", headers=headers),
            config=fs.config,
            part_size=size,
            whole=size + 1,
            max_workers=fs.max_workers,
            memory=fs.file_memory,
        )
        self._handled = sys.exc_info()[1]  # an exception that is handled already does not discard the file

    def write(self, data: Any) -> int:
        """Write bytes, or any object with a buffer.

        :raises FileSystemError: if a part cannot be sent; the object is not published then
        """
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        with os_errors():
            written = self._stream.write(data)
        self.loc += written
        return written

    def flush(self, force: bool = False) -> None:
        """Do nothing: parts are sent when they are full, and the object appears on close."""
        if self.closed:
            raise ValueError("Flush on closed file")

    def close(self) -> None:
        """Publish the object.

        :raises FileExists: if the mode is ``xb`` and the object exists by now
        :raises FileSystemError: if it cannot be stored; nothing is published then
        """
        if self.closed:
            return
        if error := exception_leaving_with_block(handled=self._handled):
            log.warning("%s is not published because its with block raised an exception: %r", self.full_name, error)
            self.discard()
            return
        self._closed = True
        if self.autocommit:
            self.commit()

    def commit(self) -> None:
        """Publish the object at the end of a transaction, if the file was closed in it."""
        if not self._closed:
            self.discard()
            log.warning("%s was not closed before the transaction ended, so it is not published", self.full_name)
        if self._is_discarded:
            return
        try:
            with os_errors():
                self._stream.publish()
        finally:
            self.fs.invalidate_cache(self.path)

    def discard(self) -> None:
        """Publish nothing, and remove the parts that were sent."""
        self._closed = self._is_discarded = True
        self._stream.discard()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._abandon()

    def _dealloc_warn(self, source: object) -> None:
        """Called by Python's text and buffer layers when they are garbage collected without being closed."""
        if not self._closed:
            self._abandon()

    def _abandon(self) -> None:
        self._closed = self._is_discarded = True
        self._stream.forget()
        log.warning(
            "%s was never closed, so it is not published (%s)", self.full_name,
            f"the parts of upload ID {self._stream.upload_id} stay on OSS until it is aborted"
            if self._stream.upload_id else "nothing was sent",
        )  # fmt: skip


class TextWriter(PublishOnClose, io.TextIOWrapper):
    """Writes text to an object. After an exception nothing is published."""

    def __init__(self, file: Any, **options: Any) -> None:
        self._file = file
        super().__init__(file, **options)

    def discard(self) -> None:
        """Publish nothing."""
        self._file.discard()
        with suppress(ValueError):  # buffered text is dropped
            self.close()


class CompressedWriter(PublishOnClose):
    """A compressor and the object that it writes. The object is published only if both are closed."""

    def __init__(self, compressor: Any, file: OssWriter) -> None:
        self._compressor = compressor
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compressor, name)

    def close(self) -> None:
        """Finish the compressed data, and publish the object."""
        if self._file.closed:
            return
        try:
            self._compressor.close()
        except BaseException:
            self._file.discard()
            raise
        self._file.close()

    def discard(self) -> None:
        """Publish nothing."""
        self._file.discard()
        with suppress(ValueError, OSError):  # the rest of the data is dropped
            self._compressor.close()

    def __enter__(self) -> CompressedWriter:
        return self

    def _dealloc_warn(self, source: object) -> None:
        """Called by Python's text layer; see :meth:`OssWriter._dealloc_warn`."""
        self._file._dealloc_warn(source)

    def __del__(self) -> None:
        if not self._file.closed:
            self._file._abandon()
            with suppress(ValueError, OSError):
                self._compressor.close()
