"""Names of buckets and objects: which ones OSS allows, and which object a DAG author means."""

from __future__ import annotations

import re

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_text, refuse_empty, refuse_text_of_list
from airflow_provider_ossresume.model.objects import ObjectRef, PrefixRef

MAX_KEY_BYTES = 1_023  # OSS: "Object naming conventions", UTF-8 bytes


def check_bucket(bucket: str, *, argument: str = "bucket_name") -> str:
    """Return the bucket's name.

    :raises ArgumentError: if OSS does not allow it: it has 3 to 63 of a-z, 0-9 and inner hyphens
    """
    check_text(argument, bucket)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket):
        raise ArgumentError(
            argument, bucket, "correct the bucket's name: use 3 to 63 of a-z, 0-9 and '-', and no '-' at either end"
        )
    return bucket


def check_key(key: str, *, argument: str = "key") -> str:
    """Return the key.

    :raises ArgumentError: if OSS does not allow it: it has 1 to 1,023 bytes of UTF-8, no NUL, and no slash at its start
    """
    check_text(argument, key)
    if not key:
        raise ArgumentError(
            argument, key, "the key is empty, perhaps because a template rendered to nothing; name the object"
        )
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ArgumentError(argument, key, "the key is not valid Unicode (a lone surrogate); rename it") from None
    if size > MAX_KEY_BYTES:
        raise ArgumentError(
            argument, key, f"OSS keys have 1 to {MAX_KEY_BYTES} bytes in UTF-8, this one has {size}; shorten it"
        )
    if "\0" in key:
        raise ArgumentError(argument, key, "OSS keys cannot contain a NUL character; rename the key")
    if key[0] in "/\\":
        raise ArgumentError(argument, key, "OSS keys cannot start with '/' or '\\'; remove it")
    return key


def check_new_key(key: str, *, argument: str = "key") -> str:
    """Return the key of an object to create: it must not have control characters, or a slash at its end.

    OSS allows such keys, and other tools write some. They can be read, copied and deleted.

    :raises ArgumentError: for such a key, and as :func:`check_key` does
    """
    if bad := _NOT_FOR_XML.search(check_key(key, argument=argument)):
        raise ArgumentError(argument, key, f"the character {bad[0]!r} cannot be sent in XML; rename the key")
    if key.endswith("/"):
        raise ArgumentError(
            argument,
            key,
            f"a console would show this object as an empty folder; add the object's name, as in {key}name",
        )
    return key


_NOT_FOR_XML = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


def fits_xml(key: str) -> bool:
    """Return whether XML can carry a key unchanged. OSS may have others, written by other tools."""
    return not _NOT_FOR_XML.search(key)


def parse_oss_url(url: str, *, argument: str = "url") -> tuple[str, str]:
    """Return the bucket and the key of ``oss://bucket/key``. Percent signs in the key are not decoded.

    :raises ArgumentError: if it is not such a URL
    """
    match = re.fullmatch(r"oss://([^/]+)(?:/(.*))?", url, flags=re.DOTALL)
    if not match:
        raise ArgumentError(argument, url, "give an OSS URL such as oss://bucket/key")
    return match[1], match[2] or ""


def resolve_target(
    key: str | ObjectRef,
    bucket_name: str | None,
    *,
    default_bucket: str | None = None,
    version_id: str | None = None,
    argument: str = "key",
) -> ObjectRef:
    """Return the object for a key or ``oss://`` URL. The bucket is the URL's, the argument's, or the connection's.

    :raises ArgumentError: if the buckets of URL and argument differ, there is no bucket, a value is empty, or OSS does
        not allow a name
    """
    if version_id is None and isinstance(key, ObjectRef):
        version_id = key.version_id
    bucket, key = resolve_names(key, bucket_name, default_bucket=default_bucket, argument=argument)
    if version_id is not None:
        check_text("version_id", version_id)
        refuse_empty("version_id", version_id, instead="leave it out for the current version")
    return ObjectRef(check_bucket(bucket), check_key(key, argument=argument), version_id)


