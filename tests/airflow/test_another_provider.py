"""Another provider registers ``oss://``: Airflow warns and takes one of the two, and nothing of ours is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.airflow.other_provider import install_provider
from tests.world import BUCKET

ASK = f"""
import json, sys
from pathlib import Path
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator

path = ObjectStoragePath("oss://oss_default@{BUCKET}/by-a-path")
path.write_bytes(b"1")
OSSFileSystem(oss_conn_id="oss_default").pipe_file("{BUCKET}/by-our-filesystem", b"2")
source, target = Path(sys.argv[1]), Path(sys.argv[2])
OSSResumableUploadOperator(
    task_id="up", file=str(source), key="oss://{BUCKET}/by-our-operator", checkpoint="memory"
).execute({{}})
OSSResumableDownloadOperator(
    task_id="down", file=str(target), key="oss://{BUCKET}/by-our-operator", checkpoint="memory"
).execute({{}})
there = OSSResumeHook().object_exists("by-our-operator", "{BUCKET}")
kind = type(path.fs)
print(json.dumps({{"filesystem": f"{{kind.__module__}}.{{kind.__name__}}", "there": there}}))
"""


def asked_beside(package: str | None, oss: LocalOSS, folder: Path) -> tuple[dict[str, Any], str]:
    """Return what a process with that provider says, and its log."""
    site = folder / "site"
    if package:
        install_provider(site, package)
    (folder / "source").write_bytes(b"3")
    done = subprocess.run(
        (sys.executable, "-c", ASK, str(folder / "source"), str(folder / "target")),
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(site), *filter(None, sys.path))),
            "AIRFLOW_CONN_OSS_DEFAULT": oss.airflow_connection(),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("package", "filesystem"),
    [
        (None, "airflow_provider_ossresume.filesystem.file_system.OSSFileSystem"),
        ("a_provider_before_ours", "airflow_provider_ossresume.filesystem.file_system.OSSFileSystem"),
        ("the_provider_after_ours", "the_provider_after_ours.fs.AnotherFileSystem"),
    ],
)
def test_of_two_providers_the_one_whose_modules_name_sorts_last_has_the_paths(
    package: str | None, filesystem: str, oss: LocalOSS, tmp_path: Path
) -> None:
    answer, log = asked_beside(package, oss, tmp_path)

    assert answer == {"filesystem": filesystem, "there": True}
    ours = {"by-our-filesystem", "by-our-operator"}
    assert set(oss.objects(BUCKET)) == (ours if "after" in str(package) else {*ours, "by-a-path"})
    assert (tmp_path / "target").read_bytes() == b"3"
    last = filesystem.rpartition(".")[0].replace(".file_system", ".oss")
    assert (f"Overriding scheme oss for {last}" in log) == (package is not None)
