"""The hook reads and writes objects without a local file: texts, bytes, streams, and what is laid behind an object."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    ArgumentError,
    IntegrityError,
    InvalidRange,
    NoSuchKey,
    ServiceError,
)
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from tests.world import BUCKET, PART, some_bytes

CONFIG = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 2}


@pytest.fixture
def hook(connected: LocalOSS) -> OSSResumeHook:
    return OSSResumeHook(transfer_config=CONFIG)


# --- read -------------------------------------------------------------------------------------------------------------


def test_an_object_is_read_as_a_text(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.put(BUCKET, "note.txt", "Grüße 你好".encode())
    connected.put(BUCKET, "old.txt", "Grüße".encode("latin-1"))

    assert hook.read_key("note.txt", BUCKET) == "Grüße 你好"
    assert hook.read_key(f"oss://{BUCKET}/old.txt", encoding="latin-1") == "Grüße"
    assert hook.read_bytes("old.txt", BUCKET) == b"Gr\xfc\xdfe"
    assert hook.read_bytes("note.txt", BUCKET, byte_range=(0, 2)) == b"Gr"
    assert hook.read_bytes("note.txt", BUCKET, byte_range=("0", "9999")) == "Grüße 你好".encode()


def test_an_object_that_is_no_such_text_is_an_error_that_names_the_way_out(
    hook: OSSResumeHook, connected: LocalOSS
) -> None:
    connected.put(BUCKET, "old.txt", b"\xff")

    with pytest.raises(ArgumentError, match="set the right encoding, or use read_bytes"):
        hook.read_key("old.txt", BUCKET)
    with pytest.raises(ArgumentError, match="encoding='klingon'"):
        hook.read_key("old.txt", BUCKET, encoding="klingon")


def test_an_object_that_is_not_there_or_too_short_cannot_be_read(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.put(BUCKET, "short", b"123")

    with pytest.raises(NoSuchKey):
        hook.read_key("nothing", BUCKET)
    with pytest.raises(InvalidRange):
        hook.read_bytes("short", BUCKET, byte_range=(3, 4))


def test_bytes_that_are_damaged_on_their_way_are_not_returned(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"123456")
    connected.fail("GetObject", 1, Fault("flip", after_bytes=3))

    with pytest.raises(IntegrityError, match="damaged in transit"):
        hook.read_key("key", BUCKET)


def test_a_version_is_read(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.keep_versions(BUCKET)
    first = hook.load_string("one", "key", BUCKET)
    hook.load_string("two", "key", BUCKET, replace=True)

    assert hook.read_key("key", BUCKET) == "two"
    assert hook.read_key("key", BUCKET, version_id=first.version_id) == "one"


# --- write ------------------------------------------------------------------------------------------------------------


def test_a_text_is_written_with_its_options(hook: OSSResumeHook, connected: LocalOSS) -> None:
    result = hook.load_string(
        "Grüße", "note.txt", BUCKET, encrypt=True, encoding="latin-1", acl_policy="private", metadata={"team": "sales"}
    )

    assert connected.object(BUCKET, "note.txt") == b"Gr\xfc\xdfe"
    meta = hook.head_object("note.txt", BUCKET)
    assert (result.size, result["etag"], meta.metadata) == (5, meta.etag, {"team": "sales"})
    assert meta.headers["x-oss-server-side-encryption"] == "AES256"
    assert hook.get_conn().get_object_acl(hook.target("note.txt", BUCKET)) == "private"


def test_a_compressed_text_is_the_same_bytes_each_time(hook: OSSResumeHook, connected: LocalOSS) -> None:
    hook.load_string("text" * 100, "one.gz", BUCKET, compression="gzip")
    hook.load_string("text" * 100, "two.gz", BUCKET, compression="gzip")

    assert gzip.decompress(connected.object(BUCKET, "one.gz")) == b"text" * 100
    assert connected.object(BUCKET, "one.gz") == connected.object(BUCKET, "two.gz")


def test_the_order_of_arguments_is_that_of_s3hook(hook: OSSResumeHook, connected: LocalOSS) -> None:
    hook.load_string("text", "s", BUCKET, False, False, "utf-16", "private", "gzip")
    hook.load_bytes(b"bytes", "b", BUCKET, False, False, "private")
    hook.load_file_obj(io.BytesIO(b"stream"), "f", BUCKET, False, False, "private")

    assert gzip.decompress(connected.object(BUCKET, "s")).decode("utf-16") == "text"
    assert (hook.read_key("b", BUCKET), hook.read_key("f", BUCKET)) == ("bytes", "stream")


@pytest.mark.parametrize("size", [10, 3 * PART])
def test_what_exists_is_only_replaced_when_that_is_said(hook: OSSResumeHook, connected: LocalOSS, size: int) -> None:
    old, new = some_bytes(size, seed=1), some_bytes(size, seed=2)
    hook.load_bytes(old, "key", BUCKET)

    with pytest.raises(AlreadyExists):
        hook.load_bytes(new, "key", BUCKET)
    assert connected.object(BUCKET, "key") == old

    hook.load_bytes(new, "key", BUCKET, replace=True)
    assert connected.object(BUCKET, "key") == new


def test_a_stream_goes_in_parts_and_a_retried_task_may_write_the_same_again(
    hook: OSSResumeHook, connected: LocalOSS
) -> None:
    data = some_bytes(3 * PART + 1)
    result = hook.load_file_obj(io.BytesIO(data), "key", BUCKET, replace="true")

    assert (connected.object(BUCKET, "key"), result.parts) == (data, 4)
    assert hook.load_bytes(b"small", "small", BUCKET).size == hook.load_bytes(b"small", "small", BUCKET).size


@pytest.mark.parametrize("size", [10, 3 * PART])
def test_a_task_that_had_succeeded_may_be_retried_without_replace(
    hook: OSSResumeHook, connected: LocalOSS, size: int
) -> None:
    data = some_bytes(size)
    first, again = hook.load_bytes(data, "key", BUCKET), hook.load_bytes(data, "key", BUCKET)

    assert (again.etag, again.crc64) == (first.etag, first.crc64)
    assert connected.object(BUCKET, "key") == data


class SecretStream(io.RawIOBase):
    """A stream whose repr has what must not be logged, as a file behind a signed URL does."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __repr__(self) -> str:
        return "SECRET"

    def read(self, size: int = -1) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "call",
    [
        lambda hook: hook.load_bytes("SECRET", "key", BUCKET),
        lambda hook: hook.load_string(b"SECRET", "key", BUCKET),
        lambda hook: hook.append_string(b"SECRET", "key", BUCKET),
        lambda hook: hook.load_file_obj(b"SECRET", "key", BUCKET),
        lambda hook: hook.load_file_obj(SecretStream("SECRET"), "key", BUCKET),
        lambda hook: hook.load_file_obj(SecretStream(bytes(2 * PART)), "key", BUCKET),
    ],
)
def test_an_error_shows_nothing_of_what_was_to_be_written(hook: OSSResumeHook, call: Any) -> None:
    with pytest.raises(ArgumentError) as error:
        call(hook)

    assert "SECRET" not in f"{error.value!r} {error.value}"


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda hook: hook.read_key("key", BUCKET, encoding="klingon"), "encoding"),
        (lambda hook: hook.read_key("key", BUCKET, encoding=None), "encoding"),
        (lambda hook: hook.load_string(b"bytes", "key", BUCKET), "string_data"),
        (lambda hook: hook.load_string("ü", "key", BUCKET, encoding="ascii"), "encoding"),
        (lambda hook: hook.load_string("x", "key", BUCKET, encoding="klingon"), "encoding"),
        (lambda hook: hook.load_string("x", "key", BUCKET, compression="zip"), "compression"),
        (lambda hook: hook.load_string("x", "", BUCKET), "key"),
        (lambda hook: hook.load_string("x", "folder/", BUCKET), "key"),
        (lambda hook: hook.load_string("x", "key", BUCKET, replace=""), "replace"),
        (lambda hook: hook.load_string("x", "key", BUCKET, encrypt=None), "encrypt"),
        (lambda hook: hook.load_string("x", "key", BUCKET, acl_policy="public"), "acl"),
        (lambda hook: hook.load_string("x", "key", BUCKET, acl_policy="private", acl="private"), "acl"),
        (lambda hook: hook.load_string("x", "key", BUCKET, no_such_option="x"), "no_such_option"),
        (lambda hook: hook.load_bytes("text", "key", BUCKET), "bytes_data"),
        (lambda hook: hook.load_file_obj("/a/path", "key", BUCKET), "file_obj"),
        (lambda hook: hook.load_file_obj(io.StringIO("text"), "key", BUCKET), "file_obj"),
        (lambda hook: hook.read_bytes("key", BUCKET, byte_range=(5, 5)), "byte_range"),
        (lambda hook: hook.append_string("x", "key", BUCKET, -1), "pos"),
        (lambda hook: hook.append_string(None, "key", BUCKET), "string_data"),
    ],
)
def test_what_cannot_be_meant_is_named_before_anything_is_asked(
    hook: OSSResumeHook, connected: LocalOSS, call: Any, argument: str
) -> None:
    with pytest.raises(ArgumentError) as error:
        call(hook)

    assert error.value.argument == argument
    assert connected.requests == []


