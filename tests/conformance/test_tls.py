"""The server with TLS: clients that verify its certificate, and those that know nothing of it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import alibabacloud_oss_v2
import oss2
import pytest

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from tests.world import BytesBody, Transfers, a_client, a_file

from .judge import PART, Access, Judge
from .judge_ali_oss import AliOss, AliOssProcess
from .judge_oss2 import Oss2
from .judge_oss_v2 import OssV2
from .seats import BUCKET

DATA = random.Random(64).randbytes(3 * PART + 1)


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[LocalOSS]:
    with LocalOSS(root=tmp_path / "oss", buckets=(BUCKET, "bucket"), tls=True) as oss:
        yield oss


@pytest.fixture
def bundle(oss: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every client of this test, and of processes that it starts, know the certificate."""
    for variable in ("REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.setenv(variable, str(oss.ca_file))


def judged(judge: Judge, oss: LocalOSS) -> None:
    judge.put("key", DATA)
    assert judge.get("key").body == DATA
    assert judge.get("key", headers={"Range": "bytes=7-99"}).body == DATA[7:100]
    upload_id = judge.initiate("parts")
    parts = [judge.upload_part("parts", upload_id, number, DATA[:PART]) for number in (1, 2)]
    judge.complete("parts", upload_id, parts)
    assert oss.object(BUCKET, "parts") == DATA[:PART] * 2
    judge.close()


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("signature", ["v4", "v1"])
@pytest.mark.parametrize("sdk", [Oss2, OssV2])
def test_the_python_sdks_verify_the_certificate(
    access: Access, oss: LocalOSS, sdk: type[Oss2] | type[OssV2], signature: str
) -> None:
    judged(sdk(access, signature=signature), oss)


@pytest.mark.usefixtures("bundle", "ali_oss_process")  # the latter skips where there is no node
def test_ali_oss_verifies_the_certificate(access: Access, oss: LocalOSS) -> None:
    process = AliOssProcess()
    try:
        judged(AliOss(access, signature="v4", process=process), oss)
    finally:
        process.close()


def test_our_client_verifies_the_certificate(oss: LocalOSS, tmp_path: Path) -> None:
    transfers = Transfers(oss)
    transfers.client = a_client(oss, verify_tls=str(oss.ca_file))

    transfers.upload(a_file(tmp_path, size=len(DATA)), "key")
    transfers.download(tmp_path / "back", "key")

    assert (tmp_path / "back").read_bytes() == oss.object("bucket", "key")


def test_nobody_trusts_it_without_the_bundle(access: Access, oss: LocalOSS) -> None:
    with pytest.raises(oss2.exceptions.RequestError, match="CERTIFICATE_VERIFY_FAILED"):
        Oss2(access, signature="v4").head("key")
    with pytest.raises(alibabacloud_oss_v2.exceptions.OperationError, match="CERTIFICATE_VERIFY_FAILED"):
        OssV2(access, signature="v4").head("key")
    with pytest.raises(OSSResumeError, match=r"(?i)certificate"):
        a_client(oss).put_object(ObjectRef(BUCKET, "key"), BytesBody(DATA), headers={})

    assert oss.requests == []


@pytest.mark.usefixtures("bundle")
def test_the_name_localhost_is_in_the_certificate(access: Access, oss: LocalOSS) -> None:
    named = dataclasses.replace(access, endpoint=oss.endpoint.replace("127.0.0.1", "localhost"))

    with pytest.raises(oss2.exceptions.NoSuchKey):
        oss2.Bucket(
            oss2.AuthV4(named.access_key_id, named.access_key_secret),
            named.endpoint, BUCKET, region=named.region, is_path_style=True,
        ).get_object("absent")  # fmt: skip
