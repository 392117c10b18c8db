"""The engine's functional face, which offers what ``oss2.resumable`` does."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import oss2
import pytest

from airflow_provider_ossresume.errors import AccessDenied, ArgumentError, NoSuchUpload
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.object_options import ObjectOptions
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.resumable import (
    make_client,
    make_download_store,
    make_upload_store,
    rebuild_checkpoint,
    resumable_download,
    resumable_upload,
)
from airflow_provider_ossresume.transfer.local_file import LocalFile
from tests.world import BUCKET, PART, BytesBody, a_file, some_bytes

BROKEN = Fault("status", status=403, code="AccessDenied")
SMALL_PARTS = {"multipart_threshold": PART, "part_size": PART, "max_concurrency": 1}


@pytest.fixture
def client(oss: LocalOSS) -> OssClient:
    return make_client(
        oss.endpoint, access_key_id=oss.access_key_id, access_key_secret=oss.access_key_secret, region=oss.region
    )


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_a_second_call_sends_only_what_is_missing_by_a_checkpoint_under_the_home(
    client: OssClient, oss: LocalOSS, tmp_path: Path, home: Path
) -> None:
    source = a_file(tmp_path)
    oss.fail_after("UploadPart", 3, BROKEN)
    with pytest.raises(AccessDenied):
        resumable_upload(client, BUCKET, "key", source, **SMALL_PARTS)
    oss.clear_faults()
    assert len(list((home / ".ossresume-upload").iterdir())) == 1

    result = resumable_upload(client, BUCKET, "key", source, **SMALL_PARTS)

    assert (result.parts_kept, result.parts_sent) == (3, 2)
    assert oss.object(BUCKET, "key") == source.read_bytes()
    assert list((home / ".ossresume-upload").iterdir()) == []


def test_a_second_call_fetches_only_what_is_missing(
    client: OssClient, oss: LocalOSS, tmp_path: Path, home: Path
) -> None:
    oss.put(BUCKET, "key", some_bytes(5 * PART))
    oss.fail_after("GetObject", 3, BROKEN)
    with pytest.raises(AccessDenied):
        resumable_download(client, BUCKET, "key", tmp_path / "target", **SMALL_PARTS)
    oss.clear_faults()

    result = resumable_download(client, BUCKET, "key", tmp_path / "target", **SMALL_PARTS)

    assert (result.parts_kept, result.parts_sent) == (3, 2)
    assert (tmp_path / "target").read_bytes() == some_bytes(5 * PART)
    assert list((home / ".ossresume-download").iterdir()) == []


def test_one_checkpoint_for_each_source_and_target(client: OssClient, oss: LocalOSS, tmp_path: Path) -> None:
    store = make_upload_store(tmp_path, "checkpoints")
    oss.fail_after("UploadPart", 0, BROKEN)
    for key, name in (("a", "one"), ("a", "two"), ("b", "one")):
        with pytest.raises(AccessDenied):
            resumable_upload(client, BUCKET, key, a_file(tmp_path, name=name), store=store, **SMALL_PARTS)

    assert len(list((tmp_path / "checkpoints").iterdir())) == 3


def test_headers_reach_the_object_and_the_requests(client: OssClient, oss: LocalOSS, tmp_path: Path) -> None:
    headers = {"Content-Type": "text/x-test", "x-oss-meta-a": "ü", "x-oss-traffic-limit": "8388608"}

    result = resumable_upload(client, BUCKET, "key", a_file(tmp_path), headers=headers, **SMALL_PARTS)

    meta = client.head_object(result.target)
    assert (meta.content_type, meta.metadata) == ("text/x-test", {"a": "ü"})


def test_options_of_the_object_have_names_here_too(client: OssClient, tmp_path: Path) -> None:
    result = resumable_upload(client, BUCKET, "key.csv", a_file(tmp_path), storage_class="IA", metadata={"a": "ü"})

    meta = client.head_object(result.target)
    assert (meta.content_type, meta.metadata, meta.headers["x-oss-storage-class"]) == ("text/csv", {"a": "ü"}, "IA")
    with pytest.raises(ArgumentError, match="storage_class='Cold': choose one of 'Standard', 'IA'"):
        resumable_upload(client, BUCKET, "key.csv", a_file(tmp_path), storage_class="Cold")  # type: ignore[arg-type]


def test_a_range_of_an_object_becomes_a_file_of_ones_own(client: OssClient, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "key", some_bytes(3 * PART))

    resumable_download(client, BUCKET, "key", tmp_path / "copy", byte_range=(7, 2 * PART), file_mode="600")

    assert (tmp_path / "copy").read_bytes() == some_bytes(3 * PART)[7 : 2 * PART]
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600


def test_a_file_of_the_same_stat_is_not_read_again(
    client: OssClient, oss: LocalOSS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = a_file(tmp_path)
    options: Any = {"store": make_upload_store(tmp_path), "fingerprint": "stat", **SMALL_PARTS}
    with (
        oss.failing("UploadPart", after=3, fault=Fault("status", status=403, code="AccessDenied")),
        pytest.raises(AccessDenied),
    ):
        resumable_upload(client, BUCKET, "key", source, **options)
    monkeypatch.setattr(LocalFile, "crc64", lambda *_: pytest.fail("it is read again"))

    assert resumable_upload(client, BUCKET, "key", source, **options).parts_kept == 3


def test_an_upload_that_another_program_began_is_adopted(client: OssClient, oss: LocalOSS, tmp_path: Path) -> None:
    source = a_file(tmp_path, size=5 * PART)
    bucket = oss2.Bucket(oss2.AuthV4(oss.access_key_id, oss.access_key_secret), oss.endpoint, BUCKET, region=oss.region)
    upload_id = bucket.init_multipart_upload("key").upload_id
    content = source.read_bytes()
    for number in (1, 3):
        bucket.upload_part("key", upload_id, number, content[(number - 1) * PART : number * PART])
    bucket.upload_part("key", upload_id, 4, b"other bytes".ljust(PART))
    store = make_upload_store(tmp_path)

    checkpoint = rebuild_checkpoint(
        client, BUCKET, "key", upload_id, source, store=store, headers={"x-oss-meta-a": "1"}
    )
    result = resumable_upload(client, BUCKET, "key", source, store=store, headers={"x-oss-meta-a": "1"}, **SMALL_PARTS)

    assert (checkpoint.part_size, checkpoint.upload_id) == (PART, upload_id)
    assert (result.parts_kept, result.parts_sent) == (2, 3)
    assert oss.object(BUCKET, "key") == content


def test_adopting_an_upload_that_is_over_says_so(client: OssClient, tmp_path: Path) -> None:
    with pytest.raises(NoSuchUpload):
        rebuild_checkpoint(client, BUCKET, "key", "F" * 32, a_file(tmp_path), store=make_upload_store(tmp_path))


def test_adopting_an_upload_without_parts_asks_for_their_size(client: OssClient, oss: LocalOSS, tmp_path: Path) -> None:
    upload_id = client.initiate(resumable_upload(client, BUCKET, "key", a_file(tmp_path, size=1)).target)

    with pytest.raises(ArgumentError, match=r"part_size=None.*pass the part size of the upload"):
        rebuild_checkpoint(client, BUCKET, "key", upload_id, a_file(tmp_path), store=make_upload_store(tmp_path))


def test_the_progress_is_told_from_the_callers_thread_and_ends_at_the_total(
    client: OssClient, oss: LocalOSS, tmp_path: Path
) -> None:
    import threading

    seen: list[tuple[int, int, int]] = []

    resumable_upload(
        client, BUCKET, "key", a_file(tmp_path), **SMALL_PARTS,
        progress_callback=lambda done, total: seen.append((done, total, threading.get_ident())),
    )  # fmt: skip

    assert seen[-1][:2] == (5 * PART, 5 * PART)
    assert {thread for _, _, thread in seen} == {threading.get_ident()}


@pytest.mark.parametrize(
    ("theirs", "ours"), [(oss2.resumable_upload, resumable_upload), (oss2.resumable_download, resumable_download)]
)
def test_every_argument_of_oss2_has_its_counterpart(theirs: object, ours: object) -> None:
    renamed = {
        "bucket": "bucket", "multiget_threshold": "multipart_threshold", "num_threads": "max_concurrency",
        "params": "version_id", "process": "progress_callback",
    }  # fmt: skip
    wanted = {renamed.get(name, name) for name in inspect.signature(theirs).parameters}  # type: ignore[arg-type]

    found = set(inspect.signature(ours).parameters)  # type: ignore[arg-type]
    missing = wanted - found - (set(ObjectOptions.__annotations__) if "object_options" in found else set())
    assert missing <= {"version_id"}, missing  # on upload oss2 has params for nothing but its own tests


@pytest.mark.parametrize(("make", "folder"), [(make_upload_store, "upload"), (make_download_store, "download")])
def test_stores_stand_below_root_and_dir(make: object, folder: str, tmp_path: Path, home: Path) -> None:
    assert make().folder == home / f".ossresume-{folder}"  # type: ignore[operator]
    assert make(tmp_path, "mine").folder == tmp_path / "mine"  # type: ignore[operator]


def test_a_client_without_a_region_says_where_it_comes_from() -> None:
    with pytest.raises(ArgumentError, match="region=None: V4 signatures need it"):
        make_client("https://files.example.com", access_key_id="a", access_key_secret="b")


@pytest.mark.parametrize("numbers", [[1, 2, 3], [2, 3], [1]])
def test_the_part_size_of_an_upload_is_told_by_its_parts_the_last_one_included(
    client: OssClient, oss: LocalOSS, tmp_path: Path, numbers: list[int]
) -> None:
    source, target = a_file(tmp_path, size=8 * PART), ObjectRef(BUCKET, "key")  # parts of 3, 3 and 2 times 100 KiB
    upload_id = client.initiate(target)
    for number in numbers:
        part = source.read_bytes()[(number - 1) * 3 * PART : number * 3 * PART]
        client.upload_part(target, upload_id, number, BytesBody(part))

    rebuilt = rebuild_checkpoint(client, BUCKET, "key", upload_id, source, store=make_upload_store(tmp_path))

    assert rebuilt.part_size == 3 * PART


def test_a_last_part_alone_tells_no_part_size(client: OssClient, oss: LocalOSS, tmp_path: Path) -> None:
    """Part 3 of 800 KiB with 200 KiB may be the third of four, or the last behind two of 300."""
    source, target = a_file(tmp_path, size=8 * PART), ObjectRef(BUCKET, "key")
    upload_id = client.initiate(target)
    client.upload_part(target, upload_id, 3, BytesBody(source.read_bytes()[6 * PART :]))

    with pytest.raises(ArgumentError, match="cannot be derived from the"):
        rebuild_checkpoint(client, BUCKET, "key", upload_id, source, store=make_upload_store(tmp_path))


def test_an_adopted_upload_of_a_small_file_is_gone_on_with(client: OssClient, oss: LocalOSS, tmp_path: Path) -> None:
    source, target, store = a_file(tmp_path), ObjectRef(BUCKET, "key"), make_upload_store(tmp_path)
    upload_id = client.initiate(target)
    client.upload_part(target, upload_id, 1, BytesBody(source.read_bytes()[:PART]))
    rebuild_checkpoint(client, BUCKET, "key", upload_id, source, store=store)

    result = resumable_upload(client, BUCKET, "key", source, store=store)

    assert result.parts_kept == 1
    assert oss.object(BUCKET, "key") == source.read_bytes()
