"""The links of a page of Markdown, and what they lead to."""

from __future__ import annotations

import re
from pathlib import Path

_LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)$|<img src=\"([^\"]+)\"", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def links_of(page: Path) -> list[str]:
    """Return the targets of a page's links and pictures in order, those in fenced blocks left out."""
    found = _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return [inline or defined or picture for inline, defined, picture in found]


def broken_links_of(page: Path) -> list[str]:
    """Return the links to files or headings that do not exist; other sites are not asked."""
    return [link for link in links_of(page) if "://" not in link and not _leads_somewhere(page, link)]


def anchors_of(page: Path) -> set[str]:
    """Return the names that GitHub and Sphinx give to a page's headings."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {_slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in anchors_of(target))


def _slug(heading: str) -> str:
    words = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return words.replace(" ", "-")
