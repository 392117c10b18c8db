"""``compare="size_mtime"``: what has the size and the mtime of the other side is not moved; nothing is read for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.set_transfers import LocationRef, SetTransfers
from tests.world import BUCKET, a_client

PREFIX, COPY = PrefixRef(BUCKET, "raw/"), PrefixRef(BUCKET, "copy/")
MTIME = 1_700_000_000_123_456_789


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"first")
    os.utime(tmp_path / "source" / "file", ns=(MTIME, MTIME))
    return LocalFolder(tmp_path / "source")


def move(oss: LocalOSS, source: LocationRef, target: LocationRef, tmp_path: Path) -> Verdict:
    """Transfer, in a work folder of its own, so that no plan knows what an earlier one has proven."""
    work = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
    return SetTransfers(a_client(oss)).transfer(
        source, target, options=SetOptions(compare="size_mtime"), work_folder=str(work)
    )


def test_an_upload_leaves_what_has_the_size_and_mtime_of_the_file(
    oss: LocalOSS, folder: LocalFolder, tmp_path: Path
) -> None:
    assert move(oss, folder, PREFIX, tmp_path).moved == 1
    (folder.path / "file").write_bytes(b"other")  # of the same size, and the mtime is set back: it is not seen
    os.utime(folder.path / "file", ns=(MTIME, MTIME))

    again = move(oss, folder, PREFIX, tmp_path)

    assert (again.moved, again.there) == (0, 1)
    assert oss.object(BUCKET, "raw/file") == b"first"


def test_an_upload_sends_what_has_another_mtime_or_an_object_without_one(
    oss: LocalOSS, folder: LocalFolder, tmp_path: Path
) -> None:
    oss.put(BUCKET, "raw/file", b"first")
    assert move(oss, folder, PREFIX, tmp_path).moved == 1
    os.utime(folder.path / "file", ns=(MTIME, MTIME + 1))

    assert move(oss, folder, PREFIX, tmp_path).moved == 1


def test_a_download_sets_the_mtime_and_leaves_what_has_it(oss: LocalOSS, folder: LocalFolder, tmp_path: Path) -> None:
    move(oss, folder, PREFIX, tmp_path)
    target = LocalFolder(tmp_path / "target")

    first = move(oss, PREFIX, target, tmp_path)
    again = move(oss, PREFIX, target, tmp_path)

    assert (first.moved, again.moved, again.there) == (1, 0, 1)
    assert (target.path / "file").stat().st_mtime_ns == MTIME


def test_a_copy_leaves_what_has_the_same_mtime(oss: LocalOSS, folder: LocalFolder, tmp_path: Path) -> None:
    move(oss, folder, PREFIX, tmp_path)

    first = move(oss, PREFIX, COPY, tmp_path)
    again = move(oss, PREFIX, COPY, tmp_path)

    assert (first.moved, again.moved, again.there) == (1, 0, 1)


def test_what_was_taken_for_the_same_by_its_mtime_is_no_proof_for_crc64(
    oss: LocalOSS, folder: LocalFolder, tmp_path: Path
) -> None:
    work = str(tmp_path / "work")
    transfers = SetTransfers(a_client(oss))
    transfers.transfer(folder, PREFIX, options=SetOptions(compare="size_mtime"), work_folder=work)
    (folder.path / "file").write_bytes(b"other")
    os.utime(folder.path / "file", ns=(MTIME, MTIME))
    transfers.transfer(folder, PREFIX, options=SetOptions(compare="size_mtime"), work_folder=work)

    assert transfers.transfer(folder, PREFIX, options=SetOptions(), work_folder=work).moved == 1
    assert oss.object(BUCKET, "raw/file") == b"other"
