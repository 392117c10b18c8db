"""The SDKs' own CRC-64 checks, at their default settings, against answers that are wrong on purpose."""

from __future__ import annotations

import random
from pathlib import Path

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS

from .judge import PART
from .seats import BUCKET

DATA = random.Random(64).randbytes(2 * PART)


@pytest.mark.parametrize("kind", ["wrong-crc", "flip"])
def test_oss2_notices_damage_on_the_way_up(bucket: oss2.Bucket, oss: LocalOSS, kind: str) -> None:
    oss.fail("PutObject", fault=Fault(kind))

    with pytest.raises(oss2.exceptions.InconsistentError):
        bucket.put_object("key", DATA)


@pytest.mark.parametrize("kind", ["wrong-crc", "flip"])
def test_oss_v2_notices_damage_on_the_way_up(client: oss_v2.Client, oss: LocalOSS, kind: str) -> None:
    oss.fail("PutObject", fault=Fault(kind))

    with pytest.raises(oss_v2.exceptions.OperationError, match="crc is inconsistent"):
        client.put_object(oss_v2.PutObjectRequest(bucket=BUCKET, key="key", body=DATA))


@pytest.mark.parametrize("kind", ["wrong-crc", "flip"])
def test_oss2_notices_damage_on_the_way_down(bucket: oss2.Bucket, oss: LocalOSS, tmp_path: Path, kind: str) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.fail("GetObject", fault=Fault(kind))

    with pytest.raises(oss2.exceptions.InconsistentError):
        bucket.get_object_to_file("key", str(tmp_path / "target"))


@pytest.mark.parametrize(("operation", "kind"), [("HeadObject", "wrong-crc"), ("GetObject", "flip")])
def test_oss_v2_notices_damage_on_the_way_down(
    client: oss_v2.Client, oss: LocalOSS, tmp_path: Path, operation: str, kind: str
) -> None:
    oss.put(BUCKET, "key", DATA)
    oss.fail(operation, fault=Fault(kind))

    with pytest.raises(oss_v2.DownloadError, match="crc is inconsistent"):
        client.downloader(part_size=PART).download_file(
            oss_v2.GetObjectRequest(bucket=BUCKET, key="key"), str(tmp_path / "target")
        )


def test_both_python_sdks_combine_the_parts_to_the_objects_crc64(
    bucket: oss2.Bucket, client: oss_v2.Client, oss: LocalOSS, tmp_path: Path
) -> None:
    """Right, they are content; with a wrong CRC-64 on Complete they raise: so they did compare."""
    file = tmp_path / "source"
    file.write_bytes(DATA)

    def first() -> None:
        store = oss2.ResumableStore(root=str(tmp_path / "records"))
        oss2.resumable_upload(bucket, "first", str(file), store=store, multipart_threshold=PART, part_size=PART)

    def second() -> None:
        client.uploader(part_size=PART).upload_file(oss_v2.PutObjectRequest(bucket=BUCKET, key="second"), str(file))

    first()
    second()
    assert oss.object(BUCKET, "first") == oss.object(BUCKET, "second") == DATA

    oss.fail("CompleteMultipartUpload", nth=1, times=2, fault=Fault("wrong-crc"))
    with pytest.raises(oss2.exceptions.InconsistentError):
        first()
    with pytest.raises(oss_v2.UploadError, match="crc is inconsistent"):
        second()
