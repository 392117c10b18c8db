"""What is opened is closed, whatever a signal's handler raises while it is opened."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from airflow_provider_ossresume.transfer import descriptor, local_file, part_file
from airflow_provider_ossresume.transfer.local_file import LocalFile
from airflow_provider_ossresume.transfer.part_file import PartFile

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # what closes a file that nobody has any more

OURS = {module.__file__ for module in (descriptor, local_file, part_file)}


class Raised(BaseException):
    """As a signal's handler raises it: before any step of the interpreter's."""


def raising_at(step: int, function: Callable[[], object]) -> bool:
    """Call the function and raise before that step of our modules; False when it has fewer."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename not in OURS:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps += 1
            if steps == step:
                raise Raised
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except Raised:
        return True
    finally:
        sys.settrace(before)
    return False


def leaks(function: Callable[[], object]) -> list[int]:
    """Return the steps at which the function leaves a descriptor open."""
    found = []
    gc.collect()
    gc.freeze()  # what other tests have left is not searched at each step: that took minutes
    before = count()
    step = 1
    while raising_at(step, function):
        if count() > before:
            gc.collect()  # it may hang in a circle
        if count() > before:
            found.append(step)
            before = count()
        step += 1
    assert step > 20
    return found


def count() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"bytes")
    return tmp_path / "file"


def test_a_source_that_is_opened_when_a_signal_comes_is_closed(path: Path) -> None:
    assert leaks(lambda: LocalFile(path)) == []


def test_a_part_file_that_is_opened_when_a_signal_comes_is_closed(path: Path) -> None:
    assert leaks(lambda: PartFile(path)) == []
