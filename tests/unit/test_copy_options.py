"""What of an object goes along when OSS copies it, and which headers say so."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.copy_options import Properties, copied_properties, metadata_headers
from airflow_provider_ossresume.model.objects import ObjectMeta

KMS = {
    "x-oss-server-side-encryption": "KMS",
    "x-oss-server-side-encryption-key-id": "key-1",
    "x-oss-server-side-data-encryption": "SM4",
}
METADATA = {"content-type": "text/csv", "cache-control": "no-cache", "expires": "never", "x-oss-meta-owner": "键"}


def source(**headers: str) -> ObjectMeta:
    shown = {
        "etag": '"E"',
        "content-length": "5",
        "x-oss-object-type": "Normal",
        "x-oss-storage-class": "IA",
        **METADATA,
    }
    return ObjectMeta(5, "E", headers={**shown, **{name.replace("_", "-"): value for name, value in headers.items()}})


def properties(**options: Any) -> Properties:
    return copied_properties("key.json", options)  # type: ignore[arg-type]


def test_metadata_and_tags_go_along_by_default_and_all_else_is_the_bucket_s() -> None:
    kept = properties()

    assert kept.of_one_request(source(**{"x-oss-server-side-encryption": "AES256"})) == {
        "x-oss-metadata-directive": "COPY", "x-oss-tagging-directive": "COPY",
    }  # fmt: skip
    assert not kept.keeps_acl


def test_parts_have_no_directives_so_what_is_kept_is_written_again() -> None:
    kept = properties()

    assert kept.of_initiate(source(), tags={"a b": "1&2", "c": ""}) == {
        **METADATA, "x-oss-tagging": "a%20b=1%262&c=",
    }  # fmt: skip
    assert kept.of_initiate(source(), tags={}) == METADATA
    assert kept.of_complete() == {}


def test_what_is_replaced_is_what_an_upload_would_say() -> None:
    replaced = properties(
        metadata_directive="replace", tagging_directive="replace", metadata={"a": "1"}, cache_control="max-age=1",
        tags={"t": "1"},
    )  # fmt: skip

    written = {"content-type": "application/json", "cache-control": "max-age=1", "x-oss-meta-a": "1"}
    assert replaced.of_one_request(source()) == {
        "x-oss-metadata-directive": "REPLACE", "x-oss-tagging-directive": "REPLACE", "x-oss-tagging": "t=1", **written,
    }  # fmt: skip
    assert replaced.of_initiate(source()) == {**written, "x-oss-tagging": "t=1"}


def test_tags_that_are_replaced_by_none_are_gone() -> None:
    replaced = properties(tagging_directive="replace")

    assert replaced.of_one_request(source())["x-oss-tagging-directive"] == "REPLACE"
    assert "x-oss-tagging" not in replaced.of_one_request(source()).keys() | replaced.of_initiate(source()).keys()


def test_class_encryption_and_acl_are_the_source_s_where_asked_for() -> None:
    kept = properties(storage_class="copy", server_side_encryption="copy", acl="copy")
    meta = source(**KMS)

    assert kept.keeps_acl
    assert kept.of_one_request(meta, acl="public-read") == {
        "x-oss-metadata-directive": "COPY", "x-oss-tagging-directive": "COPY", "x-oss-storage-class": "IA", **KMS,
        "x-oss-object-acl": "public-read",
    }  # fmt: skip
    assert kept.of_initiate(meta, tags={}) == {**METADATA, "x-oss-storage-class": "IA", **KMS}
    assert kept.of_complete(acl="public-read") == {"x-oss-object-acl": "public-read"}
    assert kept.of_complete(acl="default") == {}


def test_class_encryption_and_acl_may_be_named() -> None:
    named = properties(
        storage_class="Archive", server_side_encryption="AES256", acl="private", headers={"x-oss-a": "1"}
    )

    given = {"x-oss-storage-class": "Archive", "x-oss-server-side-encryption": "AES256", "x-oss-a": "1"}
    assert named.of_one_request(source()).items() >= {**given, "x-oss-object-acl": "private"}.items()
    assert named.of_initiate(source(), tags={}) == {**METADATA, **given}
    assert named.of_complete() == {"x-oss-object-acl": "private"}


def test_a_copy_onto_itself_says_all_that_it_keeps() -> None:
    kept = properties(metadata_directive="replace", metadata={"a": "1"}).onto_itself()

    assert kept.of_one_request(source(**KMS), acl="private", tags={"t": "1"}) == {
        "x-oss-metadata-directive": "REPLACE", "content-type": "application/json", "x-oss-meta-a": "1",
        "x-oss-tagging-directive": "REPLACE", "x-oss-tagging": "t=1", "x-oss-storage-class": "IA", **KMS,
        "x-oss-object-acl": "private",
    }  # fmt: skip
    assert properties(tagging_directive="replace").onto_itself().of_one_request(source(), tags={}).items() >= {
        "x-oss-metadata-directive": "REPLACE", **METADATA,
    }.items()  # fmt: skip


def test_what_goes_with_every_request_is_kept_apart() -> None:
    limited = properties(request_payer="requester", traffic_limit=819_200)

    assert limited.with_requests == {"x-oss-request-payer": "requester", "x-oss-traffic-limit": "819200"}
    assert limited.of_initiate(source(), tags={}) == METADATA


@pytest.mark.parametrize(
    ("options", "meta", "converts"),
    [
        ({}, {}, False),
        ({}, {"x-oss-server-side-encryption": "AES256"}, True),  # which the copy would not have
        ({"server_side_encryption": "copy"}, {"x-oss-server-side-encryption": "AES256"}, False),
        ({"server_side_encryption": "AES256"}, {}, True),
        ({"server_side_encryption": "KMS", "sse_kms_key_id": "other"}, KMS, True),
        ({"storage_class": "IA"}, {}, False),
        ({"storage_class": "copy"}, {}, False),
        ({"storage_class": "Standard"}, {}, True),
    ],
)
def test_another_class_or_encryption_makes_oss_write_the_bytes_anew(
    options: dict[str, Any], meta: dict[str, str], converts: bool
) -> None:
    assert properties(**options).converts(source(**meta)) is converts


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"metadata": {"a": "1"}}, "metadata"),
        ({"content_type": "text/csv"}, "content_type"),
        ({"expires": "2030-01-01T00:00:00Z"}, "expires"),
        ({"tags": {"a": "1"}}, "tags"),
        ({"metadata_directive": "COPY"}, "metadata_directive"),
        ({"tagging_directive": "drop"}, "tagging_directive"),
        ({"storage_class": "Cold"}, "storage_class"),
        ({"metadata_directive": "replace", "metadata": {"a": 1}}, "metadata['a']"),
        ({"headers": {"X-Oss-Metadata-Directive": "COPY"}}, "headers"),
        ({"headers": {"x-oss-copy-source-if-match": "E"}}, "headers"),
        ({"headers": {"x-oss-callback": "e30="}}, "headers"),
        ({"headers": {"x-oss-meta-a": "1"}}, "headers"),
        ({"headers": {"Host": "h"}}, "headers"),
        ({"server_side_encryption": "copy", "sse_kms_key_id": "key"}, "sse_kms_key_id"),
        ({"directive": "copy"}, "directive"),
    ],
)
def test_what_would_be_ignored_or_refused_is_an_error_of_its_argument(options: dict[str, Any], argument: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        properties(**options)
    assert refused.value.argument == argument


def test_metadata_is_what_an_object_was_given() -> None:
    assert metadata_headers(source(x_oss_hash_crc64ecma="1", content_md5="x", last_modified="x")) == METADATA
