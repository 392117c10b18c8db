"""Multipart uploads, request by request."""

from __future__ import annotations

import random

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.crc64 import crc64

from .judge import PART, Judge, Part, Refused
from .seats import BUCKET, judges_that_can

DATA = random.Random(10_000).randbytes(3 * PART + 12_345)
PARTS = {number: DATA[(number - 1) * PART : number * PART] for number in (1, 2, 3, 4)}


def upload_parts(judge: Judge, upload_id: str, numbers: tuple[int, ...], *, key: str = "key") -> dict[int, Part]:
    return {number: judge.upload_part(key, upload_id, number, PARTS[number]) for number in numbers}


def test_parts_in_any_order_become_the_object(judge: Judge, oss: LocalOSS) -> None:
    upload_id = judge.initiate("key")
    parts = upload_parts(judge, upload_id, (3, 1, 4, 2))

    completed = judge.complete("key", upload_id, [parts[number] for number in (1, 2, 3, 4)])

    assert oss.object(BUCKET, "key") == DATA
    assert completed.crc64 == judge.head("key").crc64 == crc64(DATA)
    assert judge.head("key").headers["x-oss-object-type"] == "Multipart"
    assert judge.head("key").etag == completed.etag
    assert not oss.uploads(BUCKET)


def test_the_object_gets_the_metadata_given_at_initiate(judge: Judge) -> None:
    upload_id = judge.initiate("key", headers={"Content-Type": "text/csv", "x-oss-meta-owner": "me"})
    part = judge.upload_part("key", upload_id, 1, b"1,2")

    judge.complete("key", upload_id, [part])

    assert judge.head("key").headers["content-type"] == "text/csv"
    assert judge.head("key").meta == {"owner": "me"}


@pytest.mark.parametrize("key", ["a b+c%2F/文件 🚀.csv", "<a>&'\"", "a//b"])
def test_a_key_means_the_same_upload_everywhere(judge: Judge, oss: LocalOSS, key: str) -> None:
    upload_id = judge.initiate(key)
    assert judge.list_uploads().uploads == [(key, upload_id)]
    parts = upload_parts(judge, upload_id, (1, 2, 3, 4), key=key)
    assert [part.number for part in judge.list_parts(key, upload_id).parts] == [1, 2, 3, 4]

    judge.complete(key, upload_id, list(parts.values()))

    assert oss.object(BUCKET, key) == DATA


def test_nothing_is_seen_of_the_object_before_complete(judge: Judge, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"old")

    upload_id = judge.initiate("key")
    upload_parts(judge, upload_id, (1,))

    assert judge.get("key").body == b"old"


def test_a_part_has_its_own_md5_and_crc64(judge: Judge) -> None:
    upload_id = judge.initiate("key")

    part = judge.upload_part("key", upload_id, 1, b"blah")

    assert part == Part(1, "6F1ED002AB5595859014EBF0951522D9", 4, crc64(b"blah"))


def test_an_empty_part_alone_becomes_an_empty_object(judge: Judge, oss: LocalOSS) -> None:
    upload_id = judge.initiate("key")
    part = judge.upload_part("key", upload_id, 1, b"")

    assert judge.complete("key", upload_id, [part]).crc64 == 0
    assert oss.object(BUCKET, "key") == b""


def test_list_parts_pages_in_ascending_order(judge: Judge) -> None:
    upload_id = judge.initiate("key")
    uploaded = upload_parts(judge, upload_id, (4, 2, 1, 3))

    first = judge.list_parts("key", upload_id, page=2)
    second = judge.list_parts("key", upload_id, page=2, marker=first.next_marker)

    listed = [(part.number, part.etag, part.size) for part in (*first.parts, *second.parts)]
    assert listed == [(number, uploaded[number].etag, len(PARTS[number])) for number in (1, 2, 3, 4)]
    assert (len(first.parts), second.next_marker) == (2, None)


