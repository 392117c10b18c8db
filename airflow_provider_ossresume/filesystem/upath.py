"""``oss://`` for universal-pathlib, the base of Airflow's ``ObjectStoragePath``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upath.implementations.cloud import CloudPath

from airflow_provider_ossresume.filesystem.file_system import OSSFileSystem
from airflow_provider_ossresume.filesystem.paths import strip

URL = "oss://"


class OssParser:
    """Parses paths like those of S3: the bucket is the anchor, and keys may contain ``//``.

    universal-pathlib has such rules for S3, GCS and Azure only. For OSS it uses ossfs's rules, where a path begins with
    a slash and has no anchor. The methods are those of its ``upath.types.UPathParser``.
    """

    sep = "/"
    altsep: str | None = None

    def strip_protocol(self, path: Any) -> str:
        """Return ``bucket/key``."""
        return strip(_text(path))

    def join(self, path: Any, *more: Any) -> str:
        """Return a path with names added. If the path has no bucket, the first name is the bucket."""
        drive, rest = self.splitdrive(path)
        names = [_text(each) for each in more]
        if names and not drive:
            drive, rest = self.splitdrive(names.pop(0))
        if not more:
            return drive + rest
        return drive + "/".join([rest.removesuffix("/"), *names])

    def split(self, path: Any) -> tuple[str, str]:
        """Return the parent of a path, and its name."""
        head, _, tail = self.strip_protocol(path).rpartition("/")
        return (self.strip_protocol(head), tail) if head else (tail, "")

    def splitdrive(self, path: Any) -> tuple[str, str]:
        """Return the bucket, and the rest of the path."""
        bucket, slash, key = self.strip_protocol(path).partition("/")
        return bucket, slash + key

    def splitroot(self, path: Any) -> tuple[str, str, str]:
        """Return the bucket, the slash after it, and the key."""
        bucket, rest = self.splitdrive(path)
        return bucket, "/", rest.removeprefix("/")

    def splitext(self, path: Any) -> tuple[str, str]:
        """Return a path without its suffix, and the suffix."""
        head, slash, name = _text(path).rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        return (head + slash + stem, dot + suffix) if dot else (head + slash + name, "")

    def normcase(self, path: Any) -> str:
        """Return the path unchanged, because OSS is case sensitive."""
        return _text(path)

    def isabs(self, path: Any) -> bool:
        """Return True, because every path has a bucket."""
        return True


class OSSPath(CloudPath):
    """A path on OSS. Airflow gives it the filesystem of a connection.

    Without a connection, it uses the filesystem that fsspec knows as ``oss``, such as ossfs, if there is one. Else it
    uses the worker's own credentials.
    """

    __slots__ = ()

    parser = OssParser()

    @property
    def path(self) -> str:
        """``bucket/key``, or ``bucket/``. In universal-pathlib it would begin with a slash, as in ossfs."""
        return _with_its_slash(super().path.lstrip("/"))

    def __str__(self) -> str:
        text = super().__str__()
        if not text.startswith(URL):  # a relative path
            return text
        return URL + _with_its_slash(text.removeprefix(URL).lstrip("/"))

    @classmethod
    def _fs_factory(cls, urlpath: str, protocol: str, storage_options: Mapping[str, Any]) -> Any:
        # universal-pathlib documents this method for overriding.
        try:
            return super()._fs_factory(urlpath, protocol, storage_options)
        except ImportError:
            return OSSFileSystem(**storage_options)


def _with_its_slash(path: str) -> str:
    return f"{path}/" if path and "/" not in path else path


def _text(path: Any) -> str:
    if isinstance(path, str):
        return path
    return str(path.path) if isinstance(path, CloudPath) else str(path)
