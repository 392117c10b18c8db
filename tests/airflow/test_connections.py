"""What the hook makes of an Airflow connection: ours, the official Alibaba provider's, and one that cannot be used."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow
import pytest

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume._airflow import AirflowFailException, AirflowNotFoundException
from airflow_provider_ossresume.errors import ArgumentError, CredentialsError, OSSResumeError
from airflow_provider_ossresume.get_provider_info import CONN_FIELDS
from airflow_provider_ossresume.hooks.connection import ConnectionSettings
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.operators.objects import OSSListOperator
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
        "endpoint_kind": "custom",
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
        "endpoint_set_by": "endpoint",
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
    way = client._connections
    return way._connect_timeout, way._read_timeout, way._stall_timeout


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


@pytest.mark.parametrize("fields", [
    {"schema": "a-bucket"},
    {"extra": {"bucket": "a-bucket"}},
    {"schema": "a-bucket", "extra": {"bucket": "a-bucket"}},
    {"extra": {"endpoint": "https://a-bucket.oss-cn-hangzhou.aliyuncs.com"}},
    {"host": "a-bucket.oss-cn-hangzhou.aliyuncs.com", "schema": "a-bucket"},
])  # fmt: skip
def test_the_bucket_stands_in_the_schema_in_an_extra_or_in_the_endpoint(
    connections: Connections, fields: dict[str, Any]
) -> None:
    settings = settings_of(connections, **fields)

    assert settings.bucket == "a-bucket"


# --- two fields for one thing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"schema": "old-one", "extra": {"bucket": "new-one"}},
            "bucket='new-one': extra bucket 'new-one' and schema 'old-one' are both filled in and differ",
        ),
        (
            {"schema": "old-one", "host": "new-one.oss-cn-hangzhou.aliyuncs.com"},
            "bucket='old-one': schema 'old-one' and host 'new-one' are both filled in and differ",
        ),
        ({"login": "one", "extra": {"access_key_id": "two"}}, "login='…': login and extra access_key_id are both fill"),
        (
            {"password": "one-secret", "extra": {"access_key_secret": "another"}},
            "password='…': password and extra access_key_secret are both filled in and differ",
        ),
        (
            {"host": "oss.example.com", "extra": {"endpoint": "https://other.example.com"}},
            "endpoint='https://other.example.com': the host is 'oss.example.com'; remove one of the two",
        ),
        (
            {"host": "http://oss.example.com", "extra": {"endpoint": "https://oss.example.com"}},
            "endpoint='https://oss.example.com': the host is http://oss.example.com; remove one",
        ),
        (
            {"host": "minio", "port": 9000, "extra": {"endpoint": "http://minio:9001"}},
            "endpoint='http://minio:9001': the host is 'minio:9000'; remove one of the two",
        ),
        (
            {"port": 9001, "extra": {"endpoint": "http://minio:9000"}},
            "port=9001: the endpoint 'http://minio:9000' has another port; remove one of the two",
        ),
        ({"port": 9000, "extra": {"region": "cn-hangzhou"}}, "port=9000: fill in Host or Endpoint too, or remove"),
        ({"host": "http://minio:9000", "port": 443}, "port=443: the host 'http://minio:9000' has another port; remove"),
        (
            {"extra": {"endpoint": "https://oss-cn-hangzhou.aliyuncs.com", "endpoint_kind": "internal"}},
            "endpoint_kind='internal': the endpoint https://oss-cn-hangzhou.aliyuncs.com, set by endpoint, "
            "is of another kind",
        ),
        (
            {"host": "oss.example.com", "extra": {"region": "cn-hangzhou", "endpoint_kind": "accelerate"}},
            "endpoint_kind='accelerate': the endpoint https://oss.example.com, set by host, is of another kind",
        ),
        (
            {"extra": {"extra__oss_resume__region": "cn-beijing", "region": "cn-hangzhou"}},
            "region='cn-hangzhou': 'extra__oss_resume__region' has another value; remove one of the two",
        ),
        (
            {"extra": {"access_key_secret": "one-secret", "extra__oss__access_key_secret": "another"}},
            "extra__oss__access_key_secret='…': 'access_key_secret' has another value; remove one of the two",
        ),
    ],
)  # fmt: skip
def test_two_fields_that_disagree_are_an_error_that_names_both(
    connections: Connections, fields: dict[str, Any], says: str
) -> None:
    connections.add(**{**OURS, **fields})

    with pytest.raises(ArgumentError) as error:
        OSSResumeHook().get_conn()

    assert says in str(error.value)
    assert "one-secret" not in str(error.value)


# --- the host ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "endpoint"),
    [
        ({"host": "oss-cn-hangzhou-internal.aliyuncs.com"}, "https://oss-cn-hangzhou-internal.aliyuncs.com"),
        ({"host": "http://10.0.0.8", "port": 9000}, "http://10.0.0.8:9000"),
        ({"host": "http://10.0.0.8:9000"}, "http://10.0.0.8:9000"),
        ({"host": "http://10.0.0.8:9000/", "port": 9000}, "http://10.0.0.8:9000"),
        ({"host": "10.0.0.8", "port": 9000}, "https://10.0.0.8:9000"),  # http must be said
        ({"host": "[::1]", "port": 9000}, "https://[::1]:9000"),
        # What host and endpoint say together.
        ({"host": "minio", "port": 9000, "extra": {"endpoint": "http://minio:9000"}}, "http://minio:9000"),
        ({"host": "http://minio", "extra": {"endpoint": "minio:9000"}}, "http://minio:9000"),
        ({"host": "minio", "extra": {"endpoint": "http://minio:9000"}}, "http://minio:9000"),
        ({"port": 9000, "extra": {"endpoint": "http://minio.local"}}, "http://minio.local:9000"),
        ({"port": 9000, "extra": {"endpoint": "minio.local:9000"}}, "https://minio.local:9000"),
        # The Test button of Airflow 3.3.1 wants a port, whatever the rest.
        ({"port": 443, "extra": {"endpoint": "http://10.0.0.8:9000"}}, "http://10.0.0.8:9000"),
        ({"port": 443, "extra": {"endpoint": "http://minio.local"}}, "http://minio.local"),
        ({"port": 443}, "https://oss-cn-hangzhou.aliyuncs.com"),
        ({"host": "", "port": 443}, "https://oss-cn-hangzhou.aliyuncs.com"),
    ],
)
@pytest.mark.parametrize("conn_type", ["oss_resume", "oss"])
def test_the_host_is_the_endpoint(
    connections: Connections, conn_type: str, fields: dict[str, Any], endpoint: str
) -> None:
    extra = {"region": "cn-hangzhou", **fields.get("extra", {})}
    connections.add(**{**OURS, "conn_type": conn_type, **fields, "extra": extra})

    assert str(OSSResumeHook().get_conn().endpoint) == endpoint


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("oss-resume://id:secret@oss.example.com/a-bucket?region=cn-hangzhou", "https://oss.example.com"),
        ("oss-resume://id:secret@oss.example.com:8443/a-bucket?region=cn-hangzhou", "https://oss.example.com:8443"),
        (
            "oss-resume://id:secret@http%3A%2F%2F10.0.0.8:9000/a-bucket?region=cn-hangzhou",
            "http://10.0.0.8:9000",
        ),
        ("oss-resume://http://id:secret@10.0.0.8:9000/a-bucket?region=cn-hangzhou", "http://10.0.0.8:9000"),
    ],
)
def test_the_host_of_a_uri_is_the_endpoint_and_its_path_the_bucket(
    connections: Connections, uri: str, endpoint: str
) -> None:
    connections.add_text("oss_default", uri)

    hook = OSSResumeHook()

    assert (str(hook.get_conn().endpoint), hook.settings.bucket) == (endpoint, "a-bucket")


def test_a_local_server_with_tls_is_verified_by_its_own_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalOSS(tmp_path / "oss", tls=True) as oss:
        oss.put(BUCKET, "key", b"bytes")
        monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", oss.airflow_connection())

        assert OSSResumeHook().object_exists("key", BUCKET)
        assert [request.operation for request in oss.requests] == ["HeadObject"]


def test_a_request_goes_to_the_host(oss: LocalOSS, connections: Connections) -> None:
    connections.add(
        login=oss.access_key_id, password=oss.access_key_secret, host="http://127.0.0.1", port=oss.port,
        extra={"region": oss.region},
    )  # fmt: skip

    assert OSSResumeHook().list_keys("bucket") == []
    assert len(oss.requests) == 1


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("ftp://10.0.0.8", "host='ftp://10.0.0.8': begin it with https://"),
        ("https://user:a-secret@h", "remove the user name and the password"),
        ("https://user:p/a-secret@h", "host='…': remove the user name and the password; an endpoint has none"),
        ("http://h/bucket", "host='http://h/bucket': remove what follows host and port"),
    ],
)
def test_a_host_that_is_none_is_refused(connections: Connections, host: str, says: str) -> None:
    connections.add(**OURS, host=host, extra={"region": "cn-hangzhou"})

    with pytest.raises(ArgumentError) as error:
        OSSResumeHook().get_conn()

    assert says in str(error.value)
    assert "a-secret" not in str(error.value)


def test_a_uri_whose_scheme_has_an_underscore_is_refused_without_showing_its_secret(connections: Connections) -> None:
    connections.add_text("oss_default", "oss_resume://id:a-secret@/bucket?region=cn-hangzhou")

    with pytest.raises(ArgumentError, match="write a connection's URI with a hyphen: oss-resume://") as error:
        OSSResumeHook().get_conn()

    assert "a-secret" not in str(error.value)


# --- what the extra may hold ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("conn_type", "prefix"), [("oss_resume", "extra__oss_resume__"), ("oss", "extra__oss__")])
def test_names_with_the_prefix_of_older_forms_are_read(
    oss: LocalOSS, connections: Connections, conn_type: str, prefix: str
) -> None:
    extra = {"access_key_id": oss.access_key_id, "access_key_secret": oss.access_key_secret}
    extra |= {"endpoint": oss.endpoint, "region": oss.region}
    connections.add(conn_type=conn_type, extra={"region": "", **{prefix + name: extra[name] for name in extra}})

    assert OSSResumeHook().list_keys("bucket") == []


def test_a_name_that_nobody_reads_is_warned_about_once_with_the_nearest_one(
    connections: Connections, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = {"regoin": "cn-hangzhou", "accessKeySecret": "a-mistyped-secret", "verify": "no", "qqq": 1, "empty": ""}
    conn_id = connections.add("with_unknown_names", **OURS, extra={"region": "cn-hangzhou", **unknown})

    for _ in range(3):
        assert OSSResumeHook(conn_id).get_conn()

    [warning] = [each.getMessage() for each in caplog.records if "the extra has unknown names" in each.getMessage()]
    assert warning == (
        "Connection 'with_unknown_names': the extra has unknown names: 'regoin' (did you mean 'region'?), "
        "'accessKeySecret' (did you mean 'access_key_secret'?), 'verify' (did you mean 'verify_tls'?), 'qqq'; "
        "correct or remove them"
    )
    assert "a-mistyped-secret" not in caplog.text


def test_a_field_that_the_auth_mode_does_not_use_is_warned_about(
    connections: Connections, caplog: pytest.LogCaptureFixture
) -> None:
    extra = {"region": "cn-hangzhou", "role_arn": "acs:ram::1:role/r", "external_id": "an-external-id"}
    conn_id = connections.add("without_its_mode", **OURS, extra=extra)

    OSSResumeHook(conn_id).get_conn()

    assert "auth_type 'access_key' does not use role_arn, external_id; clear these" in caplog.text
    assert "an-external-id" not in caplog.text


@pytest.mark.parametrize(
    ("extra", "setting"),
    [
        ({"endpoint_kind": "INTERNAL"}, ("endpoint_kind", "internal")),
        ({"addressing": " Virtual "}, ("addressing", "virtual")),
        ({"signature_version": "V1"}, ("signature_version", "v1")),
        ({"auth_type": "ACCESS_KEY"}, ("auth_type", "access_key")),
        ({"auth_type": "AK"}, ("auth_type", "access_key")),
        ({"verify_tls": "FALSE"}, ("verify_tls", False)),
        ({"verify_tls": ""}, ("verify_tls", True)),
        ({"connect_timeout": 7.5}, ("connect_timeout", "7.5")),
    ],
)
def test_choices_flags_and_numbers_are_read_by_one_rule(
    connections: Connections, extra: dict[str, Any], setting: tuple[str, object]
) -> None:
    name, value = setting

    assert getattr(settings_of(connections, **OURS, extra=extra), name) == value


def test_a_timeout_may_be_a_duration(connections: Connections) -> None:
    extra = {"region": "cn-hangzhou", "connect_timeout": "5s", "read_timeout": "2m", "stall_timeout": 7.5}
    connections.add(**OURS, extra=extra)

    assert timeouts_of(OSSResumeHook()) == (5, 120, 7.5)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"region": True}, "region=True: this is true or false; write it as a string, in quotes"),
        ({"region": ["cn-hangzhou"]}, "region=['cn-hangzhou']: this is list; write it as a string, in quotes"),
        ({"auth_type": ["AK"]}, "auth_type=['AK']: this is list"),
        ({"external_id": ["a-secret"]}, "external_id='…': this is list"),
        ({"proxy": {"http": "a-secret"}}, "proxy='…': this is dict"),
        ({"connect_timeout": True}, "connect_timeout=True: this is true or false"),
        ({"role_name": 1.5}, "role_name=1.5: this is float"),
        ({"verify_tls": 0}, "verify_tls=0: give true or false"),
        ({"verify_tls": "off"}, "verify_tls='off': give true or false"),
    ],
)
def test_a_kind_of_json_that_does_not_fit_is_refused_by_name(
    connections: Connections, extra: dict[str, Any], says: str
) -> None:
    connections.add(**OURS, extra={"region": "cn-hangzhou", **extra})

    with pytest.raises(ArgumentError) as error:
        OSSResumeHook().get_conn()

    assert str(error.value).startswith(says)
    assert "a-secret" not in str(error.value)


@not_on_3_0
def test_an_extra_that_is_no_json_is_an_error_that_shows_nothing_of_it(connections: Connections) -> None:
    connections.add(**OURS, extra='{"security_token": "a-secret",\n broken')

    with pytest.raises(
        ArgumentError, match=r"the connection's extra is not valid JSON \(line 2, column 2\); correct"
    ) as error:
        OSSResumeHook().get_conn()

    assert "a-secret" not in f"{error.value!r} {error.value.__context__}"


# --- without a connection ---------------------------------------------------------------------------------------------


@pytest.fixture
def bare_worker(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith(("OSS_", "ALIBABA_CLOUD_")):
            monkeypatch.delenv(name)
    return monkeypatch


def test_none_takes_key_region_and_endpoint_of_the_worker(oss: LocalOSS, bare_worker: pytest.MonkeyPatch) -> None:
    bare_worker.setenv("OSS_ACCESS_KEY_ID", f"{oss.access_key_id}\n")
    bare_worker.setenv("OSS_ACCESS_KEY_SECRET", f"{oss.access_key_secret}\n")
    bare_worker.setenv("OSS_ENDPOINT", oss.endpoint)

    assert OSSResumeHook(None, region=oss.region).list_keys("bucket") == []

    bare_worker.setenv("OSS_REGION", oss.region)
    assert OSSResumeHook(None).test_connection()[0]


def test_none_leads_to_the_regions_public_endpoint(bare_worker: pytest.MonkeyPatch) -> None:
    assert str(OSSResumeHook(None, region="cn-beijing").get_conn().endpoint) == "https://oss-cn-beijing.aliyuncs.com"

    bare_worker.setenv("ALIBABA_CLOUD_REGION_ID", "cn-hangzhou")
    assert OSSResumeHook(None).get_conn().region == "cn-hangzhou"


def test_none_without_a_region_says_where_it_is_told(bare_worker: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="region=None: without a connection pass region=, or set OSS_REGION in"):
        OSSResumeHook(None).get_conn()

    bare_worker.setenv("OSS_ENDPOINT", "ftp://here")
    with pytest.raises(ArgumentError, match="OSS_ENDPOINT='ftp://here': begin it with https://"):
        OSSResumeHook(None).get_conn()


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_name_is_no_connection(empty: str) -> None:
    with pytest.raises(
        ArgumentError, match=r"oss_conn_id='.*': it is empty, .*None to use the worker's own credentials"
    ):
        OSSResumeHook(empty).get_conn()


# --- which connection -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("name", ["None", "no_such_one"])
def test_a_name_without_a_connection_is_an_error_that_no_retry_mends(name: str) -> None:
    with pytest.raises(ArgumentError) as error:
        OSSResumeHook(name).get_conn()

    said = f"oss_conn_id={name!r}: Airflow says: The conn_id `{name}` isn't defined; create the connection, correct its"
    assert str(error.value).startswith(said)
    assert not error.value.retryable
    assert isinstance(error.value, AirflowNotFoundException)  # as before
    assert pickle.loads(pickle.dumps(error.value)).argument == "oss_conn_id"
    assert OSSResumeHook(name).test_connection() == (False, str(error.value))
    with pytest.raises(AirflowFailException, match="isn't defined"):
        OSSListOperator(task_id="t", bucket_name=BUCKET, oss_conn_id=name).execute({})


def test_a_connection_that_a_secrets_backend_may_hold_is_worth_a_retry(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow says of a backend that is down that the connection is not defined."""
    in_memory = "airflow.secrets.environment_variables.EnvironmentVariablesBackend"
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", in_memory)

    with pytest.raises(ArgumentError, match="isn't defined") as error:
        OSSResumeHook("no_such_one").get_conn()

    assert error.value.retryable


