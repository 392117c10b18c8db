"""The hook's methods that read an object into memory, or write one from memory or from a stream."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_ossresume._airflow import current_context
from airflow_provider_ossresume.errors import ArgumentError, NoSuchKey, ServiceError
from airflow_provider_ossresume.hooks.connected import ConnectedHook
from airflow_provider_ossresume.hooks.lineage import report_lineage
from airflow_provider_ossresume.model.arguments import Flag, check_choice, parse_flag, parse_whole_number
from airflow_provider_ossresume.model.object_names import check_new_key
from airflow_provider_ossresume.model.object_options import ObjectOptions, object_headers
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import parse_byte_range
from airflow_provider_ossresume.oss.in_memory import BytesBody, MemorySink, read_object
from airflow_provider_ossresume.transfer.options import UploadOptions, split_headers
from airflow_provider_ossresume.transfer.result import TransferResult
from airflow_provider_ossresume.transfer.stream_upload import Readable, StreamUploader

if TYPE_CHECKING:
    from typing_extensions import Unpack

MAX_APPENDABLE_SIZE = 5 * 2**30  # bytes; OSS: an appendable object


class ContentMethods(ConnectedHook):
    """The methods of the hook that read and write objects without a local file.

    Objects are written by :class:`~airflow_provider_ossresume.transfer.stream_upload.StreamUploader`, in one request or
    in parts, and their CRC-64 is compared. A later try cannot resume such an upload.

    ``replace=False`` does not overwrite an existing object: OSS itself refuses that, and AlreadyExists is raised. If
    the object has exactly the same bytes and headers, it counts as written, because OSS's answer may have been lost.
    ``encrypt`` means ``server_side_encryption="AES256"``, and ``acl_policy`` means ``acl``.
    ``object_options`` are those of :class:`~airflow_provider_ossresume.model.object_options.ObjectOptions`.
    """

    def read_key(
        self,
        key: str | ObjectRef,
        bucket_name: str | None = None,
        *,
        encoding: str = "utf-8",
        version_id: str | None = None,
    ) -> str:
        """Return an object as a string. The whole object is in memory.

        :raises NoSuchKey: if it does not exist
        :raises ArgumentError: if Python does not know the encoding, or the object cannot be decoded with it
        """
        _check_encoding(encoding)
        return _decoded(self.read_bytes(key, bucket_name, version_id=version_id), encoding)

    def read_bytes(
        self,
        key: str | ObjectRef,
        bucket_name: str | None = None,
        *,
        byte_range: Sequence[int | str] | None = None,
        version_id: str | None = None,
    ) -> bytes:
        """Return an object's bytes. They are all in memory, and compared with OSS's CRC-64.

        :param byte_range: ``(start, stop)``, stop excluded: only these bytes. OSS has no CRC-64 of them
        :raises NoSuchKey: if it does not exist
        :raises InvalidRange: if the object ends before the start of the range
        :raises IntegrityError: if the bytes differ from those on OSS
        """
        target = self.target(key, bucket_name, version_id=version_id)
        if wanted := parse_byte_range("byte_range", byte_range):
            sink = MemorySink()
            self.get_conn().get_object(target, sink, start=wanted[0], stop=wanted[1], may_end_before=True)
            return bytes(sink.take())
        return read_object(self.get_conn(), target)

    def load_string(
        self,
        string_data: str,
        key: str,
        bucket_name: str | None = None,
        replace: Flag = False,
        encrypt: Flag = False,
        encoding: str | None = None,
        acl_policy: str | None = None,
        compression: str | None = None,
        **object_options: Unpack[ObjectOptions],
    ) -> TransferResult:
        """Write a string to an object.

        :param encoding: the encoding. Default: ``utf-8``
        :param compression: ``gzip`` or None. The reader of the object must know it
        :raises ArgumentError: as :meth:`~.ConnectedHook.target`, and for a string that cannot be encoded
        :raises AlreadyExists: if the object exists and ``replace`` is not set
        """
        data = _encoded(string_data, encoding or "utf-8")
        if compression is not None:
            check_choice("compression", compression, ("gzip",))
            data = gzip.compress(data, mtime=0)  # without a time, so that the same text gives the same bytes
        return self.load_bytes(data, key, bucket_name, replace, encrypt, acl_policy, **object_options)

    def load_bytes(
        self,
        bytes_data: bytes,
        key: str,
        bucket_name: str | None = None,
        replace: Flag = False,
        encrypt: Flag = False,
        acl_policy: str | None = None,
        **object_options: Unpack[ObjectOptions],
    ) -> TransferResult:
        """Write bytes to an object. It raises the same errors as :meth:`~.ContentMethods.load_string`."""
        if not isinstance(bytes_data, (bytes, bytearray, memoryview)):
            raise ArgumentError(
                "bytes_data", type(bytes_data), "give bytes"
            )  # without the value, which may be a secret
        stream = io.BytesIO(bytes_data)
        return self.load_file_obj(stream, key, bucket_name, replace, encrypt, acl_policy, **object_options)

    def load_file_obj(
        self,
        file_obj: Readable,
        key: str,
        bucket_name: str | None = None,
        replace: Flag = False,
        encrypt: Flag = False,
        acl_policy: str | None = None,
        *,
        watch: Callable[[], None] = lambda: None,
        **object_options: Unpack[ObjectOptions],
    ) -> TransferResult:
        """Write a stream of unknown length to an object, with limited memory.

        The stream is read from its position to its end, and not closed. If reading or sending fails before OSS joins
        the parts, no object appears, and the parts that were sent are removed.

        :param file_obj: an open file, a response, a pipe, or anything else whose ``read(size)`` returns bytes
        :param watch: called from this thread at least four times a second while the upload waits for OSS; an exception
            that it raises ends the upload
        :raises ArgumentError: as :meth:`~.ConnectedHook.target`, and for a stream of text, or a stream that is too long
            for 10,000 parts. The limit is 430 GiB with parts of 8 MiB
        :raises AlreadyExists: if the object exists and ``replace`` is not set
        :raises IntegrityError: if the bytes on OSS differ from those that were sent
        """
        if not callable(getattr(file_obj, "read", None)):
            instead = "give a stream of bytes, such as a file opened with 'rb'"
            raise ArgumentError("file_obj", type(file_obj), instead)
        target = self.target(key, bucket_name)
        check_new_key(target.key)
        options = _with_s3_arguments(object_options, encrypt=encrypt, acl_policy=acl_policy)
        request_headers, stored_headers = split_headers(object_headers(target.key, options))
        may_replace = parse_flag("replace", replace)
        uploader = StreamUploader(
            self.get_conn().with_headers(request_headers),
            target,
            config=self.transfer_config,
            options=UploadOptions(if_exists="overwrite" if may_replace else "fail", headers=stored_headers),
            watch=self._stoppable(watch),
        )
        result = uploader.upload(file_obj)
        report_lineage(self, current_context(), result)
        return result

    def append_string(
        self,
        string_data: str,
        key: str,
        bucket_name: str | None = None,
        pos: int | None = None,
        *,
        encoding: str = "utf-8",
    ) -> int:
        """Append a string to an appendable object, or create one. Return its new size in bytes.

        With ``pos`` you can repeat the call safely: if the object already ends with this text, and the text starts at
        ``pos``, nothing is appended. The content type of a new object is guessed from the key.

        :param pos: the object's current size in bytes; 0 creates the object; None requests the size from OSS
        :raises ServiceError: if ``pos`` is not the object's size, or the object was not created by an append
        """
        target, data = self.target(key, bucket_name), _encoded(string_data, encoding)
        check_new_key(target.key)
        at = self._size_of(target) if pos is None else parse_whole_number("pos", pos, least=0, most=MAX_APPENDABLE_SIZE)
        try:
            headers = {} if at else object_headers(target.key, {})
            return self.get_conn().append_object(target, at, BytesBody(data), headers=headers).size
        except ServiceError as error:
            if error.code == "PositionNotEqualToLength" and self._ends_with(target, at, data):
                return at + len(data)  # an earlier attempt has appended it
            raise

    def _size_of(self, target: ObjectRef) -> int:
        try:
            return self.get_conn().head_object(target).size
        except NoSuchKey:
            return 0

    def _ends_with(self, target: ObjectRef, at: int, data: bytes) -> bool:
        if not data or self._size_of(target) != at + len(data):
            return False
        return self.read_bytes(target, byte_range=(at, at + len(data))) == data


def _with_s3_arguments(options: ObjectOptions, *, encrypt: Flag, acl_policy: str | None) -> ObjectOptions:
    """Return the options, with ``encrypt`` and ``acl_policy``, which S3Hook has too, added as options."""
    chosen: ObjectOptions = {}
    if parse_flag("encrypt", encrypt):
        chosen["server_side_encryption"] = "AES256"
    if acl_policy is not None:
        chosen["acl"] = acl_policy  # type: ignore[typeddict-item]  # checked with the other options
    if both := sorted(chosen.keys() & options.keys()):
        raise ArgumentError(both[0], dict(options)[both[0]], "encrypt or acl_policy sets it too; remove one of them")
    return {**options, **chosen}


def _encoded(text: str, encoding: str) -> bytes:
    if not isinstance(text, str):
        raise ArgumentError("string_data", type(text), "give a string")  # without the value, which may be a secret
    try:
        return text.encode(encoding)
    except (LookupError, ValueError, TypeError) as error:
        raise ArgumentError("encoding", encoding, f"the text cannot be encoded with it: {error}") from None


def _check_encoding(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except (LookupError, ValueError, TypeError) as error:
        raise ArgumentError(
            "encoding", encoding, f"Python does not know it; choose one such as utf-8: {error}"
        ) from None


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except (LookupError, ValueError, TypeError) as error:
        raise ArgumentError(
            "encoding",
            encoding,
            f"the object cannot be decoded with it ({error}); set the right encoding, or use read_bytes",
        ) from None
