"""The bucket in the host name, as on OSS, and in the path, as the SDKs do with an IP address."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import requests.adapters

from airflow_provider_ossresume.local_oss import LocalOSS

from .judge import PART, Access, Judge
from .judge_ali_oss import AliOss
from .judge_oss2 import Oss2
from .judge_oss_v2 import OssV2
from .seats import BUCKET, SEATS, Seat

KEY = "a b+c%2F//文件 🚀.csv"
DATA = random.Random(80).randbytes(PART + 1)


class ToLoopback(requests.adapters.HTTPAdapter):
    """Sends every request to the local server, whatever its URL says, and keeps the Host that it says."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._endpoint = endpoint

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        assert request.url
        url = urlsplit(request.url)
        request.headers["Host"] = url.netloc
        request.url = self._endpoint + request.url.removeprefix(f"{url.scheme}://{url.netloc}")
        return super().send(request, **{**kwargs, "proxies": {}})


@pytest.fixture(params=SEATS, ids=str)
def virtual_host_judge(request: pytest.FixtureRequest, access: Access) -> Iterator[Judge]:
    """A judge that asks ``BUCKET.oss-cn-hangzhou.aliyuncs.com``; the bytes go to the local server."""
    seat: Seat = request.param
    public = replace(access, endpoint="http://oss-cn-hangzhou.aliyuncs.com")
    judge: Judge
    if seat.sdk is AliOss:
        # To an IP address ali-oss sends the public Host by itself, and then has no bucket in the path.
        process = request.getfixturevalue("ali_oss_process")
        judge = AliOss(access, signature=seat.signature, process=process, path_style=False)
    else:
        judge = seat.sdk(public, signature=seat.signature, adapter=ToLoopback(access.endpoint))
    yield judge
    judge.close()


def test_the_bucket_may_stand_in_the_host_name(virtual_host_judge: Judge, oss: LocalOSS) -> None:
    judge = virtual_host_judge

    judge.put(KEY, DATA)
    upload_id = judge.initiate("parts")
    parts = [judge.upload_part("parts", upload_id, number, DATA) for number in (1, 2)]
    judge.complete("parts", upload_id, parts)

    assert oss.object(BUCKET, KEY) == judge.get(KEY).body == DATA
    assert oss.object(BUCKET, "parts") == DATA + DATA
    assert judge.list_objects().keys == [KEY, "parts"]
    assert judge.delete_many([KEY]) == [KEY]


def test_a_key_may_begin_with_the_name_of_the_bucket(virtual_host_judge: Judge, oss: LocalOSS) -> None:
    key = f"{BUCKET}/key"

    virtual_host_judge.put(key, DATA)

    assert list(oss.objects(BUCKET)) == [key]


@pytest.mark.parametrize("host", ["oss-cn-hangzhou.aliyuncs.com", "localhost:8080", "local.test"])
@pytest.mark.parametrize("sdk", [Oss2, OssV2], ids=lambda sdk: sdk.name)
def test_a_signed_url_with_the_bucket_in_the_host_name_is_good(
    sdk: type[Oss2] | type[OssV2], access: Access, oss: LocalOSS, host: str
) -> None:
    oss.put(BUCKET, KEY, DATA)
    judge = sdk(replace(access, endpoint=f"http://{host}"), signature="v4")

    with requests.Session() as browser:
        browser.mount("http://", ToLoopback(access.endpoint))
        signed = judge.presign("GET", KEY, seconds=60)
        answer = browser.get(signed.url)

    assert (answer.status_code, answer.content) == (200, DATA)
    judge.close()
