"""``ObjectStoragePath`` on OSS, as tasks use it."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.filesystem.oss import OSSFileSystem, get_fs
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from tests.airflow import runs
from tests.world import BUCKET, some_bytes


@pytest.fixture
def root(conn_id: str) -> Any:
    return ObjectStoragePath(f"oss://{conn_id}@{BUCKET}/a")


def test_it_is_registered_with_airflow(root: Any) -> None:
    assert isinstance(root.fs, OSSFileSystem)
    assert root.exists() is False


def test_bytes_and_text_are_written_and_read(root: Any, oss: LocalOSS) -> None:
    (root / "bytes").write_bytes(b"some bytes")
    with (root / "text").open("w") as file:
        file.write("ein Stück\nText\n")

    assert oss.object(BUCKET, "a/bytes") == b"some bytes"
    assert (root / "bytes").read_bytes() == b"some bytes"
    with (root / "text").open() as file:
        assert file.readlines() == ["ein Stück\n", "Text\n"]
    assert (root / "text").read_text() == "ein Stück\nText\n"


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_an_exception_within_the_block_leaves_the_former_object(root: Any, oss: LocalOSS, mode: str) -> None:
    oss.put(BUCKET, "a/key", b"former")
    half: Any = b"half" if mode == "wb" else "half"

    def write_half() -> None:
        with (root / "key").open(mode) as file:
            file.write(half)
            raise KeyError

    with pytest.raises(KeyError):
        write_half()

    assert oss.object(BUCKET, "a/key") == b"former"


def test_what_is_there_is_told(root: Any, oss: LocalOSS) -> None:
    for key in ("a/one.txt", "a/two.csv", "a/b/three.txt", "ab"):
        oss.put(BUCKET, key, b"12345")

    assert sorted(path.name for path in root.iterdir()) == ["b", "one.txt", "two.csv"]
    assert sorted(path.name for path in root.glob("*.txt")) == ["one.txt"]
    assert sorted(path.name for path in root.glob("**/*.txt")) == ["one.txt", "three.txt"]
    assert (root / "one.txt").stat().st_size == 5
    assert (root / "one.txt").stat().st_mtime > 0
    assert (root / "one.txt").size() == 5
    assert (root / "one.txt").ukey() == root.fs.client.head_object(ObjectRef(BUCKET, "a/one.txt")).etag
    assert [path.is_dir() for path in (root, root / "one.txt", root / "no")] == [True, False, False]
    assert [path.exists() for path in (root, root / "one.txt", root / "no")] == [True, True, False]
    assert (root / "b" / "three.txt").parent.name == "b"


def test_files_come_and_go_by_the_engine(root: Any, oss: LocalOSS, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(some_bytes(100_000))

    ObjectStoragePath(f"file://{source}").copy(root / "key")
    (root / "key").copy(ObjectStoragePath(f"file://{tmp_path}/target"))

    assert oss.object(BUCKET, "a/key") == source.read_bytes()
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_a_folder_comes_and_goes(root: Any, oss: LocalOSS, tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "one").write_bytes(b"1")
    (tmp_path / "folder" / "deep" / "two").write_bytes(b"2")

    ObjectStoragePath(f"file://{tmp_path}/folder").copy(root / "copy", recursive=True)
    (root / "copy").copy(ObjectStoragePath(f"file://{tmp_path}/back"), recursive=True)

    assert oss.objects(BUCKET) == ["a/copy/deep/two", "a/copy/one"]
    assert (tmp_path / "back" / "deep" / "two").read_bytes() == b"2"


def test_within_oss_the_bytes_stay_there(root: Any, oss: LocalOSS) -> None:
    oss.put(BUCKET, "a/key", b"some bytes")
    oss.clear_requests()

    (root / "key").copy(root / "copy")
    (root / "copy").move(root / "moved")

    assert oss.objects(BUCKET) == ["a/key", "a/moved"]
    assert oss.object(BUCKET, "a/moved") == b"some bytes"
    assert not oss.calls("GetObject")
    assert not oss.calls("PutObject")


def test_what_is_unlinked_is_gone_and_nothing_else(root: Any, oss: LocalOSS) -> None:
    for key in ("a/key", "a/key2", "b"):
        oss.put(BUCKET, key, b"")

    (root / "key").unlink()

    assert oss.objects(BUCKET) == ["a/key2", "b"]
    with pytest.raises(FileNotFoundError):
        (root / "key").unlink()
    root.rmdir(recursive=True)
    assert oss.objects(BUCKET) == ["b"]


def test_a_directory_is_made_of_nothing(root: Any, oss: LocalOSS) -> None:
    (root / "folder").mkdir(parents=True, exist_ok=True)

    assert oss.objects(BUCKET) == []


def test_a_compressed_file_is_whole_when_it_is_closed(root: Any, oss: LocalOSS) -> None:
    with (root / "text.gz").open("wb", compression="gzip") as file:  # as the XCom backend of common.io writes
        file.write(b"some text")

    assert gzip.decompress(oss.object(BUCKET, "a/text.gz")) == b"some text"
    with (root / "text.gz").open("rb", compression="infer") as file:
        assert file.read() == b"some text"


def test_without_a_connection_the_workers_own_credentials_count(oss: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSS_ENDPOINT", oss.endpoint)
    monkeypatch.setenv("OSS_REGION", oss.region)
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", oss.access_key_id)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", oss.access_key_secret)
    oss.put(BUCKET, "key", b"some bytes")

    assert get_fs(None).cat_file(f"oss://{BUCKET}/key") == b"some bytes"


def test_a_filesystem_of_a_connection_holds_no_secret(conn_id: str, oss: LocalOSS) -> None:
    fs = get_fs(conn_id)
    fs.exists(f"{BUCKET}/key")

    assert oss.access_key_secret.encode() not in pickle.dumps(fs)
    assert oss.access_key_secret not in fs.to_json() + repr(fs)
    assert pickle.loads(pickle.dumps(fs)).exists(f"{BUCKET}/key") is False


def test_a_path_and_its_options_that_name_two_connections_are_refused() -> None:
    with pytest.raises(ArgumentError, match="oss_conn_id='other'"):
        get_fs("oss_default", {"oss_conn_id": "other"})


def test_nothing_is_looked_up_when_a_dag_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_OSS_DEFAULT", raising=False)

    assert isinstance(get_fs("no_such_connection"), OSSFileSystem)


def test_the_root_of_a_bucket_is_a_directory(root: Any, oss: LocalOSS) -> None:
    oss.put(BUCKET, "a/key", b"")
    oss.put(BUCKET, "b", b"")

    assert sorted(path.name for path in root.parent.iterdir()) == ["a", "b"]
    assert root.parent.is_dir()
    assert sorted(str(path) for path in root.iterdir()) == [f"{root}/key"]


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_the_next_try_of_a_task_goes_on_with_a_large_file(
    dag: Any, root: Any, oss: LocalOSS, tmp_path: Path, direction: str
) -> None:
    data = some_bytes(20 * 2**20)  # three parts of 8 MiB
    file, operation = tmp_path / "file", "UploadPart" if direction == "upload" else "GetObject"
    if direction == "upload":
        file.write_bytes(data)
    else:
        oss.put(BUCKET, "a/key", data)
    local, tries = ObjectStoragePath(f"file://{file}"), []

    def move(context: Any) -> None:
        tries.append(context["ti"].try_number)
        if direction == "upload":
            local.copy(root / "key")
        else:
            (root / "key").copy(local)

    oss.fail_after(operation, 2, Fault("status", status=403, code="AccessDenied"))
    oss.after_request = lambda request: oss.clear_faults() if request.status == 403 else None
    runs.Call(task_id="move", function=move, dag=dag)

    assert runs.run(dag).state == "success"

    assert tries == [1, 2]
    assert oss.object(BUCKET, "a/key") == file.read_bytes() == data
    moved = [request for request in oss.calls(operation) if request.status in (200, 206)]
    in_flight = 8 * 2**20  # the third part may have been under way when the first try failed
    assert (
        len(data) <= sum(max(request.bytes_received, request.bytes_sent) for request in moved) < len(data) + in_flight
    )
    assert runs.checkpoints() == []
