"""From runs to verdicts: medians, ratios, bars and straight lines."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.bench import report
from tests.bench.cases import CASES, GIB
from tests.bench.figures import Bar, Figures, Missing, all_bars, fit, growth, transfer_bars


def a_run(
    contestant: str, *, case: str = "upload-1g", wall: float = 1.0, cpu: float = 1.0, **more: Any
) -> dict[str, Any]:
    run = {"case": case, "contestant": contestant, "round": 0, "wall": wall, "cpu": cpu, "bare_mib": 30.0}
    counts = {"peak_mib": 40.0, "server_cpu": 0.2, "moved": GIB, "connections": 8, "requests": {"UploadPart": 128}}
    return {**run, **counts, **more}


def verdict_of(title: str, figures: Figures) -> tuple[float | None, str]:
    [bar] = [bar for bar in all_bars() if bar.title == title]
    return bar.judge(figures)


def test_a_figure_is_the_median_of_its_runs() -> None:
    figures = Figures([a_run("ours", cpu=cpu, wall=wall) for cpu, wall in ((9.0, 1.0), (0.5, 8.0), (0.6, 2.0))])

    row = figures.row("upload-1g", "ours")

    assert (row.runs, row.cpu, row.wall) == (3, 0.6, 2.0)
    assert row.above == 10.0


def test_a_ratio_is_ours_over_the_best_of_theirs() -> None:
    figures = Figures([a_run("ours", cpu=0.5), a_run("oss2", cpu=8.0), a_run("oss-v2", cpu=4.0)])

    assert figures.ratio("upload-1g", ("oss2", "oss-v2"), "cpu") == 0.125


@pytest.mark.parametrize(
    ("figure", "limit", "at_least", "verdict"),
    [
        (1.0, 1.0, False, "pass"),
        (1.1, 1.0, False, "FAIL"),
        (1.0, 1.0, True, "pass"),
        (0.9, 1.0, True, "FAIL"),
    ],
)
def test_a_bar_is_held_by_what_reaches_it(figure: float, limit: float, at_least: bool, verdict: str) -> None:
    assert Bar("", lambda figures: figure, limit, at_least).judge(Figures([])) == (figure, verdict)


def test_a_bar_that_was_not_measured_is_neither_held_nor_failed() -> None:
    figure, verdict = verdict_of("upload 1g: CPU, of awscrt's", Figures([a_run("ours")]))

    assert figure is None
    assert verdict == "not measured: awscrt in upload-1g"


def test_who_was_left_out_is_said_and_not_measured() -> None:
    figures = Figures([{"case": "upload-1g", "contestant": "obstore", "round": 0, "left_out": "it is not installed"}])

    assert figures.left_out == {"obstore": "it is not installed"}
    with pytest.raises(Missing):
        figures.row("upload-1g", "obstore")


def test_the_slow_link_is_held_against_what_its_connections_can_carry() -> None:
    just = 4 * GIB / (4 * 30e6)
    figures = Figures([a_run("ours-c4", case="upload-4g-slow", wall=just / 0.96)])

    figure, verdict = verdict_of("upload slow link, 4 workers: share of 4 x 30 MB/s", figures)

    assert figure == pytest.approx(0.96)
    assert verdict == "pass"


def test_small_files_are_held_against_the_better_official_sdk() -> None:
    case = "download-2k-files"
    runs = [a_run("ours", case=case, wall=1), a_run("oss2", case=case, wall=4), a_run("oss-v2", case=case, wall=1.3)]

    assert verdict_of(f"{case}: times as fast as the better official SDK", Figures(runs)) == (
        pytest.approx(1.3),
        "FAIL",
    )


def test_the_peak_is_the_highest_of_all_sizes() -> None:
    runs = [
        a_run("ours-c4", case=f"upload-grow-{mib}m", peak_mib=30 + peak) for mib, peak in ((1, 2), (1024, 50), (16, 9))
    ]

    assert verdict_of("peak memory at 4 workers, any size", Figures(runs)) == (50, "FAIL")


def test_points_on_a_line_are_straight_and_a_parabola_is_not() -> None:
    straight = fit([(x, 3 * x + 1) for x in (0.0, 1.0, 5.0)])
    bent = fit([(x, x * x) for x in (0.0, 1.0, 2.0, 8.0)])

    assert (straight.slope, straight.intercept, straight.r_squared) == pytest.approx((3, 1, 1))
    assert bent.r_squared < 0.98


def test_a_curve_has_its_points_in_order_of_size() -> None:
    runs = [a_run("ours-c4", case=f"upload-grow-{mib}m", wall=mib) for mib in (1024, 16, 256)]

    points = growth(Figures(runs), "upload", "size", lambda row: row.wall)

    assert points == [(16 / 1024, 16), (0.25, 256), (1.0, 1024)]


def test_every_bar_names_cases_and_contestants_that_there_are() -> None:
    everything = [
        a_run(contestant.name, case=case.name, peak_mib=31, store_bytes=100)
        for case in CASES
        for contestant in case.contestants
    ]

    verdicts = [bar.judge(Figures(everything))[1] for bar in (*all_bars(), *transfer_bars("256m"))]

    assert [verdict for verdict in verdicts if verdict.startswith("not measured")] == []


def test_the_page_has_every_case_and_its_pictures_are_xml() -> None:
    runs = [a_run(one.name, case=case.name, wall=2.5) for case in CASES for one in case.contestants]
    figures = Figures(runs)
    about = {
        "versions": {"oss2": "2"},
        **dict.fromkeys(("cores", "cpu", "memory_gib", "kernel", "python", "files_on"), 1),
    }

    page = report.page(about, figures, report.bars(all_bars(), figures))

    assert [case.title for case in CASES if f"### {case.title}\n" not in page] == []
    pictures = report.pictures(figures)
    assert sorted(pictures) == ["bench-cpu.svg", "bench-growth.svg", "bench-slow-link.svg"]
    for name, picture in pictures.items():
        assert ET.fromstring(picture).tag.endswith("svg")
        assert name in page
