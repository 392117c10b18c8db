"""A filesystem's options: whose credentials it has, what of them shows, and where it can be used."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from typing import Any

import fsspec
import pytest
from fsspec.spec import AbstractFileSystem

from airflow_provider_ossresume.errors import ArgumentError, CredentialsError, FileForbidden, FileSystemError
from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.filesystem_world import a_filesystem, options_of
from tests.world import BUCKET

PATH = f"{BUCKET}/key"


@pytest.fixture
def registered() -> None:
    fsspec.register_implementation("oss", OSSFileSystem, clobber=True)


def test_plain_fsspec_reads_and_writes_by_urls(registered: None, oss: LocalOSS) -> None:
    with fsspec.open(f"oss://{PATH}", "wb", **options_of(oss)) as file:
        file.write(b"some bytes")

    with fsspec.open(f"oss://{PATH}", "rb", **options_of(oss)) as file:
        assert file.read() == b"some bytes"
    fs, path = fsspec.url_to_fs(f"oss://{PATH}", **options_of(oss))
    assert (type(fs), path) == (OSSFileSystem, PATH)
    assert fs.unstrip_protocol(path) == f"oss://{PATH}"


def test_a_connection_may_stand_in_the_url(registered: None) -> None:
    fs, path = fsspec.url_to_fs(f"oss://oss_default@{PATH}")

    assert (fs.storage_options, path) == ({"oss_conn_id": "oss_default"}, PATH)


def test_ossfs_s_names_count_too(oss: LocalOSS) -> None:
    fs = OSSFileSystem(
        endpoint=oss.endpoint, region=oss.region, key=oss.access_key_id, secret=oss.access_key_secret, token=None
    )

    assert not fs.exists(PATH)


def test_without_options_the_workers_own_settings_count(oss: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OSS_ENDPOINT": oss.endpoint,
        "OSS_REGION": oss.region,
        "OSS_ACCESS_KEY_ID": oss.access_key_id,
        "OSS_ACCESS_KEY_SECRET": oss.access_key_secret,
    }.items():
        monkeypatch.setenv(name, value)
    fs = OSSFileSystem(skip_instance_cache=True)
    with_timeouts = OSSFileSystem(read_timeout=5, skip_instance_cache=True)

    fs.pipe_file(PATH, b"1")
    assert with_timeouts.cat_file(PATH) == b"1"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"acess_key_id": "a"}, "acess_key_id"),
        ({"key": "a", "access_key_id": "b"}, "access_key_id"),
        ({"file_memory": "much"}, "file_memory"),
        ({"transfer_config": {"part": 1}}, "part"),
        ({"directory_markers": "perhaps"}, "directory_markers"),
        ({"use_listings_cache": "perhaps"}, "use_listings_cache"),
        ({"listings_expiry_time": -1}, "listings_expiry_time"),
        ({"max_paths": 0}, "max_paths"),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ArgumentError, match=named):
        OSSFileSystem(**options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"auth_type": "magic"}, "auth_type"),
        ({"endpoint": "ftp://host"}, "endpoint"),
        ({"endpoint_kind": "secret"}, "endpoint_kind"),
        ({"access_key_id": "a", "access_key_secret": "b"}, "region"),
        ({"oss_conn_id": "oss_default", "endpoint": "https://host"}, "endpoint"),
    ],
)
def test_options_that_make_no_client_are_named_at_the_first_call(
    options: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OSS_REGION", raising=False)
    fs = OSSFileSystem(**options)

    with pytest.raises(ArgumentError, match=named):
        fs.info(PATH)


def test_a_key_without_its_secret_is_named(oss: LocalOSS) -> None:
    fs = OSSFileSystem(endpoint=oss.endpoint, region=oss.region, access_key_id="a")

    with pytest.raises((ArgumentError, CredentialsError)):
        fs.client  # noqa: B018


def test_wrong_credentials_are_a_permission_error(oss: LocalOSS) -> None:
    fs = OSSFileSystem(**{**options_of(oss), "access_key_secret": "wrong"})

    with pytest.raises(PermissionError) as raised:
        fs.ls(BUCKET)

    assert isinstance(raised.value, FileForbidden)
    assert "wrong" not in str(raised.value)


def test_a_place_that_nobody_answers_at_is_an_oserror() -> None:
    fs = OSSFileSystem(
        endpoint="http://127.0.0.1:1", region="cn-hangzhou", key="a", secret="b", transfer_config={"part_retries": 0}
    )

    with pytest.raises(FileSystemError) as raised:
        fs.exists(PATH)

    assert raised.value.retryable


def test_no_secret_is_shown(oss: LocalOSS) -> None:
    fs = a_filesystem(oss, security_token="a-token", auth_type="sts", proxy="http://me:my-password@proxy:1")

    for text in (repr(fs), str(fs), fs.to_json(), json.dumps(fs.to_dict())):
        for secret in (oss.access_key_secret, "a-token", "my-password"):
            assert secret not in text
    assert oss.endpoint in fs.to_json()


def test_a_filesystem_of_json_is_given_its_secret_again(oss: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    described = a_filesystem(oss).to_dict()

    fs = AbstractFileSystem.from_dict({**described, "access_key_secret": oss.access_key_secret})

    assert isinstance(fs, OSSFileSystem)
    assert not fs.exists(PATH)


def test_it_is_pickled_and_told_from_others(oss: LocalOSS) -> None:
    fs, same = OSSFileSystem(**options_of(oss)), OSSFileSystem(**options_of(oss))
    other = OSSFileSystem(**{**options_of(oss), "access_key_secret": "another"})
    fs.pipe_file(PATH, b"1")

    copy = pickle.loads(pickle.dumps(fs))

    assert fs is same is copy
    assert fs != other
    assert len({fs, same, other}) == 2
    assert fs.__dask_tokenize__() == copy.__dask_tokenize__()
    assert oss.access_key_secret not in fs.__dask_tokenize__()


def test_a_pickled_one_works_in_another_process(oss: LocalOSS) -> None:
    fs = a_filesystem(oss)
    fs.pipe_file(PATH, b"some bytes")
    program = f"import pickle; print(pickle.loads({pickle.dumps(fs)!r}).cat_file({PATH!r}))"

    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)

    assert done.stdout == "b'some bytes'\n"


def test_it_is_written_and_listed_from_many_threads(oss: LocalOSS) -> None:
    fs = a_filesystem(oss)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round_ in range(5):
                path = f"{BUCKET}/d/{number}/{round_}"
                fs.pipe_file(path, b"1")
                assert path in fs.ls(f"{BUCKET}/d/{number}", detail=False)
                fs.rm(path)
                assert not fs.exists(path)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


def test_mappings_and_chained_filesystems_work(oss: LocalOSS, registered: None, tmp_path: Any) -> None:
    mapping = fsspec.get_mapper(f"oss://{BUCKET}/root", **options_of(oss))
    mapping["a/0"] = b"zero"
    mapping.setitems({f"a/{number}": str(number).encode() for number in range(1, 20)})

    assert len(mapping) == 20
    assert mapping["a/0"] == b"zero"
    assert mapping.getitems(["a/1", "a/2", "no"], on_error="omit") == {"a/1": b"1", "a/2": b"2"}
    del mapping["a/0"]
    assert "a/0" not in mapping
    mapping.clear()
    assert oss.objects(BUCKET) == []

    oss.put(BUCKET, "key", b"some bytes")
    for chained in ("simplecache", "filecache"):
        options = {chained: {"cache_storage": str(tmp_path / chained)}, "oss": options_of(oss)}
        with fsspec.open(f"{chained}::oss://{PATH}", "rb", **options) as file:
            assert file.read() == b"some bytes"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"endpoint": "https://user:hidden-word@oss.example.com"}, "endpoint"),
        ({"access_key_secret": b"hidden-word"}, "access_key_secret"),
        ({"secret": ["hidden-word"]}, "secret"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused_at_once_and_not_shown(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        OSSFileSystem(region="cn-hangzhou", access_key_id="id", **options)

    assert str(caught.value).startswith(f"{named}='…'")
    assert "hidden-word" not in str(caught.value)