# --- append -----------------------------------------------------------------------------------------------------------


def test_texts_are_laid_behind_each_other(hook: OSSResumeHook, connected: LocalOSS) -> None:
    assert hook.append_string("one\n", "log.txt", BUCKET, 0) == 4
    assert hook.append_string("zwölf\n", "log.txt", BUCKET, pos=4) == 11
    assert hook.append_string("three\n", "log.txt", BUCKET) == 17

    assert connected.object(BUCKET, "log.txt").decode() == "one\nzwölf\nthree\n"


def test_an_append_creates_an_object_of_its_keys_content_type(hook: OSSResumeHook) -> None:
    hook.append_string("{}\n", "log.json", BUCKET)
    hook.append_string("{}\n", "log.json", BUCKET)

    assert hook.head_object("log.json", BUCKET).content_type == "application/json"


def test_an_append_whose_answer_was_lost_is_not_made_twice(hook: OSSResumeHook, connected: LocalOSS) -> None:
    hook.append_string("one\n", "log.txt", BUCKET)
    connected.fail("AppendObject", 1, Fault("answer-lost"))

    assert hook.append_string("two\n", "log.txt", BUCKET) == 8
    assert hook.append_string("two\n", "log.txt", BUCKET, pos=4) == 8  # as a retried task does
    assert connected.object(BUCKET, "log.txt") == b"one\ntwo\n"


