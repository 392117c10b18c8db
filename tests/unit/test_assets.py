"""Asset URIs: each key has one, no two share one, and what is no object's URI is refused."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ossresume.assets.oss import asset_uri, parse_asset_uri, sanitize_uri
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.object_names import check_key

BUCKET = "my-bucket"


def is_key(text: str) -> bool:
    try:
        check_key(text)
    except ArgumentError:
        return False
    return True


keys = st.text(st.characters() | st.sampled_from("/?#%+ é中"), min_size=1, max_size=40).filter(is_key)


@pytest.mark.parametrize(
    ("key", "uri"),
    [
        ("exports/daily.csv", "oss://my-bucket/exports/daily.csv"),
        ("year=2026/a+b,c@d:e;f.csv", "oss://my-bucket/year=2026/a+b,c@d:e;f.csv"),
        ("a?b", "oss://my-bucket/a%3Fb"),
        ("a#b", "oss://my-bucket/a%23b"),
        ("100%", "oss://my-bucket/100%25"),
        ("a%2Fb", "oss://my-bucket/a%252Fb"),
        ("a b", "oss://my-bucket/a%20b"),
        ("é/中.csv", "oss://my-bucket/%C3%A9/%E4%B8%AD.csv"),
        ("folder/", "oss://my-bucket/folder%2F"),
        ("folder//", "oss://my-bucket/folder%2F%2F"),
        ("a//b", "oss://my-bucket/a//b"),
    ],
)
def test_a_key_stands_in_its_uri_percent_encoded(key: str, uri: str) -> None:
    assert asset_uri(BUCKET, key) == uri


@given(keys)
def test_a_key_comes_back_from_its_uri(key: str) -> None:
    assert parse_asset_uri(asset_uri(BUCKET, key)) == (BUCKET, key)


@given(keys)
def test_a_uri_that_was_made_here_is_in_its_last_form(key: str) -> None:
    uri = urlsplit(asset_uri(BUCKET, key))

    assert sanitize_uri(uri) == uri
    assert uri.geturl().isascii()
    assert not uri.path.endswith("/")


@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        ("oss://my-bucket/a b", "oss://my-bucket/a%20b"),
        ("oss://my-bucket/%61%2e%3d", "oss://my-bucket/a.="),
        ("oss://my-bucket/a%2fb", "oss://my-bucket/a/b"),
        ("oss://my-bucket/a%2F", "oss://my-bucket/a%2F"),
        ("oss://my-bucket/é", "oss://my-bucket/%C3%A9"),
        ("oss://my-bucket/100%", "oss://my-bucket/100%25"),
        ("oss://my-bucket/", "oss://my-bucket/"),
        ("oss://my-bucket", "oss://my-bucket/"),
    ],
)
def test_two_ways_to_write_a_uri_become_one(uri: str, normal: str) -> None:
    assert sanitize_uri(urlsplit(uri)).geturl() == normal


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("oss://My_Bucket/key", "bucket='My_Bucket'"),
        ("oss://b/key", "3 to 63"),
        ("oss:///key", "bucket=''"),
        ("oss://user@my-bucket/key", "bucket='user@my-bucket'"),
        ("oss://my-bucket:80/key", "bucket='my-bucket:80'"),
        ("oss://my-bucket/a?b=1", "asset_uri writes it for any key"),
        ("oss://my-bucket/a#b", "asset_uri writes it for any key"),
        ("s3://my-bucket/key", "oss://bucket/key"),
        ("oss://my-bucket/%FF", "not UTF-8"),
        ("oss://my-bucket//key", "cannot start with '/'"),
        (f"oss://my-bucket/{'k' * 1_024}", "1 to 1023 bytes"),
    ],
)
def test_what_is_no_objects_uri_is_refused_with_the_next_step(uri: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said.replace("(", r"\(")):
        sanitize_uri(urlsplit(uri))


@pytest.mark.parametrize(("bucket", "key"), [("No", "key"), (BUCKET, ""), (BUCKET, "/key"), (BUCKET, "\ud800")])
def test_no_uri_is_made_of_names_that_oss_forbids(bucket: str, key: str) -> None:
    with pytest.raises(ArgumentError):
        asset_uri(bucket, key)
