"""Whatever a key, a checkpoint or a neighbour of the file says: a download writes where its author said."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import ArgumentError, LocalFileError, OSSResumeError
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.checkpoint import DownloadCheckpoint, Owner, Run, checkpoint_key, encode
from airflow_provider_ossresume.model.object_names import check_key
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.resumable import resumable_download
from airflow_provider_ossresume.transfer.part_names import part_file_name
from airflow_provider_ossresume.transfer.paths import local_path
from tests.world import BUCKET, PART, Transfers, a_client, some_bytes

CONTENT = some_bytes(3 * PART)
KEYS = [
    "../outside",
    "a/../../outside",
    "..",
    ".",
    "..\\outside",
    "C:\\outside",
    "%2e%2e/outside",
    "~/outside",
    "a//b/",
    "-rf",
    "$(id)",
    "\u202eexe",
    "ü" * 500,
]
PART_FILES = ["../outside", "/etc/outside", "a/b", "..", ".", "\0", "a\0b", "\\outside", "~", "x" * 5000, "", "part\n"]


def everything_below(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Each path with its kind and what is in it."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in folder.rglob("*"):
        kind = path.lstat().st_mode
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (kind, content)
    return found


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


# --- keys and checkpoints ---------------------------------------------------------------------------------------------

keys = st.sampled_from(KEYS) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).map(
    lambda text: (
        "".join(character for character in text if character >= " " and character != "\x7f").lstrip("/\\") or "k"
    )
)
part_files = st.none() | st.sampled_from(PART_FILES) | st.text(max_size=20)


@settings(derandomize=True, deadline=None, database=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(key=keys, part_file=part_files, other=st.dictionaries(st.sampled_from(["bucket", "key", "size", "etag"]), keys))
@example(key="../outside", part_file="../outside", other={})
@example(key="a/../../outside", part_file="/etc/outside", other={"key": "../outside"})
def test_only_the_named_folder_changes(key: str, part_file: str | None, other: dict[str, str]) -> None:
    """Whatever key and checkpoint: the only paths that change lie in the folder that the author named, and there they
    are the file and its part file.
    """
    try:
        check_key(key)
    except ArgumentError:
        return
    with tempfile.TemporaryDirectory() as name, LocalOSS(Path(name) / "oss") as oss:
        around = Path(name) / "around"
        target = around / "a" / "named" / "file.bin"
        target.parent.mkdir(parents=True)
        for neighbour in (around / "outside", around / "a" / "outside", target.parent / "outside"):
            neighbour.write_bytes(b"precious")
        oss.put(BUCKET, key, CONTENT)
        before = everything_below(around)
        transfers = Transfers(oss, store=MemoryCheckpointStore())
        store_checkpoint(transfers, key, target, part_file, other)

        result = transfers.download(target, key=key, try_number=2)

        assert target.read_bytes() == CONTENT
        assert result.outcome == "transferred"
        assert changed(before, everything_below(around)) == {"a/named/file.bin"}


def store_checkpoint(
    transfers: Transfers, key: str, target: Path, part_file: str | None, other: dict[str, str]
) -> None:
    """A checkpoint as an earlier try would have left it, with fields that somebody edited."""
    name = checkpoint_key("download", f"oss://{BUCKET}/{key}")
    meta = transfers.client.head_object(ObjectRef(BUCKET, key))
    checkpoint = DownloadCheckpoint(
        BUCKET, key, None, meta.etag, meta.size, meta.crc64, PART, part_file_name(target.name, name), Owner(1, "try-1"),
        (Run(1, 2, 7),),
    )  # fmt: skip
    content = {**json.loads(encode(checkpoint)), **other}
    if part_file is not None:
        content["part_file"] = part_file
    transfers.store.save(name, json.dumps(content))


@pytest.mark.parametrize("part_file", PART_FILES)
def test_a_checkpoint_that_names_another_part_file_is_not_followed(tmp_path: Path, part_file: str) -> None:
    around = tmp_path / "around"
    target = around / "named" / "file.bin"
    target.parent.mkdir(parents=True)
    with LocalOSS(tmp_path / "oss") as oss:
        oss.put(BUCKET, "key", CONTENT)
        before = everything_below(around)
        transfers = Transfers(oss)
        store_checkpoint(transfers, "key", target, part_file, {})

        assert transfers.download(target, try_number=2).parts_kept == 0
    assert changed(before, everything_below(around)) == {"named/file.bin"}


# --- links ------------------------------------------------------------------------------------------------------------


def interrupted(transfers: Transfers, target: Path) -> Path:
    """A download that broke off; returns its part file."""
    with transfers.oss.failing("GetObject", after=2), pytest.raises(OSSResumeError):
        transfers.download(target)
    return target.with_name(part_file_name(target.name, checkpoint_key("download", f"oss://{BUCKET}/key")))


@pytest.fixture
def transfers(tmp_path: Path) -> Any:
    with LocalOSS(tmp_path / "oss") as oss:
        oss.put(BUCKET, "key", CONTENT)
        yield Transfers(oss)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "around" / "named"
    folder.mkdir(parents=True)
    return folder / "file.bin"


@pytest.mark.parametrize("leads_to", ["a file", "nothing", "a folder", "itself"])
@pytest.mark.parametrize("begun", [True, False])
def test_a_link_in_the_part_files_place_is_never_opened(
    transfers: Transfers, target: Path, leads_to: str, begun: bool
) -> None:
    part_file = interrupted(transfers, target)
    if not begun:
        transfers.store = MemoryCheckpointStore()
    elsewhere = target.parents[1] / "elsewhere"
    if leads_to == "a file":
        elsewhere.write_bytes(b"precious")
    elif leads_to == "a folder":
        elsewhere.mkdir()
    part_file.unlink()
    part_file.symlink_to(part_file if leads_to == "itself" else elsewhere)
    before = everything_below(target.parents[1])

    with pytest.raises(LocalFileError, match="cannot be opened"):
        transfers.download(target)

    assert everything_below(target.parents[1]) == before


def test_a_part_file_that_was_moved_and_linked_to_is_not_published(transfers: Transfers, target: Path) -> None:
    """Else the link would get the final name, and whoever made it could change what it leads to."""
    elsewhere = target.parents[1] / "elsewhere"
    part_file = interrupted(transfers, target)

    def swap(_: object) -> None:
        if part_file.exists() and not elsewhere.exists():
            part_file.rename(elsewhere)
            part_file.symlink_to(elsewhere)

    transfers.oss.on_request = lambda request: request.operation == "GetObject" and swap(request)
    with pytest.raises(LocalFileError, match="removed or replaced"):
        transfers.download(target)

    assert not target.exists()
    assert not target.is_symlink()


def test_a_link_under_the_final_name_is_replaced_and_what_it_leads_to_stays(transfers: Transfers, target: Path) -> None:
    precious = target.parents[1] / "precious"
    precious.write_bytes(b"precious")
    target.symlink_to(precious)

    transfers.download(target)

    assert not target.is_symlink()
    assert target.read_bytes() == CONTENT
    assert precious.read_bytes() == b"precious"


def test_a_folder_that_is_a_link_is_what_the_author_named(transfers: Transfers, target: Path) -> None:
    linked = target.parents[1] / "linked"
    linked.symlink_to(target.parent, target_is_directory=True)

    transfers.download(linked / "file.bin")

    assert target.read_bytes() == CONTENT
    assert linked.is_symlink()
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a\nb", "a\x1b[2J", "-rf", "~", "$(id)", "a\\b", "...", "ü" * 127, "\udcff", ".hidden", " ", "a b\t"]
)
def test_any_name_that_the_file_system_takes_is_the_files(transfers: Transfers, target: Path, name: str) -> None:
    named = target.with_name(name)

    transfers.download(named)

    assert named.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [named]


@pytest.mark.parametrize("name", ["a\0b", "\0", "x" * 256, "ü" * 128, "a/" * 3000 + "b"])
def test_a_name_that_it_does_not_take_is_named_before_anything_moves(
    transfers: Transfers, target: Path, name: str
) -> None:
    with pytest.raises(ArgumentError, match=r"^file="):
        transfers.download(target.parent / name)

    assert transfers.oss.requests == []


@pytest.mark.parametrize("key", ["/etc/passwd", "\\etc", "a\0b", "", "x" * 1024, "\udcff"])
def test_a_key_that_oss_does_not_take_is_named_before_anything_moves(tmp_path: Path, key: str) -> None:
    with LocalOSS(tmp_path / "oss") as oss:
        with pytest.raises(ArgumentError, match=r"^key="):
            resumable_download(a_client(oss), BUCKET, key, tmp_path / "file", store=FileCheckpointStore(tmp_path / "c"))

        assert oss.requests == []
    assert {path.name for path in tmp_path.iterdir()} == {"oss"}


def test_a_name_that_no_file_can_have_is_refused() -> None:
    assert local_path("\udc80") == "\udc80"  # a byte that is not UTF-8, as os.listdir returns it
    with pytest.raises(ArgumentError, match="lone surrogate"):
        local_path("\ud83d")
