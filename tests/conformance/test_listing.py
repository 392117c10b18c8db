"""The lists of objects: ListObjectsV2, and ListObjects before it."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS

from .judge import Judge, ObjectsPage, Refused
from .seats import BUCKET

KEYS = ["2026/01/a.csv", "2026/01/b.csv", "2026/02/c.csv", "2026/数据.csv", "readme & <more>", "z+z"]


@pytest.fixture
def full_bucket(oss: LocalOSS) -> None:
    for size, key in enumerate(KEYS):
        oss.put(BUCKET, key, b"x" * size)


def all_pages(judge: Judge, *, page: int, prefix: str = "", delimiter: str = "") -> list[ObjectsPage]:
    pages = [judge.list_objects(prefix=prefix, delimiter=delimiter, page=page)]
    while pages[-1].next_token and len(pages) <= len(KEYS):
        pages.append(judge.list_objects(prefix=prefix, delimiter=delimiter, page=page, token=pages[-1].next_token))
    return pages


def test_an_empty_bucket_has_an_empty_listing(judge: Judge) -> None:
    assert judge.list_objects() == ObjectsPage(keys=[], prefixes=[], sizes=[])


@pytest.mark.usefixtures("full_bucket")
def test_objects_are_listed_in_the_order_of_their_utf8_bytes_with_their_sizes(judge: Judge) -> None:
    listed = judge.list_objects()

    assert listed.keys == KEYS
    assert listed.sizes == [0, 1, 2, 3, 4, 5]


@pytest.mark.usefixtures("full_bucket")
def test_a_prefix_narrows_the_listing(judge: Judge) -> None:
    assert judge.list_objects(prefix="2026/01/").keys == KEYS[:2]
    assert judge.list_objects(prefix="2026/数").keys == [KEYS[3]]
    assert judge.list_objects(prefix="nothing").keys == []


@pytest.mark.usefixtures("full_bucket")
def test_a_delimiter_folds_keys_into_prefixes(judge: Judge) -> None:
    top = judge.list_objects(delimiter="/")
    year = judge.list_objects(prefix="2026/", delimiter="/")

    assert (top.prefixes, top.keys) == (["2026/"], KEYS[4:])
    assert (year.prefixes, year.keys) == (["2026/01/", "2026/02/"], [KEYS[3]])


@pytest.mark.parametrize("page", [1, 2, 5, 6, 100])
@pytest.mark.usefixtures("full_bucket")
def test_pages_join_to_the_whole_listing(judge: Judge, page: int) -> None:
    pages = all_pages(judge, page=page)

    assert [key for listed in pages for key in listed.keys] == KEYS
    assert all(0 < len(listed.keys) <= page for listed in pages)


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.usefixtures("full_bucket")
def test_pages_with_a_delimiter_name_each_prefix_once(judge: Judge, page: int) -> None:
    pages = all_pages(judge, page=page, prefix="2026/", delimiter="/")

    assert [prefix for listed in pages for prefix in listed.prefixes] == ["2026/01/", "2026/02/"]
    assert [key for listed in pages for key in listed.keys] == [KEYS[3]]
    assert all(len(listed.keys) + len(listed.prefixes) <= page for listed in pages)


@pytest.mark.usefixtures("full_bucket")
def test_a_continuation_token_comes_percent_encoded_and_every_sdk_decodes_it(judge: Judge, oss: LocalOSS) -> None:
    token = judge.list_objects(page=1).next_token
    judge.list_objects(page=1, token=token)

    assert token is not None
    assert "=" in token
    assert oss.requests[-1].query["continuation-token"] == token


def test_the_listing_of_a_missing_bucket_is_no_such_bucket(judge: Judge) -> None:
    elsewhere = judge.with_access(bucket="nobody-made-this")

    with pytest.raises(Refused) as refused:
        elsewhere.list_objects()

    assert (refused.value.status, refused.value.code) == (404, "NoSuchBucket")
    elsewhere.close()


@pytest.mark.parametrize("page", [1, 2, 100])
@pytest.mark.usefixtures("full_bucket")
def test_the_first_version_pages_by_marker(judge: Judge, page: int) -> None:
    pages = [judge.list_objects_v1(prefix="2026/", delimiter="/", page=page)]
    while (marker := pages[-1].next_token) and len(pages) <= len(KEYS):
        pages.append(judge.list_objects_v1(prefix="2026/", delimiter="/", page=page, marker=marker))

    assert [prefix for listed in pages for prefix in listed.prefixes] == ["2026/01/", "2026/02/"]
    assert [key for listed in pages for key in listed.keys] == [KEYS[3]]
    assert judge.list_objects_v1(prefix="2026/01/").sizes == [0, 1]
