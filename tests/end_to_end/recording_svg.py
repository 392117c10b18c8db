"""Draw a recording as an SVG that plays in a loop: the parts as they arrive, above the log of both tries."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from tests.end_to_end.recording import Line, Recording

WIDTH = 880
MARGIN = 20
LINE_HEIGHT, COLUMNS = 17, 100  # of the log: pixels a line, letters a line
LOG_TOP = 128
PLAY_SECONDS, REST_SECONDS = 16.0, 9.0  # one round of the loop: what happened, then the end of it for reading

_STYLE = """\
.recording text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #e6edf3; white-space: pre; }
.recording .paper { fill: #0d1117; }
.recording .head { font-size: 14px; font-weight: 600; }
.recording .soft { fill: #9198a1; }
.recording .kill { fill: #f85149; font-weight: 600; }
.recording .try-1 { fill: #58a6ff; }
.recording .try-2 { fill: #3fb950; }
.recording .slot { fill: none; stroke: #484f58; }
.recording .number { fill: #0d1117; text-anchor: middle; font-weight: 600; }
@media (prefers-reduced-motion: reduce) { .recording * { animation: none !important; } }
"""


def drawn(recording: Recording) -> str:
    """Return the SVG. Without animation it shows how it ended."""
    clock = Clock(recording)
    body = [*_heading(recording), *_parts(recording, clock), *_log(recording, clock)]
    height = clock.bottom + MARGIN
    about = (
        f"Try 1 sends {len(_of_try_1(recording))} of {recording.part_count} parts and is killed. "
        "Try 2 keeps these and sends the others."
    )
    return "\n".join(
        (
            f'<svg class="recording" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            'aria-labelledby="recording-title recording-text">',
            '<title id="recording-title">A killed upload resumes</title>',
            f'<desc id="recording-text">{about}</desc>',
            "<!-- made by: python -m tests.end_to_end.recording -->",
            f"<style>\n{_STYLE}{clock.keyframes()}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
            *body,
            "</svg>\n",
        )
    )


@dataclass
class Clock:
    """Maps the time of the recording to that of the loop. The wait for the retry is as long as it was.

    :ivar bottom: of the last line that was drawn
    """

    recording: Recording
    bottom: int = LOG_TOP
    _percents: set[str] = field(default_factory=set)

    @property
    def began(self) -> float:
        return self.recording.lines[0].at

    def since(self, at: float) -> str:
        return f"{max(0.0, at - self.began):5.1f} s"

    def shown_from(self, at: float) -> str:
        """Return the attribute of what is there from that time on."""
        length = self.recording.lines[-1].at - self.began
        played = PLAY_SECONDS * max(0.0, at - self.began) / length
        percent = f"{100 * (played + 0.5) / (PLAY_SECONDS + REST_SECONDS):.1f}"
        self._percents.add(percent)
        return f'style="animation: from-{percent.replace(".", "-")} {PLAY_SECONDS + REST_SECONDS:g}s infinite"'

    def keyframes(self) -> str:
        return "".join(
            f"@keyframes from-{percent.replace('.', '-')} "
            f"{{ 0%, {percent}% {{ opacity: 0; }} {float(percent) + 0.1:.1f}%, 100% {{ opacity: 1; }} }}\n"
            for percent in sorted(self._percents, key=float)
        )


def _heading(recording: Recording) -> Iterator[str]:
    end = recording.lines[-1].at - recording.lines[0].at
    faster = end / PLAY_SECONDS
    yield f'<text class="head" x="{MARGIN}" y="32">An upload of {recording.size_mib} MiB, killed in the middle</text>'
    about = f"Airflow {recording.airflow}, one task, {end:.0f} seconds; played {faster:.1f} times as fast"
    yield f'<text class="soft" x="{MARGIN}" y="51">{about}</text>'


def _parts(recording: Recording, clock: Clock) -> Iterator[str]:
    wide = (WIDTH - 2 * MARGIN) / recording.part_count
    kept = _of_try_1(recording)
    for number in range(1, recording.part_count + 1):
        left, box = MARGIN + (number - 1) * wide, f'width="{wide - 4:.1f}" height="24" rx="3"'
        at = recording.arrivals[number]
        yield f'<rect class="slot" x="{left:.1f}" y="66" {box}/>'
        yield f"<g {clock.shown_from(at)}>"
        yield f'<rect class="try-{1 if number in kept else 2}" x="{left:.1f}" y="66" {box}/>'
        yield f'<text class="number" x="{left + wide / 2 - 2:.1f}" y="82">{number}</text></g>'
    yield f'<text class="soft" x="{MARGIN}" y="108">parts on OSS: <tspan class="try-1">■</tspan> sent by try 1, ' + (
        '<tspan class="try-2">■</tspan> sent by try 2</text>'
    )


def _log(recording: Recording, clock: Clock) -> Iterator[str]:
    kill = Line(recording.killed_at, 0, f"$ kill -9 {recording.pid}")
    for line in sorted([*recording.lines, kill], key=lambda line: line.at):
        style = "kill" if line is kill else f"try-{line.try_number}"
        who = " " * 5 if line is kill else f"try {line.try_number}"
        yield f"<g {clock.shown_from(line.at)}>"
        for number, text in enumerate(textwrap.wrap(line.text, COLUMNS)):
            clock.bottom += LINE_HEIGHT
            if not number:
                said = f'{clock.since(line.at)}  <tspan class="{style}">{who}</tspan>'
                yield f'<text class="soft" x="{MARGIN}" y="{clock.bottom}">{said}</text>'
            shown = f'class="{style}"' if line is kill else 'class="line"'
            yield f'<text {shown} x="{MARGIN + 112}" y="{clock.bottom}">{escape(text, quote=False)}</text>'
        yield "</g>"
        clock.bottom += 5


def _of_try_1(recording: Recording) -> set[int]:
    """Return the numbers of the parts that were there when try 2 asked which are."""
    second = min(line.at for line in recording.lines if line.try_number == 2)
    return {number for number, at in recording.arrivals.items() if at < second}
