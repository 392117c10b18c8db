"""The connection form of Airflow 3, in a real browser: filled in, tested, saved, opened again, used by a DAG run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.get_provider_info import CONN_FIELDS
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.end_to_end.airflow_process import RealAirflow
from tests.world import some_bytes

if not AIRFLOW_3:
    pytest.skip("2.11 has another form: see tests/airflow/test_connection_form.py", allow_module_level=True)

from tests.end_to_end.browser import ConnectionsPage, chromium, missing

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        bool(missing()) and os.environ.get("CI") != "true",  # .ci/run installs them
        reason=f"needs Debian's chromium and chromium-driver; missing: {missing()}",
    ),
]

TOKEN = "an-sts-token-that-nobody-may-see"
RUN_SECONDS = 600


@pytest.fixture(scope="module")
def oss() -> Iterator[LocalOSS]:
    with LocalOSS(buckets=["bucket"], security_token=TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def page(airflow: RealAirflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectionsPage]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield ConnectionsPage(driver, airflow.url)


def values_for(oss: LocalOSS) -> dict[str, str]:
    return {
        "login": oss.access_key_id,
        "password": oss.access_key_secret,
        "port": "443",
        "region": oss.region,
        "bucket": "bucket",
        "endpoint_kind": "custom",
        "endpoint": oss.endpoint,
        "auth_type": "sts",
        "security_token": TOKEN,
        "read_timeout": "7",
    }


def test_a_connection_made_in_the_form_is_tested_kept_masked_and_used_by_a_run(
    page: ConnectionsPage, airflow: RealAirflow, oss: LocalOSS, tmp_path: Path
) -> None:
    values = values_for(oss)
    page.new("from_the_form", values)
    page.save("from_the_form")

    said = page.test("from_the_form")
    assert said.startswith("Test Connection Successful")
    assert f"Endpoint {oss.endpoint}; region {oss.region}; bucket bucket in {oss.region} belongs to account" in said

    shown = page.open("from_the_form")
    defaults = {name: field["schema"].get("default", "") for name, field in CONN_FIELDS.items()}
    assert shown == {**defaults, **values, "password": "***", "security_token": "***"}
    for secret in (oss.access_key_secret, TOKEN):
        assert secret not in page.driver.page_source

    source = tmp_path / "source"
    source.write_bytes(some_bytes(200_000, seed=33))
    conf = {"source": str(source), "target": str(tmp_path / "target"), "key": "by the form", "checkpoint": "auto"}
    airflow.trigger("transfer", run_id="of_the_form", conf={**conf, "oss_conn_id": "from_the_form"})
    assert airflow.wait_for_run("transfer", "of_the_form", timeout=RUN_SECONDS) == "success"
    assert oss.object("bucket", "by the form") == source.read_bytes()


def test_a_connection_that_does_not_work_tells_what_to_do(page: ConnectionsPage, oss: LocalOSS) -> None:
    page.new("bad", {**values_for(oss), "password": "a-wrong-secret"})
    page.save("bad")

    said = page.test("bad")

    assert said.startswith("Test Connection Failed")
    assert "check the Access Key Secret and the region" in said
    assert "a-wrong-secret" not in said


def test_the_test_button_still_needs_a_port(page: ConnectionsPage, oss: LocalOSS) -> None:
    """When this fails, apache/airflow#73298 is mended: the form can hide the port again, and the docs forget it."""
    values = values_for(oss)
    del values["port"]
    page.new("no_port", values)
    page.save("no_port")

    assert page.test("no_port").splitlines() == ["Test Connection Failed", "Bad Request"]
