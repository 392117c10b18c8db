"""A little of each target at every run; ``make fuzz`` gives them minutes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.fuzz.mutation import fuzz
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_the_promise(name: str) -> None:
    report = fuzz(TARGETS[name], seed=1, inputs=600)

    assert report.error is None, f"{TARGETS[name].promise}: {report}"
    assert report.inputs == 600


def test_a_broken_promise_is_found_and_its_input_told() -> None:
    def breaks_at_a_smile(data: bytes) -> None:
        if b":-)" in data:
            raise IndexError("smiled")

    report = fuzz(replace(TARGETS["url"], check=breaks_at_a_smile, words=(b":-)",)), seed=1, inputs=600)

    assert isinstance(report.error, IndexError)
    assert b":-)" in report.data
    assert "smiled" in str(report)


def test_the_same_seed_tries_the_same_inputs() -> None:
    runs: list[list[bytes]] = [[], []]
    for seen in runs:
        fuzz(replace(TARGETS["xml"], check=seen.append), seed=7, inputs=50)

    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 40


def test_the_command_tells_how_many_inputs_it_tried() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "checkpoint", "--seconds", "0.2", "--random"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert "inputs, the promise held" in done.stdout
