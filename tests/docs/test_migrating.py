"""The tables of the page Migrating: each method of the other providers' hooks has its row, and what takes its place is
there and takes the arguments that the row shows.

What the other providers have stands in ``tests/airflow/other_providers.json``, read off the versions that it names:
their packages are no dependency of this one.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.hooks.alibaba import OSSHook
from airflow_provider_ossresume.hooks.asynchronous import OSSResumeAsyncHook
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from tests.docs.pages import DOCS, codes, table_under
from tests.docs.test_tables import OF_DAG_AUTHORS, arguments_of

OTHERS = json.loads((Path(__file__).parents[1] / "airflow" / "other_providers.json").read_text())
HOOK_TABLES = {
    "alibaba": "Hook methods of the official Alibaba provider",
    "amazon": "Hook methods of the Amazon provider",
    "google": "Hook methods of the Google provider",
}
CLASSES: dict[str, type] = {"OSSResumeAsyncHook": OSSResumeAsyncHook, "OSSHook": OSSHook}
OPERATORS = {name: thing for module in OF_DAG_AUTHORS for name, thing in vars(module).items()}
CALL = re.compile(r"(?:(\w+)\.)?(\w+)(?:\((.*)\))?")

# Arguments of a hook's __init__, and of the official provider's operators, that every class of ours has.
SHARED = {"region", "bucket_name", "oss_conn_id"}


@pytest.mark.parametrize("provider", HOOK_TABLES)
def test_every_method_of_another_hook_has_its_row_with_its_arguments(provider: str) -> None:
    rows = [codes(row[0])[0] for row in table_under("migrating.md", HOOK_TABLES[provider])]
    expected = [f"{name}({', '.join(arguments)})" for name, arguments in OTHERS[provider]["hook"].items()]
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("provider", HOOK_TABLES)
def test_what_takes_the_place_of_a_method_exists_and_takes_those_arguments(provider: str) -> None:
    for row in table_under("migrating.md", HOOK_TABLES[provider]):
        if row[1] == "none":
            assert row[2], f"{row[0]}: say what to do instead"
            continue
        [code] = codes(row[1])
        owner, name, arguments = CALL.fullmatch(code).groups()  # type: ignore[union-attr]
        method = getattr(CLASSES.get(owner, OSSResumeHook), name)
        if arguments:
            shown = [part.partition("=")[0] for part in arguments.split(", ")]
            assert shown == [each for each in inspect.signature(method).parameters if each in shown], code


def test_where_s3hook_has_the_same_method_its_arguments_come_in_the_same_order() -> None:
    for row in table_under("migrating.md", HOOK_TABLES["amazon"]):
        there, here = codes(row[0])[0], (codes(row[1]) or [""])[0]
        name, _, listed = there.rstrip(")").partition("(")
        if here.partition("(")[0] != name or name in SAID_OTHERWISE:
            continue
        ours = list(inspect.signature(getattr(OSSResumeHook, name)).parameters)[1:]
        theirs = [each for each in listed.split(", ") if each in ours]
        assert theirs == ours[: len(theirs)], name


SAID_OTHERWISE = {
    "__init__",
    "transfer_config",
    "copy_object",
    "delete_objects",
    "download_file",
    "generate_presigned_url",
}


@pytest.mark.parametrize("provider", HOOK_TABLES)
def test_the_page_names_the_versions_that_it_was_read_off(provider: str) -> None:
    assert OTHERS[provider]["version"] in (DOCS / "migrating.md").read_text()


# --- the official Alibaba provider: all of it has a counterpart -------------------------------------------------------


@pytest.mark.parametrize("method", OTHERS["alibaba"]["hook"])
def test_the_official_providers_hook_calls_can_be_made_as_they_are(method: str) -> None:
    theirs: dict[str, str | None] = OTHERS["alibaba"]["hook"][method]
    parameters = inspect.signature(getattr(OSSHook, method)).parameters
    ours: dict[str, Any] = {
        name: None if parameter.default is parameter.empty else repr(parameter.default)
        for name, parameter in parameters.items()
        if name != "self" and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    assert list(ours.items()) == list(theirs.items())


@pytest.mark.parametrize("kind", ["operators", "sensors"])
def test_each_operator_and_sensor_of_the_official_provider_has_a_counterpart_with_its_arguments(kind: str) -> None:
    rows = {
        codes(row[0])[0].partition("(")[0]: codes(row[1])[0].partition("(")[0]
        for row in table_under("migrating.md", "Operators and sensor")
    }
    for name, theirs in OTHERS["alibaba"][kind].items():
        ours = OPERATORS[rows[name]]
        assert theirs.keys() <= arguments_of(ours).keys(), name
        optional = {each for each, default in theirs.items() if default is not None}
        required = {each for each, default in arguments_of(ours).items() if default is inspect.Parameter.empty}
        assert not required & optional, name
        assert theirs.keys() - {"file"} <= {*ours.template_fields, "file"}, name
