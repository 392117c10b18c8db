"""Names of buckets and objects: which ones OSS allows, and which object a DAG author means."""

from __future__ import annotations

import re

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import check_text, refuse_empty, refuse_text_of_list
from airflow_provider_ossresume.model.objects import ObjectRef, PrefixRef

MAX_KEY_BYTES = 1_023  # OSS: "Object naming conventions", UTF-8 bytes


def check_bucket(bucket: str, *, argument: str = "bucket_name") -> str:
    """Return the bucket's name when OSS allows it (3 to 63 of a-z, 0-9 and inner hyphens)."""
    check_text(argument, bucket)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket):
        raise ArgumentError(
            argument, bucket, "OSS bucket names have 3 to 63 of a-z, 0-9 and '-', and no '-' at either end"
        )
    return bucket


def check_key(key: str, *, argument: str = "key") -> str:
    """Return the key when OSS may have it: 1 to 1,023 bytes of UTF-8, without NUL, not starting with a slash."""
    check_text(argument, key)
    if not key:
        raise ArgumentError(argument, key, "the key is empty, perhaps a template found nothing; name the object")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ArgumentError(argument, key, "the key is not valid Unicode (a lone surrogate); rename it") from None
    if size > MAX_KEY_BYTES:
        raise ArgumentError(argument, key, f"OSS keys have 1 to {MAX_KEY_BYTES} bytes in UTF-8, this one has {size}")
    if "\0" in key:
        raise ArgumentError(argument, key, "OSS keys hold no NUL character; rename the key")
    if key[0] in "/\\":
        raise ArgumentError(argument, key, "OSS keys do not start with '/' or '\\'; drop it")
    return key


def check_new_key(key: str, *, argument: str = "key") -> str:
    """Return the key when an object may be made under it: no control characters, and no slash at its end.

    OSS takes such keys and other tools have written some; they can be read, copied from and deleted.
    """
    if bad := _NOT_FOR_XML.search(check_key(key, argument=argument)):
        raise ArgumentError(argument, key, f"the character {bad[0]!r} cannot be sent in XML; rename the key")
    if key.endswith("/"):
        raise ArgumentError(
            argument, key, f"consoles show such an object as an empty folder; name the object too, as in {key}name"
        )
    return key


_NOT_FOR_XML = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


def fits_xml(key: str) -> bool:
    """True when a key arrives in XML as it is; OSS holds others too, written by hand or by other tools."""
    return not _NOT_FOR_XML.search(key)


def parse_oss_url(url: str, *, argument: str = "url") -> tuple[str, str]:
    """Return the bucket and the key of ``oss://bucket/key``; the key is taken as it stands, nothing is unquoted.

    :raises ArgumentError: when it is no such URL
    """
    match = re.fullmatch(r"oss://([^/]+)(?:/(.*))?", url, flags=re.DOTALL)
    if not match:
        raise ArgumentError(argument, url, "an OSS URL has the form oss://bucket/key")
    return match[1], match[2] or ""


def resolve_target(
    key: str | ObjectRef,
    bucket_name: str | None,
    *,
    default_bucket: str | None = None,
    version_id: str | None = None,
    argument: str = "key",
) -> ObjectRef:
    """Return the object that is meant: by an ``oss://`` URL, else by the bucket argument, else the connection's bucket.

    :raises ArgumentError: when URL and argument disagree, no bucket is named, one of them is empty, or OSS forbids a
        name
    """
    if version_id is None and isinstance(key, ObjectRef):
        version_id = key.version_id
    bucket, key = resolve_names(key, bucket_name, default_bucket=default_bucket, argument=argument)
    if version_id is not None:
        check_text("version_id", version_id)
        refuse_empty("version_id", version_id, instead="leave it out to mean the current version")
    return ObjectRef(check_bucket(bucket), check_key(key, argument=argument), version_id)


def resolve_prefix(
    prefix: str | PrefixRef | None,
    bucket_name: str | None,
    *,
    default_bucket: str | None = None,
    argument: str = "prefix",
) -> PrefixRef:
    """Return the objects that are meant: by a prefix, an ``oss://bucket/prefix`` URL, or all of a bucket by None.

    :raises ArgumentError: when URL and argument disagree, no bucket is named, one of them is ``""``, or no key can
        begin so
    """
    if prefix is None:
        return PrefixRef(check_bucket(_resolve_bucket(bucket_name, default_bucket)))
    refuse_empty(argument, prefix, instead="leave it out to mean the whole bucket")
    bucket, prefix = resolve_names(prefix, bucket_name, default_bucket=default_bucket, argument=argument)
    return PrefixRef(check_bucket(bucket), check_key(prefix, argument=argument) if prefix else "")


def refuse_whole_bucket(prefix: object, where: PrefixRef, *, instead: str) -> None:
    """:raises ArgumentError: when a prefix that was given names all of a bucket, as ``oss://bucket/`` does

    :param prefix: as it was given
    :param instead: how to mean the whole bucket
    """
    if prefix is not None and where.is_whole_bucket:
        raise ArgumentError(
            "prefix", prefix, "this URL names the whole bucket, perhaps a template found nothing; if you mean that, "
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
    """Return bucket and key as :func:`resolve_target` does, not yet checked; the key may be a pattern.

    What is resolved already is taken as it stands. Only None leaves the bucket to the connection: ``""`` is what a
    template leaves that found nothing.
    """
    if isinstance(key, (ObjectRef, PrefixRef)):
        _agree(key, bucket_name, key.bucket)
        return key.bucket, key.key if isinstance(key, ObjectRef) else key.prefix
    check_text(argument, key)
    refuse_text_of_list(argument, key)
    if not key.startswith("oss://"):
        if _LIKE_A_URL.match(key):
            raise ArgumentError(
                argument, key, "it looks like a URL, and OSS's read oss://bucket/key; if this is the key, write it as "
                "oss://bucket/ and the key"
            )  # fmt: skip
        return _resolve_bucket(bucket_name, default_bucket), key
    bucket, key_of_url = parse_oss_url(key, argument=argument)
    _agree(key, bucket_name, bucket)
    return bucket, key_of_url


def _agree(url: object, bucket_name: str | None, bucket: str) -> None:
    if _resolve_bucket(bucket_name, bucket) != bucket:
        raise ArgumentError(
            "bucket_name", bucket_name, f"the URL {url} names bucket {bucket!r}; leave one of the two out"
        )


_LIKE_A_URL = re.compile(r"\s*(?:oss:|[a-z][a-z0-9+.-]+://)", re.IGNORECASE)


def _resolve_bucket(bucket_name: str | None, default: str | None) -> str:
    if bucket_name is not None:
        check_text("bucket_name", bucket_name)
        refuse_empty("bucket_name", bucket_name, instead="leave it out to mean the connection's bucket")
        return bucket_name
    if not default:
        raise ArgumentError(
            "bucket_name", bucket_name, "name a bucket: here, in an oss:// URL, or in the connection's Bucket field"
        )
    return default
