"""A download meets a file where it needs a folder, or a folder where it needs a file: each is a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import NotProven
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.sets.batch.run_batch import SMALL_SIZE
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.set_transfers import SetTransfers
from tests.moving_world import PREFIX, read, write
from tests.world import BUCKET, a_client

MODES = pytest.mark.parametrize("mode", ["copy", "mirror"])
LARGE = bytes(SMALL_SIZE)  # it goes part by part


class Downloads:
    def __init__(self, oss: LocalOSS, tmp_path: Path, mode: str) -> None:
        self.folder = tmp_path / "target"
        self._oss = oss
        self._work = str(tmp_path / "work")
        self._options = SetOptions(mode=mode, max_delete_share=1)

    def run(self) -> Verdict:
        return SetTransfers(a_client(self._oss)).transfer(
            PrefixRef(BUCKET, PREFIX), LocalFolder(self.folder), options=self._options, work_folder=self._work
        )

    def failure(self) -> tuple[str, str]:
        """The only file that is not proven, and why."""
        with pytest.raises(NotProven) as raised:
            self.run()
        assert not raised.value.retryable
        [(name, reason)] = raised.value.failures.items()
        return name, reason


@MODES
@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
def test_a_file_where_a_folder_is_needed_is_named_and_kept(
    oss: LocalOSS, tmp_path: Path, mode: str, data: bytes
) -> None:
    downloads = Downloads(oss, tmp_path, mode)
    write(downloads.folder, {"a": b"mine", "surplus": b"2"})
    oss.put(BUCKET, f"{PREFIX}a/b", data)
    oss.put(BUCKET, f"{PREFIX}c", b"3")

    name, reason = downloads.failure()

    assert name == "a/b"
    assert "the folder of" in reason
    assert "a is a symbolic link or a file, not a folder; move it away" in reason
    assert read(downloads.folder) == {"a": b"mine", "surplus": b"2", "c": b"3"}

    (downloads.folder / "a").rename(tmp_path / "away")
    assert downloads.run().outcome == "proven"
    assert read(downloads.folder) == {"a/b": data, "c": b"3"} | ({"surplus": b"2"} if mode == "copy" else {})


@MODES
@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("contents", [{}, {"a/mine": b"1"}], ids=["empty", "not empty"])
def test_a_folder_where_a_file_is_needed_is_named_and_kept(
    oss: LocalOSS, tmp_path: Path, mode: str, data: bytes, contents: dict[str, bytes]
) -> None:
    downloads = Downloads(oss, tmp_path, mode)
    (downloads.folder / "a").mkdir(parents=True)
    write(downloads.folder, {**contents, "surplus": b"2"})
    oss.put(BUCKET, f"{PREFIX}a", data)
    oss.put(BUCKET, f"{PREFIX}c", b"3")

    name, reason = downloads.failure()

    assert name == "a"
    assert reason.endswith("target/a is a folder, and the transfer needs to write a file there; move it away")
    assert read(downloads.folder) == {**contents, "surplus": b"2", "c": b"3"}

    (downloads.folder / "a").rename(tmp_path / "away")
    assert downloads.run().outcome == "proven"
    assert read(downloads.folder) == {"a": data, "c": b"3"} | ({"surplus": b"2"} if mode == "copy" else {})
