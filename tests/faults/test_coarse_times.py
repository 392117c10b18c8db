"""Where time stamps are whole seconds, a file that is written twice in one second is not taken for unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.set_transfers import SetTransfers
from tests.faults.odd_mount import odd_mount
from tests.moving_world import PREFIX
from tests.world import BUCKET, PART, a_client

PREFIX_REF = PrefixRef(BUCKET, PREFIX)
ATTEMPTS = 20  # until both writes fall into one second


@pytest.mark.parametrize("way", ["upload", "download"])
@pytest.mark.parametrize("size", [1_000, 3 * PART])
def test_a_second_write_within_the_second_is_noticed(oss: LocalOSS, tmp_path: Path, size: int, way: str) -> None:
    with odd_mount(tmp_path / "odd", step=10**9) as mount:
        folder = LocalFolder(mount)
        ends = (folder, PREFIX_REF) if way == "upload" else (PREFIX_REF, folder)
        sets = SetTransfers(a_client(oss))
        for attempt in range(ATTEMPTS):
            path, work = mount / f"{attempt}", str(tmp_path / f"work-{attempt}")
            only = SetOptions(include=[path.name])
            if way == "upload":
                path.write_bytes(b"1" * size)
            else:
                oss.put(BUCKET, PREFIX + path.name, b"1" * size)
            sets.transfer(*ends, options=only, work_folder=work)
            moved = path.stat()
            path.write_bytes(b"2" * size)
            written = path.stat()
            if (moved.st_mtime_ns, moved.st_ctime_ns) == (written.st_mtime_ns, written.st_ctime_ns):
                break
        else:
            pytest.fail("no two writes fell into one second")
        assert sets.plan(*ends, options=only, work_folder=work).header.actions["put"] == 1
