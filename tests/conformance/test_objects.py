"""One object at a time: keys, bytes, metadata, ranges, conditions, copies, and what is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.object_options import object_headers
from airflow_provider_ossresume.transfer.options import split_headers
from tests.world import BUCKET as OUR_BUCKET
from tests.world import PART, Transfers, a_file

from .judge import Judge, Refused
from .seats import BUCKET, SEATS, judges_that_can, seats_that_can

KEYS = {
    "spaces": "a b  c .txt",
    "plus": "a+b++c",
    "percent": "100%/%2F%41 %",
    "double slashes": "a//b///c",
    "folder": "folder/",
    "Chinese": "数据/二〇二六年/文件.csv",
    "emoji": "🚀/👩‍💻.txt",
    "decomposed accent": "e\u0301",
    "quotes": 'it\'s "quoted" `so`',
    "URL syntax": "what?/#1&x=y;z:@,$[]{}|^",
    "XML syntax": "<a>&amp;</a>",
    "backslash": "a\\b",
    "unreserved": "-_.~!*'()",
    "looks like a subresource": "?uploads",
    "the longest, 1,023 bytes": "长" * 341,
}
DOT_KEYS = {
    "dot segments": "a/../b/./c",
    "escape": "../../etc/passwd",
    "trailing dots": "a/..",
}
DATA = random.Random(64).randbytes(100_000)


def keys_for_judges() -> list[object]:
    """Every key with every judge whose SDK can send it."""
    able = seats_that_can("dot segments")
    pairs = [(seat, name, key) for seat in SEATS for name, key in KEYS.items()]
    pairs += [(seat, name, key) for seat in able for name, key in DOT_KEYS.items()]
    return [pytest.param(seat, key, id=f"{seat}-{name}") for seat, name, key in pairs]


@pytest.mark.parametrize(("judge", "key"), keys_for_judges(), indirect=["judge"])
def test_a_key_means_the_same_object_everywhere(judge: Judge, oss: LocalOSS, key: str) -> None:
    judge.put(key, DATA)

    assert oss.object(BUCKET, key) == DATA
    assert judge.get(key).body == DATA
    assert judge.head(key).headers["content-length"] == str(len(DATA))
    assert judge.list_objects(prefix=key).keys == [key]
    judge.copy(key, "copied")
    assert oss.object(BUCKET, "copied") == DATA
    assert judge.delete_many([key]) == [key]
    assert set(oss.objects(BUCKET)) == {"copied"}


@judges_that_can("list control characters")
def test_a_key_with_control_characters_is_listed_url_encoded(judge: Judge, oss: LocalOSS) -> None:
    key = "a\x01b\tc\x7f"

    judge.put(key, DATA)

    assert judge.list_objects().keys == [key]
    assert oss.object(BUCKET, key) == DATA


@pytest.mark.parametrize("key", ["长" * 341 + "x", "\\begins with a backslash"], ids=["too long", "backslash"])
def test_a_key_that_oss_does_not_allow_is_refused(judge: Judge, oss: LocalOSS, key: str) -> None:
    with pytest.raises(Refused) as refused:
        judge.put(key, DATA)

    assert (refused.value.status, refused.value.code) == (400, "InvalidObjectName")
    assert not oss.objects(BUCKET)


@pytest.mark.parametrize("size", [0, 1, 100_000, 1_000_000])
def test_put_and_get_carry_the_crc64_that_we_compute(judge: Judge, size: int) -> None:
    """The SDKs compare it too, at their default settings: a wrong header makes them raise."""
    data = DATA[:1] * size if size > len(DATA) else DATA[:size]

    written = judge.put("key", data)
    read = judge.get("key")

    assert written.crc64 == read.crc64 == judge.head("key").crc64 == crc64(data)
    assert read.body == data


def test_the_etag_of_a_put_is_the_md5_in_upper_case_everywhere(judge: Judge) -> None:
    etag = "6F1ED002AB5595859014EBF0951522D9"

    assert judge.put("key", b"blah").etag == etag
    assert judge.get("key").etag == etag
    assert judge.head("key").etag == etag
    assert judge.get("key").headers["etag"] == f'"{etag}"'


def test_a_put_replaces_the_object(judge: Judge, oss: LocalOSS) -> None:
    judge.put("key", b"old", meta={"only": "old"})
    judge.put("key", b"new")

    assert oss.object(BUCKET, "key") == b"new"
    assert judge.head("key").meta == {}


def test_metadata_and_headers_of_the_object_come_back(judge: Judge) -> None:
    kept = {
        "Cache-Control": "no-cache",
        "Content-Disposition": 'attachment; filename="a b.txt"',
        "Content-Encoding": "utf-8",
        "Content-Language": "zh-CN",
        "Expires": "Wed, 21 Oct 2065 07:28:00 GMT",
    }

    judge.put("key.bin", DATA, meta={"owner": "a team", "run-id": "1"}, content_type="text/csv", headers=kept)

    for answer in (judge.head("key.bin"), judge.get("key.bin")):
        assert answer.meta == {"owner": "a team", "run-id": "1"}
        assert answer.headers["content-type"] == "text/csv"
        assert {name: answer.headers[name.lower()] for name in kept} == kept
        assert answer.headers["x-oss-object-type"] == "Normal"
        assert answer.headers["x-oss-storage-class"] == "Standard"


def test_what_an_upload_says_of_its_object_is_read_by_the_sdks(judge: Judge, oss: LocalOSS, tmp_path: Path) -> None:
    said = object_headers(
        "key",
        {
            "tags": {"team": "data eng", "cost:centre": "a/b+c=d", "empty": ""},
            "acl": "public-read",
            "storage_class": "IA",
            "server_side_encryption": "KMS",
            "sse_kms_key_id": "9468da86-3509-4f8d-a61e-6eab1eac",
            "sse_data_encryption": "SM4",
            "expires": "2030-01-31T12:00:00+01:00",
        },
    )
    _, headers = split_headers(said)
    oss.create_bucket(OUR_BUCKET)
    judge = judge.with_access(bucket=OUR_BUCKET)
    for key, size in (("in one request", PART - 1), ("in parts", 2 * PART)):
        Transfers(oss).upload(a_file(tmp_path, size=size), key, headers=headers)

        shown = judge.head(key).headers
        assert judge.tags(key) == {"team": "data eng", "cost:centre": "a/b+c=d", "empty": ""}
        assert judge.acl(key) == "public-read"
        assert shown["x-oss-storage-class"] == "IA"
        assert shown["x-oss-server-side-encryption"] == "KMS"
        assert shown["x-oss-server-side-encryption-key-id"] == "9468da86-3509-4f8d-a61e-6eab1eac"
        assert shown["x-oss-server-side-data-encryption"] == "SM4"
        assert shown["expires"] == "Thu, 31 Jan 2030 11:00:00 GMT"


def test_an_object_without_tags_and_acl_says_so(judge: Judge) -> None:
    judge.put("key", b"")

    assert (judge.tags("key"), judge.acl("key")) == ({}, "default")


def test_a_body_of_unknown_size_is_taken_chunk_by_chunk(judge: Judge, oss: LocalOSS) -> None:
    pieces = [DATA[:10], DATA[10:70_000], DATA[70_000:]]

    written = judge.put_stream("key", pieces)

    assert oss.object(BUCKET, "key") == DATA
    assert written.crc64 == crc64(DATA)


def test_object_meta_tells_size_etag_and_crc64(judge: Judge) -> None:
    written = judge.put("key", DATA)

    meta = judge.object_meta("key")

    assert (meta.headers["content-length"], meta.etag, meta.crc64) == (str(len(DATA)), written.etag, crc64(DATA))


def test_a_get_may_ask_for_other_headers_in_the_answer(judge: Judge) -> None:
    judge.put("key", DATA, content_type="text/csv")

    answer = judge.get(
        "key", query={"response-content-type": "text/plain; a=1&2", "response-cache-control": "no-store"}
    )

    assert answer.body == DATA
    assert answer.headers["content-type"] == "text/plain; a=1&2"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("asked", "standard", "status", "start", "stop"),
    [
        ("bytes=0-499", False, 206, 0, 500),
        ("bytes=0-499", True, 206, 0, 500),
        ("bytes=999-999", False, 206, 999, 1000),
        ("bytes=500-", False, 206, 500, 1000),
        ("bytes=-100", False, 206, 900, 1000),
        ("bytes=500-2000", False, 200, 0, 1000),
        ("bytes=500-2000", True, 206, 500, 1000),
        ("bytes=1000-2000", False, 200, 0, 1000),
        ("bytes=1000-", False, 200, 0, 1000),
    ],
)
def test_a_range_is_answered_as_oss_answers_it(
    judge: Judge, asked: str, standard: bool, status: int, start: int, stop: int
) -> None:
    data = DATA[:1000]
    judge.put("key", data)

    answer = judge.get("key", headers=the_range(asked, standard=standard))

    assert answer.status == status
    assert answer.body == data[start:stop]
    assert answer.headers.get("content-range") == (f"bytes {start}-{stop - 1}/1000" if status == 206 else None)
    assert answer.crc64 == crc64(data), "the CRC-64 is that of the whole object"


@pytest.mark.parametrize("asked", ["bytes=1000-2000", "bytes=1000-"])
def test_a_range_behind_the_end_is_refused_when_the_standard_is_asked_for(judge: Judge, asked: str) -> None:
    judge.put("key", DATA[:1000])

    with pytest.raises(Refused) as refused:
        judge.get("key", headers=the_range(asked, standard=True))

    assert (refused.value.status, refused.value.code) == (416, "InvalidRange")


@pytest.mark.parametrize("quote", ['"', ""])
def test_if_match_holds_for_a_quoted_and_for_a_bare_etag(judge: Judge, quote: str) -> None:
    etag = judge.put("key", DATA).etag

    assert judge.get("key", headers={"If-Match": f"{quote}{etag}{quote}"}).body == DATA


def test_if_match_with_another_etag_is_a_failed_precondition(judge: Judge) -> None:
    judge.put("key", DATA)

    with pytest.raises(Refused) as refused:
        judge.get("key", headers={"If-Match": '"0123456789ABCDEF0123456789ABCDEF"'})

    assert (refused.value.status, refused.value.code) == (412, "PreconditionFailed")


def test_forbid_overwrite_keeps_what_is_there(judge: Judge, oss: LocalOSS) -> None:
    once = {"x-oss-forbid-overwrite": "true"}
    judge.put("key", b"first", headers=once)

    with pytest.raises(Refused) as refused:
        judge.put("key", b"second", headers=once)

    assert (refused.value.status, refused.value.code) == (409, "FileAlreadyExists")
    assert oss.object(BUCKET, "key") == b"first"


def test_a_body_that_is_not_its_content_md5_is_refused(judge: Judge, oss: LocalOSS) -> None:
    with pytest.raises(Refused) as refused:
        judge.put("key", b"blah", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})

    assert (refused.value.status, refused.value.code) == (400, "InvalidDigest")
    assert not oss.objects(BUCKET)


def test_a_missing_object_is_no_such_key_with_its_request_id(judge: Judge) -> None:
    with pytest.raises(Refused) as refused:
        judge.get("absent")

    assert (refused.value.status, refused.value.code) == (404, "NoSuchKey")
    assert refused.value.ec == "0026-00000001"
    assert len(refused.value.request_id) == 24


def test_a_missing_object_is_no_such_key_on_head_too(judge: Judge) -> None:
    """HEAD has no body; the error's XML stands in the header x-oss-err."""
    with pytest.raises(Refused) as refused:
        judge.head("absent")

    assert (refused.value.status, refused.value.code) == (404, "NoSuchKey")
    assert len(refused.value.request_id) == 24