def test_an_append_at_a_wrong_position_is_refused(hook: OSSResumeHook, connected: LocalOSS) -> None:
    hook.append_string("one\n", "log.txt", BUCKET)
    connected.put(BUCKET, "plain.txt", b"plain")

    with pytest.raises(ServiceError, match=r"PositionNotEqualToLength.*get that with head_object"):
        hook.append_string("two\n", "log.txt", BUCKET, pos=0)
    with pytest.raises(ServiceError, match="PositionNotEqualToLength"):
        hook.append_string("two\n", "log.txt", BUCKET, pos=3)
    with pytest.raises(ServiceError, match="ObjectNotAppendable"):
        hook.append_string("two\n", "plain.txt", BUCKET)
    assert connected.object(BUCKET, "log.txt") == b"one\n"


# --- tags -------------------------------------------------------------------------------------------------------------


def test_tags_are_put_read_and_taken_away(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"x")

    assert hook.get_object_tagging("key", BUCKET) == {}
    hook.put_object_tagging("key", {"team": "sales", "a b": "1+1=2"}, BUCKET)
    assert hook.get_object_tagging("key", BUCKET) == {"team": "sales", "a b": "1+1=2"}
    hook.put_object_tagging(f"oss://{BUCKET}/key", {"only": ""})
    assert hook.get_object_tagging("key", BUCKET) == {"only": ""}
    hook.delete_object_tagging("key", BUCKET)
    hook.delete_object_tagging("key", BUCKET)
    assert hook.get_object_tagging("key", BUCKET) == {}


def test_tags_are_those_of_a_version(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.keep_versions(BUCKET)
    first = hook.load_string("one", "key", BUCKET, tags={"number": "1"})
    hook.load_string("two", "key", BUCKET, replace=True, tags={"number": "2"})

    hook.put_object_tagging("key", {"number": "one"}, BUCKET, version_id=first.version_id)

    assert hook.get_object_tagging("key", BUCKET, version_id=first.version_id) == {"number": "one"}
    assert hook.get_object_tagging("key", BUCKET) == {"number": "2"}


@pytest.mark.parametrize("tags", [{}, None, {"": "x"}, {"a": "b" * 257}, {"é": "x"}, {"a": 1}, "a=b"])
def test_tags_that_oss_would_refuse_are_refused_here(hook: OSSResumeHook, connected: LocalOSS, tags: Any) -> None:
    with pytest.raises(ArgumentError):
        hook.put_object_tagging("key", tags, BUCKET)

    assert connected.requests == []


def test_the_tags_of_a_missing_object_are_an_error(hook: OSSResumeHook) -> None:
    for call in (hook.get_object_tagging, hook.delete_object_tagging):
        with pytest.raises(NoSuchKey):
            call("nothing", BUCKET)
