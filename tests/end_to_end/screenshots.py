"""``python -m tests.end_to_end.screenshots``: take the pictures of the connection form that docs/connection.md shows.

Starts an Airflow 3, the local OSS server and a headless Chromium, in about half a minute.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait

from airflow_provider_ossresume.local_oss import LocalOSS
from tests.end_to_end.airflow_process import RealAirflow
from tests.end_to_end.browser import WAIT_SECONDS, ConnectionsPage, chromium

STATIC = Path(__file__).parents[2] / "docs" / "_static"
WIDTH = 1000
# Some of Airflow's animations have no end; they are not seen.
NOTHING_MOVES = """return document.getAnimations().every(
    each => each.playState !== "running" || each.effect.getComputedTiming().endTime === Infinity)"""
EXAMPLE = Path(__file__).parent / "dags" / "transfer.py"
KEY = {"login": "LTAI5tExampleKeyID", "password": "an-example-secret", "port": "443"}
PLACE = {"region": "cn-hangzhou", "bucket": "my-bucket"}


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ossresume-screenshots-") as folder,
        LocalOSS(buckets=[PLACE["bucket"]], port=4000) as oss,
        RealAirflow(
            Path(folder) / "airflow",
            dags=[EXAMPLE],
            env={"AIRFLOW__CORE__TEST_CONNECTION": "Enabled"},
            ui=True,
            tell=print,
        ) as airflow,
        chromium(Path(folder) / "profile", width=WIDTH) as driver,
    ):
        page = ConnectionsPage(driver, airflow.url)
        page.new("oss_default", KEY)
        take(driver, "connection-key.png", height=900)
        page.new("oss_default", {**KEY, **PLACE})
        take(driver, "connection-form.png", height=1500)
        key = {"login": oss.access_key_id, "password": oss.access_key_secret, "port": "443"}
        page.new("oss_default", {**key, **PLACE, "endpoint_kind": "custom", "endpoint": oss.endpoint})
        page.save("oss_default")
        page.test("oss_default")
        take(driver, "connection-test.png", height=450)


def take(driver: WebDriver, name: str, *, height: int) -> None:
    driver.set_window_size(WIDTH, height)
    WebDriverWait(driver, WAIT_SECONDS).until(lambda _: driver.execute_script(NOTHING_MOVES))
    driver.save_screenshot(str(STATIC / name))
    print(f"{name}: {(STATIC / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
