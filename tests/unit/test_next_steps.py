"""What an error says to do: by OSS's code, by its words, and for an answer that is not OSS's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ossresume.errors import AccessDenied, BadAnswer, NoSuchKey, RequestError, ServiceError
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.in_memory import DiscardingSink
from tests.unit.test_client import Scripted, an_answer
from tests.world import BytesBody

TARGET = ObjectRef("bucket", "key")
HTML = b"<html><head><title>403 Forbidden</title></head><body>nginx</body></html>"
OF_OSS = {"x-oss-request-id": "65F0C0FFEE"}


def head(client: OssClient) -> Any:
    return client.head_object(TARGET)


def get(client: OssClient) -> Any:
    return client.get_object(TARGET, DiscardingSink(1024), start=0, stop=1024)


def put(client: OssClient) -> Any:
    return client.put_object(TARGET, BytesBody(b"x" * 1000))


def get_behind(client: OssClient) -> Any:
    return client.get_object(TARGET, DiscardingSink(1024), start=2000, stop=4000)


def error_of(status: int, body: bytes, call: Callable[[OssClient], Any] = get, **headers: str) -> RequestError:
    with Scripted(an_answer(status, body, **headers)) as server, pytest.raises(RequestError) as caught:
        call(server.client(attempts=3))
    caught.value.requests = len(server.heads)  # type: ignore[attr-defined]
    return caught.value


def said(code: str, message: str = "", ec: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message><EC>{ec}</EC></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "message", "step"),
    [
        (403, "InvalidObjectState", "The operation is not valid for the object's state", "restore it first"),
        (403, "UserDisable", "UserDisable", "unpaid bill"),
        (403, "InDebt", "Current user is indebted", "unpaid bill"),
        (403, "InDebtOverdue", "Current user is indebted Overdue", "unpaid bill"),
        (403, "AbnormalBucketOwnerStatus", "The status of the bucket owner is abnormal", "unpaid bill"),
        (403, "BucketDisable", "BucketDisable", "Alibaba Cloud's support"),
        (403, "SecondLevelDomainForbidden", "must be addressed using OSS third level domain", "addressing to virtual"),
        (403, "NonStandardHostForbidden", "Your host is invalid", "cname"),
        (403, "AccessDenied", "This request is forbidden by kms.", "grant kms:GenerateDataKey and kms:Decrypt"),
        (403, "UbsmsInvalidBid", "Your account partner does not have KMS Service", "activate it"),
        (403, "AccessDenied", "You are denied by bucket referer policy.", "Referer"),
        (403, "AccessDenied", "Access denied by VPC endpoint policy", "VPC"),
        (403, "AccessDenied", "Put public object acl is not allowed", "blocks public access"),
        (403, "AccessDenied", "Target object does not reside in the same data center as source object.", "copy_mode"),
        (403, "AccessKeyIdAndSecurityTokenNotMatch", "does not match", "does not belong to the Access Key ID"),
        (409, "FileImmutable", "The object is immutable", "WORM"),
        (400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", "multipart_threshold"),
    ],
)
def test_the_next_step_follows_osss_code_and_names_no_permission_that_is_not_missing(
    status: int, code: str, message: str, step: str
) -> None:
    error = error_of(status, said(code, message))

    assert step in str(error)
    assert "grant oss:" not in str(error)
    assert "not OSS's" not in str(error)


@pytest.mark.parametrize("code", ["AccessForbidden", "BucketNotBelongTo", "CnameDenied", "ImageDamage", "SomethingNew"])
def test_a_403_that_is_not_access_denied_asks_for_no_permission(code: str) -> None:
    assert "grant" not in str(error_of(403, said(code, "whatever it says")))


def test_a_missing_permission_is_named() -> None:
    error = error_of(403, said("AccessDenied", "You have no right to access this object.", "0003-00000001"))

    assert isinstance(error, AccessDenied)
    assert "grant oss:GetObject" in str(error)


def test_a_permission_is_advised_only_where_oss_says_that_access_is_denied() -> None:
    assert "grant oss:GetObject" in str(error_of(403, said("AccessDenied"), get, **OF_OSS))
    silent = str(error_of(403, b"", head, **OF_OSS))
    assert "grant" not in silent
    assert "did not say why" in silent


@pytest.mark.parametrize("call", [head, get, put])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 412, 416, 451])
def test_an_error_without_a_code_and_a_request_id_is_said_not_to_be_osss(call: Any, status: int) -> None:
    error = error_of(status, b"" if call is head else HTML, call)

    assert isinstance(error, ServiceError)
    assert not isinstance(error, NoSuchKey)
    assert "this response did not come from OSS" in str(error)
    assert "[asked http://127.0.0.1:" in str(error)
    assert "grant" not in str(error)
    assert "nginx</body>" not in str(error)


def test_a_404_of_oss_to_head_is_a_missing_object() -> None:
    assert isinstance(error_of(404, b"", head, **OF_OSS), NoSuchKey)


def test_a_proxy_that_takes_no_large_request_is_told_from_oss() -> None:
    error = error_of(413, HTML, put, Server="nginx")

    assert "client_max_body_size" in str(error)
    assert "part_size" in str(error)
    assert error.requests == 1  # type: ignore[attr-defined]


def test_who_ignores_a_range_is_told_so_once() -> None:
    error = error_of(200, b"x" * 3000, get_behind)

    assert isinstance(error, BadAnswer)
    assert "ignores Range" in str(error)
    assert "http://127.0.0.1:" in str(error)
    assert (error.retryable, error.requests) == (False, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("call", "status"), [(get, 204), (put, 202), (head, 206)])
def test_another_success_than_the_one_that_was_asked_for_is_tried_again(call: Any, status: int) -> None:
    error = error_of(status, b"", call)

    assert isinstance(error, BadAnswer)
    assert f"got the unexpected status {status}" in str(error)
    assert error.retryable
