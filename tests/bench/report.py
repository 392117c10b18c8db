"""The results as people read them: tables, bars and pictures, with the machine they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.bench import plot
from tests.bench.cases import Case
from tests.bench.figures import DIRECTIONS, Bar, Figures, Missing, Row, fit, growth

PEERS = ("requests", "urllib3", "fastcrc", "oss2", "alibabacloud-oss-v2", "boto3", "awscrt", "obstore", "crcmod-plus")
GIB = 2**30


def machine(folder: Path) -> dict[str, Any]:
    """Return what the figures depend on.

    :param folder: of the files
    """
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.machine(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "files_on": file_system(folder),
        "versions": {name: _version(name) for name in PEERS},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def file_system(folder: Path) -> str:
    """Return the type of the file system, such as tmpfs."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    path = str(folder.resolve())
    found = [(len(place), kind) for place, kind in mounts if path == place or path.startswith(place.rstrip("/") + "/")]
    return max(found)[1] if found else "unknown"


# --- text -------------------------------------------------------------------------------------------------------------


def tables(figures: Figures) -> str:
    """Return a Markdown table for each case."""
    return "\n\n".join(f"### {case.title}\n\n{table(case, figures)}" for case in figures.cases)


def table(case: Case, figures: Figures) -> str:
    lines = [
        "| client | wall s | MB/s | CPU s/GiB | CPU, ours = 1 | peak MiB (above bare) | requests | connections "
        "| server's CPU s | runs |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows = figures.of(case.name)
    ours = next((row for name, row in rows.items() if name.startswith("ours")), None)
    for name, row in sorted(rows.items(), key=lambda item: item[1].cpu):
        lines.append(_line(name, row, case, rows.get("ours", ours)))
    return "\n".join(lines)


def _line(name: str, row: Row, case: Case, ours: Row | None) -> str:
    moved = row.moved or case.bytes
    ratio = f"{row.cpu / ours.cpu:.2f}" if ours and ours.cpu else ""
    shown = f"**{name}**" if name == "ours" else name
    return (
        f"| {shown} | {row.wall:.3f} | {moved / row.wall / 1e6:.0f} | {row.cpu / (moved / GIB):.2f} | {ratio} "
        f"| {row.peak:.0f} ({row.above:.0f}) | {row.requests} | {row.connections} | {row.server_cpu:.2f} | {row.runs} |"
    )


def bars(judged: list[Bar], figures: Figures) -> str:
    """Return a Markdown table of the bars."""
    lines = ["| bar | limit | measured | |", "|---|---|---|---|"]
    for bar in judged:
        figure, verdict = bar.judge(figures)
        limit = f"{'at least' if bar.at_least else 'at most'} {bar.limit:,.4g} {bar.unit}".rstrip()
        lines.append(f"| {bar.title} | {limit} | {'' if figure is None else f'{figure:,.4g}'} | {verdict} |")
    return "\n".join(lines)


def import_bars(imports: Mapping[str, Mapping[str, Any]]) -> str:
    """Return lines of the bars' table, for each version of Airflow."""
    lines = []
    for version, found in imports.items():
        ms = found["ms"]
        verdict = "pass" if ms < 50 else "FAIL"
        lines.append(f"| importing the operators, Airflow {version} | under 50 ms | {ms:.1f} | {verdict} |")
        verdict = "FAIL" if found["requests"] else "pass"
        said = "yes" if found["requests"] else "no"
        lines.append(f"| it imports requests, Airflow {version} | no | {said} | {verdict} |")
    return "\n".join(lines)


def described(about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    return (
        f"Measured on {about['cores']} cores ({about['cpu']}), {about['memory_gib']} GiB, Linux {about['kernel']}, "
        f"Python {about['python']}, with the files on {about['files_on']}. {versions}."
    )


def lines_of_growth(figures: Figures) -> str:
    """Return what the straight lines are."""
    lines = ["| curve | slope | at zero | R² |", "|---|---|---|---|"]
    for curve in _curves(figures):
        line = fit(list(curve.points))
        lines.append(
            f"| {curve.title} | {line.slope:.4g} {curve.y_unit} for each {curve.x_unit} "
            f"| {line.intercept:.4g} {curve.y_unit} | {line.r_squared:.4f} |"
        )
    return "\n".join(lines) if len(lines) > 2 else ""


# --- pictures ---------------------------------------------------------------------------------------------------------


def pictures(figures: Figures) -> dict[str, str]:
    """Return SVGs by file name, of what was measured."""
    shown = {}
    panels = [
        plot.Panel(f"{way.capitalize()} of 1 GiB, CRC-64 on", _cpu(figures, f"{way}-1g"), "CPU seconds")
        for way in DIRECTIONS
        if figures.of(f"{way}-1g")
    ]
    if panels:
        shown["bench-cpu.svg"] = plot.bars("CPU seconds for 1 GiB", panels)
    panels = [
        plot.Panel(
            f"{way.capitalize()} of 1 GiB, 20 ms and 30 MB/s a connection", _wall(figures, f"{way}-1g-slow"), "s"
        )
        for way in DIRECTIONS
        if figures.of(f"{way}-1g-slow")
    ]
    if panels:
        shown["bench-slow-link.svg"] = plot.bars("Seconds for 1 GiB over a slow link", panels)
    if growing := _curves(figures):
        shown["bench-growth.svg"] = plot.curves("Cost as work grows", growing)
    return shown


def _cpu(figures: Figures, case: str) -> dict[str, float]:
    return {name: row.cpu for name, row in figures.of(case).items()}


def _wall(figures: Figures, case: str) -> dict[str, float]:
    return {name: row.wall for name, row in figures.of(case).items()}


def _curves(figures: Figures) -> list[plot.Curve]:
    shown = []
    for way in DIRECTIONS:
        for against, unit in (("size", "GiB"), ("parts", "parts")):
            for what, y_unit in (("wall", "s"), ("above", "MiB")):
                try:
                    points = growth(figures, way, against, lambda row, what=what: getattr(row, what))  # type: ignore[misc]
                except Missing:
                    continue
                line = fit(points)
                title = f"{way}: {'time' if what == 'wall' else 'memory'} against {against}"
                shown.append(plot.Curve(title, unit, y_unit, points, line.slope, line.intercept))
    return shown


def page(about: Mapping[str, Any], figures: Figures, judged: str) -> str:
    """Return the page that the documentation includes."""
    images = "\n\n".join(f"![{name}](_static/{name})" for name in pictures(figures))
    left_out = "\n".join(f"- {name} was left out: {why}." for name, why in figures.left_out.items())
    sections = [
        "# Figures",
        "% Written by `python -m tests.bench --report --publish`; change that instead.",
        described(about),
        images,
        f"## The bars\n\n{judged}",
        f"## Straight lines\n\n{lines_of_growth(figures)}" if lines_of_growth(figures) else "",
        "## Every case",
        tables(figures),
        left_out,
    ]
    return "\n\n".join(section for section in sections if section) + "\n"
