"""Checkpoints as files."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints import file
from airflow_provider_ossresume.checkpoints.file import TEMPORARY_FILE, FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import ArgumentError, StoreUnavailable
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.transfer.lease import CheckpointStore
from tests.world import BUCKET, LONG, PART, Transfers, some_bytes

KEY, OTHER = "a" * 40, "b" * 40
TEXT = '{"key": "键 😀 \\" \u2028"}'


class StoreContract:
    """What every home of checkpoints promises; inherited by the tests of each."""

    def test_what_is_saved_is_loaded(self, store: CheckpointStore) -> None:
        store.save(KEY, TEXT)

        assert store.load(KEY) == TEXT

    def test_nothing_is_none(self, store: CheckpointStore) -> None:
        assert store.load(KEY) is None

    def test_the_last_save_counts(self, store: CheckpointStore) -> None:
        store.save(KEY, TEXT * 100)
        store.save(KEY, "{}")

        assert store.load(KEY) == "{}"

    def test_keys_do_not_touch_each_other(self, store: CheckpointStore) -> None:
        store.save(KEY, TEXT)
        store.save(OTHER, "{}")
        store.delete(OTHER)

        assert (store.load(KEY), store.load(OTHER)) == (TEXT, None)

    def test_what_is_deleted_is_gone_and_may_be_deleted_again(self, store: CheckpointStore) -> None:
        store.save(KEY, TEXT)
        store.delete(KEY)
        store.delete(KEY)

        assert store.load(KEY) is None

    def test_it_names_itself_in_the_log(self, store: CheckpointStore) -> None:
        assert "object at 0x" not in str(store)


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryCheckpointStore:
        return MemoryCheckpointStore()


class TestFile(StoreContract):
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "made" / "on demand"

    @pytest.fixture
    def store(self, folder: Path) -> FileCheckpointStore:
        return FileCheckpointStore(folder)

    def test_another_process_finds_it(self, store: FileCheckpointStore, folder: Path) -> None:
        store.save(KEY, TEXT)

        assert FileCheckpointStore(str(folder)).load(KEY) == TEXT

    def test_a_try_that_never_saves_makes_no_folder(self, store: FileCheckpointStore, folder: Path) -> None:
        store.load(KEY)
        store.delete(KEY)

        assert not folder.exists()

    def test_there_is_one_readable_file_a_checkpoint_and_nothing_beside_it(
        self, store: FileCheckpointStore, folder: Path
    ) -> None:
        store.save(KEY, "{}")
        store.save(KEY, TEXT)

        assert os.listdir(folder) == [f"{KEY}.json"]
        assert (folder / f"{KEY}.json").read_text(encoding="utf-8") == TEXT

    def test_only_its_owner_may_read_it(self, store: FileCheckpointStore, folder: Path) -> None:
        store.save(KEY, TEXT)

        assert stat.S_IMODE((folder / f"{KEY}.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_a_save_that_fails_leaves_the_former_text_and_nothing_beside_it(
        self, store: FileCheckpointStore, folder: Path
    ) -> None:
        store.save(KEY, TEXT)
        (folder / f"{OTHER}.json").mkdir()  # in the place of a file, so that it cannot be written

        with pytest.raises(StoreUnavailable, match="cannot be written") as raised:
            store.save(OTHER, TEXT)

        assert raised.value.retryable
        assert sorted(os.listdir(folder)) == [f"{KEY}.json", f"{OTHER}.json"]
        assert store.load(KEY) == TEXT

    @pytest.mark.parametrize("ends", ["save", "delete"])
    def test_a_save_that_was_killed_leaves_nothing_behind_the_next_save(
        self, store: FileCheckpointStore, folder: Path, ends: str
    ) -> None:
        store.save(KEY, TEXT)
        code = """
            import os, signal, sys
            from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
            os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            FileCheckpointStore(sys.argv[1]).save(sys.argv[2], "newer")
        """
        subprocess.run((sys.executable, "-c", dedent(code), str(folder), KEY), check=False)
        assert len(os.listdir(folder)) == 2
        assert store.load(KEY) == TEXT

        if ends == "save":
            store.save(KEY, "{}")
        else:
            store.delete(KEY)

        assert os.listdir(folder) == ([f"{KEY}.json"] if ends == "save" else [])

    def test_what_a_killed_save_leaves_is_known_to_the_janitor(self, store: FileCheckpointStore) -> None:
        assert re.fullmatch(TEMPORARY_FILE, os.fsencode(store._temporary_path(KEY).name))

    def test_a_save_beside_another_one_is_refused_and_breaks_neither(
        self, store: FileCheckpointStore, folder: Path
    ) -> None:
        store.save(KEY, TEXT)
        with store._temporary_path(KEY).open("w") as other:
            fcntl.flock(other, fcntl.LOCK_EX)

            with pytest.raises(StoreUnavailable):
                store.save(KEY, "{}")

            assert store._temporary_path(KEY).exists()
        assert store.load(KEY) == TEXT

    def test_a_delete_leaves_what_another_try_is_saving_alone(self, store: FileCheckpointStore, folder: Path) -> None:
        store.save(KEY, TEXT)
        temporary = folder / f".{KEY}.new_save"
        with temporary.open("w") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            store.delete(KEY)

        assert store.load(KEY) is None
        assert temporary.exists()

    def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(
        self, store: FileCheckpointStore, folder: Path, tmp_path: Path
    ) -> None:
        folder.mkdir(parents=True)
        (tmp_path / "precious").write_text("precious")
        store._temporary_path(KEY).symlink_to(tmp_path / "precious")

        store.save(KEY, TEXT)

        assert (tmp_path / "precious").read_text() == "precious"
        assert store.load(KEY) == TEXT

    def test_the_first_of_several_keys_is_loaded_by_one_call(self, store: FileCheckpointStore) -> None:
        assert store.load_first((KEY, OTHER)) is None
        store.save(OTHER, "{}")
        assert store.load_first((KEY, OTHER)) == (OTHER, "{}")
        store.save(KEY, TEXT)
        assert store.load_first((KEY, OTHER)) == (KEY, TEXT)

    def test_one_thread_beside_the_caller_asks_the_disk_for_call_after_call(self, folder: Path) -> None:
        threads: set[threading.Thread] = set()

        class Watched(FileCheckpointStore):
            def _path(self, key: str) -> Path:
                threads.add(threading.current_thread())
                return super()._path(key)

        store = Watched(folder)
        for _ in range(5):
            store.save(KEY, TEXT)
            store.load(KEY)
            store.delete(KEY)

        [helper] = threads - {threading.current_thread()}
        assert helper.daemon
        helper.join(60)
        assert not helper.is_alive()  # it waits for no more than a moment

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_child_that_was_forked_asks_the_disk_by_a_thread_of_its_own(self, store: FileCheckpointStore) -> None:
        store.save(KEY, TEXT)

        if (child := os.fork()) == 0:
            try:
                os._exit(store.load(KEY) != TEXT)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_a_child_that_was_forked_does_not_wait_for_what_its_parent_has_given_up(
        self, store: FileCheckpointStore, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.save(OTHER, TEXT)
        hanging = folder / f"{KEY}.json"
        os.mkfifo(hanging)
        writer = os.open(hanging, os.O_RDWR)  # who reads it waits until this is closed
        with monkeypatch.context() as patch:
            patch.setattr(file, "LOAD_TIME", 0.05)
            with pytest.raises(StoreUnavailable, match="did not answer"):
                store.load(KEY)
        try:
            if (child := os.fork()) == 0:
                try:
                    os.unlink(hanging)
                    store.save(KEY, TEXT)
                    os._exit(store.load(KEY) != TEXT)
                finally:
                    os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            os.close(writer)

    @pytest.mark.parametrize("next_call", ["load", "save", "delete"])
    def test_a_disk_that_hangs_is_waited_for_once(
        self, store: FileCheckpointStore, folder: Path, monkeypatch: pytest.MonkeyPatch, next_call: str
    ) -> None:
        """Else a try whose task is stopped would wait again for its last look and its last save."""
        calls: dict[str, Callable[[], object]] = {
            "load": lambda: store.load(KEY),
            "save": lambda: store.save(KEY, TEXT),
            "delete": lambda: store.delete(KEY),
        }
        folder.mkdir(parents=True)
        os.mkfifo(folder / f"{KEY}.json")
        writer = os.open(folder / f"{KEY}.json", os.O_RDWR)  # who reads it waits until this is closed
        try:
            with ThreadPoolExecutor(1) as thread, monkeypatch.context() as patch:
                patch.setattr(file, "HANG_TIME", 0.05)
                patch.setattr(file, "LOAD_TIME", 0.05)
                with pytest.raises(StoreUnavailable, match="did not answer"):
                    store.load(KEY)
                patch.setattr(file, "LOAD_TIME", 10 * LONG)
                patch.setattr(file, "SAVE_TIME", 10 * LONG)
                try:
                    failure = thread.submit(calls[next_call]).exception(LONG)
                finally:
                    os.close(writer)
        except TimeoutError:
            pytest.fail("it was waited for")

        assert isinstance(failure, StoreUnavailable)
        assert "has not finished" in str(failure)
        await_helpers()
        store.save(KEY, TEXT)
        assert store.load(KEY) == TEXT

    def test_what_a_signal_interrupts_as_it_has_been_handed_over_is_waited_for_by_the_next_call(
        self, store: FileCheckpointStore, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A save that is repeated when SIGTERM has struck in its middle would else meet the first one on the disk."""
        folder.mkdir(parents=True)
        os.mkfifo(folder / f"{KEY}.json")
        hand_over, writers = file._HelperThread.do, []

        def interrupted(function: Any) -> None:
            hand_over(function)
            writers.append(os.open(folder / f"{KEY}.json", os.O_WRONLY))  # when somebody reads it
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(file._HelperThread, "do", interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.load(KEY)
        with monkeypatch.context() as patch:
            patch.setattr(file, "SAVE_TIME", 0.05)
            try:
                with pytest.raises(StoreUnavailable, match="has not finished"):
                    store.save(KEY, TEXT)
            finally:
                os.close(writers.pop())

        await_helpers()
        store.save(KEY, TEXT)
        assert store.load(KEY) == TEXT

    def test_what_a_signal_interrupts_before_it_is_begun_is_never_done(
        self, store: FileCheckpointStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handed_over = []

        def interrupted(function: Any) -> None:
            handed_over.append(function)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(file._HelperThread, "do", interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.save(KEY, "older")
        store.save(KEY, TEXT)
        for function in handed_over:
            function()()

        assert store.load(KEY) == TEXT

    def test_where_there_are_no_more_threads_the_caller_asks_the_disk(
        self, store: FileCheckpointStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def start(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        await_helpers()
        monkeypatch.setattr(threading.Thread, "start", start)
        store.save(KEY, TEXT)
        assert store.load(KEY) == TEXT
        store.delete(KEY)
        assert store.load(KEY) is None

    def test_what_stands_in_the_way_makes_the_store_unavailable_and_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        store = FileCheckpointStore(tmp_path / "file")

        for call in (lambda: store.load(KEY), lambda: store.save(KEY, TEXT), lambda: store.delete(KEY)):
            with pytest.raises(StoreUnavailable, match=rf"{tmp_path}/file/{KEY}\.json cannot be"):
                call()

    def test_bytes_that_are_no_text_are_no_checkpoint_rather_than_a_crash(
        self, store: FileCheckpointStore, folder: Path
    ) -> None:
        store.save(KEY, TEXT)
        (folder / f"{KEY}.json").write_bytes(b"\xff\xfe")

        assert store.load(KEY) == ""

    def test_the_folder_stays_the_same_when_the_process_goes_elsewhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path)
        store = FileCheckpointStore("relative")
        monkeypatch.chdir(tmp_path / "elsewhere")

        store.save(KEY, TEXT)

        assert (tmp_path / "relative" / f"{KEY}.json").exists()

    @pytest.mark.parametrize("name", [b"\xff.bin", b"a" + "ü".encode() * 127], ids=["no UTF-8", "255 bytes"])
    def test_it_takes_the_checkpoint_of_any_file_name(self, oss: LocalOSS, tmp_path: Path, name: bytes) -> None:
        transfers = Transfers(oss, store=FileCheckpointStore(tmp_path / "checkpoints"))
        oss.put(BUCKET, "key", some_bytes(3 * PART))
        file = tmp_path / os.fsdecode(name)

        transfers.download(file)

        assert file.read_bytes() == some_bytes(3 * PART)

    def test_by_default_it_lies_in_the_users_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        FileCheckpointStore().save(KEY, TEXT)

        assert (tmp_path / ".ossresume" / f"{KEY}.json").exists()


def await_helpers() -> None:
    """Wait until the disk has answered everything, and no thread waits for the next thing to ask."""
    for thread in threading.enumerate():
        if thread.name == "oss-checkpoint":
            thread.join(60)
            assert not thread.is_alive()


# --- no such folder ---------------------------------------------------------------------------------------------------


def test_a_worker_without_a_home_is_told_what_to_set() -> None:
    """As a container has it whose user /etc/passwd does not name, and a service whose environment has no HOME."""
    code = """
        import os
        from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
        from airflow_provider_ossresume.errors import ArgumentError
        from airflow_provider_ossresume.resumable import make_upload_store
        os.setuid(54321)
        for make in (FileCheckpointStore, make_upload_store):
            try:
                make()
            except ArgumentError as error:
                print(error.argument, "set HOME" in str(error))
    """
    env = {name: value for name, value in os.environ.items() if name != "HOME"}

    done = subprocess.run((sys.executable, "-c", dedent(code)), env=env, capture_output=True, text=True)

    assert done.stdout.split() == ["folder", "True"] * 2, done.stderr


@pytest.mark.parametrize("folder", ["~nobodyhere/x", "a\0b", "\ud800"])
def test_a_folder_that_cannot_be_is_refused_by_name(folder: str) -> None:
    with pytest.raises(ArgumentError, match=r"^folder="):
        FileCheckpointStore(folder)


def test_a_relative_folder_needs_a_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with pytest.raises(ArgumentError, match=r"^folder='relative'"):
        FileCheckpointStore("relative")