def unreachable(*_: Any, **__: Any) -> None:
    raise OSError("down")


def test_while_airflow_does_not_answer_a_connection_is_worth_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", get_ti_count=unreachable)
    monkeypatch.setattr(_airflow.connections, "current_context", lambda: {"ti": ti})
    monkeypatch.setattr(_airflow.connections, "_check_database", unreachable)
    monkeypatch.setattr(_airflow.conf, "get", lambda *_, **__: "")

    def get(conn_id: str) -> None:
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    with pytest.raises(ArgumentError, match="isn't defined") as error:
        _airflow.find_connection("of_the_task", get)

    assert error.value.retryable


def test_a_connection_that_was_out_of_reach_for_a_moment_is_found() -> None:
    answers: list[Any] = [AirflowNotFoundException("down"), "the connection"]

    def get(conn_id: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert _airflow.find_connection("of_the_task", get) == "the connection"


@pytest.mark.parametrize("name", [5, True, ["oss_default"]])
def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(ArgumentError, match="give a string, not"):
        OSSResumeHook(name).get_conn()


@pytest.mark.parametrize("region", ["", " ", 5, False])
def test_a_region_is_a_text_that_says_something(connected: LocalOSS, region: Any) -> None:
    with pytest.raises(ArgumentError, match=f"^region={region!r}: "):
        OSSResumeHook(region=region).get_conn()
    assert OSSResumeHook(region=region).test_connection()[0] is False
    with pytest.raises(AirflowFailException, match=f"^region={region!r}: "):
        OSSListOperator(task_id="t", bucket_name=BUCKET, region=region).execute({})
    assert connected.requests == []


@pytest.mark.parametrize("conn_type", ["aws", "http", "fs", "generic"])
def test_a_connection_for_another_service_is_refused(connections: Connections, conn_type: str) -> None:
    connections.add(**{**OURS, "conn_type": conn_type, "host": "api.example.com", "extra": {"region": "cn-hangzhou"}})

    with pytest.raises(ArgumentError, match=f"^conn_type='{conn_type}': .*; choose oss_resume or oss"):
        OSSResumeHook().get_conn()


@pytest.mark.parametrize("conn_type", ["", None, "oss-resume", "OSS", "oss_resume"])
def test_a_type_may_be_missing_or_written_as_in_a_uri(connections: Connections, conn_type: str | None) -> None:
    kind = settings_of(connections, **{**OURS, "conn_type": conn_type, "extra": {"region": "cn-hangzhou"}}).conn_type

    assert kind == ("oss" if conn_type == "OSS" else "oss_resume")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"schema": "bkt/sub"}, "schema='bkt/sub': correct the bucket's name: use 3 to 63"),
        ({"schema": "My_Bucket"}, "schema='My_Bucket': correct the bucket's name"),
        ({"extra": {"bucket": "b"}}, "bucket='b': correct the bucket's name"),
        ({"schema": "a-secret@host"}, "schema='…': a bucket name cannot contain @; in a connection's URI, write"),
    ],
)
def test_a_bucket_that_cannot_be_is_refused_by_its_field(
    connections: Connections, fields: dict[str, Any], says: str
) -> None:
    connections.add(**OURS, **fields)

    with pytest.raises(ArgumentError) as error:
        _ = OSSResumeHook().settings

    assert str(error.value).startswith(says)
    assert "a-secret" not in str(error.value)


