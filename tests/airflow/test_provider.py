"""What Airflow discovers of the provider: its metadata, by its own command line and its own schema."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import distribution, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import airflow
import pytest
from jsonschema import validate

from airflow_provider_ossresume import get_provider_info as module
from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.get_provider_info import CONN_FIELDS, get_provider_info
from airflow_provider_ossresume.hooks.auth_modes import AuthFields
from airflow_provider_ossresume.hooks.connection import ConnectionSettings
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.end_to_end import airflow_console

DISTRIBUTION = "airflow-provider-ossresume"
HOOK = "airflow_provider_ossresume.hooks.oss.OSSResumeHook"
READS_FORM = [int(number) for number in airflow.__version__.split(".")[:2]] >= [3, 2]  # in the metadata
COMMANDS = {
    "list": ["providers", "list", "--output", "json"],
    "get": ["providers", "get", DISTRIBUTION, "--full", "--output", "json"],
    "hooks": ["providers", "hooks", "--output", "json"],
    "widgets": ["providers", "widgets", "--output", "json"],
    "behaviours": ["providers", "behaviours", "--output", "json"],
    "triggers": ["providers", "triggers", "--output", "json"],
    "links": ["providers", "links", "--output", "json"],
    "configs": ["providers", "configs", "--output", "json"],
    "test of a good connection": ["connections", "test", "good"],
    "test of a bad connection": ["connections", "test", "bad"],
}


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """What one process of the command line answered to each command, and what it wrote to stderr."""

    answers: Mapping[str, tuple[int, str]]
    log: str

    def json_of(self, command: str) -> Any:
        status, output = self.answers[command]
        assert status == 0, output
        return json.loads(output)


@pytest.fixture(scope="module")
def command_line(migrated: None) -> CommandLine:
    """One process, as each start of Airflow takes seconds."""
    with LocalOSS() as oss:
        good = {**json.loads(oss.airflow_connection()), "schema": "bucket"}
        connections = {"good": good, "bad": {**good, "password": "a-wrong-secret"}}
        done = subprocess.run(
            (sys.executable, str(Path(airflow_console.__file__))),
            input="\n".join(map(json.dumps, COMMANDS.values())),
            env={
                **os.environ,
                **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in connections.items()},
                "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            },
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return CommandLine(dict(zip(COMMANDS, answers, strict=True)), done.stderr)


# --- the metadata itself ----------------------------------------------------------------------------------------------


def test_it_is_valid_for_the_installed_airflow() -> None:
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())

    validate(get_provider_info(), schema)


def test_it_is_plain_json_made_anew_each_time() -> None:
    assert json.loads(json.dumps(get_provider_info())) == get_provider_info()
    assert get_provider_info() is not get_provider_info()


def test_it_is_found_by_the_entry_point_under_the_distributions_name() -> None:
    [point] = [
        point for point in entry_points(group="apache_airflow_provider") if point.value.startswith(module.__name__)
    ]

    assert point.dist is not None
    assert (point.name, point.dist.name) == ("provider_info", DISTRIBUTION)
    assert point.load()()["package-name"] == distribution(DISTRIBUTION).metadata["Name"] == DISTRIBUTION


def test_reading_it_imports_nothing() -> None:
    """Airflow reads it in every process that it starts."""
    code = f"import sys; import {module.__name__} as m; m.get_provider_info(); print(*sys.modules)"

    loaded = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True).stdout.split()

    assert [name for name in loaded if name.startswith("airflow_provider_")] == [
        "airflow_provider_ossresume",
        "airflow_provider_ossresume.get_provider_info",
    ]
    assert not {"airflow", "requests", "tenacity", "json", "logging"} & set(loaded)


def test_every_module_and_class_that_it_names_exists() -> None:
    info = get_provider_info()
    parts = [entry for kind in ("hooks", "operators", "sensors", "triggers") for entry in info[kind]]
    modules = [name for entry in parts for name in entry["python-modules"]]
    package = Path(import_module("airflow_provider_ossresume").__file__ or "").parent
    operators = {file.stem for file in (package / "operators").glob("*.py") if "template_fields" in file.read_text()}
    assert {name.rpartition(".")[2] for name in modules if ".operators." in name} == operators
    for name in modules:
        import_module(name)

    for link in info["extra-links"]:
        path, _, name = link.rpartition(".")
        assert getattr(import_module(path), name)().name

    [connection] = info["connection-types"]
    path, _, name = connection["hook-class-name"].rpartition(".")
    hook = getattr(import_module(path), name)
    assert (hook.conn_type, hook.hook_name) == (connection["connection-type"], connection["hook-name"])
    assert {part["integration-name"] for part in parts} == {entry["integration-name"] for entry in info["integrations"]}


def test_it_takes_no_connection_type_of_another_provider() -> None:
    assert [entry["connection-type"] for entry in get_provider_info()["connection-types"]] == ["oss_resume"]


# --- the connection form ----------------------------------------------------------------------------------------------


def test_the_forms_fields_are_the_settings_that_the_hook_reads() -> None:
    not_fields = {"conn_id", "conn_type", "access_key_id", "access_key_secret", "auth", "endpoint_set_by"}
    read = [*dataclasses.fields(ConnectionSettings), *dataclasses.fields(AuthFields)]

    assert {field.name for field in read} - not_fields == set(CONN_FIELDS)


@pytest.mark.parametrize("name", CONN_FIELDS)
def test_a_field_has_a_label_a_help_and_a_schema_that_takes_its_default_and_nothing(name: str) -> None:
    field = CONN_FIELDS[name]

    assert field["label"][0].isupper()
    assert field["description"].endswith(".")
    assert field["schema"]["type"] in (["string", "null"], ["integer", "null"])
    if "enum" in field["schema"]:
        validate(field["schema"]["default"], field["schema"])


@pytest.mark.parametrize("name", ["security_token", "external_id", "credentials_uri", "proxy"])
def test_a_field_that_may_hold_a_secret_is_masked(name: str) -> None:
    assert CONN_FIELDS[name]["schema"]["format"] == "password"


def test_every_choice_of_the_form_is_one_that_the_hook_takes(connections: Any) -> None:
    fixed = {"login": "an-id", "password": "a-secret"}
    needed = {
        "security_token": "a-token",
        "role_arn": "acs:ram::1:role/r",
        "oidc_provider_arn": "acs:ram::1:oidc-provider/p",
        "oidc_token_file": "/var/run/token",
        "credentials_uri": "http://127.0.0.1:1/",
    }
    for name, field in CONN_FIELDS.items():
        for choice in field["schema"].get("enum", ()):
            extra = {"region": "cn-hangzhou", **needed, name: choice}
            if choice in ("custom", "path", "cname"):  # none of Alibaba's own
                extra["endpoint"] = "https://oss.example.com"
            connections.add(**fixed, extra=extra)
            assert OSSResumeHook().get_conn(), (name, choice)


def test_a_form_saved_as_it_opens_works(connections: Any) -> None:
    untouched = {name: field["schema"].get("default") for name, field in CONN_FIELDS.items()}
    connections.add(login="an-id", password="a-secret", extra={**untouched, "region": "cn-hangzhou"})

    assert str(OSSResumeHook().get_conn().endpoint) == "https://oss-cn-hangzhou.aliyuncs.com"


# --- what Airflow makes of it -----------------------------------------------------------------------------------------


def test_the_command_line_lists_it(command_line: CommandLine) -> None:
    from airflow_provider_ossresume import __version__

    [listed] = [entry for entry in command_line.json_of("list") if entry["package_name"] == DISTRIBUTION]

    assert listed["version"] == __version__
    assert "Resumable" in listed["description"]


def test_the_command_line_shows_all_of_it(command_line: CommandLine) -> None:
    [shown] = command_line.json_of("get")

    assert shown["package-name"] == DISTRIBUTION
    assert "oss_resume" in str(shown["connection-types"])


def test_the_command_line_shows_its_hook(command_line: CommandLine) -> None:
    [shown] = [entry for entry in command_line.json_of("hooks") if entry["connection_type"] == "oss_resume"]

    assert shown == {
        "connection_type": "oss_resume",
        "class": HOOK,
        "conn_id_attribute_name": "oss_conn_id",
        "package_name": DISTRIBUTION,
        "hook_name": "Alibaba Cloud OSS (resumable)",
    }


def test_the_command_line_shows_a_widget_for_each_field(command_line: CommandLine) -> None:
    ours = [entry for entry in command_line.json_of("widgets") if DISTRIBUTION in entry.values()]
    shown = {entry["connection_parameter_name"] for entry in ours}

    assert shown == {f"extra__oss_resume__{name}" for name in CONN_FIELDS}


def test_the_command_line_knows_how_the_form_behaves(command_line: CommandLine) -> None:
    assert {"field_behaviours": "oss_resume"} in command_line.json_of("behaviours")


def test_the_command_line_knows_its_trigger(command_line: CommandLine) -> None:
    assert "airflow_provider_ossresume.triggers.oss" in str(command_line.json_of("triggers"))


def test_the_command_line_shows_its_links(command_line: CommandLine) -> None:
    ours = [entry for entry in map(str, command_line.json_of("links")) if "airflow_provider_ossresume" in entry]

    assert len(ours) == len(get_provider_info().get("extra-links", ()))
    assert all(any(link in entry for entry in ours) for link in get_provider_info().get("extra-links", ()))


def test_the_command_line_knows_its_settings(command_line: CommandLine) -> None:
    assert DISTRIBUTION in str(command_line.json_of("configs"))


def test_the_command_line_tests_a_connection(command_line: CommandLine) -> None:
    status, output = command_line.answers["test of a good connection"]
    assert (status, "Connection success!" in output) == (0, True), output

    _, output = command_line.answers["test of a bad connection"]  # the status is 0 on 2.11 all the same
    assert "Connection failed!" in output
    assert "check the Access Key Secret and the region" in " ".join(output.split())  # it wraps its lines
    assert "a-wrong-secret" not in output + command_line.log


def test_airflow_has_nothing_to_complain_of(command_line: CommandLine) -> None:
    log = command_line.log.replace(sys.prefix, "")  # a checkout's folder may have the package's name
    complaints = [line for line in log.splitlines() if "oss" in line.lower()]

    assert complaints == []


def test_the_form_shows_every_field_that_counts() -> None:
    from airflow.providers_manager import ProvidersManager

    behaviour = ProvidersManager().field_behaviours["oss_resume"]

    assert behaviour["hidden_fields"] == []
    assert behaviour["relabeling"]["schema"] == "Bucket (schema)"
    assert behaviour["relabeling"]["login"] == "Access Key ID"
    assert behaviour["relabeling"]["password"] == "Access Key Secret"


def test_the_form_masks_what_is_secret() -> None:
    from airflow.providers_manager import ProvidersManager

    widgets = ProvidersManager().connection_form_widgets

    masked = {name for name in CONN_FIELDS if widgets[f"extra__oss_resume__{name}"].is_sensitive}
    assert masked == {"security_token", "external_id", "credentials_uri", "proxy"}


@pytest.mark.skipif(not AIRFLOW_3, reason="a page of 3.x")
def test_the_form_of_airflow_3_has_labels_choices_and_defaults() -> None:
    """Asked in a process of its own: 3.1 shows no field where somebody has asked for widgets before."""
    code = (
        "from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService\n"
        "[form] = [form for form in HookMetaService.hook_meta_data() if form.connection_type == 'oss_resume']\n"
        "print(form.model_dump_json())"
    )
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    form = json.loads(done.stdout.splitlines()[-1])

    assert form["standard_fields"]["login"]["title"] == "Access Key ID"
    assert not any((form["standard_fields"].get(name) or {}).get("hidden") for name in ("host", "port", "url_schema"))
    assert list(form["extra_fields"]) == list(CONN_FIELDS)
    for name, field in CONN_FIELDS.items():
        shown = form["extra_fields"][name]
        assert shown["schema"].get("title") == field["label"]
        assert shown["schema"].get("enum") == field["schema"].get("enum")
        assert shown["value"] == field["schema"].get("default")
        assert shown["description"].startswith(field["description"])  # 3.0 and 3.1 name the choices, too
