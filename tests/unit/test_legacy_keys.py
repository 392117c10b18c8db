"""Checkpoints that 0.1 has left: gone on with when they are this transfer's, else left alone with the reason."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import AccessDenied, StoreUnavailable, TrySuperseded
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.checkpoint import (
    Checkpoint,
    DownloadCheckpoint,
    Owner,
    Run,
    UploadCheckpoint,
    decode,
    encode,
)
from airflow_provider_ossresume.model.checkpoint_keys import CheckpointKeys, TaskIds, checkpoint_keys
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.resumable import make_client, resumable_download, resumable_upload
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.legacy_keys import LegacyKeyStore
from airflow_provider_ossresume.transfer.part_names import part_file_name
from tests.world import BUCKET, PART, a_file, some_bytes

TASK = TaskIds("dag", "run", "task", -1)
OBJECT = ObjectRef("bucket", "key")
OF_0_1, OURS, THIRD = Owner(1, "of 0.1"), Owner(2, "ours"), Owner(3, "third")
UPLOAD = UploadCheckpoint("bucket", "key", "ID", 25, 10, "", OF_0_1)
KEYS = checkpoint_keys("upload", OBJECT, "/data/a", task=TASK)


class Store(MemoryCheckpointStore):
    """Counts what is looked up, and lets single deletes fail."""

    def __init__(self, **texts: str) -> None:
        super().__init__()
        self.texts = {getattr(KEYS, name): text for name, text in texts.items()}
        self.looked_up: list[str] = []
        self.is_down: set[str] = set()

    def load(self, key: str) -> str | None:
        self.looked_up.append(key)
        return super().load(key)

    def delete(self, key: str) -> None:
        if key in self.is_down:
            raise StoreUnavailable("no answer")
        super().delete(key)


def a_try(store: Store, owner: Owner = OURS) -> Checkpointer:
    within = LegacyKeyStore(store, KEYS, target=OBJECT, path="/data/a")
    return Checkpointer(within, KEYS.present, owner=owner, interval=0, sleep=lambda _: None)


# --- the store --------------------------------------------------------------------------------------------------------


def test_what_0_1_left_is_loaded_and_from_its_next_save_on_lies_under_the_present_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store(former=encode(UPLOAD, saved_at=1_000_000))
    checkpointer = a_try(store)

    with caplog.at_level(logging.INFO):
        assert checkpointer.load() == UPLOAD
    checkpointer.save(UPLOAD)

    [(key, text)] = store.texts.items()
    assert (key, decode(text)) == (KEYS.present, replace(UPLOAD, owner=OURS))
    assert (
        f"Using the checkpoint of version 0.1 in memory {KEYS.former}; from now on it is kept in memory {KEYS.present}"
        in caplog.text
    )


def test_the_time_of_the_last_save_is_told_too() -> None:
    text = encode(UPLOAD, saved_at=1_000_000)

    assert LegacyKeyStore(Store(former=text), KEYS, target=OBJECT, path="/data/a").load(KEYS.present) == text


@pytest.mark.parametrize("lies_at", ["present", "former"])
def test_a_store_that_looks_under_several_keys_at_once_is_asked_once(lies_at: str) -> None:
    class Quick(Store):
        def load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
            self.looked_up.append(" ".join(keys))
            return next(((key, self.texts[key]) for key in keys if key in self.texts), None)

    store = Quick(**{lies_at: encode(UPLOAD)})

    assert a_try(store).load() == UPLOAD
    assert store.looked_up == [f"{KEYS.present} {KEYS.former}"]


def test_a_transfer_that_needs_no_save_deletes_what_it_has_read_when_it_is_done() -> None:
    store = Store(former=encode(UPLOAD))
    checkpointer = a_try(store)
    checkpointer.load()

    checkpointer.delete()

    assert store.texts == {}


def test_a_checkpoint_that_is_to_be_dropped_is_found_under_its_former_key_too() -> None:
    store = Store(former=encode(UPLOAD))
    checkpointer = a_try(store)

    assert checkpointer.claim() == replace(UPLOAD, owner=OURS)
    checkpointer.delete()

    assert store.texts == {}


def test_the_former_key_is_looked_up_once_when_nothing_lies_there() -> None:
    store = Store()
    checkpointer = a_try(store)
    checkpointer.load()
    for _ in range(3):
        checkpointer.save(UPLOAD)

    assert store.looked_up.count(KEYS.former) == 1


def test_the_former_key_is_not_looked_up_where_the_present_one_holds_a_checkpoint() -> None:
    store = Store(present=encode(replace(UPLOAD, upload_id="ID2")), former=encode(UPLOAD))
    checkpointer = a_try(store)
    checkpointer.load()
    checkpointer.save(UPLOAD)
    checkpointer.delete()

    assert KEYS.former not in store.looked_up
    assert store.texts == {KEYS.former: encode(UPLOAD)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("garbage", "the stored text is not JSON"),
        ('{"ossresume": 99}', "the checkpoint has format 99, and this version reads 1"),
        (encode(replace(UPLOAD, key="another")), "it is of another transfer"),
    ],
)
def test_what_cannot_be_gone_on_with_is_left_alone_and_the_log_says_why(
    text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(former=text)
    checkpointer = a_try(store)

    assert checkpointer.load() is None
    checkpointer.save(UPLOAD)
    checkpointer.delete()

    assert store.texts == {KEYS.former: text}
    assert f"memory {KEYS.former} is not used, and this transfer starts from the beginning: {reason}" in caplog.text


def test_what_another_try_has_written_under_the_former_key_meanwhile_is_not_deleted() -> None:
    store = Store(former=encode(UPLOAD))
    checkpointer = a_try(store)
    checkpointer.load()
    theirs = store.texts[KEYS.former] = encode(replace(UPLOAD, owner=Owner(1, "another"), upload_id="ID2"))

    checkpointer.save(UPLOAD)
    checkpointer.delete()

    assert store.texts == {KEYS.former: theirs}


def test_a_newer_try_of_0_1_is_left_the_transfer() -> None:
    store = Store(former=encode(replace(UPLOAD, owner=THIRD)))

    with pytest.raises(TrySuperseded):
        a_try(store).load()

    assert decode(store.texts[KEYS.former]).owner == THIRD


def test_a_newer_try_of_0_1_that_takes_over_before_the_first_save_is_noticed() -> None:
    store = Store(former=encode(UPLOAD))
    checkpointer = a_try(store)
    checkpointer.load()
    store.texts[KEYS.former] = encode(replace(UPLOAD, owner=THIRD))

    with pytest.raises(TrySuperseded):
        checkpointer.save(UPLOAD)

    assert list(store.texts) == [KEYS.former]


def test_a_store_that_does_not_delete_is_asked_again_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(former=encode(UPLOAD))
    store.is_down = {KEYS.former}
    checkpointer = a_try(store)
    checkpointer.load()
    checkpointer.save(UPLOAD)
    assert "could not be deleted yet" in caplog.text
    assert store.texts.keys() == {KEYS.present, KEYS.former}
    store.is_down = set()

    checkpointer.delete()

    assert store.texts == {}


def test_the_store_is_named_as_if_it_stood_alone(tmp_path: Path) -> None:
    store = FileCheckpointStore(tmp_path)
    within = LegacyKeyStore(store, KEYS, target=OBJECT, path="/data/a")

    assert (str(within), within.place("k")) == (str(store), store.place("k"))


# --- downloads: the part file had another name too --------------------------------------------------------------------

NO_VERSION: dict[str, Any] = {"target": OBJECT, "byte_range": None}


def a_download(keys: CheckpointKeys, path: Path, **other: Any) -> DownloadCheckpoint:
    part_file = part_file_name(path.name, keys.former)
    return replace(
        DownloadCheckpoint("bucket", "key", None, "E", 25, 9, 10, part_file, OF_0_1, (Run(1, 1, 7),)), **other
    )


def load(path: Path, left: Checkpoint, keys: CheckpointKeys, **transfer: Any) -> Checkpoint | None:
    memory = MemoryCheckpointStore()
    memory.texts[keys.former] = encode(left)
    text = LegacyKeyStore(memory, keys, path=str(path), **transfer).load(keys.present)
    return decode(text) if text is not None else None


@pytest.mark.parametrize("transfer", [NO_VERSION, {"target": replace(OBJECT, version_id="v"), "byte_range": (5, 30)}])
def test_the_part_file_of_0_1_gets_its_present_name(tmp_path: Path, transfer: dict[str, Any]) -> None:
    path = tmp_path / "target"
    keys = checkpoint_keys("download", path=str(path), task=TASK, **transfer)
    start = (transfer["byte_range"] or (0, 0))[0]
    left = a_download(keys, path, version_id=transfer["target"].version_id, start=start)
    (tmp_path / left.part_file).write_bytes(b"what came")

    found = load(path, left, keys, **transfer)

    assert found == replace(left, part_file=part_file_name("target", keys.present))
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(found.part_file, b"what came")]


def test_a_kill_between_the_new_name_and_the_next_save_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "target"
    keys = checkpoint_keys("download", path=str(path), task=TASK, **NO_VERSION)
    left = a_download(keys, path)
    (tmp_path / left.part_file).write_bytes(b"what came")

    assert load(path, left, keys, **NO_VERSION) == load(path, left, keys, **NO_VERSION)

    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"what came"]


@pytest.mark.parametrize(
    "other",
    [
        {"version_id": "another"},
        {"start": 5},
        {"part_file": part_file_name("another", KEYS.former)},
        {"part_file": "source.csv"},
    ],
    ids=["version", "range", "path", "no part file"],
)
def test_another_download_of_the_object_by_the_same_task_is_left_alone_and_so_is_its_part_file(
    tmp_path: Path, other: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "target"
    keys = checkpoint_keys("download", path=str(path), task=TASK, **NO_VERSION)
    left = a_download(keys, path, **other)
    (tmp_path / left.part_file).write_bytes(b"theirs")

    assert load(path, left, keys, **NO_VERSION) is None

    assert "is not used" in caplog.text
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(left.part_file, b"theirs")]


# --- whole transfers --------------------------------------------------------------------------------------------------

BROKEN = Fault("status", status=403, code="AccessDenied")
SMALL_PARTS: dict[str, Any] = {"multipart_threshold": PART, "part_size": PART, "max_concurrency": 1}


@pytest.fixture
def client(oss: LocalOSS) -> Any:
    return make_client(
        oss.endpoint, access_key_id=oss.access_key_id, access_key_secret=oss.access_key_secret, region=oss.region
    )


def left_as_by_0_1(store: FileCheckpointStore, keys: CheckpointKeys, folder: Path, name: str) -> None:
    """Give checkpoint and part file the names that 0.1 gave them."""
    text = store.load(keys.present)
    assert text is not None
    checkpoint = decode(text)
    if isinstance(checkpoint, DownloadCheckpoint):
        former = part_file_name(name, keys.former)
        (folder / checkpoint.part_file).rename(folder / former)
        checkpoint = replace(checkpoint, part_file=former)
    store.save(keys.former, encode(checkpoint))
    store.delete(keys.present)


def test_an_upload_of_0_1_in_flight_is_gone_on_with(client: Any, oss: LocalOSS, tmp_path: Path) -> None:
    source, store = a_file(tmp_path), FileCheckpointStore(tmp_path / "checkpoints")
    oss.fail_after("UploadPart", 3, BROKEN)
    with pytest.raises(AccessDenied):
        resumable_upload(client, BUCKET, "key", source, store=store, **SMALL_PARTS)
    oss.clear_faults()
    left_as_by_0_1(store, checkpoint_keys("upload", ObjectRef(BUCKET, "key"), str(source)), tmp_path, source.name)

    result = resumable_upload(client, BUCKET, "key", source, store=store, **SMALL_PARTS)

    assert (result.parts_kept, result.parts_sent) == (3, 2)
    assert store.keys() == []


@pytest.mark.parametrize("byte_range", [None, (7, 5 * PART - 7)])
def test_a_download_of_0_1_in_flight_is_gone_on_with(
    client: Any, oss: LocalOSS, tmp_path: Path, byte_range: tuple[int, int] | None
) -> None:
    oss.put(BUCKET, "key", some_bytes(5 * PART))
    folder, store = tmp_path / "targets", FileCheckpointStore(tmp_path / "checkpoints")
    folder.mkdir()
    target = folder / "target"
    oss.fail_after("GetObject", 3, BROKEN)
    given = {"store": store, "byte_range": byte_range, **SMALL_PARTS}
    with pytest.raises(AccessDenied):
        resumable_download(client, BUCKET, "key", target, **given)
    oss.clear_faults()
    keys = checkpoint_keys("download", ObjectRef(BUCKET, "key"), str(target), byte_range=byte_range)
    left_as_by_0_1(store, keys, folder, target.name)

    result = resumable_download(client, BUCKET, "key", target, **given)

    assert (result.parts_kept, result.parts_sent) == (3, 2)
    assert target.read_bytes() == some_bytes(5 * PART)[slice(*byte_range or (None,))]
    assert (store.keys(), list(folder.iterdir())) == ([], [target])


def test_two_ranges_of_one_object_are_two_transfers(client: Any, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "key", some_bytes(6 * PART))
    store = FileCheckpointStore(tmp_path / "checkpoints")
    ranges = {"first": (0, 3 * PART), "second": (3 * PART, 6 * PART)}

    def download(name: str) -> Any:
        return resumable_download(
            client, BUCKET, "key", tmp_path / "target", byte_range=ranges[name], store=store, **SMALL_PARTS
        )

    for name in ranges:
        with oss.failing("GetObject", after=2, fault=BROKEN), pytest.raises(AccessDenied):
            download(name)
    assert len(store.keys()) == 2

    assert [download(name).parts_kept for name in ranges] == [2, 2]
    assert (tmp_path / "target").read_bytes() == some_bytes(6 * PART)[3 * PART :]
