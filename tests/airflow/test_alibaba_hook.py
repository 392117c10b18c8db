"""The calls of the official Alibaba provider's hook, as a DAG that is moved over makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError, NoSuchKey
from airflow_provider_ossresume.hooks.alibaba import OSSHook
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.world import BUCKET


@pytest.fixture
def hook(oss: LocalOSS, connections: Any) -> OSSHook:
    """With a connection as that provider has it: type ``oss``, the key in the extras, the bucket in the schema."""
    extra = {
        "auth_type": "AK",
        "access_key_id": oss.access_key_id,
        "access_key_secret": oss.access_key_secret,
        "region": oss.region,
        "endpoint": oss.endpoint,
    }
    connections.add(conn_type="oss", schema=BUCKET, extra=extra)
    return OSSHook(oss.region)


def test_objects_are_written_read_and_deleted(hook: OSSHook, oss: LocalOSS) -> None:
    hook.load_string("note", "text")
    hook.load_string(key="note", content="other", bucket_name=BUCKET)

    assert hook.read_key(None, "note") == hook.read_key(bucket_name=BUCKET, key="note") == "other"
    assert hook.object_exists("note")
    assert hook.key_exist(BUCKET, "note")
    assert hook.head_key(BUCKET, "note").size == 5
    hook.delete_object("note")
    assert not hook.key_exist(BUCKET, "note")
    for key in ("a", "b"):
        hook.load_string(key, "x")
    hook.delete_objects(["a", "b"])
    assert oss.objects(BUCKET) == []


def test_files_go_there_and_back(hook: OSSHook, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"bytes")

    hook.upload_local_file("key", str(tmp_path / "there"))

    assert hook.download_file("key", str(tmp_path / "back"), BUCKET) == str(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"bytes"
    with pytest.raises(NoSuchKey):
        hook.download_file("nothing", str(tmp_path / "nothing"))


def test_texts_are_laid_behind_each_other(hook: OSSHook) -> None:
    hook.append_string(None, "one ", "log", 0)
    hook.append_string(bucket_name=BUCKET, content="two", key="log", pos=4)

    assert hook.read_key(None, "log") == "one two"


def test_buckets_are_made_and_only_those_that_are_named_removed(hook: OSSHook, oss: LocalOSS) -> None:
    hook.create_bucket("another")
    hook.delete_bucket("another")
    with pytest.raises(ArgumentError, match="bucket_name=None"):
        hook.delete_bucket()

    assert [bucket.operation for bucket in oss.requests if bucket.operation == "DeleteBucket"] == ["DeleteBucket"]


def test_connection_credentials_and_region_can_be_had(hook: OSSHook, oss: LocalOSS) -> None:
    assert hook.get_conn().conn_id == "oss_default"
    assert hook.get_bucket().region == hook.get_default_region() == oss.region
    credentials = hook.get_credential().get()
    assert credentials is not None
    assert credentials.access_key_id == oss.access_key_id
    assert OSSHook.parse_oss_url("oss://b/k?x") == ("b", "k?x")
