"""Paths of the filesystem: ``bucket/key``, without the protocol, as fsspec uses them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_text
from airflow_provider_ossresume.model.object_names import check_bucket, check_key
from airflow_provider_ossresume.model.objects import ObjectRef

PROTOCOL = "oss"
_PROTOCOL_PREFIX = re.compile(r"oss:(?://|:)")
_CONNECTION = re.compile(r"([^/@]+)@")  # a bucket's name has no @


def strip(path: str | os.PathLike[str]) -> str:
    """Return ``bucket/key`` of a path or a URL, without slashes at its ends and without an Airflow connection.

    The key is used literally: nothing is unquoted, and ``?`` and ``#`` are part of it.
    """
    text = path if isinstance(path, str) else os.fspath(path)
    check_text("path", text)
    text = _PROTOCOL_PREFIX.sub("", text, count=1) if _PROTOCOL_PREFIX.match(text) else text
    text = _CONNECTION.sub("", text, count=1) if _CONNECTION.match(text) else text
    return text.strip("/")


def connection_in_url(url: str) -> str | None:
    """Return the Airflow connection that ``oss://connection@bucket/key`` names."""
    match = _PROTOCOL_PREFIX.match(url)
    named = _CONNECTION.match(url, match.end()) if match else None
    return named[1] if named else None


def split(path: str) -> tuple[str, str]:
    """Return the bucket and the key. Both may be empty; the bucket's name is checked if it is not.

    :raises ArgumentError: for a bucket name that OSS does not allow
    """
    bucket, _, key = strip(path).partition("/")
    if bucket:
        check_bucket(bucket, argument="bucket")
    elif key:
        raise ArgumentError("path", path, "it names no bucket; write bucket/key")
    return bucket, key


def object_at(path: str) -> ObjectRef:
    """Return the object of a path.

    :raises ArgumentError: if the path has no key, or one that OSS does not allow
    """
    bucket, key = split(path)
    if not bucket or not key:
        raise ArgumentError(
            "path", path, "it names no object (a template may have rendered to nothing); write bucket/key"
        )
    return ObjectRef(bucket, check_key(key))


def below(key: str) -> str:
    """Return the prefix of a directory's contents; for the empty key it is empty."""
    return f"{key}/" if key else ""


def joined(bucket: str, key: str) -> str:
    """Return the path of a key."""
    return f"{bucket}/{key}" if key else bucket


def parents(path: str) -> Iterator[str]:
    """Yield the directories above a path, the nearest first; the last one is the root, which is empty."""
    while path:
        path = path.rpartition("/")[0]
        yield path
