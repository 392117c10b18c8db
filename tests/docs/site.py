"""The built docs in a real browser.

``python -m tests.docs.site FOLDER [PAGE ...]`` builds the docs and takes screenshots of the pages, at each width.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from selenium.webdriver.remote.webdriver import WebDriver

from tests.docs.pages import DOCS
from tests.end_to_end.browser import chromium

HTML = DOCS / "_build" / "html"
WIDTHS = {"phone": 390, "desktop": 1280}
HEIGHT = 900
LAYOUT = Path(__file__).with_name("layout.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Visit:
    """What the browser found on a page.

    :ivar links: the full URLs of the links of its text; those of the menus are left out
    :ivar anchors: the IDs of its elements
    :ivar problems: what is wrong with its layout, each line with the width
    """

    links: tuple[str, ...]
    anchors: frozenset[str]
    problems: tuple[str, ...]


def build() -> list[Path]:
    """Build the docs, or what has changed since ``make docs``, and return the pages."""
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", str(DOCS), str(HTML)], check=True)
    sources = [*DOCS.glob("*.md"), *DOCS.glob("reference/*.md")]
    return [HTML / page.relative_to(DOCS).with_suffix(".html") for page in sorted(sources)]


def visit(driver: WebDriver, page: Path) -> Visit:
    """Look at a page at each width."""
    driver.get(page.as_uri())
    links = driver.execute_script("return [...document.querySelectorAll('article a[href]')].map(link => link.href)")
    anchors = driver.execute_script("return [...document.querySelectorAll('[id]')].map(each => each.id)")
    problems = []
    for device, width in WIDTHS.items():
        show_whole_page(driver, width)
        problems += [f"{device}: {problem}" for problem in driver.execute_script(LAYOUT)]
    return Visit(tuple(links), frozenset(anchors), tuple(problems))


def show_whole_page(driver: WebDriver, width: int) -> int:
    """Make the window as tall as the page, and return its height."""
    resize(driver, width, HEIGHT)
    height = int(driver.execute_script("return document.documentElement.scrollHeight"))
    resize(driver, width, height)
    return height


def resize(driver: WebDriver, width: int, height: int) -> None:
    # By DevTools, because a window of Chromium is never narrower than 500 pixels.
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)  # type: ignore[no-untyped-call]


def main(folder: str, *names: str) -> None:
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as driver:
        for page in build():
            if names and page.stem not in names:
                continue
            driver.get(page.as_uri())
            for device, width in WIDTHS.items():
                height = show_whole_page(driver, width)
                resize(driver, width, min(height, 6000))
                picture = target / f"{page.relative_to(HTML).with_suffix('').as_posix().replace('/', '-')}-{device}.png"
                picture.write_bytes(base64.b64decode(driver.get_screenshot_as_base64()))


if __name__ == "__main__":
    main(*sys.argv[1:])
