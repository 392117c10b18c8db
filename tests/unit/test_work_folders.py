"""Work folders, on OSS and on a disk."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import AlreadyExists, ArgumentError, IntegrityError, LocalFileError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.sets.ports import WorkFolder
from airflow_provider_ossresume.sets.work_folder.local_work_folder import LocalWorkFolder
from airflow_provider_ossresume.sets.work_folder.open_work_folder import open_work_folder
from tests.world import BUCKET, a_client

NAMES = ["a", "b/a-b", "b/a/c", "b/a0", "b-", "c/d/e.json"]


class WorkFolderContract:
    """What every work folder promises."""

    def test_what_is_written_is_read(self, work: WorkFolder) -> None:
        work.write("a/b", b"first")
        work.write("a/b", b"second")

        assert work.read("a/b") == b"second"

    def test_nothing_is_none(self, work: WorkFolder) -> None:
        work.write("a", b"")

        assert (work.read("a"), work.read("b"), work.read("a/b")) == (b"", None, None)

    def test_create_does_not_overwrite_other_bytes(self, work: WorkFolder) -> None:
        work.create("a/b", b"first")

        with pytest.raises(AlreadyExists):
            work.create("a/b", b"second")
        assert work.read("a/b") == b"first"

    def test_create_again_with_the_same_bytes_is_no_error(self, work: WorkFolder) -> None:
        work.create("a/b", b"first")
        work.create("a/b", b"first")

        assert work.read("a/b") == b"first"

    def test_of_many_who_create_at_once_one_succeeds(self, work: WorkFolder) -> None:
        def create(number: int) -> bytes | None:
            data = b"%d" % number
            try:
                work.create("one", data)
            except AlreadyExists:
                return None
            return data

        with ThreadPoolExecutor(8) as pool:
            created = [data for data in pool.map(create, range(16)) if data is not None]

        assert created == [work.read("one")]

    def test_names_come_in_the_order_of_their_bytes(self, work: WorkFolder) -> None:
        for name in NAMES:
            work.write(name, b"")

        assert list(work.names("")) == sorted(NAMES, key=str.encode)
        assert list(work.names("b")) == ["b-", "b/a-b", "b/a/c", "b/a0"]
        assert list(work.names("b/")) == ["b/a-b", "b/a/c", "b/a0"]
        assert list(work.names("b/a/")) == ["b/a/c"]
        assert list(work.names("nothing/")) == []

    def test_what_is_deleted_is_gone_and_may_be_deleted_again(self, work: WorkFolder) -> None:
        for name in NAMES:
            work.write(name, b"x")
        work.delete(["b/a/c", "none/such", "a"])
        work.delete(["b/a/c"])

        assert list(work.names("")) == sorted(set(NAMES) - {"b/a/c", "a"}, key=str.encode)
        work.write("b/a/c", b"again")
        assert work.read("b/a/c") == b"again"


class TestOnOss(WorkFolderContract):
    @pytest.fixture
    def work(self, oss: LocalOSS) -> WorkFolder:
        return open_work_folder(f"oss://{BUCKET}/ops/work", a_client(oss))

    def test_it_is_called_by_its_uri(self, work: WorkFolder, oss: LocalOSS) -> None:
        work.write("a", b"x")

        assert work.uri == f"oss://{BUCKET}/ops/work/"
        assert oss.objects(BUCKET) == ["ops/work/a"]

    def test_a_create_whose_answer_was_lost_has_been_made(self, work: WorkFolder, oss: LocalOSS) -> None:
        oss.fail("PutObject", 1, fault=Fault("answer-lost"))
        work.create("a", b"x")

        assert work.read("a") == b"x"

    def test_bytes_that_were_damaged_on_their_way_are_not_taken(self, work: WorkFolder, oss: LocalOSS) -> None:
        work.write("a", b"x" * 100)
        oss.fail("GetObject", 1, fault=Fault("flip", after_bytes=50), times=None)

        with pytest.raises(IntegrityError):
            work.read("a")

    def test_more_names_than_a_page_has_are_listed_and_deleted(self, work: WorkFolder, oss: LocalOSS) -> None:
        names = [f"{number:05}" for number in range(1_001)]
        for name in names:
            oss.put(BUCKET, f"ops/work/{name}", b"")

        assert list(work.names("")) == names
        work.delete(names)
        assert oss.objects(BUCKET) == []


class TestOnADisk(WorkFolderContract):
    @pytest.fixture
    def work(self, tmp_path: Path) -> WorkFolder:
        return open_work_folder(tmp_path / "work of ours")

    def test_it_is_called_by_its_uri(self, work: WorkFolder, tmp_path: Path) -> None:
        assert work.uri == f"{(tmp_path / 'work of ours').as_uri()}/"
        assert open_work_folder(work.uri).uri == work.uri

    def test_what_is_being_written_has_no_name_yet(self, work: WorkFolder, tmp_path: Path) -> None:
        work.write("a/b", b"x")
        (tmp_path / "work of ours" / "a" / ".b.0123.unfinished").write_bytes(b"half")

        assert list(work.names("")) == ["a/b"]

    def test_nothing_but_the_file_is_left(self, work: WorkFolder, tmp_path: Path) -> None:
        work.write("a/b", b"x")
        work.create("a/c", b"x")
        with pytest.raises(AlreadyExists):
            work.create("a/c", b"y")

        assert sorted(os.listdir(tmp_path / "work of ours" / "a")) == ["b", "c"]

    def test_folders_that_have_become_empty_are_removed(self, work: WorkFolder, tmp_path: Path) -> None:
        work.write("a/b/c", b"x")
        work.write("a/d", b"x")
        work.delete(["a/b/c"])

        assert os.listdir(tmp_path / "work of ours" / "a") == ["d"]

    def test_a_disk_that_refuses_is_an_error_of_ours(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")

        with pytest.raises(LocalFileError, match="file/work"):
            LocalWorkFolder(tmp_path / "file" / "work").write("a", b"x")


@pytest.mark.parametrize("where", ["oss://bucket", "oss://bucket/", "oss://B/x/", "oss://bucket//x", ""])
def test_what_can_be_no_work_folder_is_refused(where: str, oss: LocalOSS) -> None:
    with pytest.raises(ArgumentError):
        open_work_folder(where, a_client(oss))


def test_one_on_oss_needs_a_client() -> None:
    with pytest.raises(ArgumentError, match="no client"):
        open_work_folder("oss://bucket/work/")
