"""The official SDKs move files through the local OSS server; tests/conformance has the rest of what they do."""

from __future__ import annotations

import os
from pathlib import Path

import alibabacloud_oss_v2
import oss2
import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS

pytest_plugins = ["airflow_provider_ossresume.local_oss.fixtures"]

PART = 100 * 1024
KEY = "dir/a b+中文😀.bin"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(5 * PART + 1))
    return path


@pytest.mark.parametrize("auth", [oss2.AuthV4, oss2.Auth])
def test_oss2_resumes(local_oss: LocalOSS, source: Path, tmp_path: Path, auth: type[oss2.Auth]) -> None:
    credentials = auth(local_oss.access_key_id, local_oss.access_key_secret)
    bucket = oss2.Bucket(credentials, local_oss.endpoint, "bucket", region=local_oss.region)
    records = {"store": oss2.ResumableStore(root=str(tmp_path)), "num_threads": 2, "part_size": PART}
    local_oss.fail("UploadPart", nth=4)
    with pytest.raises(oss2.exceptions.ServerError):
        oss2.resumable_upload(bucket, KEY, str(source), multipart_threshold=1, **records)
    oss2.resumable_upload(bucket, KEY, str(source), multipart_threshold=1, **records)
    assert len(local_oss.calls("InitiateMultipartUpload")) == 1
    assert local_oss.object("bucket", KEY) == source.read_bytes()
    records["store"] = oss2.ResumableDownloadStore(root=str(tmp_path))
    target = tmp_path / "target"
    oss2.resumable_download(bucket, KEY, str(target), multiget_threshold=1, **records)
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("signature", ["v4", "v1"])
def test_oss_v2_transfers(local_oss: LocalOSS, source: Path, tmp_path: Path, signature: str) -> None:
    config = alibabacloud_oss_v2.config.load_default()
    config.credentials_provider = alibabacloud_oss_v2.credentials.StaticCredentialsProvider(
        local_oss.access_key_id, local_oss.access_key_secret
    )
    config.region, config.endpoint, config.signature_version = local_oss.region, local_oss.endpoint, signature
    client = alibabacloud_oss_v2.Client(config)
    local_oss.fail("UploadPart", nth=2, fault=Fault("status", status=503, code="ServiceUnavailable"))
    local_oss.fail("GetObject", nth=2, fault=Fault("truncated", after_bytes=1000))

    put = alibabacloud_oss_v2.PutObjectRequest(bucket="bucket", key=KEY)
    alibabacloud_oss_v2.Uploader(client).upload_file(put, str(source), part_size=PART)
    assert local_oss.object("bucket", KEY) == source.read_bytes()

    target = tmp_path / "target"
    get = alibabacloud_oss_v2.GetObjectRequest(bucket="bucket", key=KEY)
    alibabacloud_oss_v2.Downloader(client).download_file(get, str(target), part_size=PART)
    assert target.read_bytes() == source.read_bytes()