@judges_that_can("read a listed part's CRC-64")
def test_list_parts_tells_the_crc64_of_each_part(judge: Judge) -> None:
    upload_id = judge.initiate("key")
    upload_parts(judge, upload_id, (1, 2))

    assert [part.crc64 for part in judge.list_parts("key", upload_id).parts] == [crc64(PARTS[1]), crc64(PARTS[2])]


def test_a_part_sent_again_replaces_the_first(judge: Judge, oss: LocalOSS) -> None:
    upload_id = judge.initiate("key")
    judge.upload_part("key", upload_id, 1, b"first")
    again = judge.upload_part("key", upload_id, 1, b"the second")

    listed = judge.list_parts("key", upload_id).parts
    judge.complete("key", upload_id, [again])

    assert [(part.etag, part.size) for part in listed] == [(again.etag, 10)]
    assert oss.object(BUCKET, "key") == b"the second"


def test_complete_takes_the_parts_it_names_and_drops_the_others(judge: Judge, oss: LocalOSS) -> None:
    upload_id = judge.initiate("key")
    parts = upload_parts(judge, upload_id, (1, 2, 3))

    judge.complete("key", upload_id, [parts[1], parts[3]])

    assert oss.object(BUCKET, "key") == PARTS[1] + PARTS[3]
    assert not oss.uploads(BUCKET)


@judges_that_can("complete all")
def test_complete_all_takes_every_part_in_order(judge: Judge, oss: LocalOSS) -> None:
    upload_id = judge.initiate("key")
    upload_parts(judge, upload_id, (4, 2, 3, 1))

    judge.complete_all("key", upload_id)

    assert oss.object(BUCKET, "key") == DATA


def test_a_part_named_with_another_etag_is_an_invalid_part(judge: Judge, oss: LocalOSS) -> None:
    upload_id = judge.initiate("key")
    upload_parts(judge, upload_id, (1,))

    with pytest.raises(Refused) as refused:
        judge.complete("key", upload_id, [Part(1, "0123456789ABCDEF0123456789ABCDEF")])

    assert (refused.value.status, refused.value.code) == (400, "InvalidPart")
    assert not oss.objects(BUCKET)
    assert len(oss.uploads(BUCKET)) == 1


def test_a_part_that_was_never_sent_is_an_invalid_part(judge: Judge) -> None:
    upload_id = judge.initiate("key")
    parts = upload_parts(judge, upload_id, (1,))

    with pytest.raises(Refused) as refused:
        judge.complete("key", upload_id, [parts[1], Part(2, parts[1].etag)])

    assert (refused.value.status, refused.value.code) == (400, "InvalidPart")


@judges_that_can("complete out of order")
def test_parts_out_of_order_are_refused(judge: Judge) -> None:
    upload_id = judge.initiate("key")
    parts = upload_parts(judge, upload_id, (1, 2))

    with pytest.raises(Refused) as refused:
        judge.complete("key", upload_id, [parts[2], parts[1]])

    assert (refused.value.status, refused.value.code) == (400, "InvalidPartOrder")


def test_a_small_part_before_the_last_is_too_small(judge: Judge, oss: LocalOSS) -> None:
    upload_id = judge.initiate("key")
    small = judge.upload_part("key", upload_id, 1, b"x" * (PART - 1))
    last = judge.upload_part("key", upload_id, 2, b"x")

    with pytest.raises(Refused) as refused:
        judge.complete("key", upload_id, [small, last])

    assert (refused.value.status, refused.value.code) == (400, "EntityTooSmall")
    assert not oss.objects(BUCKET)


@pytest.mark.parametrize("number", [0, 10_001])
def test_a_part_number_outside_1_to_10_000_is_refused(judge: Judge, number: int) -> None:
    upload_id = judge.initiate("key")

    with pytest.raises(Refused) as refused:
        judge.upload_part("key", upload_id, number, b"x")

    assert (refused.value.status, refused.value.code) == (400, "InvalidArgument")


