"""A checkpoint's keys: one for all tries of a transfer, another one for each other transfer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_ossresume.model.checkpoint import checkpoint_key
from airflow_provider_ossresume.model.checkpoint_keys import TaskIds, checkpoint_keys, describe_transfer
from airflow_provider_ossresume.model.objects import ObjectRef

TASK = TaskIds("dag", "run", "task", -1)
OBJECT = ObjectRef("bucket", "key")
THIS: dict[str, Any] = {"direction": "download", "target": OBJECT, "path": "/data/a", "task": TASK, "byte_range": None}
OTHERS: dict[str, dict[str, Any]] = {
    "the other direction": {"direction": "upload"},
    "another bucket": {"target": ObjectRef("bucket2", "key")},
    "another object": {"target": ObjectRef("bucket", "key2")},
    "a key that moves a slash": {"target": ObjectRef("bucket/key", "")},
    "a version": {"target": ObjectRef("bucket", "key", "v1")},
    "another version": {"target": ObjectRef("bucket", "key", "v2")},
    "a version called null": {"target": ObjectRef("bucket", "key", "null")},
    "a version called None": {"target": ObjectRef("bucket", "key", "None")},
    "an empty version": {"target": ObjectRef("bucket", "key", "")},
    "a range": {"byte_range": (0, 10)},
    "a longer range": {"byte_range": (0, 20)},
    "a later range": {"byte_range": (5, 10)},
    "another file": {"path": "/data/b"},
    "another folder": {"path": "/other/a"},
    "a name that is no UTF-8": {"path": "/data/\udcff"},
    "another DAG": {"task": TaskIds("dag2", "run", "task", -1)},
    "another run": {"task": TaskIds("dag", "run2", "task", -1)},
    "another task": {"task": TaskIds("dag", "run", "task2", -1)},
    "a map index": {"task": TaskIds("dag", "run", "task", 0)},
    "another map index": {"task": TaskIds("dag", "run", "task", 1)},
    "names that are cut elsewhere": {"task": TaskIds("da", "grun", "task", -1)},
    "no task": {"task": None},
}


def keys_of(**other: Any) -> tuple[str, str]:
    return checkpoint_keys(**{**THIS, **other})


def test_no_two_transfers_share_a_key() -> None:
    present = [keys_of()[0], *(keys_of(**other)[0] for other in OTHERS.values())]

    assert len(set(present)) == len(present)


def test_no_transfers_key_is_one_that_0_1_gave_to_another() -> None:
    everything = [keys_of(), *(keys_of(**other) for other in OTHERS.values())]

    assert not {present for present, _ in everything} & {former for _, former in everything}


@pytest.mark.parametrize("what", OTHERS)
def test_a_key_is_forty_hex_digits_which_any_store_takes_and_the_janitor_knows(what: str) -> None:
    for key in keys_of(**OTHERS[what]):
        assert re.fullmatch("[0-9a-f]{40}", key)


def test_two_files_that_a_task_uploads_to_one_object_have_two_keys() -> None:
    one, two = (keys_of(direction="upload", path=path)[0] for path in ("/data/one", "/data/two"))

    assert one != two


def test_a_retry_that_finds_the_file_in_another_folder_goes_on_with_the_upload() -> None:
    first, retry = (keys_of(direction="upload", path=path) for path in ("/tmp/tmp8x2/dump.gz", "/tmp/tmp_9f/dump.gz"))

    assert first == retry


def test_outside_airflow_an_upload_is_told_by_the_whole_path() -> None:
    one, two = (keys_of(direction="upload", path=path, task=None)[0] for path in ("/a/dump.gz", "/b/dump.gz"))

    assert one != two


def test_keys_stay_the_same_from_release_to_release() -> None:
    # Others would lose every transfer that is under way while a worker is upgraded.
    assert keys_of(target=ObjectRef("bucket", "ü", "v"), byte_range=(1, 2)) == (
        "6e3132b19cba3509b444d5789b11409e4141f9d9",
        checkpoint_key("download", "oss://bucket/ü", "dag", "run", "task", -1),
    )
    assert keys_of(task=None)[1] == checkpoint_key("download", "oss://bucket/key", "/data/a")


@pytest.mark.parametrize(
    ("transfer", "shown"),
    [
        (("upload", OBJECT, None), "upload of oss://bucket/key from /data/a by dag run task -1"),
        (("download", OBJECT, None), "download of oss://bucket/key to /data/a by dag run task -1"),
        (
            ("download", ObjectRef("bucket", "key", "v1"), (5, 10)),
            "download of oss://bucket/key version v1 bytes [5, 10) to /data/a by dag run task -1",
        ),
        (("copy", OBJECT, None), "copy to oss://bucket/key from /data/a by dag run task -1"),
    ],
)
def test_people_read_what_the_key_stands_for(
    transfer: tuple[str, ObjectRef, tuple[int, int] | None], shown: str
) -> None:
    direction, target, byte_range = transfer

    assert describe_transfer(direction, target, "/data/a", by="dag run task -1", byte_range=byte_range) == shown
