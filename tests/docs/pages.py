"""The pages of the docs, and the fenced blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"
PAGES = sorted(path for path in DOCS.glob("*.md"))
# Their blocks are those of the English pages, as test_translations.py demands.
TRANSLATED = {page.with_suffix(".zh-CN.md"): page for page in (README, DOCS / "quickstart.md")}
RUN = [page for page in (*PAGES, README) if page not in TRANSLATED]  # those whose blocks are run

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>[^>]+) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    :ivar line: of the page, where its text begins
    :ivar why_not_run: what the page says when it is not to be run
    """

    page: Path
    line: int
    language: str
    text: str
    why_not_run: str | None = None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that its first line names, as in ``# dags/export.py``."""
        named = re.match(r"# ([\w/]+\.py)\n", self.text)
        return named[1] if named else None


def blocks_of(page: Path, *languages: str) -> list[Block]:
    """Return a page's blocks in order; those of some languages when any are named."""
    return [block for block in _blocks(page) if not languages or block.language in languages]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, line, found["language"].strip(), found["text"], found["why"])


def table_under(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading, its own heading left out."""
    return tables_under(page, heading)[0]


def tables_under(page: str, heading: str) -> list[list[list[str]]]:
    """Return the rows of each table between a heading and the next of its level, their own headings left out."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^\1 |\Z)", text, re.M | re.S)
    assert found, f"{page} has no heading {heading!r}"
    tables = [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()[2:]]
        for table in re.findall(r"(?:^\|.*\n)+", found[2], re.M)
    ]
    assert tables, f"{page} has no table under {heading!r}"
    assert all(tables), f"{page} has an empty table under {heading!r}"
    return tables


def codes(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)