# --- what the rest of a connection means ------------------------------------------------------------------------------


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

    # With the line end that a mounted secret often has.
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", f"{oss.access_key_id}\n")
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", f"{oss.access_key_secret}\r\n")

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
        ({"endpoint": "ftp://oss-cn-hangzhou.aliyuncs.com"}, "endpoint", "begin it with https://"),
        ({"endpoint": "https://"}, "endpoint", "begin it with https://"),
        ({"endpoint": "https://oss-cn-hangzhou.aliyuncs.com/bucket"}, "endpoint", "name the bucket in its own field"),
        ({"endpoint": "https://oss-cn-hangzhou.aliyuncs.com?x=1"}, "endpoint", "remove what follows host and port"),
        ({"endpoint": "https://host:port"}, "endpoint", "it is not a URL"),
        (
            {"endpoint": "https://oss-cn-hangzhou.aliyuncs.com", "region": "cn-beijing"},
            "region", "is in cn-hangzhou; correct the region or the endpoint",
        ),
        (
            {"endpoint": "https://oss-cn-hangzhou-internal.aliyuncs.com", "region": "cn-beijing"},
            "region", "is in cn-hangzhou; correct the region or the endpoint",
        ),
        ({"endpoint": "https://oss.example.com"}, "region", "V4 signatures need it"),
        ({}, "region", "fill in Region or Endpoint in the connection 'oss_default', or pass region="),
        ({"region": "Hangzhou!"}, "region", "give a region such as cn-hangzhou"),
        ({"region": "cn-hangzhou", "endpoint_kind": "intern"}, "endpoint_kind", "public, internal, accelerate, dual"),
        ({"region": "cn-hangzhou", "auth_type": "ram"}, "auth_type", "access_key, sts, ram_role_arn, ecs_ram_role"),
        ({"region": "cn-hangzhou", "addressing": "dns"}, "addressing", "auto, virtual, path, cname"),
        ({"region": "cn-hangzhou", "signature_version": "v2"}, "signature_version", "choose one of v4, v1"),
        ({"region": "cn-hangzhou", "verify_tls": "maybe"}, "verify_tls", "give true or false"),
        ({"region": "cn-hangzhou", "endpoint_kind": "custom"}, "endpoint", "endpoint_kind 'custom' needs an endpoint"),
        ({"region": "cn-hangzhou", "connect_timeout": "soon"}, "connect_timeout", "give a duration from 0.001s to 1d"),
        ({"region": "cn-hangzhou", "stall_timeout": "0"}, "stall_timeout", "give a duration from 0.001s to 1d"),
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

    with pytest.raises(ArgumentError, match="remove the user name and the password") as error:
        OSSResumeHook().get_conn()

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "the Access Key ID is missing; enter it in the connection, or set auth_type"),
        ({"login": "an-id"}, "the Access Key Secret is missing; enter it"),
        ({"password": "a-secret"}, "the Access Key ID is missing; enter it"),
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


# --- test_connection; what it says stands in tests/unit/test_connection_check.py --------------------------------------


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
    assert "the Access Key is valid and belongs to account" in message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "wrong-secret"}, "check the Access Key Secret and the region"),
        ({"password": ""}, "the Access Key Secret is missing"),
        ({"extra": {"endpoint": "ftp://host"}}, "begin it with https://"),
        ({"extra": {"verify_tls": "maybe"}}, "give true or false"),
        pytest.param({"extra": ["not-an-object"]}, "the connection's extra must be a JSON object", marks=not_on_3_0),
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
