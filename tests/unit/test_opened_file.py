"""What is sent of an open file is of one content, or refused before the last of it is sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import LocalFileError, SourceChanged
from airflow_provider_ossresume.model.crc64 import crc64
from airflow_provider_ossresume.model.entries import is_lasting
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.sets.movers.opened_file import OpenedFile
from airflow_provider_ossresume.transfer.stop import Stop
from tests.world import a_file, some_bytes

SIZE = 700_000
WHOLE = Part(1, 0, SIZE)


def opened(path: Path) -> OpenedFile:
    return OpenedFile(os.open(path, os.O_RDONLY), str(path))


def rewrite_in_secret(path: Path) -> None:
    found = path.stat()
    path.write_bytes(some_bytes(SIZE, seed=2))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": lambda path: path.write_bytes(some_bytes(SIZE, seed=2)),
    "grown": lambda path: path.write_bytes(some_bytes(SIZE + 1)),
    "rewritten, and the mtime set back": rewrite_in_secret,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_while_it_is_read_is_noticed_before_its_last_piece_is_sent(tmp_path: Path, change: str) -> None:
    path = a_file(tmp_path, size=SIZE)
    with opened(path) as file:
        pieces = file.read(WHOLE, Stop())
        crc = crc64(next(pieces))
        CHANGES[change](path)
        for piece in pieces:
            crc = crc64(piece, crc)
        with pytest.raises(SourceChanged):
            file.check_sent(WHOLE, Stop(), crc64=crc)


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = a_file(tmp_path, size=SIZE)
    with opened(path) as file:
        pieces = file.read(WHOLE, Stop())
        next(pieces)
        os.truncate(path, 300_000)
        with pytest.raises(SourceChanged, match="ended at byte 300000"):
            list(pieces)


def test_a_new_hard_link_or_mode_is_no_change_of_its_bytes(tmp_path: Path) -> None:
    path = a_file(tmp_path, size=SIZE)
    with opened(path) as file:
        crc = file.crc64(WHOLE, Stop())
        os.link(path, tmp_path / "link")
        path.chmod(0o600)
        file.check_sent(WHOLE, Stop(), crc64=crc)
        found = path.stat()
        assert file.identity == f"f:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"


def test_a_file_that_says_it_is_empty_and_is_not_is_refused() -> None:
    with pytest.raises(LocalFileError, match="its reported size is 0") as refused:
        opened(Path("/proc/self/status"))
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("mtime", "ctime", "now", "lasts"),
    [
        (10**9, 10**9, 10**9 + 5, False),
        (10**9, 10**9, 3 * 10**9, False),
        (10**9, 10**9, 3 * 10**9 + 1, True),
        (10**9, 9 * 10**9, 9 * 10**9, False),  # its mtime was set back
        (10**9 + 1, 10**9, 10**9 + 5, True),  # the stamps are fine
        (10**9, 10**9 + 1, 10**9 + 5, True),
    ],
)
def test_coarse_time_stamps_tell_of_a_change_after_some_seconds(mtime: int, ctime: int, now: int, lasts: bool) -> None:
    assert is_lasting(mtime_ns=mtime, ctime_ns=ctime, now_ns=now) == lasts


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="not a regular file"):
        opened(tmp_path)
