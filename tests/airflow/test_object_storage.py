"""``ObjectStoragePath`` and common.io's ``FileTransferOperator``: between OSS, S3, another OSS account, local files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow.providers.common.io.operators.file_transfer import FileTransferOperator

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from tests.airflow import runs
from tests.airflow.s3_world import s3_bucket
from tests.world import BUCKET, some_bytes

LARGE = 9 * 2**20  # two parts


@pytest.fixture
def root(conn_id: str) -> Any:
    return ObjectStoragePath(f"oss://{conn_id}@{BUCKET}/a")


@pytest.fixture
def s3() -> Iterator[Any]:
    with s3_bucket() as bucket:
        yield bucket


@pytest.fixture
def other(connections: Any) -> Iterator[tuple[LocalOSS, Any]]:
    """Another account: a server of its own, and a path there."""
    with LocalOSS(buckets=("other",)) as server:
        conn_id = connections.add_text(f"oss_other_{server.endpoint.rpartition(':')[2]}", server.airflow_connection())
        yield server, ObjectStoragePath(f"oss://{conn_id}@other/b")


@pytest.mark.parametrize("size", [0, 10, LARGE])
def test_an_object_is_copied_to_s3_and_back(root: Any, s3: Any, oss: LocalOSS, size: int) -> None:
    oss.put(BUCKET, "a/key", some_bytes(size))

    (root / "key").copy(s3 / "there")
    (s3 / "there").copy(root / "back")

    assert (s3 / "there").read_bytes() == some_bytes(size)
    assert oss.object(BUCKET, "a/back") == some_bytes(size)


def test_a_directory_is_copied_to_s3_and_back_file_by_file(root: Any, s3: Any, oss: LocalOSS) -> None:
    """With ``recursive=True``, Airflow would write each file of it to the same key of another store."""
    for name in ("one", "deep/two"):
        oss.put(BUCKET, f"a/set/{name}", name.encode())

    for source, target in ((root / "set", s3 / "set"), (s3 / "set", root / "back")):
        for path in source.glob("**/*"):
            if path.is_file():
                path.copy(target / path.key.removeprefix(f"{source.key}/"))

    assert {key: oss.object(BUCKET, key) for key in oss.objects(BUCKET) if "back" in key} == {
        "a/back/one": b"one",
        "a/back/deep/two": b"deep/two",
    }


def test_what_is_moved_to_s3_is_there_and_no_longer_here(root: Any, s3: Any, oss: LocalOSS) -> None:
    oss.put(BUCKET, "a/key", b"some bytes")

    (root / "key").move(s3 / "moved")

    assert (s3 / "moved").read_bytes() == b"some bytes"
    assert oss.objects(BUCKET) == []


def test_a_copy_to_oss_that_fails_leaves_the_former_object(root: Any, s3: Any, oss: LocalOSS) -> None:
    oss.put(BUCKET, "a/key", b"former")
    (s3 / "large").write_bytes(some_bytes(LARGE))
    oss.fail("UploadPart", nth=2, times=None, fault=Fault("status", status=403, code="AccessDenied"))

    with pytest.raises(PermissionError):
        (s3 / "large").copy(root / "key")

    assert oss.object(BUCKET, "a/key") == b"former"
    assert oss.uploads(BUCKET) == []


@pytest.mark.parametrize("size", [10, LARGE])
def test_an_object_is_copied_to_another_account(root: Any, other: Any, oss: LocalOSS, size: int) -> None:
    server, path = other
    oss.put(BUCKET, "a/key", some_bytes(size))

    (root / "key").copy(path / "key")

    assert server.object("other", "b/key") == some_bytes(size)


def test_it_is_copied_to_another_prefix_and_bucket_by_oss_itself(root: Any, oss: LocalOSS, conn_id: str) -> None:
    oss.create_bucket("second")
    oss.put(BUCKET, "a/key", b"some bytes")
    oss.clear_requests()

    (root / "key").copy(ObjectStoragePath(f"oss://{conn_id}@second/b/key"))
    (root / "key").copy(ObjectStoragePath(f"oss://{conn_id}@{BUCKET}/b/key"))

    assert oss.object("second", "b/key") == oss.object(BUCKET, "b/key") == b"some bytes"
    assert not oss.calls("GetObject")


def transfer(dag: Any, source: Any, target: Any, **options: Any) -> runs.Run:
    """Run the operator with paths whose connections are arguments: 2.11 does not read them in the URLs of texts."""
    ends = [(str(path).replace(f"{_conn_id(path)}@", ""), _conn_id(path)) for path in (source, target)]
    [(src, source_conn_id), (dst, dest_conn_id)] = ends
    ids = {"source_conn_id": source_conn_id, "dest_conn_id": dest_conn_id}
    FileTransferOperator(task_id="transfer", src=src, dst=dst, dag=dag, **ids, **options)
    return runs.run(dag)


def _conn_id(path: Any) -> str | None:
    userinfo, at, _ = str(path).partition("://")[2].partition("@")
    return userinfo if at else None


@pytest.mark.parametrize("size", [10, LARGE])
def test_the_file_transfer_operator_moves_a_local_file_to_oss(
    dag: Any, root: Any, oss: LocalOSS, tmp_path: Path, size: int
) -> None:
    (tmp_path / "source").write_bytes(some_bytes(size))

    assert transfer(dag, f"file://{tmp_path}/source", root / "key").state == "success"

    assert oss.object(BUCKET, "a/key") == some_bytes(size)


@pytest.mark.parametrize("size", [10, LARGE])
def test_the_file_transfer_operator_moves_an_object_to_a_local_file(
    dag: Any, root: Any, oss: LocalOSS, tmp_path: Path, size: int
) -> None:
    oss.put(BUCKET, "a/key", some_bytes(size))

    assert transfer(dag, root / "key", f"file://{tmp_path}/target").state == "success"

    assert (tmp_path / "target").read_bytes() == some_bytes(size)


@pytest.mark.parametrize("size", [10, LARGE])
def test_the_file_transfer_operator_moves_an_object_to_s3(
    dag: Any, root: Any, s3: Any, oss: LocalOSS, size: int
) -> None:
    oss.put(BUCKET, "a/key", some_bytes(size))

    assert transfer(dag, root / "key", s3 / "key").state == "success"

    assert (s3 / "key").read_bytes() == some_bytes(size)


def test_the_file_transfer_operator_takes_paths_with_their_connections(
    dag: Any, root: Any, oss: LocalOSS, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"some bytes")
    source = ObjectStoragePath(f"file://{tmp_path}/source")
    FileTransferOperator(task_id="transfer", src=source, dst=root / "key", dag=dag)

    assert runs.run(dag).state == "success"

    assert oss.object(BUCKET, "a/key") == b"some bytes"


@pytest.mark.skipif(not AIRFLOW_3, reason="2.11 does not read the connection in the URL of a text")
def test_the_file_transfer_operator_reads_the_connection_in_the_url(
    dag: Any, root: Any, oss: LocalOSS, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"some bytes")
    FileTransferOperator(task_id="transfer", src=f"file://{tmp_path}/source", dst=f"{root}/key", dag=dag)

    assert runs.run(dag).state == "success"

    assert oss.object(BUCKET, "a/key") == b"some bytes"


def test_the_file_transfer_operator_does_not_overwrite_unless_told(
    dag: Any, root: Any, oss: LocalOSS, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"new")
    oss.put(BUCKET, "a/key", b"former")
    oss.clear_requests()

    assert transfer(dag, f"file://{tmp_path}/source", root / "key").state == "failed"

    assert oss.requests
    assert oss.object(BUCKET, "a/key") == b"former"