def resolve_prefix(
    prefix: str | PrefixRef | None,
    bucket_name: str | None,
    *,
    default_bucket: str | None = None,
    argument: str = "prefix",
) -> PrefixRef:
    """Return the objects for a prefix or an ``oss://bucket/prefix`` URL; None means all objects of the bucket.

    :raises ArgumentError: if the buckets of URL and argument differ, there is no bucket, a value is ``""``, or no key
        can begin with the prefix
    """
    if prefix is None:
        return PrefixRef(check_bucket(_resolve_bucket(bucket_name, default_bucket)))
    refuse_empty(argument, prefix, instead="leave it out for the whole bucket")
    bucket, prefix = resolve_names(prefix, bucket_name, default_bucket=default_bucket, argument=argument)
    return PrefixRef(check_bucket(bucket), check_key(prefix, argument=argument) if prefix else "")


def refuse_whole_bucket(prefix: object, where: PrefixRef, *, instead: str) -> None:
    """:raises ArgumentError: if a given prefix means all of a bucket, as ``oss://bucket/`` does

    :param prefix: as it was given
    :param instead: what to do if the whole bucket is meant
    """
    if prefix is not None and where.is_whole_bucket:
        raise ArgumentError(
            "prefix", prefix, "this URL means the whole bucket, perhaps because a template rendered to nothing; if you "
            "want that, "
            f"{instead}"
        )  # fmt: skip


def unambiguous_name(target: ObjectRef) -> str:
    """Return the object's key, or its URI if the key alone would be read as a URL or as the text of a list."""
    try:
        _, key = resolve_names(target.key, target.bucket)
    except ArgumentError:
        return target.uri
    return target.key if key == target.key else target.uri


def resolve_names(
    key: str | ObjectRef | PrefixRef,
    bucket_name: str | None,
    *,
    default_bucket: str | None = None,
    argument: str = "key",
) -> tuple[str, str]:
    """Return bucket and key as :func:`resolve_target` does, but unchecked. The key may be a pattern.

    An ObjectRef or a PrefixRef is used as it is. Only None stands for the connection's bucket, because ``""`` may come
    from a template that rendered to nothing.
    """
    if isinstance(key, (ObjectRef, PrefixRef)):
        _agree(key, bucket_name, key.bucket)
        return key.bucket, key.key if isinstance(key, ObjectRef) else key.prefix
    check_text(argument, key)
    refuse_text_of_list(argument, key)
    if not key.startswith("oss://"):
        if _LIKE_A_URL.match(key):
            raise ArgumentError(
                argument, key, "it looks like a URL, but not like oss://bucket/key; if it is the key, put "
                "oss://bucket/ before it"
            )  # fmt: skip
        return _resolve_bucket(bucket_name, default_bucket), key
    bucket, key_of_url = parse_oss_url(key, argument=argument)
    _agree(key, bucket_name, bucket)
    return bucket, key_of_url


def _agree(url: object, bucket_name: str | None, bucket: str) -> None:
    if _resolve_bucket(bucket_name, bucket) != bucket:
        raise ArgumentError(
            "bucket_name", bucket_name, f"the URL {url} has the bucket {bucket!r}; leave one of the two out"
        )


_LIKE_A_URL = re.compile(r"\s*(?:oss:|[a-z][a-z0-9+.-]+://)", re.IGNORECASE)


def _resolve_bucket(bucket_name: str | None, default: str | None) -> str:
    if bucket_name is not None:
        check_text("bucket_name", bucket_name)
        refuse_empty("bucket_name", bucket_name, instead="leave it out for the connection's bucket")
        return bucket_name
    if not default:
        raise ArgumentError(
            "bucket_name", bucket_name, "name the bucket: here, in an oss:// URL, or in the connection's Bucket field"
        )
    return default
