"""The recording shows a run as it was: its lines are ones that we log, and its parts add up."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from tests.docs.pages import DOCS, README
from tests.docs.test_tables import as_pattern, log_formats, result_lines

PICTURE = DOCS / "_static" / "killed-and-resumed.svg"
SVG = "{http://www.w3.org/2000/svg}"


def logged_lines(picture: Path) -> list[str]:
    """Return the lines of the log, each put together again where it was wrapped."""
    groups = ElementTree.fromstring(picture.read_text(encoding="utf-8")).iter(f"{SVG}g")
    found = [" ".join(text.text or "" for text in group.findall(f"{SVG}text[@class='line']")) for group in groups]
    return [line for line in found if line]


def test_the_recording_shows_lines_that_we_log() -> None:
    ours = [as_pattern(line, r"%[.\d]*[sfd]") for line in [*log_formats(), *result_lines()]]
    lines = logged_lines(PICTURE)
    assert len(lines) >= 5
    for line in lines:
        assert any(re.fullmatch(pattern, line) for pattern in ours), line


def test_the_parts_of_the_recording_are_those_of_its_log() -> None:
    picture = PICTURE.read_text(encoding="utf-8")
    sent = [len(re.findall(rf'<rect class="try-{number}"', picture)) for number in (1, 2)]
    [(kept, moved)] = re.findall(
        r"Transferred: .* (\d+) of \d+ parts kept and (\d+) moved", "\n".join(logged_lines(PICTURE))
    )
    assert sent == [int(kept), int(moved)]
    assert "kill -9" in picture


def test_the_readme_shows_the_recording() -> None:
    assert f'<img src="docs/_static/{PICTURE.name}"' in README.read_text(encoding="utf-8")
