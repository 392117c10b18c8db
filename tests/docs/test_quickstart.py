"""The quick start's commands do what the page says: a task is killed, and its retry sends only what is missing."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, README, blocks_of
from tests.end_to_end import processes
from tests.end_to_end.processes import wait_until

pytestmark = pytest.mark.airflow

PAGE = DOCS / "quickstart.md"
FOLDER = "ossresume-demo"
SECONDS = 280  # Airflow starts in half a minute on an idle machine, and a busy one is many times slower


def commands(page: Path) -> list[str]:
    """Return the shell blocks of a page that are to be run, in order."""
    return [block.text for block in blocks_of(page, "bash") if not block.why_not_run]


def test_a_task_is_killed_and_resumes_and_a_folder_is_mirrored_as_the_page_says(
    shell_env: dict[str, str], tmp_path: Path
) -> None:
    serve, run_airflow, kill, mirror, *_ = commands(PAGE)
    # processes_of() knows a process by its environment
    env = {**shell_env, "SPT_NOENV": "1", "HOME": str(tmp_path)}
    with running(serve.strip(), tmp_path, env) as lines, an_airflow(run_airflow, tmp_path, env):
        wait_for(lines, "8 of 24 are here")
        subprocess.run(["bash", "-c", kill], cwd=tmp_path, env=env, check=True)
        wait_for(lines, "the object is complete")
        log = mirrored(mirror, tmp_path, env)
    asked = next(line for line in lines if "a try asks which parts are here" in line)
    kept = int(re.findall(r"(\d+) of 24", asked)[0])
    assert kept >= 8
    arrived = [line for line in lines if " arrived, " in line]
    assert len(arrived) == 24
    assert lines.index(asked) - lines.index(arrived[0]) >= kept
    assert lines[-1].endswith("parts that arrived twice: none")
    assert "proven, 2 of 2 files moved" in log


def mirrored(command: str, folder: Path, env: dict[str, str]) -> str:
    """Save the page's DAG, run it on the page's folder of two files, and return what Airflow says."""
    [dag] = [block for block in blocks_of(PAGE, "python") if block.file == "dags/mirror.py"]
    (folder / FOLDER / "dags" / "mirror.py").write_text(dag.text)
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def running(command: str, folder: Path, env: dict[str, str]) -> Iterator[Sequence[str]]:
    """Run what ends at SIGTERM; gives its lines, which grow."""
    lines: list[str] = []
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=folder, env=env, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        reader = threading.Thread(target=lambda: lines.extend(map(str.rstrip, server.stdout or ())))
        reader.start()
        try:
            wait_until(lambda: (folder / FOLDER / "env.sh").exists(), timeout=SECONDS, what="the demo's folder")
            yield lines
        finally:
            server.terminate()
            assert server.wait() == 0
            reader.join()


@contextmanager
def an_airflow(command: str, folder: Path, env: dict[str, str]) -> Iterator[None]:
    """Run an Airflow with the demo's home, and end all its processes however this one ends."""
    home = folder / FOLDER / "airflow"
    guard = subprocess.Popen((sys.executable, processes.__file__, str(home)), stdin=subprocess.PIPE)
    try:
        with (folder / "airflow.log").open("wb") as log:
            subprocess.Popen(["bash", "-c", command], cwd=folder, env=env, stdout=log, stderr=log)
        yield
    except BaseException:
        print((folder / "airflow.log").read_text(errors="replace")[-20_000:])
        raise
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()


def wait_for(lines: Sequence[str], text: str) -> None:
    wait_until(
        lambda: any(text in line for line in lines),
        timeout=SECONDS,
        what=lambda: "\n".join((f"{text!r} in", *lines)),
    )


def test_the_text_that_the_page_shows_is_what_the_server_prints() -> None:
    [shown] = blocks_of(PAGE, "text")
    kinds = (
        r"a new upload starts: \d+ parts to send",
        r"part \d+ arrived, \d+ of \d+ are here",
        r"part \d+ broke off",
        r"a try asks which parts are here: \d+ of \d+",
        r"the object is complete; parts that arrived twice: none",
    )
    for line in shown.text.splitlines():
        assert line.strip() == "…" or any(re.fullmatch(rf" *\d+\.\d s  {kind}", line) for kind in kinds), line


@pytest.mark.parametrize("line", [line for text in commands(README) for line in text.splitlines()])
def test_a_command_of_the_readme_is_one_of_the_quick_start_or_of_the_makefile(line: str) -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (DOCS.parent / "Makefile").read_text(), flags=re.MULTILINE)
    if line.startswith("make "):
        assert re.split(r"\s+", line)[1] in targets
    else:
        known = "\n".join(commands(PAGE))
        assert all(part in known for part in line.split(" && ")), line
