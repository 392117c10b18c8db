"""Medians of the runs, and the bars that they are held against."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.cases import CASES, CONCURRENCIES, DELAYS, FIXED, GIB, SHARED, SLOW, Case

OFFICIAL = ("oss2", "oss2-tuned", "oss-v2", "oss-v2-tuned")
PEERS = (*OFFICIAL, "boto3", "boto3-tuned", "awscrt", "obstore")
BY_NUMBER = tuple(contestant.name for contestant in FIXED)
DIRECTIONS = ("upload", "download")


@dataclass(frozen=True)
class Row:
    """The medians of one contestant in one case."""

    runs: int
    wall: float
    cpu: float
    server_cpu: float
    peak: float
    bare: float
    requests: int
    connections: int
    moved: int
    store_bytes: int

    @property
    def above(self) -> float:
        """MiB above the bare process."""
        return self.peak - self.bare


class Missing(Exception):
    """A figure was not measured."""


class Figures:
    """The medians of all cases.

    :param runs: as ``measure`` yields them; those that say ``left_out`` are none
    """

    def __init__(self, runs: Iterable[dict[str, Any]]) -> None:
        grouped: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self.left_out: dict[str, str] = {}
        for run in runs:
            if "left_out" in run:
                self.left_out[run["contestant"]] = run["left_out"]
            else:
                grouped[run["case"], run["contestant"]].append(run)
        self.rows = {key: median_row(group) for key, group in grouped.items()}
        self.cases = [case for case in CASES if any(name == case.name for name, _ in self.rows)]

    def of(self, case: str) -> dict[str, Row]:
        return {contestant: row for (name, contestant), row in self.rows.items() if name == case}

    def row(self, case: str, contestant: str) -> Row:
        if (row := self.rows.get((case, contestant))) is None:
            raise Missing(f"{contestant} in {case}")
        return row

    def best(self, case: str, contestants: Sequence[str], figure: str) -> float:
        """Return the least of a figure among those that took part."""
        rows = [row for name, row in self.of(case).items() if name in contestants]
        if not rows:
            raise Missing(f"{' or '.join(contestants)} in {case}")
        return min(float(getattr(row, figure)) for row in rows)

    def ratio(self, case: str, contestants: Sequence[str], figure: str, *, ours: str = "ours") -> float:
        """Return our figure over the best of theirs."""
        return float(getattr(self.row(case, ours), figure)) / self.best(case, contestants, figure)


def median_row(runs: Sequence[dict[str, Any]]) -> Row:
    def median(figure: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(figure(run) for run in runs)

    return Row(
        runs=len(runs),
        wall=median(lambda run: run["wall"]),
        cpu=median(lambda run: run["cpu"]),
        server_cpu=median(lambda run: run["server_cpu"]),
        peak=median(lambda run: run["peak_mib"]),
        bare=median(lambda run: run["bare_mib"]),
        requests=round(median(lambda run: sum(run["requests"].values()))),
        connections=round(median(lambda run: run["connections"])),
        moved=round(median(lambda run: run["moved"])),
        store_bytes=round(median(lambda run: run.get("store_bytes", 0))),
    )


# --- bars -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach.

    :param figure: returns it, or raises Missing
    :param limit: it is at most that; with ``at_least``, at least that
    """

    title: str
    figure: Callable[[Figures], float]
    limit: float
    at_least: bool = False
    unit: str = ""

    def judge(self, figures: Figures) -> tuple[float | None, str]:
        """Return the figure, and ``pass``, ``FAIL`` or why there is none."""
        try:
            figure = self.figure(figures)
        except Missing as missing:
            return None, f"not measured: {missing}"
        holds = figure >= self.limit if self.at_least else figure <= self.limit
        return figure, "pass" if holds else "FAIL"


def transfer_bars(size: str) -> list[Bar]:
    """The bars of moving one large file, each way."""
    bars = []
    for direction, of_awscrt, of_raw in (("upload", 0.6, 1.4), ("download", 0.75, 1.5)):
        case = f"{direction}-{size}"
        bars += [
            _against(case, OFFICIAL, "cpu", 1 / 8, f"{direction} {size}: CPU, of the better official SDK's"),
            _against(case, ("awscrt",), "cpu", of_awscrt, f"{direction} {size}: CPU, of awscrt's"),
            _against(case, ("raw",), "cpu", of_raw, f"{direction} {size}: CPU, of the raw client's"),
            _against(case, ("raw",), "wall", 1.25, f"{direction} {size}: wall time, of the raw client's"),
            _against(case, PEERS, "wall", 1.0, f"{direction} {size}: wall time, of the fastest peer's"),
        ]
    return bars


def _against(case: str, contestants: Sequence[str], figure: str, limit: float, title: str, ours: str = "ours") -> Bar:
    return Bar(title, lambda figures: figures.ratio(case, contestants, figure, ours=ours), limit)


