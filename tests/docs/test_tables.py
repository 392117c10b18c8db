"""The tables of the pages say what the code says: arguments, fields, faults, errors, permissions, lines of the log."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import pytest

import airflow_provider_ossresume
from airflow_provider_ossresume import errors, resumable
from airflow_provider_ossresume.checkpoints.select import CHOICES
from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.get_provider_info import CONN_FIELDS, UI_FIELD_BEHAVIOUR
from airflow_provider_ossresume.hooks import progress
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import LocalOSS, __main__
from airflow_provider_ossresume.local_oss.operations import OPERATIONS
from airflow_provider_ossresume.model.cleanup_reports import DeleteReport
from airflow_provider_ossresume.model.leftover_checkpoints import CheckpointReport
from airflow_provider_ossresume.model.leftover_files import LeftoverFilesReport
from airflow_provider_ossresume.model.objects import ObjectRef, PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.model.stale_uploads import AbortReport
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.operators import folders, sets
from airflow_provider_ossresume.oss import service_errors
from airflow_provider_ossresume.oss.credentials import AnonymousCredentials
from airflow_provider_ossresume.oss.credentials_service import CredentialsService
from airflow_provider_ossresume.oss.endpoint import _ENDPOINTS
from airflow_provider_ossresume.oss.sts import AssumedRole, Role, RoleWithOidc
from airflow_provider_ossresume.sets.batch.batch_report import BatchReport
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.set_transfers import SetTransfers
from airflow_provider_ossresume.transfer.config import TransferConfig
from airflow_provider_ossresume.transfer.progress import Direction, Progress, StartedAs, State
from airflow_provider_ossresume.transfer.result import TransferResult
from tests.docs.pages import DOCS, PAGES, blocks_of, codes, table_under, tables_under
from tests.world import BUCKET, a_client

PACKAGE = Path(airflow_provider_ossresume.__file__).parent
ROOT = PACKAGE.parent


def first_codes(page: str, heading: str) -> list[str]:
    return [code for row in table_under(page, heading) for code in codes(row[0])]


# --- operators and sensor ---------------------------------------------------------------------------------------------


OF_DAG_AUTHORS = [
    importlib.import_module(f"airflow_provider_ossresume.{name}")
    for name in (
        "operators.oss",
        "operators.copy",
        "operators.objects",
        "operators.janitor",
        "operators.folders",
        "operators.sets",
        "operators.buckets",
        "sensors.oss",
        "hooks.oss",
        "hooks.alibaba",
    )
]
NOT_TEMPLATED = {"check_fn"}  # a function; every flag is templated


def arguments_of(operator: type) -> dict[str, Any]:
    """Our own arguments with their defaults, those of Airflow left out."""
    found: dict[str, Any] = {}
    for cls in operator.__mro__:
        if cls.__module__.startswith("airflow_provider_ossresume") and "__init__" in vars(cls):
            for name, parameter in inspect.signature(cls.__init__).parameters.items():
                if name not in ("self", "kwargs"):
                    found.setdefault(name, parameter.default)
    return found


def shown_default(default: Any) -> str:
    shown = "" if default is inspect.Parameter.empty else f"`{json.dumps(default)}`"
    return shown.replace("null", "None").replace("true", "True").replace("false", "False")


@pytest.mark.parametrize(
    ("module", "name", "page", "heading"),
    [
        ("operators.oss", "OSSResumableUploadOperator", "operators.md", "Upload"),
        ("operators.oss", "OSSResumableDownloadOperator", "operators.md", "Download"),
        ("operators.copy", "OSSCopyObjectOperator", "copy.md", "Copy an object"),
        ("operators.objects", "OSSListOperator", "list-and-delete.md", "List"),
        ("operators.objects", "OSSDeleteObjectsOperator", "list-and-delete.md", "Delete"),
        ("operators.objects", "OSSDeleteObjectOperator", "list-and-delete.md", "Delete one object"),
        ("operators.buckets", "OSSCreateBucketOperator", "buckets.md", "Create a bucket"),
        ("operators.buckets", "OSSDeleteBucketOperator", "buckets.md", "Delete a bucket"),
        ("operators.janitor", "OSSAbortMultipartUploadsOperator", "janitor.md", "Abort unfinished uploads"),
        ("operators.janitor", "OSSCheckpointCleanupOperator", "janitor.md", "Delete left-over checkpoints"),
        ("operators.janitor", "OSSPartFileCleanupOperator", "janitor.md", "Remove left-over part files"),
        ("sensors.oss", "OSSObjectSensor", "sensor.md", "Arguments"),
    ],
)
def test_every_argument_is_listed_with_its_default(module: str, name: str, page: str, heading: str) -> None:
    operator = getattr(importlib.import_module(f"airflow_provider_ossresume.{module}"), name)
    listed = {argument: row[1] for row in table_under(page, heading) for argument in codes(row[0])}
    arguments = arguments_of(operator)
    assert listed.keys() == arguments.keys()
    for argument, cell in listed.items():
        if argument == "deferrable":
            continue  # as Airflow is configured
        default = arguments[argument]
        assert cell == shown_default(default), argument
    assert arguments.keys() - set(operator.template_fields) <= NOT_TEMPLATED


OF_MANY_FILES = (
    folders.OSSUploadFolderOperator,
    folders.OSSDownloadPrefixOperator,
    folders.OSSCopyPrefixOperator,
    sets.OSSPlanTransferOperator,
    sets.OSSTransferBatchOperator,
    sets.OSSFinishTransferOperator,
)


def test_every_argument_of_many_files_is_listed_with_its_default() -> None:
    arguments: dict[str, Any] = {}
    for operator in OF_MANY_FILES:
        for name, default in arguments_of(operator).items():
            assert arguments.setdefault(name, default) == default, (operator, name)
    rows = table_under("many-files.md", "All arguments")
    listed = {argument: row[1] for row in rows for argument in codes(row[0])}
    assert listed == {name: shown_default(default) for name, default in arguments.items()}


@pytest.mark.parametrize("operator", OF_MANY_FILES)
def test_every_argument_of_many_files_is_templated(operator: type) -> None:
    assert arguments_of(operator).keys() - {"map_index_template"} == set(vars(operator)["template_fields"])


def test_every_argument_of_a_group_is_listed() -> None:
    typed = inspect.signature(sets.oss_transfer_group).parameters
    own = [name for name in typed if name not in ("group_id", "source", "target", "arguments")]
    assert first_codes("many-files.md", "All workers") == own


def test_every_key_of_the_reports_on_many_files_is_listed(oss: LocalOSS, tmp_path: Path) -> None:
    verdict = Verdict("id", "s", "t", "copy", "proven").report()
    assert first_codes("many-files.md", "The verdict") == [*verdict, "tries"]
    (tmp_path / "file").touch()
    plan = SetTransfers(a_client(oss)).plan(LocalFolder(tmp_path), PrefixRef(BUCKET, "raw/"), options=SetOptions())
    assert set(first_codes("many-files.md", "The plan")) == {*plan.report()}
    assert first_codes("many-files.md", "The batch") == [*BatchReport(0, 1, 1).report()]


def test_every_key_of_the_report_is_listed() -> None:
    result = TransferResult(ObjectRef("b", "k"), "upload", "f", "transferred", 1, "E", 1, None, 1, 0, 1, 1, 1.0, 0)
    listed = first_codes("operators.md", "What a task reports")
    assert [name for name in listed if name != "source"] == [*result.report(), "tries"]
    copied = dataclasses.replace(result, direction="copy")
    assert [name for name in listed if name != "file"] == [*copied.report(), "tries"]


def test_every_key_of_the_janitors_reports_is_listed() -> None:
    aborted = AbortReport.of([], where=PrefixRef("b"))
    assert first_codes("janitor.md", "The report") == [*aborted.report()]
    cleaned = CheckpointReport("Variable", ())
    assert first_codes("janitor.md", "The cleanup's report") == [*cleaned.report()]
    assert first_codes("janitor.md", "The part files' report") == [*LeftoverFilesReport(False).report()]
    assert first_codes("list-and-delete.md", "The report") == [*DeleteReport(False).report()]


def test_what_takes_the_place_of_something_else_exists() -> None:
    operators = {name: thing for module in OF_DAG_AUTHORS for name, thing in vars(module).items()}
    replacements = [
        row[1] for row in re.findall(r"^\|(.+?)\|(.+?)\|", (DOCS / "migrating.md").read_text(), re.MULTILINE)
    ]
    named = [re.fullmatch(r"(\w+)(?:\((.*)\))?", code) for cell in replacements for code in codes(cell)]
    seen = 0
    for found in filter(None, named):
        name, shown = found[1], found[2]
        thing = operators.get(name) if name.startswith("OSS") else getattr(OSSResumeHook, name, None)
        if name.startswith("OSS") or shown is not None:
            assert thing is not None, name
            seen += 1
        if shown:
            known = arguments_of(thing) if name.endswith("Operator") else inspect.signature(thing).parameters
            assert {part.split("=")[0] for part in shown.split(", ")} <= set(known), found[0]
    assert seen > 20


def test_every_key_of_the_progress_entry_is_listed() -> None:
    snapshot = Progress("upload", ObjectRef("b", "k"), interval=0).snapshot()
    assert first_codes("observing.md", "Keys") == list(snapshot.report())


def test_every_metric_is_listed() -> None:
    source = inspect.getsource(progress)
    named = {f"ossresume.{name}" for name in progress.COUNTERS} | set(re.findall(r'"(ossresume\.\w+)"', source))
    ends = {
        f"ossresume.transfers.{end}"
        for end in (*get_args(State), *get_args(StartedAs))
        if end not in ("running", "new")
    }
    assert set(first_codes("observing.md", "Metrics")) == named | ends


# --- connection, config, stores ---------------------------------------------------------------------------------------


def test_every_field_of_the_connection_is_listed() -> None:
    rows = {row[0]: codes(row[1])[0] for row in table_under("connection.md", "Fields")}
    standard = {label: rows.pop(label) for label in UI_FIELD_BEHAVIOUR["relabeling"].values()}
    assert standard == {label: name for name, label in UI_FIELD_BEHAVIOUR["relabeling"].items()}
    assert rows == {field["label"]: name for name, field in CONN_FIELDS.items()}


def test_every_choice_of_the_connection_is_listed() -> None:
    rows = {codes(row[1])[0]: row[2] for row in table_under("connection.md", "Fields")}
    for name, field in CONN_FIELDS.items():
        assert set(field["schema"].get("enum", ())) <= set(codes(rows[name])), name
    assert first_codes("auth-modes.md", "Auth modes") == CONN_FIELDS["auth_type"]["schema"]["enum"]
    kinds = {codes(row[0])[0]: codes(row[1])[0] for row in table_under("proxies-and-endpoints.md", "Endpoint kinds")}
    assert kinds == {kind: url.format(region="cn-hangzhou") for kind, url in _ENDPOINTS.items()}
    assert CONN_FIELDS["endpoint_kind"]["schema"]["enum"] == [*kinds, "custom"]


def test_every_field_of_the_transfer_config_is_listed_with_its_default() -> None:
    rows = {codes(row[0])[0]: codes(row[1])[0] for row in table_under("transfer-config.md", "Transfer config")}
    assert list(rows) == [field.name for field in dataclasses.fields(TransferConfig)]
    assert TransferConfig.of({name: ast.literal_eval(shown) for name, shown in rows.items()}) == TransferConfig()


def test_every_checkpoint_store_is_listed() -> None:
    listed = first_codes("checkpoint-stores.md", "The stores")
    assert {ast.literal_eval(code) for code in listed} == {*CHOICES, "file:FOLDER"} - {"auto"}
    survives = first_codes("how-resume-works.md", "Where the checkpoint is kept")
    assert set(survives) == set(CHOICES) - {"auto"}


# --- without Airflow, and the local server ----------------------------------------------------------------------------


def test_every_function_is_listed_with_its_parameters() -> None:
    listed = {code.partition("(")[0]: code for code in first_codes("without-airflow.md", "The functions")}
    assert listed.keys() == set(resumable.__all__)
    for name, shown in listed.items():
        parameters = list(inspect.signature(getattr(resumable, name)).parameters)
        named = [part.split("=")[0].lstrip("*") for part in re.findall(r"[^(), ]+", shown.partition("(")[2])]
        assert [part for part in named if part] == parameters, name


def test_every_option_of_the_local_server_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsers: list[argparse.ArgumentParser] = []
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", lambda self, _: parsers.append(self))
    with pytest.raises(AttributeError):  # nothing was parsed
        __main__._options([])
    [parser] = parsers
    options = [action.option_strings[-1] for action in parser._actions if action.dest != "help"]
    assert sorted(first_codes("local-oss.md", "From a shell")) == sorted(options)


def test_every_attribute_of_the_local_server_is_listed() -> None:
    listed = {code.partition("(")[0] for code in first_codes("local-oss.md", "From Python")}
    assert listed == {name for name in dir(LocalOSS) if not name.startswith("_")}


def test_every_option_of_the_filesystem_is_listed_with_its_default() -> None:
    listed = {codes(row[0])[0]: row[1] for row in table_under("filesystem.md", "Options")}
    parameters = {
        name: "" if parameter.kind is parameter.VAR_KEYWORD else f"`{parameter.default!r}`"
        for name, parameter in inspect.signature(OSSFileSystem.__init__).parameters.items()
        if name != "self"
    }
    assert listed == parameters


def test_every_operation_of_the_local_server_is_listed() -> None:
    served = [code for row in table_under("local-oss.md", "What it serves") for code in codes(row[1])]
    assert sorted(served) == sorted(OPERATIONS)


# --- errors, permissions, the log -------------------------------------------------------------------------------------


def test_every_error_has_a_next_step() -> None:
    found = vars(errors).items()
    classes = {name for name, value in found if isinstance(value, type) and issubclass(value, errors.OSSResumeError)}
    assert set(first_codes("troubleshooting.md", "By error class")) == classes


def test_what_is_said_of_retries_is_so() -> None:
    for row in table_under("troubleshooting.md", "By error class"):
        [cls, *more] = [getattr(errors, name) for name in codes(row[0])]
        is_plain = not more and "," not in row[0]
        if is_plain and row[1] in ("yes", "no") and not issubclass(cls, errors.ServiceError):
            assert cls.retryable == (row[1] == "yes"), cls


def test_every_code_with_a_meaning_is_listed() -> None:
    listed = set(first_codes("troubleshooting.md", "By OSS code"))
    assert {*service_errors._HINTS_BY_CODE, *service_errors._ERRORS_BY_CODE, *errors.RETRYABLE_CODES} <= listed


def test_every_code_of_sts_with_a_next_step_is_listed() -> None:
    role, issuer = Role("acs:ram::1:role/r"), CredentialsService("http://127.0.0.1:1")
    assumed = AssumedRole(role, AnonymousCredentials(), issuer)
    with_oidc = RoleWithOidc(role, issuer, provider_arn="acs:ram::1:oidc-provider/p", token_file="token")
    assert {*assumed.hints(), *with_oidc.hints()} <= set(first_codes("troubleshooting.md", "By STS code"))


def test_the_policies_grant_what_the_errors_ask_for() -> None:
    granted = {
        action
        for block in blocks_of(DOCS / "permissions.md", "json")
        for statement in json.loads(block.text)["Statement"]
        for action in statement["Action"]
    }
    named = {action for text in service_errors._PERMISSIONS.values() for action in re.findall(r"oss:\w+", text)}
    assert granted == named - {"oss:ListBuckets"}  # only to be told whose a key is


def test_every_line_of_the_log_is_explained() -> None:
    rows = chain.from_iterable(tables_under("troubleshooting.md", "Lines of the log"))
    explained = [as_pattern(code, "…") for row in rows for code in codes(row[0])]
    for line in log_formats():
        example = re.sub(r"%[.\d]*[sfd]", "x", line)
        assert any(re.fullmatch(pattern, example) for pattern in explained), line


def test_every_line_of_the_log_that_a_page_shows_is_one_of_ours() -> None:
    ours = [as_pattern(line, r"%[.\d]*[sfd]") for line in [*log_formats(), *result_lines()]]
    for page in PAGES:
        for block in blocks_of(page, "log"):
            for line in block.text.splitlines():
                assert any(re.fullmatch(pattern, line) for pattern in ours), f"{block}: {line}"


def as_pattern(text: str, placeholder: str) -> str:
    return ".*".join(re.escape(literal) for literal in re.split(placeholder, text))


def log_formats() -> Iterator[str]:
    """The first argument of each log call of the package, the local server's left out."""
    for path in PACKAGE.rglob("*.py"):
        if "local_oss" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                log = ast.unparse(node.func.value)
                if log in ("log", "self.log") and node.args and isinstance(node.args[0], ast.Constant):
                    line = str(node.args[0].value)
                    if re.sub(r"%s|[: ]", "", line):  # those that say nothing by themselves are below
                        yield line


