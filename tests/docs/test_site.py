"""The built docs in a real Chromium, at the width of a phone and of a desktop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.docs.site import HTML, Visit, build, visit
from tests.end_to_end.browser import chromium, missing

pytestmark = [
    pytest.mark.skipif(
        bool(missing()) and os.environ.get("CI") != "true",  # .ci/run installs them
        reason=f"needs Debian's chromium and chromium-driver; missing: {missing()}",
    ),
    pytest.mark.timeout(1800),  # without an earlier `make docs`, the first test builds all pages
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def site(browser: WebDriver) -> dict[Path, Visit]:
    """Every page, visited once."""
    return {page: visit(browser, page) for page in build()}


def internal(visited: Visit) -> list[tuple[Path, str]]:
    """Return the file and the anchor of each link within the docs."""
    split = [urldefrag(link) for link in visited.links if link.startswith("file:")]
    return [(Path(unquote(urlsplit(url).path)), unquote(anchor)) for url, anchor in split]


def test_no_page_scrolls_sideways_and_no_text_overlaps_or_is_cut_off(site: dict[Path, Visit]) -> None:
    problems = {page.stem: visited.problems for page, visited in site.items() if visited.problems}
    assert not problems


PLANTED = {
    '<p style="width: 2000px">wide</p>': "the page is 2000 px wide, the window 390 px",
    '<p style="position: relative; left: 300px; width: 200px">far right</p>': "sticks out of the window",
    '<p style="width: 50px">averyveryverylongword</p>': "its text is wider than its box",
    '<div style="overflow-x: auto"><table style="table-layout: fixed; width: 80px"><tr><td>averyveryverylongword</td>'
    "<td>next</td></tr></table></div>": "runs into the next cell",
    '<p>below</p><div style="margin-top: -3em; height: 3em; position: relative">x</div>': "covered by <div",
    '<img src="no.png">': "no picture",
}


@pytest.mark.parametrize(("html", "problem"), PLANTED.items(), ids=PLANTED.values())
def test_a_planted_defect_of_the_layout_is_noticed(browser: WebDriver, tmp_path: Path, html: str, problem: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><body style='margin: 0'><article>{html}</article></body>")
    assert any(problem in found for found in visit(browser, page).problems)


def test_every_link_of_the_built_pages_leads_to_a_page_and_to_its_anchor(site: dict[Path, Visit]) -> None:
    dead = [
        f"{page.stem}: {target.name}#{anchor}"
        for page, visited in site.items()
        for target, anchor in internal(visited)
        if not target.exists() or (anchor and target in site and anchor not in site[target].anchors)
    ]
    assert not dead


def test_every_built_page_is_two_clicks_from_the_index(site: dict[Path, Visit]) -> None:
    """By links of the text, as a phone hides the menu."""
    index = HTML / "index.html"
    one_click = {page for page, _ in internal(site[index])}
    two_clicks = {page for near in one_click if near in site for page, _ in internal(site[near])}
    assert set(site) <= {index} | one_click | two_clicks
