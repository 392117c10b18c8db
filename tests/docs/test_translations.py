"""The pages in Chinese say what the English ones say: the same commands, code and links, in the same order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.links import broken_links_of, links_of
from tests.docs.pages import README, TRANSLATED, blocks_of

PAIRS = [pytest.param(chinese, english, id=chinese.name) for chinese, english in TRANSLATED.items()]


@pytest.mark.parametrize(("chinese", "english"), PAIRS)
def test_a_translation_has_the_blocks_of_its_page(chinese: Path, english: Path) -> None:
    pages = [[(block.language, block.text) for block in blocks_of(page)] for page in (chinese, english)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize(("chinese", "english"), PAIRS)
def test_a_translation_has_the_headings_and_table_rows_of_its_page(chinese: Path, english: Path) -> None:
    shapes = [
        re.findall(r"^(#+|\||- |\d+\. |\*\*\d+)", page.read_text(encoding="utf-8"), re.M) for page in (chinese, english)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(("chinese", "english"), PAIRS)
def test_a_translation_has_the_links_of_its_page(chinese: Path, english: Path) -> None:
    """In any order, as a sentence may be. A link may go to the target's own translation."""

    def normal(page: Path) -> list[str]:
        links = [
            link.replace(".zh-CN.md", ".md").replace("help.aliyun.com/zh/", "www.alibabacloud.com/help/en/")
            for link in links_of(page)
        ]
        return sorted(link for link in links if Path(link).name != english.name)

    assert normal(chinese) == normal(english)


@pytest.mark.parametrize(("chinese", "english"), PAIRS)
def test_a_page_and_its_translation_lead_to_each_other_at_the_top(chinese: Path, english: Path) -> None:
    assert f"\n[中文]({chinese.name})\n" in english.read_text(encoding="utf-8")[:200]
    assert f"\n[English]({english.name})\n" in chinese.read_text(encoding="utf-8")[:200]


@pytest.mark.parametrize("page", [README, *TRANSLATED], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Sphinx looks at the other pages."""
    assert broken_links_of(page) == []
