"""An object that is open for writing, as bytes, as text or compressed: it appears when it is closed, or not at all."""

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

from airflow_provider_ossresume.errors import FileIsThere
from airflow_provider_ossresume.filesystem.leaving import error_that_leaves_a_block
from airflow_provider_ossresume.filesystem.os_errors import os_errors
from airflow_provider_ossresume.filesystem.paths import object_at
from airflow_provider_ossresume.model.objects import check_new_key
from airflow_provider_ossresume.model.parts import MIN_PART_SIZE
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.written_object import WrittenObject

if TYPE_CHECKING:
    from airflow_provider_ossresume.filesystem.finding import FindingFileSystem

log = logging.getLogger(__name__)

PART_SIZE = 8 * 1024 * 1024


class PublishesAtItsEnd:
    """Of a file that is written: what ends its ``with`` block normally publishes it, and an exception discards it."""

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


class OssWriter(PublishesAtItsEnd, AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """Takes bytes, and makes the object when it is closed.

    An exception that leaves its ``with`` block publishes nothing, and what stood there before stays. So it is when the
    block is that of ``fsspec.open``, which closes it without telling why, and when nobody closes it.

    :param is_exclusive: fail when the object exists; OSS guards it
    :param autocommit: publish when it is closed; else :meth:`commit` does, at the end of a transaction
    """

    def __init__(
        self,
        fs: FindingFileSystem,
        path: str,
        *,
        is_exclusive: bool,
        block_size: int | str | None,
        autocommit: bool,
        headers: Mapping[str, str],
    ) -> None:
        """Open it; nothing is sent yet."""
        self._closed = True  # until it is open: whoever collects half of one closes nothing
        target = object_at(path)
        check_new_key(target.key, argument="path")
        if is_exclusive and fs.exists_now(path):
            raise FileIsThere(errno.EEXIST, f"{target} exists, and the mode x does not overwrite it")
        wanted = block_size if isinstance(block_size, int) and block_size >= MIN_PART_SIZE else PART_SIZE
        size = max(MIN_PART_SIZE, min(wanted, fs.file_memory // 2))  # one part is sent while the next one fills
        super().__init__(fs, path, "wb", block_size=size, autocommit=autocommit)
        self.buffer = None  # fsspec's own; the parts are kept below
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
        self._handled = sys.exc_info()[1]  # what is handled already is no reason to publish nothing

    def write(self, data: Any) -> int:
        """Take bytes, or what has the buffer of some.

        :raises FileSystemError: when a part cannot be sent; nothing is published any more
        """
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        with os_errors():
            written = self._stream.write(data)
        self.loc += written
        return written

    def flush(self, force: bool = False) -> None:
        """Do nothing: parts are sent when they are full, and the object appears when the file is closed."""
        if self.closed:
            raise ValueError("Flush on closed file")

    def close(self) -> None:
        """Let the object appear.

        :raises FileIsThere: when the mode is ``xb`` and the object exists by now
        :raises FileSystemError: when it cannot be stored; then nothing of it is published
        """
        if self.closed:
            return
        if error := error_that_leaves_a_block(handled=self._handled):
            log.warning("Nothing of %s is published, as an exception leaves its block: %r", self.full_name, error)
            self.discard()
            return
        self._closed = True
        if self.autocommit:
            self.commit()

    def commit(self) -> None:
        """Let the object appear: at the end of a transaction, when the file was closed in it."""
        if not self._closed:
            self.discard()
            log.warning("%s was not closed within the transaction; nothing of it is published", self.full_name)
        if self._is_discarded:
            return
        try:
            with os_errors():
                self._stream.publish()
        finally:
            self.fs.invalidate_cache(self.path)

    def discard(self) -> None:
        """Publish nothing, and remove what was sent."""
        self._closed = self._is_discarded = True
        self._stream.discard()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._forget()

    def _dealloc_warn(self, source: object) -> None:
        """Called by Python's own text and buffer layers, when they close this because nobody uses them any more."""
        if not self._closed:
            self._forget()

    def _forget(self) -> None:
        self._closed = self._is_discarded = True
        self._stream.forget()
        log.warning(
            "%s was never closed; nothing of it is published (%s)", self.full_name,
            f"the parts of upload ID {self._stream.upload_id} stay until it is aborted"
            if self._stream.upload_id else "nothing was sent",
        )  # fmt: skip


class TextWriter(PublishesAtItsEnd, io.TextIOWrapper):
    """Text that is written to an object: what an exception leaves is not published."""

    def __init__(self, file: Any, **options: Any) -> None:
        self._file = file
        super().__init__(file, **options)

    def discard(self) -> None:
        """Publish nothing."""
        self._file.discard()
        with suppress(ValueError):  # what it still holds has nowhere to go
            self.close()


class CompressedWriter(PublishesAtItsEnd):
    """A compressor, and the object that it writes: both are closed, or neither's bytes are published."""

    def __init__(self, compressor: Any, file: OssWriter) -> None:
        self._compressor = compressor
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compressor, name)

    def close(self) -> None:
        """Write the end of what is compressed, and let the object appear."""
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
        with suppress(ValueError, OSError):  # its end has nowhere to go
            self._compressor.close()

    def __enter__(self) -> CompressedWriter:
        return self

    def _dealloc_warn(self, source: object) -> None:
        """Called by Python's own text layer; see :meth:`OssWriter._dealloc_warn`."""
        self._file._dealloc_warn(source)

    def __del__(self) -> None:
        if not self._file.closed:
            self._file._forget()
            with suppress(ValueError, OSError):
                self._compressor.close()
