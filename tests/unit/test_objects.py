"""Names of buckets and objects, and what a DAG author may write for one."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.object_names import (
    check_bucket,
    check_key,
    check_new_key,
    parse_oss_url,
    resolve_prefix,
    resolve_target,
    unambiguous_name,
)
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef, PrefixRef

# --- buckets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["abc", "a-b", "0a0", "a--b", "x" * 63, "123"])
def test_a_bucket_that_oss_allows_is_returned(name: str) -> None:
    assert check_bucket(name) == name


@pytest.mark.parametrize(
    "name", ["", "ab", "x" * 64, "-abc", "abc-", "Abc", "a_b", "a.b", "a b", "äbc", "abc\n", "a/b", "٣٣٣"]
)
def test_a_bucket_that_oss_forbids_is_refused_by_name(name: str) -> None:
    with pytest.raises(ArgumentError, match="3 to 63 of a-z, 0-9 and '-'") as refused:
        check_bucket(name, argument="bucket")

    assert (refused.value.argument, refused.value.value) == ("bucket", name)


# --- keys -------------------------------------------------------------------------------------------------------------


GOOD_KEYS = [
    "a", " ", "a b", "a+b", "100%", "%2F", "a/../b", "a//b", "./a", "..", ".", "a/", "a\\b", "键/值", "😀", "a?b#c&d=e",
    "x" * 1023, "ü" * 511 + "x", "é" * 511, "\x80", "<&>'\"", "a:b", "oss:/x", "~",
]  # fmt: skip


@pytest.mark.parametrize("key", GOOD_KEYS)
def test_a_key_that_oss_allows_is_returned_as_it_is(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "the key is empty, perhaps because a template rendered to nothing"),
        ("x" * 1024, "this one has 1024"),
        ("ü" * 512, "this one has 1024"),
        ("/a", "cannot start with '/'"),
        ("\\a", "cannot start with '/'"),
        ("/", "cannot start with '/'"),
        ("a\0b", "OSS keys cannot contain a NUL"),
        ("a\ud800b", "lone surrogate"),
    ],
    ids=ascii,
)
def test_a_key_that_cannot_be_is_refused_with_the_reason(key: str, reason: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        check_key(key, argument="prefix")

    assert reason in str(refused.value)
    assert refused.value.argument == "prefix"
    str(refused.value).encode()  # it can be logged and sent


@pytest.mark.parametrize("bad", ["\n", "\x01", "\x7f", "\r", "\t", "\ufffe", "\uffff"], ids=ascii)
def test_no_object_is_made_under_a_key_that_xml_cannot_carry_but_one_that_exists_can_be_named(bad: str) -> None:
    assert check_key(f"a{bad}b") == f"a{bad}b"
    with pytest.raises(ArgumentError) as refused:
        check_new_key(f"a{bad}b", argument="dest_key")

    assert f"dest_key={f'a{bad}b'!r}: the character {bad!r} cannot be sent in XML" in str(refused.value)


def test_no_object_is_made_that_consoles_show_as_a_folder_but_one_that_exists_can_be_named() -> None:
    assert check_key("exports/") == "exports/"
    with pytest.raises(ArgumentError, match="as an empty folder; add the object's name, as in exports/name"):
        check_new_key("exports/")


@pytest.mark.parametrize("key", [None, 7, b"key", ["key"]])
def test_a_key_that_is_no_text_is_refused_by_name(key: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^key=.*: give a string, not (NoneType|int|bytes|list)"):
        resolve_target(key, "bucket")


# --- URLs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "bucket", "key"),
    [
        ("oss://bucket/key", "bucket", "key"),
        ("oss://bucket/a/b c", "bucket", "a/b c"),
        ("oss://bucket/", "bucket", ""),
        ("oss://bucket", "bucket", ""),
        ("oss://bucket//a", "bucket", "/a"),
        ("oss://bucket/a%2Fb?x#y", "bucket", "a%2Fb?x#y"),
        ("oss://bucket/a/../b", "bucket", "a/../b"),
        ("oss://bucket/oss://x/y", "bucket", "oss://x/y"),
        ("oss://bucket/a\nb", "bucket", "a\nb"),
    ],
)
def test_a_url_is_taken_as_it_stands(url: str, bucket: str, key: str) -> None:
    assert parse_oss_url(url) == (bucket, key)


@pytest.mark.parametrize("url", ["", "oss:", "oss://", "oss:///key", "OSS://b/k", "s3://b/k", "b/k", " oss://b/k"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ArgumentError, match="oss://bucket/key"):
        parse_oss_url(url)


# --- what is meant ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "bucket_name", "default_bucket", "meant"),
    [
        ("key", "bucket", None, "oss://bucket/key"),
        ("key", "bucket", "default", "oss://bucket/key"),
        ("key", None, "default", "oss://default/key"),
        ("oss://bucket/key", None, None, "oss://bucket/key"),
        ("oss://bucket/key", None, "default", "oss://bucket/key"),
        ("oss://bucket/key", "bucket", None, "oss://bucket/key"),
        ("a/oss://b/c", "bucket", None, "oss://bucket/a/oss://b/c"),
    ],
)
def test_a_target_is_told_by_url_then_argument_then_connection(
    key: str, bucket_name: str | None, default_bucket: str | None, meant: str
) -> None:
    target = resolve_target(key, bucket_name, default_bucket=default_bucket)

    assert str(target) == target.uri == meant
    assert target.version_id is None


@pytest.mark.parametrize(
    ("key", "bucket_name", "default_bucket", "error"),
    [
        ("oss://bucket/key", "other", None, "bucket_name='other': the URL oss://bucket/key has the bucket 'bucket'"),
        ("key", None, None, "bucket_name=None: name the bucket"),
        ("key", "", "default", "bucket_name='': it is empty, perhaps because a template rendered to nothing"),
        ("key", " ", "default", "bucket_name=' ': it is empty"),
        ("", "bucket", None, "key='': the key is empty, perhaps because a template rendered to nothing"),
        ("oss://bucket/key", "", None, "bucket_name='': it is empty"),
        ("oss:///key", None, "default", "give an OSS URL such as oss://bucket/key"),
        ("['a', 'b']", "bucket", None, "a template has turned a list into this string"),
        (" oss://bucket/key", "bucket", None, "it looks like a URL, but not like oss://bucket/key"),
        ("OSS://bucket/key", None, "default", "it looks like a URL"),
        ("oss:/bucket/key", None, "default", "it looks like a URL"),
        ("s3://bucket/key", None, "default", "it looks like a URL"),
        ("key", "Bad", None, "bucket_name='Bad'"),
        ("key", None, "Bad", "bucket_name='Bad'"),
        ("oss://Bad/key", None, None, "bucket_name='Bad'"),
        ("oss://bucket", None, None, "key='': the key is empty"),
        ("oss://bucket/", None, None, "key='': the key is empty"),
        ("oss://bucket//key", None, None, "cannot start with '/'"),
        ("oss://", "bucket", None, "give an OSS URL such as"),
        ("/key", "bucket", None, "key='/key'"),
    ],
)
def test_a_target_that_is_not_clear_is_refused_before_anything_is_sent(
    key: str, bucket_name: str | None, default_bucket: str | None, error: str
) -> None:
    with pytest.raises(ArgumentError) as refused:
        resolve_target(key, bucket_name, default_bucket=default_bucket)

    assert error in str(refused.value)


@pytest.mark.parametrize(
    ("prefix", "bucket_name", "meant"),
    [
        ("in/", "bucket", PrefixRef("bucket", "in/")),
        ("in/", None, PrefixRef("default", "in/")),
        (None, "bucket", PrefixRef("bucket")),
        (None, None, PrefixRef("default")),
        ("oss://bucket/in/", None, PrefixRef("bucket", "in/")),
        ("oss://bucket", None, PrefixRef("bucket")),
        ("oss://bucket/", "bucket", PrefixRef("bucket")),
        ("oss://bucket/oss://bucket/", None, PrefixRef("bucket", "oss://bucket/")),
    ],
)
def test_a_prefix_is_told_by_url_then_argument_then_connection(
    prefix: str | None, bucket_name: str | None, meant: PrefixRef
) -> None:
    assert resolve_prefix(prefix, bucket_name, default_bucket="default") == meant


@pytest.mark.parametrize(
    ("prefix", "bucket_name", "error"),
    [
        (
            "",
            "bucket",
            "prefix='': it is empty, perhaps because a template rendered to nothing; leave it out for the whole bucket",
        ),
        (None, "", "bucket_name='': it is empty"),
        ("oss://bucket/in/", "other", "has the bucket 'bucket'"),
        ("/in", "bucket", "cannot start with '/'"),
        (7, "bucket", "prefix=7: give a string"),
    ],
)
def test_a_prefix_that_is_not_clear_is_refused(prefix: Any, bucket_name: str | None, error: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        resolve_prefix(prefix, bucket_name, default_bucket="default")

    assert error in str(refused.value)


@pytest.mark.parametrize("key", ["a", "in/b", "oss://bucket/a", "oss://other/a", "oss://", "s3://b/a", "['a']", " "])
def test_the_name_of_an_object_means_that_object_beside_its_bucket(key: str) -> None:
    found = ObjectRef("bucket", key)

    assert resolve_target(unambiguous_name(found), "bucket") == resolve_target(found.uri, None) == found


@pytest.mark.parametrize("version_id", ["", " ", 5])
def test_a_version_that_a_template_did_not_find_is_refused(version_id: Any) -> None:
    with pytest.raises(ArgumentError, match="version_id="):
        resolve_target("k", "bucket", version_id=version_id)


def test_a_target_may_name_a_version_and_an_error_another_argument() -> None:
    assert resolve_target("k", "bucket", version_id="v") == ObjectRef("bucket", "k", "v")
    with pytest.raises(ArgumentError, match=r"^source_key="):
        resolve_target("/k", "bucket", argument="source_key")


def test_all_headers_of_an_object_are_kept_but_not_shown() -> None:
    meta = ObjectMeta(size=1, etag="E", headers={"x-oss-request-id": "1234"})

    assert meta.headers["x-oss-request-id"] == "1234"
    assert "1234" not in repr(meta)
