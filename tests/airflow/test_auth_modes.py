"""Each auth mode of a connection: where its credentials come from, and that transfers outlive them."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import (
    AccessDenied,
    ArgumentError,
    CredentialsError,
    CredentialsUnavailable,
)
from airflow_provider_ossresume.hooks import auth_modes
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from tests.airflow.conftest import Connections
from tests.issuers import KEY_ID, KEY_SECRET, PROVIDER, ROLE, Metadata, Service, Sts, Told, Uri, refusal
from tests.unit.test_client import closed_port
from tests.world import BUCKET, PART, a_file

OIDC_TOKEN = "the-OIDC-token-0af6"
MODES = ("ram_role_arn", "ecs_ram_role", "oidc", "credentials_uri")
CONFIG = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 4, "part_retries": 2}


@dataclass
class Mode:
    """One auth mode with the service that it asks; what that issues is what ``oss`` knows."""

    name: str
    oss: LocalOSS
    service: Service
    fields: dict[str, Any]

    def hook(self, connections: Connections, **extra: Any) -> OSSResumeHook:
        told = {"endpoint": self.oss.endpoint, "region": self.oss.region, "bucket": BUCKET, "auth_type": self.name}
        own = self.fields.get("extra", {})
        connections.add(**{**self.fields, "extra": {**told, **own, **extra}})
        return OSSResumeHook(transfer_config=CONFIG)

    @property
    def requests_for_one(self) -> int:
        """How many it takes to get one set of credentials."""
        return 3 if self.name == "ecs_ram_role" else 1


@pytest.fixture(autouse=True)
def _bare_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OSS_", "ALIBABA_CLOUD_")):
            monkeypatch.delenv(name)
    auth_modes._cached_provider.cache_clear()  # a port may be the one of an earlier test


@pytest.fixture
def services(oss: LocalOSS, tmp_path: Path) -> Iterator[Callable[[str], Mode]]:
    with ExitStack() as stack:

        def start(name: str) -> Mode:
            if name == "ecs_ram_role":
                metadata = stack.enter_context(Metadata(oss))
                return Mode(name, oss, metadata, {"extra": {"metadata_endpoint": metadata.url}})
            if name == "credentials_uri":
                uri = stack.enter_context(Uri(oss))
                return Mode(name, oss, uri, {"extra": {"credentials_uri": uri.url + Uri.PATH}})
            sts = stack.enter_context(Sts(oss))
            of_role = {"role_arn": ROLE, "sts_endpoint": sts.url}
            if name == "ram_role_arn":
                return Mode(name, oss, sts, {"login": KEY_ID, "password": KEY_SECRET, "extra": of_role})
            sts.oidc_tokens = {OIDC_TOKEN}
            token_file = tmp_path / "oidc-token"
            token_file.write_text(OIDC_TOKEN)
            of_pod = {"oidc_provider_arn": PROVIDER, "oidc_token_file": str(token_file)}
            return Mode(name, oss, sts, {"extra": {**of_role, **of_pod}})

        yield start


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, services: Callable[[str], Mode]) -> Mode:
    return services(request.param)


# --- transfers --------------------------------------------------------------------------------------------------------


def test_a_transfer_asks_for_credentials_once(mode: Mode, connections: Connections, tmp_path: Path) -> None:
    source = a_file(tmp_path)
    hook = mode.hook(connections)
    assert mode.service.asked == []

    hook.upload_file(str(source), "key", checkpoint="memory")
    hook.download_file("key", str(tmp_path / "target"), checkpoint="memory")

    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert len(mode.service.asked) == mode.requests_for_one
    assert all(request.status < 300 for request in mode.oss.requests)


def test_a_token_that_ends_in_mid_transfer_is_replaced_once(
    mode: Mode, connections: Connections, tmp_path: Path
) -> None:
    source = a_file(tmp_path, size=12 * PART)
    mode.oss.after_request = lambda request: request.part_number == 3 and expire(mode)

    hook = mode.hook(connections)
    hook.upload_file(str(source), "key", checkpoint="memory")

    assert mode.oss.object(BUCKET, "key") == source.read_bytes()
    assert mode.service.issued == 2
    refused = [request for request in mode.oss.requests if request.status == 403]
    # OSS knows the old key no more, once there is a new one.
    assert {request.code for request in refused} <= {"SecurityTokenExpired", "InvalidAccessKeyId"}
    assert 1 <= len(refused) <= CONFIG["max_concurrency"]


def expire(mode: Mode) -> None:
    if mode.service.issued == 1:
        mode.oss.expire_token()


def test_a_resumed_transfer_whose_token_ends_sends_what_is_missing_and_no_more(
    mode: Mode, connections: Connections, tmp_path: Path
) -> None:
    source = a_file(tmp_path, size=12 * PART)
    store = f"file:{tmp_path / 'checkpoints'}"
    forbidden = Fault("status", status=403, code="AccessDenied")
    mode.oss.fail("UploadPart", nth=6, times=None, fault=forbidden)
    with pytest.raises(AccessDenied):
        mode.hook(connections).upload_file(str(source), "key", checkpoint=store)
    mode.oss.clear_faults()
    mode.oss.after_request = lambda request: request.operation == "ListParts" and mode.oss.expire_token()

    result = mode.hook(connections).upload_file(str(source), "key", checkpoint=store)

    assert mode.oss.object(BUCKET, "key") == source.read_bytes()
    assert result.parts_kept >= 1
    assert result.parts_kept + result.parts_sent == 12
    assert mode.service.issued == 2


def test_hooks_of_one_process_share_their_credentials(mode: Mode, connections: Connections) -> None:
    """A triggerer makes a hook for each look of each sensor."""
    for _ in range(3):
        assert mode.hook(connections).test_connection()[0]
    assert mode.service.issued == 1

    auth_modes._cached_provider.cache_clear()
    assert mode.hook(connections).test_connection()[0]
    assert mode.service.issued == 2


def test_a_connection_that_is_edited_gets_credentials_of_its_own(
    services: Callable[[str], Mode], connections: Connections
) -> None:
    mode = services("ram_role_arn")
    first = mode.hook(connections).settings.credentials()

    assert mode.hook(connections).settings.credentials() is first
    assert mode.hook(connections, role_session_name="another").settings.credentials() is not first


def test_a_thousand_connections_ask_once_each(services: Callable[[str], Mode], connections: Connections) -> None:
    """As the sensors of a triggerer do, each of them again and again."""
    mode = services("ram_role_arn")
    settings = mode.hook(connections).settings
    sessions = [f"sensor-{number}" for number in range(1000)]

    # Airflow itself would take minutes to look them all up: it masks each secret with a longer expression.
    for _ in range(2):
        for session in sessions:
            its_own = replace(settings, auth=replace(settings.auth, role_session_name=session))
            its_own.credentials().get()

    assert [asked.query["RoleSessionName"] for asked in mode.service.asked] == sessions


def test_connections_that_differ_in_other_fields_share_their_credentials(
    services: Callable[[str], Mode], connections: Connections
) -> None:
    mode = services("ram_role_arn")
    first = mode.hook(connections).settings.credentials()

    assert mode.hook(connections, bucket="another-bucket", read_timeout=5).settings.credentials() is first


def test_threads_that_come_at_once_share_their_credentials(
    services: Callable[[str], Mode], connections: Connections
) -> None:
    settings = services("ram_role_arn").hook(connections).settings
    start, found = threading.Barrier(8), []

    def ask() -> None:
        start.wait(30)
        found.append(settings.credentials())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_a_process_that_is_forked_gets_credentials_of_its_own(
    services: Callable[[str], Mode], connections: Connections
) -> None:
    """A thread of the parent's may ask just then, which the child has not."""
    mode = services("ram_role_arn")
    hook = mode.hook(connections)
    asked, go_on = threading.Event(), threading.Event()

    def keep_waiting(_: object) -> None:
        if not asked.is_set():
            asked.set()
            go_on.wait(60)

    mode.service.on_ask = keep_waiting
    with ThreadPoolExecutor(1) as thread:
        getting = thread.submit(hook.settings.credentials().get)
        assert asked.wait(30)
        context = multiprocessing.get_context("fork")
        child = context.Process(target=lambda: sys.exit(0 if hook.test_connection()[0] else 1))
        child.start()
        child.join(60)
        go_on.set()
        getting.result()

    assert child.exitcode == 0


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_service_that_is_down_for_a_moment_is_asked_again(mode: Mode, connections: Connections) -> None:
    mode.service.instead = [Told(503, "busy"), Told(503, "busy")]

    assert mode.hook(connections).test_connection()[0] is False  # a person waits: two attempts
    assert mode.hook(connections).get_conn().get_bucket_info(BUCKET).name == BUCKET