def test_a_missing_bucket_is_no_such_bucket(judge: Judge) -> None:
    elsewhere = judge.with_access(bucket="nobody-made-this")

    with pytest.raises(Refused) as refused:
        elsewhere.get("key")

    assert (refused.value.status, refused.value.code, refused.value.ec) == (404, "NoSuchBucket", "0015-00000101")
    elsewhere.close()


def test_every_request_has_its_own_request_id(judge: Judge) -> None:
    answers = [judge.put("key", DATA), judge.get("key"), judge.head("key")]

    assert len({answer.request_id for answer in answers}) == 3


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(judge: Judge, oss: LocalOSS) -> None:
    judge.put("key", DATA)

    judge.delete("key")
    judge.delete("key")

    assert not oss.objects(BUCKET)


def test_many_objects_are_deleted_at_once_and_missing_ones_count_as_deleted(judge: Judge, oss: LocalOSS) -> None:
    for number in range(5):
        oss.put(BUCKET, f"{number} & <{number}>", b"")

    deleted = judge.delete_many([f"{number} & <{number}>" for number in range(1, 7)])

    assert sorted(deleted) == [f"{number} & <{number}>" for number in range(1, 7)]
    assert list(oss.objects(BUCKET)) == ["0 & <0>"]


def test_a_copy_has_the_bytes_and_the_metadata_of_its_source(judge: Judge, oss: LocalOSS) -> None:
    judge.put("source", DATA, meta={"owner": "me"}, content_type="text/csv")

    etag = judge.copy("source", "copied")

    copied = judge.get("copied")
    assert (copied.body, copied.meta, copied.headers["content-type"]) == (DATA, {"owner": "me"}, "text/csv")
    assert copied.etag == etag
    assert oss.object(BUCKET, "source") == DATA


