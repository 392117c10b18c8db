"""No secret is ever logged, shown or stored, whatever becomes of a task."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from tests.issuers import KEY_ID, KEY_SECRET, PROVIDER, ROLE, Sts, Uri
from tests.world import BUCKET

SECRET = "the-Secret-of-the-key/8fa1+x="
TOKEN = "the-Token-of-sts/9bc2+y=="
WRONG_SECRET = "the-Wrong-secret/7de3"
WRONG_TOKEN = "the-Wrong-token/6cd4"
OF_PROXY = "the-Password-of-the-proxy-5bc5"
EXTERNAL_ID = "the-External-id-4ba6"
OIDC_TOKEN = "the-Token-of-oidc-3af7"
OF_URI = "the-Secret-path-9cd5"
SECRETS = (SECRET, TOKEN, WRONG_SECRET, WRONG_TOKEN, OF_PROXY, KEY_SECRET, EXTERNAL_ID, OIDC_TOKEN, OF_URI)
ROOT = Path(__file__).parents[2]
ANSI = re.compile(r"\x1b\[[0-9;]*m")
SIGNED = re.compile(r"Signature=|x-oss-signature=|OSS4-HMAC-SHA256 Credential|Authorization: ?OSS", re.IGNORECASE)


@dataclass(frozen=True)
class Traces:
    """What the process said and what it left in Airflow's home."""

    output: str
    states: dict[str, Any]
    home: Path

    def lines(self) -> list[str]:
        """Everything but two things of Airflow's own: calls of 3.x, at DEBUG, that send what is to be masked, and the
        local variables of every frame, those of requests among them, which dag.test() of 3.0 shows. No worker does.
        """
        lines = [ANSI.sub("", line) for line in self.output.splitlines()]
        return [line for line in lines if "Sending request" not in line and not line.startswith("│ │")]

    def files(self) -> Iterator[Path]:
        return (path for path in self.home.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def traces(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Traces:
    with LocalOSS(access_key_secret=SECRET, security_token=TOKEN) as oss, Sts() as sts, Uri() as uri:
        sts.gives = uri.gives = (oss.access_key_id, SECRET, TOKEN)
        sts.external_id = EXTERNAL_ID
        token_file = tmp_path_factory.mktemp("oidc") / "token"
        token_file.write_text(OIDC_TOKEN)
        oss.fail("UploadPart", nth=4, fault=Fault("status", status=503), key="key")
        oss.fail("GetObject", nth=4, fault=Fault("status", status=503))
        oss.fail("UploadPart", fault=Fault("status", status=403, code="AccessDenied"), key="broken", times=None)
        oss.after_request = lambda request: request.key == "later" and oss.put(BUCKET, "later", b"")
        right = json.loads(oss.airflow_connection())
        of_role = {"role_arn": ROLE, "sts_endpoint": sts.url, "external_id": EXTERNAL_ID}
        of_pod = {**of_role, "oidc_provider_arn": PROVIDER, "oidc_token_file": str(token_file)}
        connections = {
            "takes_role": of_mode(right, "ram_role_arn", **of_role),
            "wrong_role": {**of_mode(right, "ram_role_arn", **of_role), "password": WRONG_SECRET},
            "no_sts": of_mode(right, "ram_role_arn", **{**of_role, "sts_endpoint": "http://127.0.0.1:9"}),
            "wrong_oidc": of_mode(right, "oidc", **of_pod),
            "asks_uri": of_mode(right, "credentials_uri", credentials_uri=uri.url + Uri.PATH),
            "no_uri": of_mode(right, "credentials_uri", credentials_uri="http://127.0.0.1:9" + Uri.PATH),
            "oss_default": {**right, "schema": BUCKET},
            "wrong_secret": {**right, "password": WRONG_SECRET},
            "wrong_token": {**right, "extra": {**right["extra"], "security_token": WRONG_TOKEN}},
            "wrong_proxy": {**right, "extra": {**right["extra"], "proxy": f"http://me:{OF_PROXY}@127.0.0.1:9"}},
            # A slash in a password ends the host for requests, whose error would then show the password.
            "no_proxy": {**right, "extra": {**right["extra"], "proxy": f"http://me:{OF_PROXY}/x@127.0.0.1:9"}},
        }
        done = subprocess.run(
            (sys.executable, "-m", "tests.airflow.secrets_scenario", str(tmp_path_factory.mktemp("scenario"))),
            cwd=ROOT,
            env={
                **os.environ,
                **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in connections.items()},
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
                "NO_PROXY": "",
                "no_proxy": "",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    assert done.returncode == 0, done.stdout
    last_line = [line for line in done.stdout.splitlines() if line.startswith('{"passes"')][-1]
    # A process of its own copies: to close a file of SQLite's takes the locks from the connections of this process, and
    # another process may then write over what they write (SQLite, "How To Corrupt An SQLite Database File", 2.2).
    home = tmp_path_factory.mktemp("traces") / "home"
    subprocess.run(("cp", "-r", os.environ["AIRFLOW_HOME"], str(home)), check=True)
    return Traces(done.stdout, json.loads(last_line), home)


def of_mode(connection: dict[str, Any], auth_type: str, **fields: str) -> dict[str, Any]:
    extra = {**connection["extra"], "security_token": "", "auth_type": auth_type, **fields}
    return {**connection, "login": KEY_ID, "password": KEY_SECRET, "extra": extra}


def test_the_tasks_met_their_ends(traces: Traces) -> None:
    assert traces.states == {
        "passes": ["success", 2],
        "comes_back": ["success", 2],
        "waits": ["success", 1],
        "stays_away": ["failed", 1],
        "wrong_secret": ["failed", 1],
        "wrong_token": ["failed", 1],
        "wrong_proxy": ["failed", 1],
        "no_proxy": ["failed", 1],
        "takes_role": ["success", 1],
        "wrong_role": ["failed", 1],
        "no_sts": ["failed", 1],
        "wrong_oidc": ["failed", 1],
        "asks_uri": ["success", 1],
        "no_uri": ["failed", 1],
        "shows_itself": ["success", 1],
    }
    assert "DEBUG" in traces.output or "[debug" in traces.output


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_said(traces: Traces, secret: str) -> None:
    assert [line for line in traces.lines() if secret in line] == []


def test_nothing_that_airflow_had_to_mask_is_said(traces: Traces) -> None:
    """Airflow would hide what it knows to be a secret; we do not count on it."""
    assert [line for line in traces.lines() if "***" in line] == []


def test_no_signature_is_said(traces: Traces) -> None:
    assert [line for line in traces.lines() if SIGNED.search(line)] == []


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_stored(traces: Traces, secret: str) -> None:
    """In the database, unencrypted in these tests, lie XComs, Variables, task states and rendered templates."""
    forms = {secret.encode(), json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode()}

    assert any(path.name == "airflow.db" for path in traces.files())
    contents = {path: path.read_bytes() for path in traces.files()}
    assert [path for path, content in contents.items() if any(form in content for form in forms)] == []


def test_no_signature_is_stored(traces: Traces) -> None:
    assert [path for path in traces.files() if SIGNED.search(path.read_bytes().decode(errors="replace"))] == []
