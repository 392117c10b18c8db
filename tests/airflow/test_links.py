"""The links of a transfer's task to the OSS console, as Airflow's UI gets them, while the task runs and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_ossresume.links.oss import OSSObjectLink, OSSUploadsLink, console_urls
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from tests.world import BUCKET, PART, a_file, some_bytes

OBJECT, UPLOADS = OSSObjectLink.name, OSSUploadsLink.name
NONE = {OBJECT: "", UPLOADS: ""}
PAGE = f"https://oss.console.aliyun.com/bucket/oss-cn-hangzhou/{BUCKET}/object"
CONFIG = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1, "part_retries": 0}
DENIED = Fault("status", status=403, code="AccessDenied")
DIRECTIONS = ("upload", "download", "copy")
OF_A_PART = {"upload": "UploadPart", "download": "GetObject", "copy": "UploadPart"}


@pytest.fixture
def transfer(dag: Any, oss: LocalOSS, tmp_path: Path) -> Callable[..., None]:
    """Adds the task ``transfer`` to the DAG."""

    def add(direction: str = "upload", key: str = "in/2026/a b.bin", **options: Any) -> None:
        given = {"task_id": "transfer", "key": key, "bucket_name": BUCKET, "transfer_config": CONFIG, **options}
        if direction == "upload":
            OSSResumableUploadOperator(file=str(a_file(tmp_path)), dag=dag, **given)
        elif direction == "download":
            oss.put(BUCKET, key, some_bytes(5 * PART))
            OSSResumableDownloadOperator(file=str(tmp_path / "target"), dag=dag, **given)
        else:
            oss.put(BUCKET, "source", some_bytes(5 * PART))
            target, source = given.pop("key"), f"oss://{BUCKET}/source"
            OSSCopyObjectOperator(source=source, target=target, copy_mode="stream", dag=dag, **given)

    return add


def run(dag: Any) -> Any:
    from tests.airflow import runs

    return runs.run(dag)


def links(dag: Any) -> dict[str, str]:
    from tests.airflow import runs

    return {name: url or "" for name, url in runs.links(dag, "transfer").items()}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_links_are_there_while_the_task_runs_and_afterwards(
    dag: Any, transfer: Any, of_alibaba: LocalOSS, direction: str
) -> None:
    transfer(direction)
    during: list[dict[str, str]] = []
    of_alibaba.on_request = lambda request: (
        during.append(links(dag)) if request.operation == OF_A_PART[direction] else None
    )

    assert run(dag).instance("transfer") == ("success", 1)

    expected = {OBJECT: f"{PAGE}?path=in%2F2026%2F", UPLOADS: PAGE}
    assert during == [expected] * 5
    assert links(dag) == expected


def test_a_task_that_failed_has_its_links(dag: Any, transfer: Any, of_alibaba: LocalOSS) -> None:
    transfer(retries=0)
    of_alibaba.fail("UploadPart", nth=2, fault=DENIED)

    assert run(dag).instance("transfer") == ("failed", 1)

    assert links(dag) == {OBJECT: f"{PAGE}?path=in%2F2026%2F", UPLOADS: PAGE}


def test_a_server_that_is_not_alibabas_has_no_console(dag: Any, transfer: Any, connected: LocalOSS) -> None:
    transfer()
    during: list[dict[str, str]] = []

    def look(request: Request) -> None:
        during.append(links(dag))

    connected.on_request = look

    assert run(dag).state == "success"

    assert [each for each in during if each != NONE] == []
    assert links(dag) == NONE


def test_a_transfer_without_links_logs_no_error_of_them(
    dag: Any, transfer: Any, connected: LocalOSS, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    transfer(checkpoint="memory")  # 3.0 and 3.1 log an ERROR for a Variable that is not there

    assert run(dag).state == "success"

    said = capfd.readouterr()
    shown = "\n".join((caplog.text, said.out, said.err))
    assert "XCom not found" not in shown
    assert [line for line in shown.splitlines() if "error" in line.lower()[:60]] == []


def test_a_transfer_that_fails_before_its_links_are_known_has_none(
    dag: Any, transfer: Any, connected: LocalOSS, capfd: pytest.CaptureFixture[str]
) -> None:
    transfer(bucket_name="Bad_Bucket", retries=0)

    assert run(dag).state == "failed"

    assert "XCom not found" not in capfd.readouterr().out
    assert links(dag) == NONE


def test_the_console_may_be_another_one(
    dag: Any, transfer: Any, of_alibaba: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OSSRESUME__CONSOLE_URL", "https://oss.console.alibabacloud.com/")
    transfer()

    assert run(dag).state == "success"

    assert links(dag)[UPLOADS] == f"https://oss.console.alibabacloud.com/bucket/oss-cn-hangzhou/{BUCKET}/object"


# --- the addresses ----------------------------------------------------------------------------------------------------


def urls(key: str = "key", *, host: str = "oss-cn-hangzhou.aliyuncs.com", region: str | None = "cn-hangzhou") -> Any:
    return console_urls(ObjectRef(BUCKET, key), host=host, region=region)


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("key", ""),
        ("a/b/c.csv", "a/b/"),
        ("a/b/", "a/b/"),
        ("a b&c=d/ü#?/x", "a b&c=d/ü#?/"),
        ("50%/2F%2F/x", "50%/2F%2F/"),
        ("a//../x", "a//../"),
    ],
)
def test_any_key_leads_to_its_folder(key: str, folder: str) -> None:
    url = urlsplit(urls(key)[OSSObjectLink.xcom_key])

    assert parse_qs(url.query, keep_blank_values=True, strict_parsing=True) == {"path": [folder]}
    assert (url.path, url.fragment) == (f"/bucket/oss-cn-hangzhou/{BUCKET}/object", "")


@pytest.mark.parametrize(
    "host",
    [
        "oss-cn-hangzhou.aliyuncs.com",
        "oss-cn-hangzhou-internal.aliyuncs.com",
        "oss-accelerate.aliyuncs.com",
        "cn-hangzhou.oss.aliyuncs.com",
        "oss-cn-hangzhou.aliyuncs.com:443",
    ],
)
def test_each_of_alibabas_endpoints_has_the_console(host: str) -> None:
    assert urls(host=host)[OSSUploadsLink.xcom_key] == PAGE


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("127.0.0.1:9000", "cn-hangzhou"),
        ("oss.my-company.example", "cn-hangzhou"),
        ("aliyuncs.com.evil.example", "cn-hangzhou"),
        ("evil-aliyuncs.com", "cn-hangzhou"),
        ("oss-accelerate.aliyuncs.com", None),
        ("oss-accelerate.aliyuncs.com", ""),
    ],
)
def test_elsewhere_and_without_a_region_there_is_none(host: str, region: str | None) -> None:
    assert urls(host=host, region=region) == {}