def test_a_service_that_stays_down_is_worth_a_later_try(mode: Mode, connections: Connections) -> None:
    mode.service.instead = [Told(503, "busy")] * 9

    with pytest.raises(CredentialsUnavailable, match="answered 503") as error:
        mode.hook(connections).object_exists("key")

    assert error.value.retryable
    assert mode.oss.requests == []


@pytest.mark.parametrize("name", ["ram_role_arn", "oidc"])
def test_what_sts_forbids_fails_at_once_with_what_to_allow(
    services: Callable[[str], Mode], name: str, connections: Connections
) -> None:
    mode = services(name)
    code = "NoPermission" if name == "ram_role_arn" else "AuthenticationFail.NoPermission"
    mode.service.instead = [refusal(403, code, "You are not authorized to do this action.")] * 9

    with pytest.raises(CredentialsError, match="sts:AssumeRole") as error:
        mode.hook(connections).object_exists("key")

    assert "trust policy" in str(error.value)
    assert not error.value.retryable
    assert len(mode.service.asked) == 1


def test_a_failed_refresh_in_mid_transfer_harms_nothing_while_the_old_ones_hold(
    services: Callable[[str], Mode], connections: Connections, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mode = services("ram_role_arn")
    hook = mode.hook(connections)
    hook.object_exists("key")
    provider: Any = hook.get_conn()._credentials
    now = provider._clock()
    provider._clock = lambda: now + 3000
    mode.service.instead = [Told(503, "busy")] * 9

    with caplog.at_level(logging.WARNING):
        hook.upload_file(str(a_file(tmp_path)), "key", checkpoint="memory")
        for thread in threading.enumerate():
            if thread.name == "credentials":
                thread.join(30)

    assert "the current ones are valid for another " in caplog.text


# --- what the modes read ----------------------------------------------------------------------------------------------


def test_in_a_pod_with_rrsa_nothing_has_to_be_filled_in(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = services("oidc")
    of_pod = mode.fields["extra"]
    for name, field in (
        ("ROLE_ARN", "role_arn"), ("OIDC_PROVIDER_ARN", "oidc_provider_arn"), ("OIDC_TOKEN_FILE", "oidc_token_file"),
    ):  # fmt: skip
        monkeypatch.setenv(f"ALIBABA_CLOUD_{name}", of_pod.pop(field))
    monkeypatch.setenv("ALIBABA_CLOUD_ROLE_SESSION_NAME", "of-the-pod")

    assert mode.hook(connections).test_connection()[0]
    assert mode.service.asked[0].form["RoleSessionName"] == "of-the-pod"


def test_the_credentials_uri_may_stand_in_the_workers_environment(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = services("credentials_uri")
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", mode.fields["extra"].pop("credentials_uri"))

    assert mode.hook(connections).test_connection()[0]


def test_the_key_that_assumes_a_role_may_stand_in_the_workers_environment(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = services("ram_role_arn")
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", mode.fields.pop("login"))
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", mode.fields.pop("password"))

    assert mode.hook(connections).test_connection()[0]


def test_every_field_of_a_role_arrives(services: Callable[[str], Mode], connections: Connections) -> None:
    mode = services("ram_role_arn")
    mode.service.external_id = "an-external-id"  # type: ignore[attr-defined]
    policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:*", "Resource": "*"}]}

    works, message = mode.hook(
        connections, role_session_name="me@work", role_session_duration=900, role_policy=policy,
        external_id="an-external-id",
    ).test_connection()  # fmt: skip

    assert works, message
    query = mode.service.asked[0].query
    assert json.loads(query.pop("Policy")) == policy  # type: ignore[attr-defined]
    assert query == {
        "DurationSeconds": "900", "RoleArn": ROLE, "RoleSessionName": "me@work", "ExternalId": "an-external-id",
    }  # fmt: skip


def test_the_instances_role_may_be_named(services: Callable[[str], Mode], connections: Connections) -> None:
    mode = services("ecs_ram_role")

    assert mode.hook(connections, role_name="worker-role").test_connection()[0]
    assert len(mode.service.asked) == 2


@pytest.mark.parametrize(
    ("extra", "origin"),
    [
        ({"region": "cn-hangzhou"}, "https://sts.cn-hangzhou.aliyuncs.com"),
        ({"region": "oss-ap-southeast-1"}, "https://sts.ap-southeast-1.aliyuncs.com"),
        ({"region": "cn-hangzhou", "endpoint_kind": "internal"}, "https://sts-vpc.cn-hangzhou.aliyuncs.com"),
        ({"endpoint": "https://oss-cn-beijing-internal.aliyuncs.com"}, "https://sts-vpc.cn-beijing.aliyuncs.com"),
        ({"endpoint": "https://oss-cn-beijing.aliyuncs.com"}, "https://sts.cn-beijing.aliyuncs.com"),
        ({"region": "cn-hzfinance"}, "https://sts.aliyuncs.com"),
        ({"region": "cn-hangzhou", "sts_endpoint": "sts.aliyuncs.com"}, "https://sts.aliyuncs.com"),
        ({"region": "cn-hangzhou", "sts_endpoint": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
    ],
)
def test_sts_is_asked_in_the_connections_region(connections: Connections, extra: dict[str, str], origin: str) -> None:
    connections.add(login="id", password="secret", extra={"auth_type": "ram_role_arn", "role_arn": ROLE, **extra})

    assert OSSResumeHook().get_conn()._credentials._source._issuer.origin == origin  # type: ignore[attr-defined]


@pytest.mark.parametrize("said", [3600, 3600.0, "3600", "3600.0", "1h", "60m"])
def test_the_duration_of_a_session_is_read_as_every_duration(
    services: Callable[[str], Mode], connections: Connections, said: object
) -> None:
    mode = services("ram_role_arn")

    assert mode.hook(connections, role_session_duration=said).test_connection()[0]
    assert mode.service.asked[0].query["DurationSeconds"] == "3600"


def test_the_hooks_region_chooses_the_sts_too(connections: Connections) -> None:
    connections.add(login="id", password="secret", extra={"auth_type": "ram_role_arn", "role_arn": ROLE})

    provider: Any = OSSResumeHook(region="cn-beijing").get_conn()._credentials
    assert provider._source._issuer.origin == "https://sts.cn-beijing.aliyuncs.com"


# --- the worker's own -------------------------------------------------------------------------------------------------


def of_the_worker(mode: Mode, connections: Connections, **extra: Any) -> OSSResumeHook:
    """A hook whose connection leaves all but the place of the services to the worker."""
    said = {name: value for name, value in mode.fields["extra"].items() if name.endswith("_endpoint")}
    mode.fields = {"extra": {}}
    mode.name = "default"
    return mode.hook(connections, **{**said, **extra})


def test_an_access_key_in_the_environment_comes_first(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = services("oidc")
    as_rrsa_sets_it(mode, monkeypatch)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", mode.oss.access_key_id)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", mode.oss.access_key_secret)

    assert of_the_worker(mode, connections).test_connection()[0]
    assert mode.service.asked == []


def test_half_an_access_key_in_the_environment_is_an_error_and_leads_to_nobody_else(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = services("ecs_ram_role")
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", "an-id")

    with pytest.raises(CredentialsError, match="set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET"):
        of_the_worker(mode, connections).object_exists("key")
    assert mode.service.asked == []


def test_half_an_access_key_is_not_completed_by_the_other_familys(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = services("ecs_ram_role")
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", mode.oss.access_key_id)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", mode.oss.access_key_secret)

    with pytest.raises(CredentialsError, match="OSS_ACCESS_KEY_SECRET is missing"):
        of_the_worker(mode, connections).object_exists("key")
    assert mode.oss.requests == []


@pytest.mark.parametrize("missing", ["ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"])
def test_a_part_of_an_oidc_role_is_an_error_and_leads_to_nobody_else(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    mode, node = services("oidc"), services("ecs_ram_role")
    as_rrsa_sets_it(mode, monkeypatch)
    monkeypatch.delenv(f"ALIBABA_CLOUD_{missing}")
    hook = of_the_worker(mode, connections, metadata_endpoint=node.fields["extra"]["metadata_endpoint"])

    with pytest.raises(
        CredentialsError, match=f"only a part of an OIDC role; ALIBABA_CLOUD_{missing} is missing. Set all of"
    ):
        hook.object_exists("key")
    assert node.service.asked == []


def test_a_role_arn_alone_is_no_part_of_an_oidc_role(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ROLE_ARN", ROLE)

    assert of_the_worker(services("ecs_ram_role"), connections).test_connection()[0]


def as_rrsa_sets_it(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("role_arn", "oidc_provider_arn", "oidc_token_file"):
        monkeypatch.setenv(f"ALIBABA_CLOUD_{name.upper()}", mode.fields["extra"][name])


def test_the_role_of_a_pod_comes_next(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, node = services("oidc"), services("ecs_ram_role")
    as_rrsa_sets_it(mode, monkeypatch)
    metadata_endpoint = node.fields["extra"]["metadata_endpoint"]

    assert of_the_worker(mode, connections, metadata_endpoint=metadata_endpoint).test_connection()[0]
    assert (mode.service.issued, node.service.asked) == (1, [])


def test_a_pods_role_that_is_refused_is_not_replaced_by_the_nodes(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, node = services("oidc"), services("ecs_ram_role")
    as_rrsa_sets_it(mode, monkeypatch)
    mode.service.instead = [refusal(403, "AuthenticationFail.NoPermission", "Not you.")]
    metadata_endpoint = node.fields["extra"]["metadata_endpoint"]

    with pytest.raises(CredentialsError, match="sts:AssumeRole"):
        of_the_worker(mode, connections, metadata_endpoint=metadata_endpoint).object_exists("key")
    assert node.service.asked == []


def test_the_role_of_the_ecs_instance_comes_next(services: Callable[[str], Mode], connections: Connections) -> None:
    mode = services("ecs_ram_role")

    assert of_the_worker(mode, connections).test_connection()[0]
    assert mode.service.issued == 1


def test_the_credentials_uri_comes_last(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, node = services("credentials_uri"), services("ecs_ram_role")
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", mode.fields["extra"]["credentials_uri"])
    metadata_endpoint = node.fields["extra"]["metadata_endpoint"]
    node.service.instead = [Told(200, "a-token"), Told(404)]  # the instance has no role

    hook = of_the_worker(mode, connections, metadata_endpoint=metadata_endpoint)

    assert hook.test_connection()[0]
    assert mode.service.issued == 1
    asked = len(node.service.asked)
    hook.get_conn()._credentials.renew(hook.get_conn()._credentials.get())  # type: ignore[arg-type]
    assert (mode.service.issued, len(node.service.asked)) == (2, asked)  # who has issued some is asked again, alone


def test_an_instance_whose_service_is_down_for_a_moment_is_asked_again_and_nobody_else(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, node = services("credentials_uri"), services("ecs_ram_role")
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", mode.fields["extra"]["credentials_uri"])
    metadata_endpoint = node.fields["extra"]["metadata_endpoint"]
    node.service.instead = [Told(503, "busy")]

    with pytest.raises(CredentialsUnavailable):
        of_the_worker(mode, connections, metadata_endpoint=metadata_endpoint).settings.credentials().get()
    assert mode.service.asked == []


@pytest.mark.parametrize("is_disabled", [True, False])
def test_a_worker_without_any_is_told_at_once_what_to_give_it(
    services: Callable[[str], Mode], connections: Connections, monkeypatch: pytest.MonkeyPatch, is_disabled: bool
) -> None:
    mode = services("ecs_ram_role")
    metadata_endpoint = mode.fields["extra"]["metadata_endpoint"]
    if is_disabled:
        monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
    else:
        metadata_endpoint = f"http://127.0.0.1:{closed_port()}"

    with pytest.raises(CredentialsError, match="this worker has no credentials of its own: set OSS_ACC") as error:
        of_the_worker(mode, connections, metadata_endpoint=metadata_endpoint).object_exists("key")

    why = "ALIBABA_CLOUD_ECS_METADATA_DISABLED is true" if is_disabled else "no response"
    assert why in str(error.value)
    assert not error.value.retryable
    assert mode.service.asked == mode.oss.requests == []


@pytest.mark.parametrize(
    ("auth_type", "extra", "lacks"),
    [
        ("ram_role_arn", {}, "role_arn"),
        ("oidc", {}, "role_arn"),
        ("oidc", {"role_arn": ROLE}, "oidc_provider_arn"),
        ("oidc", {"role_arn": ROLE, "oidc_provider_arn": PROVIDER}, "oidc_token_file"),
        ("credentials_uri", {}, "credentials_uri"),
    ],
)
def test_what_a_mode_lacks_is_named(
    connections: Connections, auth_type: str, extra: dict[str, str], lacks: str
) -> None:
    connections.add(login="id", password="secret", extra={"region": "cn-hangzhou", "auth_type": auth_type, **extra})

    with pytest.raises(CredentialsError) as error:
        OSSResumeHook().get_conn()

    assert str(error.value) == f"connection 'oss_default': auth_type {auth_type!r} needs the field {lacks}"


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"role_session_duration": "1 year"}, "role_session_duration='1 year': give a duration above zero"),
        ({"role_session_duration": 900.5}, "role_session_duration='900.5': give whole seconds, such as 3600"),
        ({"role_session_duration": 60}, "role_session_duration=60: give 900 to 43200 seconds"),
        ({"role_policy": "allow all"}, "role_policy='allow all': give a JSON object"),
        ({"role_policy": {"Statement": "x" * 2100}}, "it has 2116 characters, and STS allows 2048"),
        ({"sts_endpoint": "sts.aliyuncs.com/x"}, "sts_endpoint='https://sts.aliyuncs.com/x': give http:// or https://"),
        ({"role_arn": "transfers"}, "role_arn='transfers': give the role's ARN, such as acs:ram::"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(connections: Connections, extra: dict[str, Any], says: str) -> None:
    fields = {"region": "cn-hangzhou", "auth_type": "ram_role_arn", "role_arn": ROLE, **extra}
    connections.add(login="id", password="secret", extra=fields)

    with pytest.raises(ArgumentError) as error:
        OSSResumeHook().get_conn()

    assert says in str(error.value)
