"""What the Test button of a connection says: where it leads and whose it is, or what is wrong and what to do."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ConnectionFailed
from airflow_provider_ossresume.hooks.connection import ConnectionSettings
from airflow_provider_ossresume.hooks.connection_check import UNLIKELY_KEY, check_connection
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from tests.unit.test_client import (
    Scripted,
    a_certificate,
    a_scripted_client,
    an_answer,
    closed_port,
    no_environment,
)
from tests.world import BUCKET

__all__ = ["no_environment"]  # a fixture

ACCOUNT = "1234567890"  # of the local server
DENIED = Fault("status", status=403, code="AccessDenied")


def settings_for(oss: LocalOSS, **changes: Any) -> ConnectionSettings:
    settings = ConnectionSettings(
        "oss_default",
        access_key_id=oss.access_key_id,
        access_key_secret=oss.access_key_secret,
        region=oss.region,
        endpoint=oss.endpoint,
        bucket=BUCKET,
    )
    return replace(settings, **changes)


def operations(oss: LocalOSS) -> list[str]:
    return [request.operation for request in oss.requests]


# --- it works ---------------------------------------------------------------------------------------------------------


def test_it_tells_endpoint_region_bucket_owner_and_clock(oss: LocalOSS) -> None:
    works, says = check_connection(settings_for(oss))

    assert works
    start = f"Endpoint {oss.endpoint}; region cn-hangzhou; bucket {BUCKET} in cn-hangzhou belongs to account {ACCOUNT}"
    clock = r"; this machine's clock (agrees with|is \d+ s ahead of) OSS's"
    assert says.startswith(start)
    assert re.fullmatch(clock, says.removeprefix(start))
    assert operations(oss) == ["GetBucketInfo"]


def test_without_a_bucket_it_tells_whose_the_key_is(oss: LocalOSS) -> None:
    works, says = check_connection(settings_for(oss, bucket=None))

    assert works
    assert f"the Access Key is valid and belongs to account {ACCOUNT}; this machine's clock" in says
    assert operations(oss) == ["ListBuckets"]


def test_a_key_that_may_not_list_buckets_is_a_good_key(oss: LocalOSS) -> None:
    oss.fail("ListBuckets", fault=DENIED)

    works, says = check_connection(settings_for(oss, bucket=None))

    assert works
    assert (
        "the Access Key is valid; it cannot list buckets, but transfers do not need that; this machine's clock" in says
    )


def test_with_v1_signatures_no_region_is_needed(oss: LocalOSS) -> None:
    works, says = check_connection(settings_for(oss, region=None, signature_version="v1"))

    assert works
    assert f"; region not set; bucket {BUCKET} in cn-hangzhou" in says


def test_another_region_takes_the_place_of_the_connections(oss: LocalOSS) -> None:
    assert check_connection(settings_for(oss, region="cn-beijing"), region="cn-hangzhou")[0]


@pytest.mark.parametrize(("code", "works"), [("NoSuchKey", True), ("AccessDenied", False)])
def test_an_anonymous_connection_asks_for_what_anybody_may_read(oss: LocalOSS, code: str, works: bool) -> None:
    status = 404 if works else 403
    oss.fail("HeadObject", fault=Fault("status", status=status, code=code))

    answer = check_connection(settings_for(oss, auth_type="Anonymous"))

    assert answer[0] is works
    assert (f"bucket {BUCKET} can be read anonymously" in answer[1]) is works
    assert "Key and signature" not in answer[1]
    assert [(request.operation, request.key) for request in oss.requests] == [("HeadObject", UNLIKELY_KEY)]
    assert "Authorization" not in oss.requests[0].headers


def test_an_anonymous_connection_without_a_bucket_finds_the_endpoint_at_least(oss: LocalOSS) -> None:
    works, says = check_connection(settings_for(oss, auth_type="anonymous", bucket=None))

    assert works
    assert "requests are not signed; fill in Bucket to check that it is public; this machine's clock" in says


@pytest.mark.parametrize(
    ("ahead", "says"),
    [
        (0, "this machine's clock agrees with OSS's"),
        (7, "this machine's clock is 7 s ahead of OSS's"),
        (-600, "this machine's clock is 600 s behind OSS's: set the clock"),
        (7200, "this machine's clock is 7200 s ahead of OSS's: set the clock"),
    ],
)
def test_it_tells_by_how_much_the_clock_is_off(ahead: int, says: str) -> None:
    now = float(int(time.time()))
    with LocalOSS(buckets=(BUCKET,), clock=lambda: now) as oss:
        answer = check_connection(settings_for(oss), clock=lambda: now + ahead)

    assert answer == (True, answer[1])
    assert answer[1].endswith(f"; {says}")


def test_a_clock_that_is_hours_off_does_not_keep_it_from_working() -> None:
    with LocalOSS(buckets=(BUCKET,), clock=lambda: time.time() + 7200) as oss:
        works, says = check_connection(settings_for(oss))

    assert works
    assert " s behind OSS's: set the clock" in says


# --- it does not ------------------------------------------------------------------------------------------------------

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no key": ({"access_key_id": None}, "the Access Key ID is missing; enter it"),
    "a wrong key": ({"access_key_id": "wrong"}, "check the Access Key ID: it is unknown to OSS or disabled, or"),
    "a wrong secret": ({"access_key_secret": "wrong"}, "check the Access Key Secret and the region"),
    "a wrong token": ({"security_token": "wrong"}, "the STS token does not belong to the Access Key ID"),
    "a wrong region": ({"region": "cn-beijing"}, "check the region; it differs from the endpoint's"),
    "no region": ({"region": None}, "V4 signatures need it"),
    "no such bucket": (
        {"bucket": "nobody-made-this"},
        "check the bucket's name, and that the endpoint is in its region",
    ),
    "no bucket at all": ({"bucket": "No_Bucket"}, "correct the bucket's name: use 3 to 63"),
    "a bucket's own domain": ({"bucket": None, "addressing": "cname"}, "answers for buckets only"),
    "acceleration": ({"bucket": None, "endpoint": None, "endpoint_kind": "accelerate"}, "answers for buckets only"),
    "no endpoint": ({"endpoint": "ftp://oss.example.com"}, "begin it with https://"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_it_tells_the_cause_and_the_next_step(oss: LocalOSS, case: str) -> None:
    changes, says = REFUSALS[case]

    works, told = check_connection(settings_for(oss, **changes))

    assert not works
    assert says in told
    assert not any(secret in told for secret in (oss.access_key_secret, "Signature="))


def test_an_expired_token_is_named() -> None:
    with LocalOSS(buckets=(BUCKET,), security_token="a-token") as oss:
        oss.expire_token()
        works, says = check_connection(settings_for(oss, auth_type="sts", security_token="a-token"))

    assert (works, "the STS token has expired; get a new one" in says) == (False, True)


def test_a_missing_permission_is_named_and_said_to_be_of_no_use_to_transfers(oss: LocalOSS) -> None:
    oss.fail("GetBucketInfo", fault=DENIED)

    works, says = check_connection(settings_for(oss))

    assert not works
    assert "grant oss:GetBucketInfo" in says
    assert says.endswith("The Access Key is valid, and transfers do not need this permission")


@pytest.mark.parametrize("code", ["UserDisable", "InvalidAccessKeyId"])
def test_a_key_that_is_refused_is_not_called_good(oss: LocalOSS, code: str) -> None:
    oss.fail("GetBucketInfo", fault=Fault("status", status=403, code=code))
    oss.fail("ListBuckets", fault=Fault("status", status=403, code=code))

    for bucket in (BUCKET, None):
        works, says = check_connection(settings_for(oss, bucket=bucket))
        assert (works, code in says, "good" in says) == (False, True, False)


@pytest.mark.parametrize("status", [403, 307])
def test_a_bucket_of_another_region_is_told_with_its_endpoint(status: int) -> None:
    body = (
        b"<Error><Code>AccessDenied</Code><Message>The bucket you are attempting to access must be addressed using the "
    )
    body += b"specified endpoint.</Message><Bucket>b</Bucket><Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint></Error>"
    with Scripted(an_answer(status, body)) as server:
        works, says = check_connection(elsewhere(server.url))

    assert not works
    assert "the bucket is at oss-cn-beijing.aliyuncs.com: set its region, or that as the endpoint" in says
    assert "good" not in says


def elsewhere(endpoint: str, **changes: Any) -> ConnectionSettings:
    """A connection to a server that checks no signature, or to none."""
    settings = ConnectionSettings("oss_default", access_key_id="an-id", access_key_secret="a-secret", bucket=BUCKET)
    return replace(settings, region="cn-hangzhou", endpoint=endpoint, **changes)


WAYS: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "refused": (
        lambda: {"endpoint": f"http://127.0.0.1:{closed_port()}"},
        "nothing listens there; check the host and the port",
    ),
    "no such host": (
        lambda: {"endpoint": "http://oss.invalid"},
        "the host name could not be resolved; set addressing to cname if oss.invalid is the",
    ),
    "no proxy": (
        lambda: {"endpoint": "http://oss.invalid", "proxy": f"http://u:hunter2@127.0.0.1:{closed_port()}"},
        "check the connection's Proxy, or HTTPS_PROXY and NO_PROXY of this machine",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_endpoint_that_cannot_be_reached_is_told_with_the_next_step(
    no_environment: pytest.MonkeyPatch, way: str
) -> None:
    changes, says = WAYS[way]

    works, told = check_connection(elsewhere(**changes()))

    assert not works
    assert says in told
    assert "hunter2" not in told


def test_a_bucket_below_a_domain_of_its_own_is_told_with_the_field_that_mends_it(
    no_environment: pytest.MonkeyPatch,
) -> None:
    works, told = check_connection(elsewhere("https://files.invalid", endpoint_set_by="host"))

    assert not works
    assert "set addressing to cname if files.invalid is the bucket's own domain, or to path if" in told
    assert told.endswith(f"[asked https://{BUCKET}.files.invalid, endpoint set by host, addressing virtual by auto]")


def test_a_proxy_that_wants_a_password_is_told(no_environment: pytest.MonkeyPatch) -> None:
    with Scripted(an_answer(407)) as proxy:
        works, says = check_connection(elsewhere("https://oss.invalid", proxy=proxy.url))

    assert not works
    assert "407" in says
    assert "check the connection's Proxy" in says


def test_a_certificate_that_nobody_vouches_for_is_told(tmp_path: Path, no_environment: pytest.MonkeyPatch) -> None:
    with Scripted(certificate=a_certificate(tmp_path / "server.pem", address="127.0.0.1")) as server:
        works, says = check_connection(elsewhere(server.url))

    assert not works
    assert "set the connection's CA bundle if your own certificate authority has issued the certificate" in says


def test_an_endpoint_without_tls_is_told(no_environment: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_without_tls, args=(listener,), daemon=True).start()
        works, says = check_connection(elsewhere(f"https://127.0.0.1:{listener.getsockname()[1]}"))

    assert not works
    assert "does not use TLS: begin the endpoint with http://, or correct its port" in says


def answer_without_tls(listener: socket.socket) -> None:
    with suppress(OSError):  # the test is over
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(an_answer(400))
                connection.recv(65536)


def test_an_endpoint_that_waits_for_something_else_than_tls_is_told(
    oss: LocalOSS, no_environment: pytest.MonkeyPatch
) -> None:
    client = a_scripted_client(oss.endpoint.replace("http:", "https:"), connect_timeout=0.2, read_timeout=0.2)

    with pytest.raises(ConnectionFailed, match="does not use TLS"):
        client.get_bucket_info(BUCKET)


def test_an_answer_that_is_not_osss_is_told() -> None:
    with Scripted(an_answer(200, b"<html>Welcome to the hotel</html>")) as server:
        works, says = check_connection(elsewhere(server.url))

    assert not works
    assert "expected BucketInfo, got html" in says


def test_it_waits_no_longer_than_it_says(oss: LocalOSS) -> None:
    """It runs in Airflow's API server while a person waits."""
    oss.fail("GetBucketInfo", fault=Fault("stall", after_bytes=-1), times=None)

    works, says = check_connection(settings_for(oss), seconds=0.3)

    assert not works
    assert f"no answer from {oss.endpoint} within 0.3 s; check DNS, firewalls" in says
    assert says.endswith(f"[asked {oss.endpoint}, endpoint set by endpoint, addressing path by auto]")


@pytest.mark.parametrize(
    "fault", [Fault("refuse"), Fault("status", status=503, code="ServiceUnavailable")], ids=["refused", "503"]
)
def test_it_asks_at_most_twice(oss: LocalOSS, fault: Fault) -> None:
    asked: list[object] = []
    oss.on_request = asked.append
    oss.fail("GetBucketInfo", fault=fault, times=None)

    works, _ = check_connection(settings_for(oss))

    assert not works
    assert len(asked) <= 2