def test_an_aborted_upload_is_gone(judge: Judge, oss: LocalOSS) -> None:
    upload_id = judge.initiate("key")
    parts = upload_parts(judge, upload_id, (1,))

    judge.abort("key", upload_id)

    assert not oss.uploads(BUCKET)
    for refused in (
        lambda: judge.upload_part("key", upload_id, 2, b"x"),
        lambda: judge.list_parts("key", upload_id),
        lambda: judge.complete("key", upload_id, [parts[1]]),
        lambda: judge.abort("key", upload_id),
    ):
        assert_no_such_upload(refused)


def test_a_completed_upload_is_gone_and_the_object_stays(judge: Judge, oss: LocalOSS) -> None:
    upload_id = judge.initiate("key")
    parts = upload_parts(judge, upload_id, (1,))
    judge.complete("key", upload_id, [parts[1]])

    assert_no_such_upload(lambda: judge.complete("key", upload_id, [parts[1]]))
    assert_no_such_upload(lambda: judge.abort("key", upload_id))
    assert oss.object(BUCKET, "key") == PARTS[1]


def test_an_upload_id_belongs_to_its_key(judge: Judge) -> None:
    upload_id = judge.initiate("key")

    assert_no_such_upload(lambda: judge.upload_part("another key", upload_id, 1, b"x"))


def test_initiate_with_forbid_overwrite_is_refused_when_the_object_exists(judge: Judge, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"first")

    with pytest.raises(Refused) as refused:
        judge.initiate("key", headers={"x-oss-forbid-overwrite": "true"})

    assert (refused.value.status, refused.value.code) == (409, "FileAlreadyExists")
    assert not oss.uploads(BUCKET)


def test_complete_with_forbid_overwrite_keeps_what_came_in_between(judge: Judge, oss: LocalOSS) -> None:
    once = {"x-oss-forbid-overwrite": "true"}
    upload_id = judge.initiate("key", headers=once)
    part = judge.upload_part("key", upload_id, 1, b"second")
    oss.put(BUCKET, "key", b"first")

    with pytest.raises(Refused) as refused:
        judge.complete("key", upload_id, [part], headers=once)

    assert (refused.value.status, refused.value.code) == (409, "FileAlreadyExists")
    assert oss.object(BUCKET, "key") == b"first"


def test_a_part_can_be_copied_from_a_range_of_an_object(judge: Judge, oss: LocalOSS) -> None:
    source = "the source/文件+1.csv"
    oss.put(BUCKET, source, DATA)
    upload_id = judge.initiate("key")
    judge.upload_part_copy("key", upload_id, 1, source, start=PART, stop=3 * PART)
    judge.upload_part_copy("key", upload_id, 2, source, start=0, stop=10)

    judge.complete("key", upload_id, judge.list_parts("key", upload_id).parts)

    assert oss.object(BUCKET, "key") == DATA[PART : 3 * PART] + DATA[:10]


def test_uploads_are_listed_in_pages_by_key_and_then_by_upload_id(judge: Judge) -> None:
    keys = ["a", "b", "b", "b", "c&<d>", "数据"]
    begun = [(key, judge.initiate(key)) for key in keys]

    pages = [judge.list_uploads(page=2)]
    while (marker := pages[-1].next_marker) and len(pages) < len(keys):
        pages.append(judge.list_uploads(page=2, marker=marker))

    listed = [upload for page in pages for upload in page.uploads]
    assert all(len(page.uploads) <= 2 for page in pages)
    assert [key for key, _ in listed] == keys
    assert sorted(listed) == sorted(begun)
    assert judge.list_uploads(prefix="b").uploads == [upload for upload in listed if upload[0] == "b"]


def assert_no_such_upload(request: object) -> None:
    with pytest.raises(Refused) as refused:
        request()  # type: ignore[operator]
    assert (refused.value.status, refused.value.code, refused.value.ec) == (404, "NoSuchUpload", "0042-00000002")