def all_bars() -> list[Bar]:
    bars = [*transfer_bars("1g"), Bar("peak memory at 4 workers, any size", _peak_at_4, 48, unit="MiB")]
    for way in DIRECTIONS:
        parts = f"{way}-10k-parts"
        bars += [
            _against(parts, OFFICIAL, "cpu", 0.5, f"{way} 10,000 parts: CPU, of the better official SDK's"),
            Bar(f"{way} 10,000 parts: checkpoint bytes", _store_bytes(parts), 1e6, unit="bytes"),
            _against(
                f"{way}-resume-1g", ("ours-fresh",), "wall", 0.6, f"{way} resumed at 50 %: wall, of a fresh one's"
            ),
        ]
        for case in (f"{way}-1g-store", f"{way}-10k-parts-store"):
            title = f"{case}: wall with 30 ms a call, of that with 0"
            bars.append(_against(case, ("ours-store-0ms",), "wall", 1.03, title, "ours-store-30ms"))
        for count in CONCURRENCIES:
            title = f"{way} slow link, {count} workers: share of {count} x 30 MB/s"
            bars.append(Bar(title, _share_of_link(f"{way}-4g-slow", count), 0.95, at_least=True))
        slow = f"{way} slow link, defaults: wall, of awscrt's"
        bars.append(_against(f"{way}-1g-slow", ("awscrt",), "wall", 1.0, slow))
        for mbit in SHARED:
            for delay in DELAYS:
                title = f"{way} over {mbit} Mbit/s for all, {delay} ms: wall, of the best fixed number's"
                bars.append(_against(f"{way}-shared-{mbit}m-{delay}ms", BY_NUMBER, "wall", 1.1, title))
        for case, times in ((f"{way}-2k-files", 1.4), (f"{way}-2k-files-8", 3)):
            title = f"{case}: times as fast as the better official SDK"
            bars.append(Bar(title, _times_as_fast(case), times, at_least=True))
        many = f"{way}-20k-files"
        bars.append(
            Bar(f"{many}: times as fast as the better official SDK", _set_times_as_fast(many), 3, at_least=True)
        )
        title = f"{many}-20ms: share of 32 connections / 20 ms"
        bars.append(Bar(title, _share_of_requests(f"{many}-20ms"), 0.8, at_least=True))
        for curve in ("size", "parts"):
            title = f"{way}: time against {'file size' if curve == 'size' else 'parts'}, R²"
            bars.append(Bar(title, _straightness(way, curve), 0.98, at_least=True))
        bars.append(Bar(f"{way}: memory of the largest file less that of 16 MiB", _memory_growth(way), 8, unit="MiB"))
    return bars


def _peak_at_4(figures: Figures) -> float:
    peaks = [row.above for (case, name), row in figures.rows.items() if "grow" in case and name == "ours-c4"]
    if not peaks:
        raise Missing("ours-c4 in the grow cases")
    return max(peaks)


def _store_bytes(case: str) -> Callable[[Figures], float]:
    return lambda figures: figures.row(case, "ours").store_bytes


def _share_of_link(case: str, workers: int) -> Callable[[Figures], float]:
    return lambda figures: 4 * GIB / figures.row(case, f"ours-c{workers}").wall / (workers * SLOW.rate)


def _times_as_fast(case: str) -> Callable[[Figures], float]:
    return lambda figures: 1 / figures.ratio(case, OFFICIAL, "wall")


def _set_times_as_fast(case: str) -> Callable[[Figures], float]:
    return lambda figures: 1 / figures.ratio(case, OFFICIAL, "wall", ours="ours-set")


def _share_of_requests(case: str) -> Callable[[Figures], float]:
    return lambda figures: 20_000 / figures.row(case, "ours-set").wall / (32 / 0.02)


def _straightness(direction: str, curve: str) -> Callable[[Figures], float]:
    return lambda figures: fit(growth(figures, direction, curve, lambda row: row.wall)).r_squared


def _memory_growth(direction: str) -> Callable[[Figures], float]:
    def of(figures: Figures) -> float:
        points = growth(figures, direction, "size", lambda row: row.above)
        return points[-1][1] - points[1][1]

    return of


# --- growth -----------------------------------------------------------------------------------------------------------

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """The straight line of least squares; ``r_squared`` is 1 for points that lie on it."""

    slope: float
    intercept: float
    r_squared: float


def growth(figures: Figures, direction: str, curve: str, figure: Callable[[Row], float]) -> Points:
    """Return our points of a curve: GiB or number of parts, and the figure.

    :raises Missing: with fewer than three points
    """
    points = [
        (_abscissa(case), figure(row))
        for case in figures.cases
        if case.growth == curve and case.direction == direction
        for row in figures.of(case.name).values()
    ]
    if len(points) < 3:
        raise Missing(f"{direction} against {curve}, at three points or more")
    return sorted(points)


def _abscissa(case: Case) -> float:
    return case.size / GIB if case.growth == "size" else case.size / (case.part_size or case.size)


def fit(points: Points) -> Line:
    line = statistics.linear_regression(*zip(*points, strict=True))
    mean = statistics.fmean(y for _, y in points)
    total = sum((y - mean) ** 2 for _, y in points)
    rest = sum((y - line.slope * x - line.intercept) ** 2 for x, y in points)
    return Line(line.slope, line.intercept, 1 - rest / total if total else 1.0)