def result_lines() -> list[str]:
    """Those that say of themselves what they are: the end of a transfer, and its progress."""
    target = ObjectRef("b", "k")
    result = TransferResult(target, "upload", "f", "transferred", 1, "E", 1, None, 1, 0, 1, 1, 1.0, 0)
    progress = [
        dataclasses.replace(Progress(direction, target, interval=0).snapshot(), total=9, rate=1.0)
        for direction in get_args(Direction)
    ]
    lines = [f"Transferred: {result}", *map(str, progress)]
    return [re.sub(r"oss://b/k|\d+(\.\d+)?( [KMG]?i?B)?", "%s", line) for line in lines]


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_every_make_target_is_listed() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert sorted(first_codes("contributing.md", "Set up")) == sorted(f"make {target}" for target in targets)


def test_every_dependency_has_its_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    [block] = re.findall(r"^dependencies = \[\n(.*?)^\]", project, flags=re.MULTILINE | re.DOTALL)
    names = re.findall(r'"([a-z0-9-]+)', block)
    assert sorted(first_codes("contributing.md", "What it depends on at run time, and why")) == sorted(names)


def test_every_public_module_is_in_the_reference() -> None:
    reference = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    named = set(re.findall(r"(?:automodule|currentmodule):: airflow_provider_ossresume\.(\S+)", reference))
    for module in pkgutil.walk_packages([str(PACKAGE)], "airflow_provider_ossresume."):
        name = module.name.partition(".")[2]
        is_inside = name.startswith(("local_oss.", "_")) or name.rpartition(".")[2].startswith("_")
        assert module.ispkg or is_inside or name in named, name


@pytest.mark.parametrize("page", ["reliability.md", "security.md"])
def test_the_tests_that_hold_a_promise_exist(page: str) -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", (DOCS / page).read_text()))
    assert named
    assert not {path for path in named if not (ROOT / path).exists()}


def test_every_page_is_two_clicks_from_the_index_and_in_its_menu() -> None:
    index = DOCS / "index.md"
    near = links_of(index).union(*(links_of(DOCS / name) for name in links_of(index) if (DOCS / name).exists()))
    menu = {line for block in blocks_of(index, "{toctree}") for line in block.text.splitlines()}
    for page in {*PAGES} - {index}:
        assert page.name in near, page
        assert page.stem in menu, page


def links_of(page: Path) -> set[str]:
    return set(re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")))


def test_the_words_are_the_ones_of_the_glossary() -> None:
    others = re.compile(r"\b(chunk|segment|breakpoint|resumption|sub-?part)(s|ed|ing)?\b", re.IGNORECASE)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not others.search(text), f"{page.name}: {others.search(text)}"
