"""What was installed works: its modules, Airflow's view of the provider, and one run of each kind of task.

Nothing here imports the installed package into the process of the tests; the local server is the installed one too.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_ossresume
from airflow_provider_ossresume.get_provider_info import get_provider_info
from tests.end_to_end import airflow_console
from tests.installed.runs import DagRunner

pytestmark = pytest.mark.airflow

MIB = 2**20
NAME = "airflow-provider-ossresume"

PACKAGE = Path(airflow_provider_ossresume.__path__[0])
NOT_IMPORTED = {
    "airflow_provider_ossresume.local_oss.__main__",  # is run
    "airflow_provider_ossresume.local_oss.fixtures",  # needs pytest, as who imports it has
}
NEED_AIRFLOW_3_3 = {"airflow_provider_ossresume.policies.retry"}
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
} - {PACKAGE.name, *NOT_IMPORTED}

IMPORT_ALL = """
import importlib, json, pkgutil, sys, warnings
import airflow
import airflow_provider_ossresume as package

[folder] = package.__path__
names = [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
names = sorted({*names} - {*sys.argv[1:]})
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    refused = {}
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            refused[name] = str(error)
ours = [f"{warning.filename}:{warning.lineno}: {warning.message}" for warning in caught if folder in warning.filename]
versions = {"version": package.__version__, "airflow": airflow.__version__}
print(json.dumps({**versions, "modules": names, "refused": refused, "warnings": ours}))
"""


@pytest.fixture(scope="module")
def endpoint_and_log(
    airflow_python: str, shell_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The installed package's local server, which refuses the third part that it gets, and its log of requests."""
    folder = tmp_path_factory.mktemp("oss")
    faults, log = folder / "faults.json", folder / "requests.jsonl"
    fault = {"kind": "status", "status": 503, "code": "ServiceUnavailable"}
    faults.write_text(json.dumps([{"operation": "UploadPart", "nth": 3, "fault": fault}]))
    command = (airflow_python, "-m", "airflow_provider_ossresume.local_oss", "--faults", faults, "--log", log)
    with subprocess.Popen(command, env=shell_env, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        first_line = server.stdout.readline()
        found = re.match(r"endpoint=(\S+) ", first_line)
        assert found, first_line
        yield found[1], log
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0


@pytest.fixture(scope="module")
def runner(
    airflow_python: str,
    airflow_env: dict[str, str],
    endpoint_and_log: tuple[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DagRunner]:
    connection = {
        "conn_type": "oss_resume",
        "login": "local-oss-key-id",
        "password": "local-oss-key-secret",
        "extra": {"region": "cn-hangzhou", "endpoint": endpoint_and_log[0]},
    }
    env = {
        **airflow_env,
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).with_name("dags")),
        "AIRFLOW_CONN_OSS_DEFAULT": json.dumps(connection),
    }
    runner = DagRunner(airflow_python, env, tmp_path_factory.mktemp("log") / "airflow.log")
    yield runner
    runner.close()


def test_every_module_is_imported_without_a_warning_about_it(airflow_python: str, airflow_env: dict[str, str]) -> None:
    done = subprocess.run(
        (airflow_python, "-c", IMPORT_ALL, *NOT_IMPORTED),
        env=airflow_env,
        cwd=airflow_env["HOME"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["version"] == airflow_provider_ossresume.__version__
    assert found["warnings"] == []
    before_3_3 = [int(number) for number in found["airflow"].split(".")[:2]] < [3, 3]
    assert found["refused"].keys() == (NEED_AIRFLOW_3_3 if before_3_3 else set()), found["refused"]
    assert all("need Airflow 3.3" in reason for reason in found["refused"].values())
    assert found["modules"] == sorted(MODULES)


def test_the_command_line_shows_the_provider(airflow_python: str, airflow_env: dict[str, str]) -> None:
    """``airflow providers get``, ``hooks``, ``triggers`` and ``links``, in one process."""
    commands: list[list[str]] = [["get", NAME, "--full"], ["hooks"], ["triggers"], ["links"]]
    done = subprocess.run(
        (airflow_python, str(Path(airflow_console.__file__))),
        input="\n".join(json.dumps(["providers", *command, "--output", "json"]) for command in commands),
        env=airflow_env,
        cwd=airflow_env["HOME"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [status for status, _ in answers] == [0, 0, 0, 0], answers
    provider, hooks, triggers, links = (json.loads(output) for _, output in answers)
    info = get_provider_info()
    assert [shown["package-name"] for shown in provider] == [NAME]
    assert {"connection_type": "oss_resume", "package_name": NAME}.items() <= one(hooks, "oss_resume").items()
    for module in (name for entry in info["triggers"] for name in entry["python-modules"]):
        assert module in str(triggers)
    assert all(link in str(links) for link in info.get("extra-links", ()))


def one(entries: list[dict[str, Any]], connection_type: str) -> dict[str, Any]:
    [entry] = [entry for entry in entries if entry["connection_type"] == connection_type]
    return entry


def test_an_upload_that_fails_half_way_resumes_and_the_object_is_waited_for_and_downloaded(
    runner: DagRunner, endpoint_and_log: tuple[str, Path], tmp_path: Path
) -> None:
    source, target = tmp_path / "in.bin", tmp_path / "out.bin"
    source.write_bytes(bytes(number % 251 for number in range(4 * MIB)))
    assert not runner.parsed["errors"]

    run = runner.run("smoke", source=str(source), key="oss://bucket/smoke/in.bin", target=str(target))

    assert run.state == "success"
    assert run.tries("upload") == {-1: ("success", 2)}
    assert run.tries("wait") == run.tries("download") == {-1: ("success", 1)}
    report = run.xcom("upload", "report")
    assert (report["parts_kept"], report["parts_sent"]) == (2, 2)
    requests = [json.loads(line) for line in endpoint_and_log[1].read_text().splitlines()]
    sent = [(request["part_number"], request["status"]) for request in requests if request["part_number"]]
    assert sent == [(1, 200), (2, 200), (3, 503), (3, 200), (4, 200)]
    assert target.read_bytes() == source.read_bytes()
