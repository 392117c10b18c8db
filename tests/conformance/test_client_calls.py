"""What this package's client writes the SDKs read, and the other way round: tags, appended bytes, buckets, streams."""

from __future__ import annotations

import io

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.in_memory import BytesBody
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.stream_upload import StreamUploader
from tests.world import a_client, some_bytes

from .judge import PART, Judge
from .seats import BUCKET, judges_that_can

TARGET = ObjectRef(BUCKET, "key 键")
TAGS = {"first": "1", "a b": "x+y=z", "empty": ""}


@judges_that_can("tags", "put_tags")
def test_tags_are_the_same_for_both(judge: Judge, oss: LocalOSS) -> None:
    client = a_client(oss)
    judge.put(TARGET.key, b"bytes")

    client.put_object_tagging(TARGET, TAGS)
    assert judge.tags(TARGET.key) == TAGS
    judge.put_tags(TARGET.key, {"theirs": "2"})
    assert client.get_object_tagging(TARGET) == {"theirs": "2"}
    client.delete_object_tagging(TARGET)
    assert judge.tags(TARGET.key) == {}


@judges_that_can("append")
def test_both_lay_bytes_behind_the_same_object(judge: Judge, oss: LocalOSS) -> None:
    client = a_client(oss)

    at = client.append_object(TARGET, 0, BytesBody(b"ours ")).size
    at = judge.append(TARGET.key, at, b"theirs ")
    appended = client.append_object(TARGET, at, BytesBody(b"ours"))

    answer = judge.get(TARGET.key)
    assert answer.body == b"ours theirs ours"
    assert (appended.size, appended.crc64) == (16, crc64(answer.body))


def test_both_make_and_remove_the_same_buckets(judge: Judge, oss: LocalOSS) -> None:
    client = a_client(oss)
    theirs = judge.with_access(bucket="made-by-a-judge")

    client.put_bucket("made-by-us", storage_class="IA", redundancy="ZRS", headers={"x-oss-acl": "private"})
    theirs.make_bucket()
    assert judge.list_buckets() == [BUCKET, "made-by-a-judge", "made-by-us"]
    client.delete_bucket("made-by-a-judge")
    ours = judge.with_access(bucket="made-by-us")
    ours.remove_bucket()

    assert judge.list_buckets() == [BUCKET]
    theirs.close()
    ours.close()


def test_a_stream_that_was_uploaded_is_read_as_it_was(judge: Judge, oss: LocalOSS) -> None:
    data = some_bytes(2 * PART + 3)
    config = TransferConfig(part_size=PART, multipart_threshold=PART, max_concurrency=2)

    StreamUploader(a_client(oss), TARGET, config=config, options=UploadOptions()).upload(io.BytesIO(data))

    answer = judge.get(TARGET.key)
    assert (answer.body, answer.crc64) == (data, crc64(data))
