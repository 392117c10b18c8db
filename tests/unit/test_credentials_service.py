"""The services that issue credentials, as stand-ins on loopback: what is asked, what comes of it, what is said."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from airflow_provider_ossresume.errors import ArgumentError, CredentialsError, CredentialsUnavailable
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.oss.credentials import AnonymousCredentials, Credentials, StaticCredentials
from airflow_provider_ossresume.oss.credentials_service import CredentialsService, check_origin, split_url
from airflow_provider_ossresume.oss.sts import AssumedRole, Role, RoleWithOidc, authorization, signed_headers
from airflow_provider_ossresume.oss.temporary_credentials import CredentialsSource
from airflow_provider_ossresume.oss.worker_credentials import CredentialsUri, EcsRamRole, split_credentials_uri
from tests.issuers import (
    KEY_ID,
    KEY_SECRET,
    PROVIDER,
    ROLE,
    Metadata,
    Sts,
    Told,
    Uri,
    refusal,
    secret_of,
    token_of,
)
from tests.unit.test_client import a_certificate
from tests.world import BUCKET, a_client

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "sts_vectors.json").read_text())
FAIL = "AuthenticationFail"
OIDC_TOKEN = "eyJhbGciOi.the-OIDC-token_0af6.signature"
METADATA_TOKEN = "the-token-of-the-metadata-service"
SECRETS = (
    KEY_SECRET,
    OIDC_TOKEN,
    METADATA_TOKEN,
    "the-external-id",
    "the-Secret-path",
    "the-Secret-of-set",
    "the-Token-of",
)
FIRST = Credentials("STS.1", secret_of(1), token_of(1))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def sts() -> Iterator[Sts]:
    with Sts() as service:
        service.oidc_tokens = {OIDC_TOKEN}
        yield service


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with Metadata() as service:
        yield service


@pytest.fixture
def uri() -> Iterator[Uri]:
    with Uri() as service:
        yield service


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(OIDC_TOKEN + "\n")
    return path


def assumed(sts: Sts, *, key: tuple[str, ...] = (KEY_ID, KEY_SECRET), **options: Any) -> AssumedRole:
    role = Role(
        options.pop("arn", ROLE), **{k: options.pop(k) for k in ("session_name", "duration", "policy") if k in options}
    )
    return AssumedRole(role, StaticCredentials(*key), CredentialsService(sts.url), **options)


def with_oidc(sts: Sts, token_file: Path, **options: Any) -> RoleWithOidc:
    facts = {"provider_arn": PROVIDER, "token_file": str(token_file), **options}
    return RoleWithOidc(Role(ROLE), CredentialsService(sts.url), **facts)


def on_ecs(metadata: Metadata, role_name: str | None = None) -> EcsRamRole:
    return EcsRamRole(CredentialsService(metadata.url, direct=True), role_name=role_name)


def at_uri(uri: Uri, path: str = Uri.PATH) -> CredentialsUri:
    origin, rest = split_credentials_uri(uri.url + path)
    return CredentialsUri(CredentialsService(origin, direct=True), rest)


def failure(source: CredentialsSource) -> CredentialsError:
    with pytest.raises(CredentialsError) as raised:
        source.fetch()
    shown = f"{raised.value!r} {raised.value} {raised.value.__cause__!r} {source}"
    assert [secret for secret in SECRETS if secret in shown] == []
    assert raised.value.retryable == isinstance(raised.value, CredentialsUnavailable)
    return raised.value


# --- AssumeRole -------------------------------------------------------------------------------------------------------


def test_a_role_is_assumed_with_a_signed_request(sts: Sts) -> None:
    issued = assumed(sts, policy='{"Version":"1","Statement":[]}', duration=900, session_name="me@here").fetch()

    assert issued.credentials == FIRST
    assert 3598 <= issued.lifetime <= 3600
    [asked] = sts.asked
    assert (asked.method, asked.query) == (
        "POST",
        {
            "DurationSeconds": "900",
            "Policy": '{"Version":"1","Statement":[]}',
            "RoleArn": ROLE,
            "RoleSessionName": "me@here",
        },
    )
    assert asked.headers["user-agent"].startswith("airflow-provider-ossresume/")


def test_what_a_role_is_assumed_with_may_be_temporary_and_need_an_external_id(sts: Sts) -> None:
    sts.security_token, sts.external_id = "a-token+/==", "the-external-id:1/2"

    assert (
        assumed(sts, key=(KEY_ID, KEY_SECRET, "a-token+/=="), external_id=sts.external_id).fetch().credentials == FIRST
    )


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_signatures_are_those_of_the_official_sdk(vector: dict[str, Any]) -> None:
    """The vectors are of alibabacloud-tea-openapi 0.4.6, on which the official SDK for STS stands."""
    query = urlencode(sorted(vector["query"].items()), quote_via=quote, safe="~")

    # Not Credentials: a vector's secret holds letters that no key has.
    class Key:
        access_key_id, access_key_secret = "the-id", vector["secret"]

    assert authorization("POST", query, vector["headers"], key=Key) == vector["authorization"]  # type: ignore[arg-type]


def test_what_is_sent_with_a_token_is_signed_too() -> None:
    headers = signed_headers(
        "POST", "host", "", action="AssumeRole", key=Credentials("id", "secret", "token"), now=0.0, nonce="n"
    )

    assert headers["x-acs-date"] == "1970-01-01T00:00:00Z"
    assert "x-acs-security-token" in headers["Authorization"]


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0])
def test_a_wrong_clock_of_the_worker_does_no_harm(sts: Sts, token_file: Path, ahead: float) -> None:
    sts.clock_offset = ahead

    for source in (assumed(sts), with_oidc(sts, token_file)):
        assert 3598 <= source.fetch().lifetime <= 3600  # by the service's clock
    assert len(sts.asked) == 4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"key": ("another-id", KEY_SECRET)}, "404 InvalidAccessKeyId.NotFound: Specified access key is not found; "),
        ({"key": (KEY_ID, "wrong-secret")}, "400 SignatureDoesNotMatch; check the Access Key Secret [request id R-1]"),
        ({"key": (KEY_ID, KEY_SECRET, "a-token")}, "the STS token has expired, or does not belong to this"),
        ({"external_id": "the-external-id"}, f"the action sts:AssumeRole on {ROLE}, and name that user in the role's "),
        ({"arn": "acs:ram::1:role/none"}, "The role not exists: acs:ram::1:role/none; the role does not exist; "),
        ({"duration": 43_200}, "lower role_session_duration, or raise the role's maximum session duration"),
    ],
)  # fmt: skip
def test_what_sts_refuses_is_final_and_says_the_next_step(sts: Sts, options: dict[str, Any], says: str) -> None:
    error = failure(assumed(sts, **options))

    assert says in str(error)
    assert str(error).startswith("AssumeRole acs:ram::")
    assert f" at {sts.url} answered " in str(error)
    assert not error.retryable


WHOLE = {"AccessKeyId": "id", "AccessKeySecret": "the-Secret-of-set-1", "SecurityToken": "the-Token-of-set-1"}


@pytest.mark.parametrize(
    "told",
    [
        refusal(503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
        refusal(500, "InternalError", "oops"),
        refusal(429, "Throttling", "Request was denied due to request throttling."),
        refusal(400, "Throttling.User", "Request was denied due to user flow control."),
        Told(200, "<html>a captive portal</html>"),
        Told(200, {"Credentials": WHOLE}),
        Told(200, {"Credentials": {**WHOLE, "Expiration": "soon"}}),
        Told(200, {"Credentials": {**WHOLE, "Expiration": 1893456000}}),
        Told(200, {"Credentials": {**WHOLE, "Expiration": "2036-01-01T00:00:00Z", "AccessKeyId": "an\nid"}}),
        Told(200, {"Credentials": [WHOLE]}),
        Told(200, "[" * 60_000),
        Told(200, " " * 70_000),
    ],
)
def test_what_may_pass_is_worth_another_attempt(sts: Sts, told: Told) -> None:
    sts.instead = [told]
    source = assumed(sts)

    assert failure(source).retryable
    assert source.fetch().credentials == FIRST


def test_an_anonymous_caller_assumes_no_role(sts: Sts) -> None:
    failure(AssumedRole(Role(ROLE), AnonymousCredentials(), CredentialsService(sts.url)))
    assert sts.asked == []


def a_service() -> CredentialsService:
    return CredentialsService("http://x")


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("role_arn", lambda: Role("transfers")),
        ("role_arn", lambda: Role("acs:ram::123:user/me")),
        ("role_session_name", lambda: Role(ROLE, session_name="a name")),
        ("role_session_duration", lambda: Role(ROLE, duration=899)),
        ("role_session_duration", lambda: Role(ROLE, duration=43_201)),
        ("external_id", lambda: AssumedRole(Role(ROLE), AnonymousCredentials(), a_service(), external_id="é")),
        ("oidc_provider_arn", lambda: RoleWithOidc(Role(ROLE), a_service(), provider_arn=ROLE, token_file="f")),
        ("role_name", lambda: EcsRamRole(a_service(), role_name="../api")),
        ("role_name", lambda: EcsRamRole(a_service(), role_name=ROLE)),
        ("credentials_uri", lambda: split_credentials_uri("127.0.0.1:80/the-Secret-path")),
        ("credentials_uri", lambda: split_credentials_uri("http://me:the-Secret-path@127.0.0.1/")),
        ("credentials_uri", lambda: split_credentials_uri("http://127.0.0.1:port/the-Secret-path")),
        ("credentials_uri", lambda: split_credentials_uri("http://127.0.0.1/a b the-Secret-path")),
        ("sts_endpoint", lambda: check_origin("sts_endpoint", "https://sts.aliyuncs.com/?a=b", example="https://e")),
        ("sts_endpoint", lambda: check_origin("sts_endpoint", "https://u:the-Secret-path@h", example="https://e")),
        ("sts_endpoint", lambda: check_origin("sts_endpoint", "ftp://h", example="https://e")),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_before_anything_is_sent(argument: str, make: Callable[[], object]) -> None:
    with pytest.raises(ArgumentError) as refused:
        make()

    assert refused.value.argument == argument
    assert "the-Secret-path" not in str(refused.value)


# --- AssumeRoleWithOIDC -----------------------------------------------------------------------------------------------


def test_a_role_is_assumed_with_an_oidc_token_that_no_url_holds(sts: Sts, token_file: Path) -> None:
    assert with_oidc(sts, token_file).fetch().credentials == FIRST

    [asked] = sts.asked
    assert asked.form["OIDCToken"] == OIDC_TOKEN
    assert OIDC_TOKEN not in asked.raw_query
    assert "authorization" not in asked.headers


def test_a_new_token_in_the_file_counts_at_the_next_request(sts: Sts, token_file: Path) -> None:
    source = with_oidc(sts, token_file)
    source.fetch()
    sts.oidc_tokens = {"the-next-token"}
    error = failure(source)
    assert f"the token in {token_file} expired; check what renews it" in str(error)
    assert error.retryable

    token_file.with_name("next").write_text("the-next-token")
    token_file.with_name("next").rename(token_file)  # as Kubernetes does

    assert source.fetch().credentials.access_key_id == "STS.2"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (refusal(400, f"{FAIL}.NoPermission", "There is no permission"), f"allow sts:AssumeRole for {PROVIDER}"),
        (refusal(400, f"{FAIL}.OIDCToken.AudienceNotMatch", "Invalid audience."), "audience to sts.aliyuncs.com"),
        (refusal(400, f"{FAIL}.OIDCToken.IssuerNotMatch", "The issuer"), f"check that {PROVIDER} issued"),
        (refusal(400, f"{FAIL}.OIDCToken.Invalid", f"not a token: {OIDC_TOKEN}"), "not a token: …;"),
    ],
)  # fmt: skip
def test_what_sts_says_of_a_token_is_final_and_shows_none(sts: Sts, token_file: Path, told: Told, says: str) -> None:
    sts.instead = [told]
    error = failure(with_oidc(sts, token_file))

    assert says in str(error)
    assert not error.retryable


@pytest.mark.parametrize("content", [None, b"", b"\n", b"a b", b"a\nb", b"\xff\xfe", b"x" * 30_000])
def test_a_file_without_a_token_is_named(sts: Sts, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)

    error = failure(with_oidc(sts, path))

    assert str(path) in str(error)
    assert error.retryable  # the next one may be on its way
    assert sts.asked == []


# --- the ECS instance's role ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role_name", [None, "worker-role"])
def test_an_instance_has_its_roles_credentials(metadata: Metadata, role_name: str | None) -> None:
    source = on_ecs(metadata, role_name)

    assert [source.fetch().credentials.access_key_id for _ in range(2)] == ["STS.1", "STS.2"]
    assert {(asked.method, asked.path) for asked in metadata.asked} == {
        ("PUT", "/latest/api/token"),
        ("GET", metadata.ROLES + "worker-role"),
    } | ({("GET", metadata.ROLES)} if role_name is None else set())


def test_an_instance_without_a_role_says_so(metadata: Metadata) -> None:
    metadata.role = None

    error = failure(on_ecs(metadata))

    assert str(error).endswith("answered 404; attach a RAM role to the instance")
    assert not error.retryable


def test_another_role_than_the_instances_says_so(metadata: Metadata) -> None:
    error = failure(on_ecs(metadata, "another"))

    assert "RAM role another" in str(error)
    assert str(error).endswith("answered 404; attach that role to the instance, or correct role_name")
    assert not error.retryable


@pytest.mark.parametrize(
    ("told", "says", "retryable"),
    [
        (Told(403, ""), "check that this worker runs on an ECS instance", False),
        (Told(200, ""), "check that this worker runs on an ECS instance", False),
        (Told(302, "", {"Location": "http://127.0.0.1:1/"}), "check that this worker runs on an ECS instance", False),
        (Told(500, ""), "answered 500", True),
    ],
)
def test_a_metadata_service_without_tokens_says_so(metadata: Metadata, told: Told, says: str, retryable: bool) -> None:
    metadata.instead = [told]
    error = failure(on_ecs(metadata))

    assert says in str(error)
    assert error.retryable == retryable


def test_a_name_that_no_role_has_goes_into_no_path(metadata: Metadata) -> None:
    metadata.role = "../../api/token"

    assert "answered 200" in str(failure(on_ecs(metadata)))
    assert len(metadata.asked) == 2


def test_a_role_that_the_service_cannot_assume_may_be_mended(metadata: Metadata) -> None:
    source = on_ecs(metadata, "worker-role")
    metadata.instead = [Told(body="a-token"), Told(body={"Code": "Failed"})]

    error = failure(source)

    assert "answered 200 Failed; check that the role exists and trusts ecs.aliyuncs.com" in str(error)
    assert error.retryable


# --- the credentials URI ----------------------------------------------------------------------------------------------


def test_a_uri_gives_credentials(uri: Uri) -> None:
    assert at_uri(uri).fetch().credentials == FIRST


def test_a_wrong_path_is_final_and_not_shown(uri: Uri) -> None:
    error = failure(at_uri(uri, "/the-Secret-path/wrong"))

    assert str(error) == f"the credentials URI at {uri.url} answered 404; check credentials_uri"
    assert not error.retryable


def test_a_uri_that_has_nothing_for_now_is_asked_again(uri: Uri) -> None:
    uri.instead = [Told(body={"Code": "NotReady", "Message": f"{Uri.PATH} begins"})]
    error = failure(at_uri(uri))

    assert "answered 200 NotReady: … begins; check the log of the service behind it" in str(error)
    assert error.retryable


# --- the way there ----------------------------------------------------------------------------------------------------


def sources_at(url: str, token_file: Path) -> list[CredentialsSource]:
    return [
        AssumedRole(
            Role(ROLE), StaticCredentials(KEY_ID, KEY_SECRET), CredentialsService(url), external_id="the-external-id"
        ),
        RoleWithOidc(Role(ROLE), CredentialsService(url), provider_arn=PROVIDER, token_file=str(token_file)),
        EcsRamRole(CredentialsService(url, direct=True)),
        CredentialsUri(CredentialsService(url, direct=True), Uri.PATH),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_service_that_is_down_may_come_back(token_file: Path, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

    error = failure(sources_at(url, token_file)[number])

    assert f"at {url}: " in str(error)
    assert "refused" in str(error)
    assert "check that the service is up and that this worker can reach it" in str(error)
    assert error.retryable


@pytest.mark.parametrize("number", range(4))
def test_no_redirect_is_followed(sts: Sts, uri: Uri, token_file: Path, number: int) -> None:
    uri.instead = [Told(307, "", {"Location": sts.url})]

    failure(sources_at(uri.url, token_file)[number])

    assert sts.asked == []


def test_neither_metadata_nor_credentials_uri_goes_through_a_proxy(
    sts: Sts, metadata: Metadata, uri: Uri, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, sts.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")

    assert on_ecs(metadata).fetch().credentials == at_uri(uri).fetch().credentials == FIRST
    assert sts.asked == []


def test_sts_is_reached_through_the_proxy(sts: Sts) -> None:
    source = AssumedRole(
        Role(ROLE),
        StaticCredentials(KEY_ID, KEY_SECRET),
        CredentialsService("http://sts.invalid", proxies={"http": sts.url}),
    )

    assert source.fetch().credentials == FIRST
    assert sts.asked[0].headers["host"] == "sts.invalid"


def test_a_certificate_of_an_authority_of_ones_own_needs_its_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    certificate = a_certificate(tmp_path / "sts.pem", address="127.0.0.1")
    key = StaticCredentials(KEY_ID, KEY_SECRET)
    with Sts(certificate=certificate) as sts:
        error = failure(AssumedRole(Role(ROLE), key, CredentialsService(sts.url)))
        issued = AssumedRole(Role(ROLE), key, CredentialsService(sts.url, verify_tls=str(certificate))).fetch()

    assert "set the connection's CA bundle" in str(error)
    assert not error.retryable
    assert issued.credentials == FIRST
    assert len(sts.asked) == 1


def test_the_log_shows_requests_to_oss_and_none_of_these(
    sts: Sts, uri: Uri, oss: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    sts.external_id = "the-external-id"
    with caplog.at_level(logging.DEBUG):
        assumed(sts, external_id="the-external-id").fetch()
        at_uri(uri).fetch()
        a_client(oss).get_bucket_info(BUCKET)

    shown = [record.getMessage() for record in caplog.records]
    assert [line for line in shown if line.startswith(f"GetBucketInfo oss://{BUCKET}: 200 OK [request id ")]
    assert [line for line in shown if "the-external-id" in line or "the-Secret" in line] == []


@pytest.mark.parametrize("way", ["silence", "trickle"])
def test_a_service_that_never_ends_its_answer_holds_nobody(way: str) -> None:
    done = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            while way == "trickle" and not done.wait(0.01):
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" if not started else b"{")
                started.append(True)
            done.wait(30)

    started: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        issuer = CredentialsService(
            f"http://127.0.0.1:{server.getsockname()[1]}", direct=True, read_timeout=0.3, longest=0.2
        )
        error = failure(CredentialsUri(issuer, Uri.PATH))
        done.set()
        thread.join()

    assert error.retryable


def test_an_answer_shows_nothing_of_its_body(uri: Uri) -> None:
    answer = CredentialsService(uri.url, direct=True).ask("it", "GET", Uri.PATH)

    assert answer.status == 200
    assert "the-Secret" not in repr(answer)


@pytest.mark.parametrize(
    ("url", "rest"), [("http://h:1?token=1", "/?token=1"), ("http://h:1/a?b", "/a?b"), ("http://h:1", "")]
)
def test_a_url_with_a_query_and_no_path_asks_for_the_root(url: str, rest: str) -> None:
    assert split_url(url) == ("http://h:1", rest)
