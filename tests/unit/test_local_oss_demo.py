"""The demo's command: what it writes, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import AccessDenied
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.local_oss.demo import ProgressPrinter, SlowLink, main
from airflow_provider_ossresume.local_oss.demo_files import write_files
from tests.end_to_end.processes import wait_until
from tests.world import LONG, PART, Transfers, a_file

COMMAND = (sys.executable, "-m", "airflow_provider_ossresume.local_oss.demo")


def test_an_upload_that_fails_and_resumes_is_told_part_by_part(
    oss: LocalOSS, transfers: Transfers, tmp_path: Path
) -> None:
    said: list[str] = []
    oss.after_request = ProgressPrinter(5, said.append).report
    source = a_file(tmp_path, size=5 * PART)
    denied = Fault("status", status=403, code="AccessDenied")
    with oss.failing("UploadPart", after=2, fault=denied), pytest.raises(AccessDenied):
        transfers.upload(source)
    transfers.upload(source)
    oss.stop()  # the last line is printed after its answer was sent
    assert [line.split(" s  ")[1] for line in said] == [
        "a new upload starts: 5 parts to send",
        "part 1 arrived, 1 of 5 are here",
        "part 2 arrived, 2 of 5 are here",
        "a try asks which parts are here: 2 of 5",
        "part 3 arrived, 3 of 5 are here",
        "part 4 arrived, 4 of 5 are here",
        "part 5 arrived, 5 of 5 are here",
        "the object is complete; parts that arrived twice: none",
    ]


def test_a_part_whose_connection_ends_is_told(oss: LocalOSS, transfers: Transfers, tmp_path: Path) -> None:
    said: list[str] = []
    oss.after_request = ProgressPrinter(2, said.append).report
    oss.fail("UploadPart", fault=Fault("reset-request", after_bytes=1000))
    transfers.upload(a_file(tmp_path, size=2 * PART))
    assert next(line for line in said if "part 1 " in line).endswith("part 1 broke off")


def test_a_slow_link_holds_nothing_back_when_it_has_ended(oss: LocalOSS, transfers: Transfers, tmp_path: Path) -> None:
    link = SlowLink(3600)
    link.end()
    oss.on_request = link.wait
    assert transfers.upload(a_file(tmp_path, size=2 * PART)).parts_sent == 2


def test_the_other_parts_of_a_killed_try_hold_the_link_no_longer_when_one_has_broken_off() -> None:
    link = SlowLink(3600)
    part = Request(0, "UploadPart", "PUT", "bucket", "in.bin", status=0)
    waiting = [threading.Thread(target=link.wait, args=(part,), daemon=True) for _ in range(3)]
    for thread in waiting:
        thread.start()

    def all_passed() -> bool:
        link.settle(part)  # again, as a thread may not have begun to wait
        return not any(thread.is_alive() for thread in waiting)

    wait_until(all_passed, timeout=LONG, what="the parts to pass")


def test_the_files_work_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s a "demo" $HOME'
    folder.mkdir()
    connection = json.dumps({"conn_type": "oss_resume", "password": "it's"})
    write_files(folder, size=3 * 2**20, connection=connection, airflow_port=8080)
    assert (folder / "in.bin").stat().st_size == 3 * 2**20
    dag = folder / "dags" / "ossresume_demo.py"
    compile(dag.read_text(), str(dag), "exec")
    assert repr(str(folder / "in.bin")) in dag.read_text()
    script = 'set -eu; source "$0"; env -0'
    env = {"PATH": os.environ["PATH"], "no_proxy": "example.com"}
    done = subprocess.run(["bash", "-c", script, folder / "env.sh"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = dict(line.partition("=")[::2] for line in done.stdout.split("\0"))
    assert seen["AIRFLOW_CONN_OSS_DEFAULT"] == connection
    assert seen["AIRFLOW__CORE__DAGS_FOLDER"] == str(folder / "dags")
    assert (seen["NO_PROXY"], seen["no_proxy"]) == ("127.0.0.1,localhost", "127.0.0.1,localhost,example.com")


def test_the_command_says_what_to_run_and_ends_at_sigterm(tmp_path: Path) -> None:
    command = (*COMMAND, "my demo", "--mib", "17")
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        lines = []
        while "Ctrl-C" not in (line := demo.stdout.readline()):
            assert line, "it ended"
            lines.append(line.strip())
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(30) == 0
    assert "source 'my demo'/env.sh" in lines
    assert "kill -9 \"$(cat 'my demo'/task.pid)\"" in lines
    assert sorted(path.name for path in (tmp_path / "my demo").iterdir()) == ["dags", "env.sh", "in.bin", "oss"]


def test_a_folder_that_exists_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "the folder exists; remove it or name another one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "value"), [("--mib", "0"), ("--mib", "x"), ("--part-seconds", "-1")])
def test_a_number_out_of_range_is_refused_before_a_folder_is_made(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "demo"), option, value])
    assert option in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
