"""The connection form of Airflow 2.11, made of the hook's widgets: rendered, filled in, saved and opened again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume._airflow import AIRFLOW_3
from airflow_provider_ossresume.get_provider_info import CONN_FIELDS
from airflow_provider_ossresume.hooks.oss import OSSResumeHook

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(AIRFLOW_3, reason="3.x has another form: see tests/end_to_end/test_connection_form.py"),
]

PREFIX = "extra__oss_resume__"
STANDARD = ("conn_id", "conn_type", "description", "host", "schema", "login", "password", "port", "extra")
SECRETS = {name for name, field in CONN_FIELDS.items() if field["schema"].get("format") == "password"}


class Form:
    """The webserver's form, as a browser without JavaScript sees it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def new(self) -> dict[str, str]:
        """Open the form for a new connection and return its fields' values."""
        return self._values("/connection/add")

    def save(self, conn_id: str, values: dict[str, str], *, conn_type: str = "oss_resume", **ours: str) -> str:
        """Save a new connection and return the page that complains, if one does."""
        given = {**values, "conn_id": conn_id, "conn_type": conn_type, "login": "an-id", "password": "a-secret"}
        return self._post("/connection/add", {**given, **{f"{PREFIX}{name}": value for name, value in ours.items()}})

    def opened(self, conn_id: str) -> dict[str, str]:
        """Open the form of a stored connection and return its fields' values."""
        return {**self._values(self._path(conn_id)), "conn_type": stored(conn_id).conn_type}

    def save_again(self, conn_id: str, values: dict[str, str]) -> str:
        return self._post(self._path(conn_id), values)

    def page(self, path: str) -> str:
        answer = self._client.get(path)
        assert answer.status_code == 200
        return str(answer.text)

    def _path(self, conn_id: str) -> str:
        return f"/connection/edit/{stored(conn_id).id}"

    def _values(self, path: str) -> dict[str, str]:
        page = self.page(path)
        inputs = re.findall(r"<input[^>]*>", page)
        values = {attribute(each, "name"): attribute(each, "value") for each in inputs}
        extra = re.search(r'<textarea[^>]*name="extra"[^>]*>([^<]*)<', page)
        assert extra
        values["extra"] = unescape(extra[1]).strip()
        return {name: value for name, value in values.items() if name in STANDARD or name.startswith(PREFIX)}

    def _post(self, path: str, values: dict[str, str]) -> str:
        answer = self._client.post(path, data=values)
        return unescape(answer.text) if answer.status_code == 200 else ""  # a redirect when it is saved


def attribute(tag: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return unescape(found[1]) if found else ""


def stored(conn_id: str) -> Any:
    from airflow.models import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        connection = session.query(Connection).filter_by(conn_id=conn_id).one()  # noqa: AIR311  of the database
        session.expunge(connection)
        return connection


@pytest.fixture(scope="module")
def form(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Form]:
    config = tmp_path_factory.mktemp("webserver") / "webserver_config.py"
    config.write_text("AUTH_ROLE_PUBLIC = 'Admin'\nWTF_CSRF_ENABLED = False\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__WEBSERVER__CONFIG_FILE", str(config))
        from airflow.www.app import create_app

        yield Form(create_app(testing=True).test_client())
    from airflow.models import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(Connection).delete()  # noqa: AIR311  as above


def test_every_field_is_in_the_form_with_its_default(form: Form) -> None:
    values = form.new()

    shown = {name.removeprefix(PREFIX): value for name, value in values.items() if name.startswith(PREFIX)}
    assert shown == {name: field["schema"].get("default", "") for name, field in CONN_FIELDS.items()}


@pytest.mark.parametrize("name", CONN_FIELDS)
def test_a_field_has_its_label_and_help_and_hides_what_is_secret(form: Form, name: str) -> None:
    page = form.page("/connection/add")

    [tag] = re.findall(rf'<input[^>]*name="{PREFIX}{name}"[^>]*>', page)
    assert attribute(tag, "type") == ("password" if name in SECRETS else "text")
    label = re.search(rf'<label for="{PREFIX}{name}"[^>]*>([^<]*)<', page)
    assert label
    assert unescape(label[1]).strip() == CONN_FIELDS[name]["label"]
    assert CONN_FIELDS[name]["description"] in unescape(page)


def test_what_is_filled_in_reaches_the_hook(form: Form, tmp_path: Path) -> None:
    ours = {
        "region": "cn-beijing",
        "bucket": "of-the-form",
        "endpoint_kind": "internal",
        "auth_type": "sts",
        "security_token": "a-token",
        "addressing": "virtual",
        "signature_version": "v1",
        "proxy": "http://user:pass@proxy:3128",
        "verify_tls": "false",
        "connect_timeout": "3",
        "read_timeout": "30",
        "stall_timeout": "",
    }
    assert form.save("filled_in", form.new(), **ours) == ""

    settings = OSSResumeHook("filled_in").settings
    assert {name: getattr(settings, name) for name in ours} == {**ours, "verify_tls": False, "stall_timeout": None}
    assert str(OSSResumeHook("filled_in").get_conn().endpoint) == "https://oss-cn-beijing-internal.aliyuncs.com"


def test_a_form_that_is_opened_and_saved_keeps_everything_and_shows_no_secret(form: Form) -> None:
    secrets = {"security_token": "a-token", "proxy": "http://user:hunter2@proxy:3128"}
    form.save("kept", form.new(), region="cn-hangzhou", auth_type="sts", connect_timeout="3", **secrets)
    before = OSSResumeHook("kept").settings

    values = form.opened("kept")

    assert values["login"] == "an-id"
    assert not any(secret in str(values) for secret in ("a-secret", "a-token", "hunter2"))
    assert form.save_again("kept", values) == ""
    assert OSSResumeHook("kept").settings == before
    assert (before.security_token, before.proxy) == ("a-token", "http://user:hunter2@proxy:3128")


def test_a_secret_is_replaced_by_a_new_one_and_removed_by_an_empty_field(form: Form) -> None:
    form.save("replaced", form.new(), region="cn-hangzhou", security_token="a-token", proxy="http://proxy:3128")

    changes = {f"{PREFIX}security_token": "a-new-token", f"{PREFIX}proxy": ""}
    form.save_again("replaced", {**form.opened("replaced"), **changes})

    settings = OSSResumeHook("replaced").settings
    assert (settings.security_token, settings.proxy) == ("a-new-token", None)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("endpoint_kind", "intern", "must be one of: public, internal, accelerate, dual-stack, custom"),
        ("verify_tls", "maybe", "must be one of: true, false"),
        ("connect_timeout", "soon", "Not a valid integer value"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_in_the_form(form: Form, field: str, value: str, says: str) -> None:
    assert says in form.save("refused", form.new(), **{field: value})


def test_connections_of_other_types_are_saved_as_ever(form: Form) -> None:
    assert form.save("other", {}, conn_type="fs") == ""

    assert stored("other").conn_type == "fs"
    assert "oss_resume" not in str(stored("other").extra)


def test_host_port_and_schema_are_filled_in_and_reach_the_hook(form: Form) -> None:
    assert OSSResumeHook.get_ui_field_behaviour()["hidden_fields"] == []
    place = {"host": "http://10.0.0.8", "port": "9000", "schema": "a-bucket"}

    assert form.save("by_host", {**form.new(), **place}, region="cn-hangzhou") == ""

    hook = OSSResumeHook("by_host")
    assert (str(hook.get_conn().endpoint), hook.settings.bucket) == ("http://10.0.0.8:9000", "a-bucket")
