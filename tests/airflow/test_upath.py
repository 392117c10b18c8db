"""``oss://`` paths of plain universal-pathlib: with each version of it that an Airflow pins."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from upath import UPath

from airflow_provider_ossresume.filesystem import upath
from airflow_provider_ossresume.filesystem.upath import OSSPath
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.world import BUCKET

IS_OLD = version("universal-pathlib").startswith("0.2.")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("oss://bucket/a/b", "bucket/a/b"),
        ("oss://bucket", "bucket/"),
        ("oss://bucket/", "bucket/"),
    ],
)
def test_a_path_is_bucket_and_key_and_shown_as_its_url(url: str, path: str) -> None:
    found = UPath(url)

    assert isinstance(found, OSSPath)
    assert found.path == path
    assert str(found) == f"oss://{path}"


def test_paths_are_joined_and_taken_apart() -> None:
    path = UPath("oss://bucket/a") / "b.tar.gz"

    assert (path.path, path.name, path.stem, path.suffix) == ("bucket/a/b.tar.gz", "b.tar.gz", "b.tar", ".gz")
    assert path.parent.path == "bucket/a"
    assert path.parent.parent.path == "bucket/"
    assert path.with_name("c").path == "bucket/a/c"
    assert path.with_suffix(".zip").path == "bucket/a/b.tar.zip"


@pytest.mark.skipif(IS_OLD, reason="universal-pathlib 0.2 has its own rules for these")
def test_a_bucket_is_its_paths_anchor_and_a_key_may_hold_empty_names() -> None:
    path = UPath("oss://bucket/a//b")

    assert path.path == "bucket/a//b"
    assert (path.drive, path.anchor) == ("bucket", "bucket/")
    assert UPath("oss://bucket/a").parts == ("bucket/", "a")
    assert UPath("oss://bucket").parent.path == "bucket/"


def test_it_reads_and_writes_with_the_workers_own_settings(oss: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSS_REGION", oss.region)
    monkeypatch.setenv("OSS_ENDPOINT", oss.endpoint)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", oss.access_key_id)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", oss.access_key_secret)
    path = UPath(f"oss://{BUCKET}/a") / "b"

    path.write_bytes(b"bytes")

    assert oss.object(BUCKET, "a/b") == path.read_bytes() == b"bytes"
    assert [each.path for each in path.parent.iterdir()] == [f"{BUCKET}/a/b"]


def test_no_private_module_of_universal_pathlib_is_imported() -> None:
    assert "upath._" not in Path(upath.__file__).read_text()
