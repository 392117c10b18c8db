"""What stands in the pages as Python, JSON, XML or shell is run, against a local OSS server.

The Python blocks of a page share one namespace, in order. One that begins with ``# some/file.py`` is written to that
file as well. A block under ``<!-- not run: why -->`` is left out, and there may be few of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.local_oss.faults import load_rules
from airflow_provider_ossresume.model.checkpoint import decode
from tests.docs.pages import RUN, Block, blocks_of

LANGUAGES = {"python", "json", "xml", "bash", "log", "text", "ini", "diff"}
DIRECTIVES = {"{toctree}", "{eval-rst}", "{include} ../CHANGELOG.md", "{include} ../SECURITY.md"}
NOT_RUN = 2  # pip install, in README and quick start


def those_with(*languages: str) -> list[Any]:
    return [pytest.param(page, id=page.stem) for page in RUN if blocks_of(page, *languages)]


@pytest.fixture
def oss() -> Iterator[LocalOSS]:
    with LocalOSS(buckets=["my-bucket"]) as server:
        yield server


@pytest.fixture
def here(oss: LocalOSS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world of a page: an empty folder, a server, and its keys in the environment."""
    connection = json.loads(oss.airflow_connection())
    connection["extra"]["bucket"] = "my-bucket"
    monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("OSS_ENDPOINT", oss.endpoint)
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", oss.access_key_id)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", oss.access_key_secret)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CHECKPOINTS_DB", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("airflow.sdk.io.store", "airflow.io.store"):
        if name in sys.modules:
            sys.modules[name]._STORE_CACHE.clear()  # of the servers of other pages
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", those_with("python"))
def test_the_python_of_a_page_runs(page: Path, here: Path) -> None:
    namespace: dict[str, Any] = {"__name__": page.stem}
    before = set(sys.modules), dict(os.environ)
    try:
        for block in runnable(page, "python"):
            write(block, here)
            # As many empty lines first as the page has, so that a traceback names the page's line.
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
            exec(code, namespace)
    finally:
        for module in set(sys.modules) - before[0]:
            if module.partition(".")[0] in {path.name for path in here.iterdir()}:
                del sys.modules[module]
        for name in set(os.environ) - set(before[1]):
            del os.environ[name]
    check_dags(namespace)


def write(block: Block, folder: Path) -> None:
    if block.file:
        path = folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)


def check_dags(namespace: dict[str, Any]) -> None:
    from airflow.providers.common.compat.sdk import DAG

    for dag in (value for value in namespace.values() if isinstance(value, DAG)):
        assert dag.task_ids, f"{dag.dag_id} has no tasks"
        dag.validate()


@pytest.mark.parametrize("page", those_with("bash"))
def test_the_shell_commands_of_a_page_work(page: Path, here: Path, airflow_env: dict[str, str]) -> None:
    for block in blocks_of(page, "python"):
        write(block, here)
    # A page that makes a home of its own finds it migrated already, which saves five seconds.
    shutil.copytree(airflow_env["AIRFLOW_HOME"], here / ".airflow", ignore=lambda *_: ["logs"])
    port = f":{free_port()}"  # as 4000 may be taken
    with ExitStack() as servers:
        for block in runnable(page, "bash"):
            if is_tested_elsewhere(block):
                continue
            text = block.text.replace(":4000", port).replace("--port 4000", f"--port {port[1:]}")
            if "airflow_provider_ossresume.local_oss" in text:
                answer = servers.enter_context(running_server(text, here, airflow_env))
                assert answer.startswith(f"endpoint=http://127.0.0.1{port} "), answer
            else:
                done = run_shell(text, here, airflow_env)
                assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
                check_connections(done.stdout)


def is_tested_elsewhere(block: Block) -> bool:
    """True for the demo's commands, which test_quickstart.py runs, and for make, whose targets it looks up."""
    return "local_oss.demo" in block.text or "ossresume-demo" in block.text or block.text.startswith("make ")


def run_shell(text: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = f"set -eu\n{text}\nenv -0"
    return subprocess.run(["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True)


@contextmanager
def running_server(text: str, folder: Path, env: dict[str, str]) -> Iterator[str]:
    """Start what runs until it is stopped; gives its first line."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {text}"], cwd=folder, env=env, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline()
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait() == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


OF_A_POD = {  # as RRSA sets them
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1234567890123456:role/transfers",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1234567890123456:oidc-provider/ack-rrsa-c1a2",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token",
}


def check_connections(environment: str) -> None:
    """A connection that a page exports makes a client, in a pod with RRSA; nothing is sent."""
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook

    for line in environment.split("\0"):
        name, _, value = line.partition("=")
        if name == "AIRFLOW_CONN_OSS_DEFAULT":
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(name, value)
                for variable, of_pod in OF_A_POD.items():
                    patch.setenv(variable, of_pod)
                assert OSSResumeHook().get_conn().region == "cn-hangzhou"


@pytest.mark.parametrize("page", those_with("json"))
def test_the_json_of_a_page_is_what_it_claims_to_be(page: Path, tmp_path: Path) -> None:
    for block in runnable(page, "json"):
        content = json.loads(block.text)
        if isinstance(content, dict) and "ossresume" in content:
            decode(block.text)
        elif isinstance(content, list):
            file = tmp_path / "faults.json"
            file.write_text(block.text)
            assert load_rules(file)
        else:
            assert content["Version"] == "1", f"{block}: a RAM policy was expected"


@pytest.mark.parametrize("page", those_with("xml"))
def test_the_xml_of_a_page_is_well_formed(page: Path) -> None:
    for block in runnable(page, "xml"):
        assert ElementTree.fromstring(block.text).tag == "LifecycleConfiguration"


def test_hardly_any_block_is_left_out() -> None:
    left_out = [f"{block}: {block.why_not_run}" for page in RUN for block in blocks_of(page) if block.why_not_run]
    assert len(left_out) <= NOT_RUN, left_out


def test_every_block_says_its_language() -> None:
    unknown = {str(block) for page in RUN for block in blocks_of(page) if block.language not in LANGUAGES | DIRECTIVES}
    assert not unknown


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in RUN])
def test_no_fence_is_left_open(page: Path) -> None:
    fences = re.findall(r"^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(fences) == 2 * len(blocks_of(page))


def runnable(page: Path, language: str) -> list[Block]:
    return [block for block in blocks_of(page, language) if not block.why_not_run]
