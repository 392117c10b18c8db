"""A mirror into a folder that does not tell upper from lower case deletes nothing that it has moved."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.set_transfers import SetTransfers
from tests.faults.odd_mount import odd_mount
from tests.moving_world import PREFIX, read
from tests.world import BUCKET, a_client


def test_a_mirror_keeps_a_file_that_has_an_objects_name_in_another_case(oss: LocalOSS, tmp_path: Path) -> None:
    options = SetOptions(mode="mirror", max_delete_share=1)
    oss.put(BUCKET, f"{PREFIX}Report", b"new")
    with odd_mount(tmp_path / "odd", folds=True) as mount:
        (mount / "report").write_bytes(b"old")
        (mount / "surplus").write_bytes(b"")
        for deleted in (1, 0, 0):
            verdict = SetTransfers(a_client(oss)).transfer(
                PrefixRef(BUCKET, PREFIX), LocalFolder(mount), options=options, work_folder=str(tmp_path / "work")
            )
            assert (verdict.outcome, verdict.deleted, verdict.kept) == ("proven", deleted, 0)
            assert read(mount) == {"report": b"new"}
