"""ETags as they come, and how they go back."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.model.etags import if_match, md5_of, read_etag, same_etag

MD5 = "5D41402ABC4B2A76B9719D911017C592"


@pytest.mark.parametrize(
    ("came", "goes_back"),
    [
        (f'"{MD5}"', f'"{MD5}"'),
        (f' "{MD5}-7" ', f'"{MD5}-7"'),
        ("abc", '"abc"'),  # some servers leave the quotes out
        (f'W/"{MD5}"', None),  # HTTP compares If-Match strongly: it would never match
    ],
)
def test_an_etag_goes_back_as_it_came_but_a_weak_one_does_not(came: str, goes_back: str | None) -> None:
    assert if_match(read_etag(came)) == goes_back


@pytest.mark.parametrize("text", [None, "", '""', 'W/""', "a b", '"a"b"', '"a\nb"', '"a\x01"', "\x7f"])
def test_what_cannot_be_an_etag_is_none(text: str | None) -> None:
    assert read_etag(text) == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("a", "a", True), ("a", 'W/"a"', True), ('W/"a"', 'W/"a"', True), ("a", "b", False), ("a", 'W/"b"', False)],
)
def test_weak_or_not_the_same_bytes_have_the_same_etag(one: str, other: str, same: bool) -> None:
    assert same_etag(one, other) is same


@pytest.mark.parametrize(
    ("etag", "digest"), [(MD5, MD5), (MD5.lower(), MD5), (f'W/"{MD5}"', MD5), (f"{MD5}-7", None), ("abc", None)]
)
def test_the_etag_of_one_requests_bytes_is_their_md5(etag: str, digest: str | None) -> None:
    assert md5_of(etag) == digest
