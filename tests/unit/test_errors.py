"""Errors as data: what a triggerer tells a worker."""

from __future__ import annotations

import json

import pytest

from airflow_provider_ossresume import errors
from airflow_provider_ossresume.errors import (
    AccessDenied,
    ArgumentError,
    BadAnswer,
    ConnectionFailed,
    CredentialsError,
    CredentialsUnavailable,
    NoSuchKey,
    OSSResumeError,
    PartlyFailed,
    RequestError,
    ServiceError,
    _as_data,
    error_from_data,
    error_to_data,
)

THROTTLED = ServiceError(
    operation="HeadObject", target="oss://b/k", status=503, code="ServiceUnavailable", request_id="65", ec="0026",
    retry_after=7.0, hint="ask less often",
)  # fmt: skip


@pytest.mark.parametrize(
    "error",
    [
        OSSResumeError("root"),
        ArgumentError("key", ["a"], "give a string"),
        CredentialsError("no key"),
        CredentialsUnavailable("STS is down"),
        ConnectionFailed("reset", operation="HeadObject", target="oss://b/k"),
        BadAnswer("not OSS", operation="HeadObject", target="oss://b/k"),
        THROTTLED,
        AccessDenied(operation="HeadObject", target="oss://b/k", status=403, code="AccessDenied"),
        NoSuchKey(operation="HeadObject", target="oss://b/k", status=404),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_as_it_was(error: OSSResumeError) -> None:
    again = error_from_data(json.loads(json.dumps(error_to_data(error))))

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.retryable == error.retryable
    facts = {name: fact for name, fact in vars(error).items() if not isinstance(fact, list)}
    assert facts.items() <= vars(again).items()


def test_what_was_changed_on_an_error_comes_back() -> None:
    error = OSSResumeError("root")
    error.retryable = True

    assert error_from_data(error_to_data(error)).retryable


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        (["Newer", "ServiceError", "RequestError", "OSSResumeError"], ServiceError),
        (["Newer", "RequestError"], RequestError),
        (["Newer"], OSSResumeError),
        ([], OSSResumeError),
        (["os.system", "Exception", "Mapping", "SystemExit"], OSSResumeError),  # nothing else is looked for
    ],
)
def test_a_class_that_is_unknown_becomes_the_nearest_one(kinds: list[str], kind: type[OSSResumeError]) -> None:
    again = error_from_data({**error_to_data(THROTTLED), "kinds": kinds})

    assert type(again) is kind
    assert (again.retryable, str(again)) == (True, str(THROTTLED))


def test_a_class_of_somebody_else_comes_back_as_the_one_it_was_made_of() -> None:
    class Mine(AccessDenied):
        pass

    assert type(error_from_data(error_to_data(Mine(operation="o", target="t", status=403)))) is AccessDenied


def test_no_two_classes_of_the_tree_have_one_name() -> None:
    def below(kind: type[OSSResumeError]) -> list[type[OSSResumeError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in below(child))]

    ours = {kind for kind in below(OSSResumeError) if kind.__module__ == errors.__name__}
    assert {kind.__name__ for kind in ours} == set(_as_data._CLASSES)


@pytest.mark.parametrize("kind", [kind.__name__ for kind in (ServiceError, PartlyFailed, ArgumentError, AccessDenied)])
def test_a_fact_that_was_not_told_is_what_its_class_has(kind: str) -> None:
    error = error_from_data({"kinds": [kind], "message": "m", "facts": {"status": "503", "retryable": 1}})

    assert (type(error).__name__, str(error), error.retryable) == (kind, "m", False)
    if isinstance(error, ServiceError):
        assert (error.status, error.code, error.retry_after, error.target) == (0, "", None, "")
    if isinstance(error, PartlyFailed):
        assert error.failures == {}


def test_a_number_that_json_does_not_have_is_left_out() -> None:
    error = ServiceError(operation="o", target="t", status=503, retry_after=float("inf"))

    again = error_from_data(json.loads(json.dumps(error_to_data(error), allow_nan=False)))

    assert isinstance(again, ServiceError)
    assert again.retry_after is None


@pytest.mark.parametrize("data", [None, "text", {}, {"kinds": ["ServiceError"]}, {"message": 1}, {"message": "m"}])
def test_data_that_cannot_be_read_is_an_error_that_a_retry_may_mend(data: object) -> None:
    error = error_from_data(data)

    assert type(error) is OSSResumeError
    assert error.retryable
    assert str(error)
