"""The SDKs' own transfers, interrupted by the server and resumed: the bytes are equal in the end."""

from __future__ import annotations

import random
from pathlib import Path

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS

from .judge import PART, Access
from .judge_ali_oss import AliOss, AliOssProcess
from .seats import BUCKET

PARTS = 12
DATA = random.Random(12).randbytes((PARTS - 1) * PART + 4321)

A_LOST_ANSWER = Fault("answer-lost")
INTERRUPTIONS = {
    "a 500": Fault("status"),
    "a reset in the part": Fault("reset-request", after_bytes=50_000),
    "a lost answer": A_LOST_ANSWER,
}

every_interruption = pytest.mark.parametrize("fault", INTERRUPTIONS.values(), ids=INTERRUPTIONS)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source.bin"
    file.write_bytes(DATA)
    return file


class Ledger:
    """Counts what the server was asked since it was made."""

    def __init__(self, oss: LocalOSS) -> None:
        self._oss = oss
        self._before = len(oss.requests)

    def __call__(self, operation: str) -> int:
        return sum(request.operation == operation for request in self._oss.requests[self._before :])


@every_interruption
def test_oss2_resumes_an_upload(bucket: oss2.Bucket, oss: LocalOSS, source: Path, tmp_path: Path, fault: Fault) -> None:
    def upload() -> None:
        store = oss2.ResumableStore(root=str(tmp_path / "records"))
        oss2.resumable_upload(
            bucket, "key", str(source), store=store, multipart_threshold=PART, part_size=PART, num_threads=3
        )

    oss.fail("UploadPart", nth=5, fault=fault)
    with pytest.raises((oss2.exceptions.ServerError, oss2.exceptions.RequestError)):
        upload()
    second = Ledger(oss)
    upload()

    assert oss.object(BUCKET, "key") == DATA
    assert second("InitiateMultipartUpload") == 0
    assert second("UploadPart") == (0 if fault is A_LOST_ANSWER else 1)  # oss2 believes ListParts
    assert not oss.uploads(BUCKET)


def test_oss2_resumes_a_download(bucket: oss2.Bucket, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "key", DATA)
    target = tmp_path / "target.bin"

    def download() -> None:
        store = oss2.ResumableDownloadStore(root=str(tmp_path / "records"))
        oss2.resumable_download(
            bucket, "key", str(target), store=store, multiget_threshold=PART, part_size=PART, num_threads=3
        )

    oss.fail("GetObject", nth=8, fault=Fault("status"))
    with pytest.raises(oss2.exceptions.ServerError):
        download()
    second = Ledger(oss)
    download()

    assert target.read_bytes() == DATA
    assert 0 < second("GetObject") < PARTS


@every_interruption
def test_oss_v2_resumes_an_upload(
    client: oss_v2.Client, oss: LocalOSS, source: Path, tmp_path: Path, fault: Fault
) -> None:
    uploader = client.uploader(part_size=PART, parallel_num=3, enable_checkpoint=True, checkpoint_dir=f"{tmp_path}/")

    def upload() -> None:
        uploader.upload_file(oss_v2.PutObjectRequest(bucket=BUCKET, key="key"), str(source))

    oss.fail("UploadPart", nth=8, fault=fault)
    with pytest.raises(oss_v2.UploadError):
        upload()
    second = Ledger(oss)
    upload()

    assert oss.object(BUCKET, "key") == DATA
    assert second("InitiateMultipartUpload") == 0
    assert 0 < second("UploadPart") < PARTS
    assert not oss.uploads(BUCKET)


def test_oss_v2_resumes_a_download(client: oss_v2.Client, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "key", DATA)
    target = tmp_path / "target.bin"
    downloader = client.downloader(
        part_size=PART,
        parallel_num=3,
        use_temp_file=True,
        enable_checkpoint=True,
        checkpoint_dir=f"{tmp_path}/",
        verify_data=True,
    )

    def download() -> None:
        downloader.download_file(oss_v2.GetObjectRequest(bucket=BUCKET, key="key"), str(target))

    oss.fail("GetObject", nth=8, fault=Fault("status"))
    with pytest.raises(oss_v2.DownloadError):
        download()
    second = Ledger(oss)
    download()

    assert target.read_bytes() == DATA
    assert 0 < second("GetObject") < PARTS


def test_oss_v2_copies_an_object_by_parts(client: oss_v2.Client, oss: LocalOSS) -> None:
    oss.put(BUCKET, "source", DATA)
    ledger = Ledger(oss)

    client.copier(part_size=PART, parallel_num=3, multipart_copy_threshold=PART, disable_shallow_copy=True).copy(
        oss_v2.CopyObjectRequest(bucket=BUCKET, key="key", source_bucket=BUCKET, source_key="source")
    )

    assert oss.object(BUCKET, "key") == DATA
    assert ledger("UploadPartCopy") == PARTS


@pytest.mark.parametrize("signature", ["v4", "v1"])
@every_interruption
def test_ali_oss_resumes_an_upload(
    access: Access, oss: LocalOSS, source: Path, ali_oss_process: AliOssProcess, signature: str, fault: Fault
) -> None:
    judge = AliOss(access, signature=signature, process=ali_oss_process)

    oss.fail("UploadPart", nth=8, fault=fault)
    checkpoint, refused = judge.multipart_upload("key", source, part_size=PART, parallel=3)
    assert refused is not None
    assert 0 < len(checkpoint["doneParts"]) < PARTS
    second = Ledger(oss)
    _, refused = judge.multipart_upload("key", source, part_size=PART, parallel=3, checkpoint=checkpoint)

    assert refused is None
    assert oss.object(BUCKET, "key") == DATA
    assert second("InitiateMultipartUpload") == 0
    assert 0 < second("UploadPart") < PARTS
    assert not oss.uploads(BUCKET)
