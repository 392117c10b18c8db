"""Two kinds of pictures as SVG text: bars side by side, and points with their straight line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 760
STYLE = """
    .bench-picture { --ink: #1f2328; --soft: #59636e; --ours: #1a7f37; --theirs: #0969da; --paper: #ffffff;
      max-width: 760px; }
    @media (prefers-color-scheme: dark) {
      .bench-picture { --ink: #e6edf3; --soft: #9198a1; --ours: #3fb950; --theirs: #58a6ff; --paper: #0d1117; }
    }
    .bench-picture text { font: 13px system-ui, sans-serif; fill: var(--ink); }
    .bench-picture .paper { fill: var(--paper); }
    .bench-picture .head { font-weight: 600; font-size: 14px; }
    .bench-picture .soft { fill: var(--soft); }
    .bench-picture .ours { fill: var(--ours); }
    .bench-picture .theirs { fill: var(--theirs); }
    .bench-picture .end { text-anchor: end; }
    .bench-picture .axis, .bench-picture .line { stroke: var(--soft); fill: none; }
    .bench-picture .line { stroke-dasharray: 4 3; }
"""


@dataclass(frozen=True)
class Panel:
    """One chart of a picture.

    :param values: for bars, by label; those whose label begins with ``ours`` stand out
    """

    title: str
    values: Mapping[str, float]
    unit: str


def bars(title: str, panels: Sequence[Panel]) -> str:
    """Return horizontal bars, one panel below the other; the longest of a panel fills the width."""
    lines, y = [], 28
    for panel in panels:
        longest = max(panel.values.values(), default=0) or 1
        lines.append(_text(16, y, f"{panel.title} ({panel.unit})", "head"))
        for label, value in sorted(panel.values.items(), key=lambda item: item[1]):
            y += 24
            width = max(1.0, value / longest * (WIDTH - 260))
            kind = "ours" if label.startswith("ours") else "theirs"
            lines.append(_text(140, y + 4, label, "end"))
            lines.append(f'<rect class="{kind}" x="150" y="{y - 8}" width="{width:.1f}" height="16" rx="2"/>')
            lines.append(_text(156 + width, y + 4, f"{value:.3g}", "soft"))
        y += 40
    return _picture(title, lines, y - 12)


@dataclass(frozen=True)
class Curve:
    """Points against what grows, and their straight line.

    :param slope: of the line, with its intercept
    """

    title: str
    x_unit: str
    y_unit: str
    points: Sequence[tuple[float, float]]
    slope: float
    intercept: float


def curves(title: str, shown: Sequence[Curve]) -> str:
    """Return charts in two columns; both axes begin at zero."""
    lines, width, height = [], WIDTH // 2, 210
    for number, curve in enumerate(shown):
        left, top = (number % 2) * width + 64, (number // 2) * height + 40
        across, up = width - 96, height - 90
        most_x = max(x for x, _ in curve.points) or 1
        most_y = max(max(y for _, y in curve.points), curve.intercept + curve.slope * most_x, 1e-9)

        def place(
            x: float, y: float, box: tuple[float, ...] = (left, top, across, up, most_x, most_y)
        ) -> tuple[float, float]:
            left, top, across, up, most_x, most_y = box
            return left + x / most_x * across, top + up - max(0.0, y) / most_y * up

        lines.append(_text(left - 40, top - 14, curve.title, "head"))
        lines.append(f'<path class="axis" d="M{left} {top}V{top + up}H{left + across}"/>')
        lines.append(_text(left - 6, top + 10, f"{most_y:.3g}", "soft end"))
        lines.append(_text(left - 6, top + up, f"0 {curve.y_unit}", "soft end"))
        lines.append(_text(left + across, top + up + 18, f"{most_x:,.6g} {curve.x_unit}", "soft end"))
        (x1, y1), (x2, y2) = place(0, curve.intercept), place(most_x, curve.intercept + curve.slope * most_x)
        lines.append(f'<path class="line" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>')
        for x, y in (place(*point) for point in curve.points):
            lines.append(f'<circle class="ours" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
    return _picture(title, lines, -(-len(shown) // 2) * height)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _picture(title: str, lines: Sequence[str], height: float) -> str:
    body = "\n  ".join(lines)
    return (
        f'<svg class="bench-picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">\n  <title>{escape(title)}</title>\n  <style>{STYLE}  </style>\n'
        f'  <rect class="paper" width="{WIDTH}" height="{height:.0f}" rx="8"/>\n  {body}\n</svg>\n'
    )