def test_a_copy_of_nothing_is_no_such_key(judge: Judge) -> None:
    with pytest.raises(Refused) as refused:
        judge.copy("absent", "copied")

    assert (refused.value.status, refused.value.code) == (404, "NoSuchKey")


def test_appends_grow_an_object_whose_crc64_stays_that_of_the_whole(judge: Judge, oss: LocalOSS) -> None:
    position = judge.append("log", 0, DATA[:1000])
    position = judge.append("log", position, DATA[1000:1500])

    assert position == 1500
    assert oss.object(BUCKET, "log") == DATA[:1500]
    assert judge.head("log").crc64 == crc64(DATA[:1500])
    assert judge.head("log").headers["x-oss-object-type"] == "Appendable"


def test_an_append_at_another_position_is_refused(judge: Judge) -> None:
    judge.append("log", 0, DATA[:1000])

    with pytest.raises(Refused) as refused:
        judge.append("log", 999, DATA[:1])

    assert (refused.value.status, refused.value.code) == (409, "PositionNotEqualToLength")


def test_an_append_to_an_object_that_was_put_is_refused(judge: Judge) -> None:
    judge.put("key", DATA[:1000])

    with pytest.raises(Refused) as refused:
        judge.append("key", 1000, DATA[:1])

    assert (refused.value.status, refused.value.code) == (409, "ObjectNotAppendable")


def the_range(text: str, *, standard: bool) -> dict[str, str]:
    return {"Range": text, **({"x-oss-range-behavior": "standard"} if standard else {})}
