"""What the hook makes of an Airflow connection: ours, the official Alibaba provider's, and one that cannot be used."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import airflow
import pytest

from airflow_provider_ossresume.errors import ArgumentError, CredentialsError, OSSResumeError
from airflow_provider_ossresume.get_provider_info import CONN_FIELDS
from airflow_provider_ossresume.hooks.connection import ConnectionSettings
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.transfer.config import TransferConfig
from tests.airflow.conftest import Connections
from tests.world import BUCKET

OURS = {"login": "an-id", "password": "a-secret"}
OFFICIAL_EXTRA = {"auth_type": "AK", "access_key_id": "an-id", "access_key_secret": "a-secret", "region": "cn-hangzhou"}


OF_THE_AUTH_MODES = {
    "role_arn": "acs:ram::1:role/r",
    "role_session_name": "me@work",
    "role_session_duration": "900",
    "role_policy": "{}",
    "external_id": "an-external-id",
    "role_name": "of-the-instance",
    "oidc_provider_arn": "acs:ram::1:oidc-provider/p",
    "oidc_token_file": "/var/run/token",
    "credentials_uri": "http://127.0.0.1:1/path",
    "sts_endpoint": "sts.cn-beijing.aliyuncs.com",
    "metadata_endpoint": "http://127.0.0.1:2",
}

not_on_3_0 = pytest.mark.skipif(
    airflow.__version__.startswith("3.0."), reason="Airflow 3.0 says of a connection with such an extra that it is none"
)


def settings_of(connections: Connections, **fields: Any) -> ConnectionSettings:
    connections.add(**fields)
    return OSSResumeHook().settings


# --- ours -------------------------------------------------------------------------------------------------------------


def test_every_field_of_our_form_arrives(connections: Connections) -> None:
    said = {
        "region": "cn-beijing",
        "bucket": "of-the-form",
        "endpoint_kind": "internal",
        "endpoint": "https://oss.example.com",
        "auth_type": "sts",
        "security_token": "a-token",
        **OF_THE_AUTH_MODES,
        "addressing": "cname",
        "signature_version": "v1",
        "proxy": "http://user:pass@proxy:3128",
        "ca_bundle": "/etc/ca.pem",
        "verify_tls": "false",
        "connect_timeout": "3",
        "read_timeout": "30",
        "stall_timeout": "20.5",
    }
    assert said.keys() == CONN_FIELDS.keys()

    settings = settings_of(connections, **OURS, extra=said)

    assert {**dataclasses.asdict(settings), "verify_tls": "false"} == {
        "conn_id": "oss_default",
        "conn_type": "oss_resume",
        "access_key_id": "an-id",
        "access_key_secret": "a-secret",
        "auth": OF_THE_AUTH_MODES,
        **{name: value for name, value in said.items() if name not in OF_THE_AUTH_MODES},
    }
    assert settings.verify_tls is False


@pytest.mark.parametrize("nothing", ["", " ", None])
def test_a_field_that_is_empty_or_null_is_no_setting(connections: Connections, nothing: str | None) -> None:
    # What Airflow takes for a secret, by its name too, is not made of a space: it would mask every space from then on.
    secrets = {name: "" for name, field in CONN_FIELDS.items() if "format" in field["schema"] or "token" in name}
    extra = {**dict.fromkeys(CONN_FIELDS, nothing), **(secrets if nothing == " " else {})}

    settings = settings_of(connections, login="", password="", extra=extra)

    assert settings == ConnectionSettings(conn_id="oss_default")


@pytest.mark.parametrize("said", [5, 5.0, "5", " 5 "])
def test_a_timeout_may_be_a_number_or_a_text(connections: Connections, said: object) -> None:
    connections.add(**OURS, extra={"region": "cn-hangzhou", "read_timeout": said})

    assert timeouts_of(OSSResumeHook()) == (10, 5, 60)


def test_the_connections_timeouts_are_defaults_for_those_of_the_transfer_config(connections: Connections) -> None:
    extra = {"region": "cn-hangzhou", "connect_timeout": 3, "read_timeout": 30, "stall_timeout": 20}
    connections.add(**OURS, extra=extra)

    assert timeouts_of(OSSResumeHook()) == (3, 30, 20)
    assert timeouts_of(OSSResumeHook(transfer_config={"read_timeout": 5})) == (3, 5, 20)
    assert timeouts_of(OSSResumeHook(transfer_config=TransferConfig(stall_timeout=5))) == (3, 30, 5)


def timeouts_of(hook: OSSResumeHook) -> tuple[float, float, float]:
    client = hook.get_conn()
    connect, _, read = client._connections._timeouts
    return connect, read, client._stall_timeout


def test_a_connection_may_be_a_uri(connections: Connections) -> None:
    connections.add_text("oss_default", "oss-resume://an-id:a%2Fse%2Bcret%25@/?region=cn-hangzhou&verify_tls=false")

    settings = OSSResumeHook().settings

    assert (settings.conn_type, settings.access_key_id, settings.access_key_secret) == (
        "oss_resume", "an-id", "a/se+cret%",
    )  # fmt: skip
    assert (settings.region, settings.verify_tls) == ("cn-hangzhou", False)


@pytest.mark.parametrize(
    ("extra", "endpoint", "region", "addressing"),
    [
        ({"region": "cn-hangzhou"}, "https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", "virtual"),
        ({"region": "oss-cn-hangzhou"}, "https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", "virtual"),
        ({"region": " cn-hangzhou\n"}, "https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", "virtual"),
        (
            {"region": "eu-central-1", "endpoint_kind": "internal"},
            "https://oss-eu-central-1-internal.aliyuncs.com", "eu-central-1", "virtual",
        ),
        (
            {"region": "cn-hangzhou", "endpoint_kind": "accelerate"},
            "https://oss-accelerate.aliyuncs.com", "cn-hangzhou", "virtual",
        ),
        (
            {"region": "cn-hangzhou", "endpoint_kind": "dual-stack"},
            "https://cn-hangzhou.oss.aliyuncs.com", "cn-hangzhou", "virtual",
        ),
        (
            {"endpoint": "https://oss-cn-shanghai-internal.aliyuncs.com"},
            "https://oss-cn-shanghai-internal.aliyuncs.com", "cn-shanghai", "virtual",
        ),
        (
            {"endpoint": "http://10.0.0.1:9000", "region": "cn-hangzhou"},
            "http://10.0.0.1:9000", "cn-hangzhou", "path",
        ),
        (
            {"endpoint": "https://files.example.com/", "region": "cn-hangzhou", "addressing": "cname"},
            "https://files.example.com", "cn-hangzhou", "cname",
        ),
        (
            {"endpoint": "http://10.0.0.1:9000", "region": "cn-hangzhou", "endpoint_kind": "custom"},
            "http://10.0.0.1:9000", "cn-hangzhou", "path",
        ),
        (
            {"endpoint": "https://oss.example.com", "signature_version": "V1"},
            "https://oss.example.com", "", "virtual",
        ),
    ],
)  # fmt: skip
def test_where_a_connection_leads(
    connections: Connections, extra: dict[str, str], endpoint: str, region: str, addressing: str
) -> None:
    connections.add(**OURS, extra=extra)

    client = OSSResumeHook().get_conn()

    assert (str(client.endpoint), client.region, client.endpoint.addressing) == (endpoint, region, addressing)


def test_the_hooks_region_takes_the_place_of_the_connections(connections: Connections) -> None:
    connections.add(**OURS, extra={"region": "cn-hangzhou"})

    client = OSSResumeHook(region="cn-beijing").get_conn()

    assert (str(client.endpoint), client.region) == ("https://oss-cn-beijing.aliyuncs.com", "cn-beijing")


def test_the_extra_bucket_comes_before_the_schema(connections: Connections) -> None:
    assert settings_of(connections, schema="old-field").bucket == "old-field"
    assert settings_of(connections, schema="old-field", extra={"bucket": "new-field"}).bucket == "new-field"


def test_the_local_servers_connection_gives_airflow_nothing_to_grumble_about(
    connected: LocalOSS, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level("INFO"):
        assert OSSResumeHook().list_keys("bucket") == []

    assert "too short" not in caplog.text + "".join(capsys.readouterr())


def test_a_pasted_key_may_bring_white_space_along(oss: LocalOSS, connections: Connections) -> None:
    extra = json.loads(oss.airflow_connection())["extra"]
    connections.add(login=f" {oss.access_key_id}\n", password=f"{oss.access_key_secret}\r\n", extra=extra)

    assert OSSResumeHook().list_keys("bucket") == []


def test_an_sts_token_is_sent_along(connections: Connections) -> None:
    with LocalOSS(security_token="a-token") as oss:
        connections.add_text("oss_default", oss.airflow_connection())
        assert OSSResumeHook().list_keys("bucket") == []

        extra = {"endpoint": oss.endpoint, "region": oss.region, "auth_type": "sts", "security_token": "a-token\n"}
        connections.add("with_mode", login=oss.access_key_id, password=oss.access_key_secret, extra=extra)
        assert OSSResumeHook("with_mode").list_keys("bucket") == []


def test_keys_from_the_environment(oss: LocalOSS, connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    connections.add(extra={"endpoint": oss.endpoint, "region": oss.region, "auth_type": "environment"})
    for name in ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"ALIBABA_CLOUD_{name.removeprefix('OSS_')}", raising=False)
    with pytest.raises(CredentialsError, match="set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET"):
        OSSResumeHook().list_keys("bucket")

    monkeypatch.setenv("OSS_ACCESS_KEY_ID", oss.access_key_id)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", oss.access_key_secret)

    assert OSSResumeHook().list_keys("bucket") == []


def test_an_anonymous_connection_signs_nothing(oss: LocalOSS, connections: Connections) -> None:
    connections.add(extra={"endpoint": oss.endpoint, "region": oss.region, "auth_type": "anonymous"})

    with pytest.raises(OSSResumeError, match="no right to access"):
        OSSResumeHook().list_keys("bucket")  # the server is private, and a signature is what it misses

    assert "Authorization" not in oss.requests[-1].headers


# --- the official provider's ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "endpoint"),
    [
        ({}, "https://oss-cn-hangzhou.aliyuncs.com"),
        ({"endpoint": "oss-cn-hangzhou.aliyuncs.com"}, "https://oss-cn-hangzhou.aliyuncs.com"),
        ({"endpoint": "oss-cn-hangzhou-internal.aliyuncs.com"}, "https://oss-cn-hangzhou-internal.aliyuncs.com"),
        ({"endpoint": "https://oss-cn-hangzhou.aliyuncs.com"}, "https://oss-cn-hangzhou.aliyuncs.com"),
    ],
)
def test_an_official_connection_leads_where_it_did(
    connections: Connections, extra: dict[str, str], endpoint: str
) -> None:
    connections.add(conn_type="oss", schema="its-bucket", extra={**OFFICIAL_EXTRA, **extra})

    hook = OSSResumeHook()

    assert (str(hook.get_conn().endpoint), hook.get_conn().region) == (endpoint, "cn-hangzhou")
    assert hook.target("key").uri == "oss://its-bucket/key"
    credentials = hook.settings.credentials().get()
    assert credentials is not None
    assert (credentials.access_key_id, credentials.access_key_secret) == ("an-id", "a-secret")


def test_an_official_connection_works_unchanged(oss: LocalOSS, connections: Connections) -> None:
    extra = {
        "auth_type": "AK",
        "access_key_id": oss.access_key_id,
        "access_key_secret": oss.access_key_secret,
        "region": oss.region,
        "endpoint": oss.endpoint,
    }
    connections.add(conn_type="oss", schema="bucket", extra=extra)
    oss.put("bucket", "key", b"bytes")

    assert OSSResumeHook().object_exists("key")
    assert OSSResumeHook().test_connection()[0]


# --- what cannot be used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "argument", "says"),
    [
        ({"endpoint": "oss-cn-hangzhou.aliyuncs.com"}, "endpoint", "begin it with https://"),
        ({"endpoint": "ftp://oss-cn-hangzhou.aliyuncs.com"}, "endpoint", "begin it with https://"),
        ({"endpoint": "https://"}, "endpoint", "begin it with https://"),
        ({"endpoint": "https://oss-cn-hangzhou.aliyuncs.com/bucket"}, "endpoint", "the bucket is named apart"),
        ({"endpoint": "https://oss-cn-hangzhou.aliyuncs.com?x=1"}, "endpoint", "ends after its host and port"),
        ({"endpoint": "https://host:port"}, "endpoint", "it is no URL"),
        (
            {"endpoint": "https://oss-cn-hangzhou.aliyuncs.com", "region": "cn-beijing"},
            "region", "is in cn-hangzhou; correct one of the two",
        ),
        (
            {"endpoint": "https://oss-cn-hangzhou-internal.aliyuncs.com", "region": "cn-beijing"},
            "region", "is in cn-hangzhou; correct one of the two",
        ),
        ({"endpoint": "https://oss.example.com"}, "region", "V4 signatures need it"),
        ({}, "region", "fill in Region or Endpoint in the connection 'oss_default', or pass region="),
        ({"region": "Hangzhou!"}, "region", "reads like cn-hangzhou"),
        ({"region": "cn-hangzhou", "endpoint_kind": "intern"}, "endpoint_kind", "public, internal, accelerate, dual"),
        ({"region": "cn-hangzhou", "auth_type": "ram"}, "auth_type", "access_key, sts, ram_role_arn, ecs_ram_role"),
        ({"region": "cn-hangzhou", "addressing": "dns"}, "addressing", "auto, virtual, path, cname"),
        ({"region": "cn-hangzhou", "signature_version": "v2"}, "signature_version", "choose v4 or v1"),
        ({"region": "cn-hangzhou", "verify_tls": "maybe"}, "verify_tls", "give true or false"),
        ({"region": "cn-hangzhou", "endpoint_kind": "custom"}, "endpoint", "endpoint_kind 'custom' needs it"),
        ({"region": "cn-hangzhou", "connect_timeout": "soon"}, "connect_timeout", "give a number from 0.001 to 86400"),
        ({"region": "cn-hangzhou", "stall_timeout": "0"}, "stall_timeout", "give a number from 0.001 to 86400"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_used_is_one_error_with_the_next_step(
    connections: Connections, extra: dict[str, str], argument: str, says: str
) -> None:
    connections.add(**OURS, extra=extra)

    with pytest.raises(ArgumentError) as error:
        OSSResumeHook().get_conn()

    assert error.value.argument == argument
    assert str(error.value).startswith(f"{argument}={extra.get(argument)!r}: ")
    assert says in str(error.value)
    assert "a-secret" not in str(error.value)
    assert not error.value.retryable


def test_an_endpoint_with_a_password_in_it_is_refused_without_showing_it(connections: Connections) -> None:
    connections.add(**OURS, extra={"endpoint": "https://user:hunter2@oss-cn-hangzhou.aliyuncs.com"})

    with pytest.raises(ArgumentError, match="an endpoint holds no user name") as error:
        OSSResumeHook().get_conn()

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "the Access Key ID is missing; fill it in in the connection, or set auth_type"),
        ({"login": "an-id"}, "the Access Key Secret is missing; fill it in"),
        ({"password": "a-secret"}, "the Access Key ID is missing; fill it in"),
        ({**OURS, "extra": {"auth_type": "sts"}}, "auth_type 'sts' needs the field security_token"),
        ({"conn_type": "oss", "extra": {"auth_type": "AK", "access_key_id": "an-id"}}, "Access Key Secret is missing"),
    ],
)
def test_missing_credentials_are_named_with_their_connection(
    connections: Connections, fields: dict[str, Any], says: str
) -> None:
    connections.add("of_the_task", **{**fields, "extra": {"region": "cn-hangzhou", **fields.get("extra", {})}})

    with pytest.raises(CredentialsError, match=says) as error:
        OSSResumeHook("of_the_task").get_conn()

    assert "connection 'of_the_task'" in str(error.value)
    assert "a-secret" not in str(error.value)


def test_settings_show_no_secret(connections: Connections) -> None:
    settings = settings_of(
        connections,
        **OURS,
        extra={"region": "cn-hangzhou", "security_token": "a-token", "proxy": "http://user:hunter2@proxy"},
    )

    for shown in (repr(settings), repr(settings.credentials().get()), repr(OSSResumeHook().get_conn())):
        assert not any(secret in shown for secret in ("a-secret", "a-token", "hunter2"))


# --- test_connection; what it says stands in tests/unit/test_checkup.py -----------------------------------------------


def test_a_good_connection_tells_where_it_leads(connected: LocalOSS, connections: Connections) -> None:
    connection = json.loads(connected.airflow_connection())
    connection["extra"]["bucket"] = BUCKET
    connections.add(**connection)

    works, message = OSSResumeHook().test_connection()

    assert works
    assert message.startswith(f"Endpoint {connected.endpoint}; region cn-hangzhou; bucket {BUCKET} in cn-hangzhou ")
    assert [request.operation for request in connected.requests] == ["GetBucketInfo"]


def test_a_connection_without_a_bucket_tells_whose_the_key_is(connected: LocalOSS) -> None:
    works, message = OSSResumeHook().test_connection()

    assert works
    assert "the key is good and belongs to account" in message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "wrong-secret"}, "check the Access Key Secret and the region"),
        ({"password": ""}, "the Access Key Secret is missing"),
        ({"extra": {"endpoint": "no-scheme"}}, "begin it with https://"),
        ({"extra": {"verify_tls": "maybe"}}, "give true or false"),
        pytest.param({"extra": ["not-an-object"]}, "the connection's extra is a JSON object", marks=not_on_3_0),
    ],
)
def test_a_bad_connection_tells_what_to_do(
    oss: LocalOSS, connections: Connections, change: dict[str, Any], says: str
) -> None:
    connections.add(**{**json.loads(oss.airflow_connection()), "schema": BUCKET, **change})

    works, message = OSSResumeHook().test_connection()

    assert not works
    assert says in message
    assert not any(secret in message for secret in (oss.access_key_secret, "wrong-secret", "Signature="))
