"""A headless Chromium, and the connection form of Airflow 3 in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

from airflow_provider_ossresume.get_provider_info import CONN_FIELDS

T = TypeVar("T")

PROGRAMS = ("chromium", "chromedriver")  # Debian's
TYPE = "Alibaba Cloud OSS (resumable)"
STANDARD = ("login", "password", "port")
WAIT_SECONDS = 60  # a busy CI machine is many times slower than a laptop

_SWITCHES = (
    "--headless",
    "--no-sandbox",  # of no use to root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",
)


def missing() -> list[str]:
    """Return which programs this machine lacks."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def chromium(profile: Path, *, width: int = 1000, height: int = 1500) -> Iterator[WebDriver]:
    """Run a browser that keeps everything in an empty folder of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for switch in (*_SWITCHES, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
        options.add_argument(switch)
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(shutil.which("chromedriver"))))
    try:
        yield driver
    finally:
        driver.quit()


class ConnectionsPage:
    """Admin, Connections: the list, and the form for one of them."""

    def __init__(self, driver: WebDriver, airflow_url: str) -> None:
        self.driver = driver
        self._url = f"{airflow_url}/connections"
        self._wait = WebDriverWait(driver, WAIT_SECONDS)

    def new(self, conn_id: str, values: Mapping[str, str]) -> None:
        """Open the form for a new connection and fill it in."""
        self.driver.get(self._url)
        self._click("//button[contains(., 'Add Connection')]")
        self._input("connection_id").send_keys(conn_id)
        self._choose(self.driver.find_element(By.CSS_SELECTOR, "input[role=combobox]"), TYPE)
        for name in STANDARD:
            if name in values:
                self._input(name).send_keys(values[name])
        extra = [name for name in values if name not in STANDARD]
        if extra:
            self.show_extra_fields()
        for name in extra:
            if "enum" in CONN_FIELDS[name]["schema"]:
                self._choose(self._input_of_choice(name), values[name])
            else:
                self._input(f"element_{name}").send_keys(values[name])

    def save(self, conn_id: str) -> None:
        """Save the form, and return when the list shows the connection."""
        self._click("//button[normalize-space()='Save']")
        self._row(conn_id)

    def test(self, conn_id: str) -> str:
        """Press the Test button and return what the page says then."""
        self.driver.get(self._url)
        self._click(f"{self._path_of_row(conn_id)}//button[@aria-label='Test Connection']")
        return self._until(lambda: next((said for said in self._messages() if "Test Connection" in said), ""))

    def open(self, conn_id: str) -> dict[str, str]:
        """Open the form of a connection and return all that it shows."""
        self.driver.get(self._url)
        self._click(f"{self._path_of_row(conn_id)}//button[@aria-label='Edit Connection']")
        shown = {name: str(self._input(name).get_attribute("value")) for name in STANDARD}
        self.show_extra_fields()
        return {**shown, **{name: self._value(name) for name in CONN_FIELDS}}

    def show_extra_fields(self) -> None:
        self._click("//button[normalize-space()='Extra Fields']")
        self._until(lambda: self._input("element_region"))

    def _value(self, name: str) -> str:
        if "enum" in CONN_FIELDS[name]["schema"]:
            return self.driver.find_element(By.ID, f"element_{name}").text
        return str(self._input(f"element_{name}").get_attribute("value"))

    def _messages(self) -> list[str]:
        return [each.text for each in self.driver.find_elements(By.CSS_SELECTOR, "[data-scope=toast][data-part=root]")]

    def _input(self, name: str) -> WebElement:
        return self._wait.until(expected.element_to_be_clickable((By.NAME, name)))

    def _input_of_choice(self, name: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, f"#element_{name} input[role=combobox]")

    def _choose(self, combobox: WebElement, choice: str) -> None:
        combobox.send_keys(choice, Keys.ENTER)

    def _row(self, conn_id: str) -> WebElement:
        return self._wait.until(expected.presence_of_element_located((By.XPATH, self._path_of_row(conn_id))))

    def _path_of_row(self, conn_id: str) -> str:
        return f"//tr[.//td[normalize-space()='{conn_id}']]"

    def _click(self, path: str) -> None:
        self._wait.until(expected.element_to_be_clickable((By.XPATH, path))).click()

    def _until(self, condition: Callable[[], T]) -> T:
        result: Any = self._wait.until(lambda _: condition())
        return result
