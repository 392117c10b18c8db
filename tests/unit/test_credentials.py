"""Where Access Keys come from, and that they are never shown."""

from __future__ import annotations

import copy
import pickle

import pytest

from airflow_provider_ossresume.errors import CredentialsError
from airflow_provider_ossresume.oss.credentials import (
    AnonymousCredentials,
    Credentials,
    EnvironmentCredentials,
    StaticCredentials,
)
from airflow_provider_ossresume.oss.signer import Signer

SECRET, TOKEN = "the-access-key-secret", "the-security-token"
OSS_NAMES = {"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": "secret"}
ALIBABA_NAMES = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "other id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "other secret"}


def test_secret_and_token_are_never_shown() -> None:
    credentials = Credentials("id", SECRET, TOKEN)
    signer = Signer(credentials, "v4", "cn-hangzhou", 0.0)
    shown = [
        repr(thing)
        for thing in (
            credentials,
            StaticCredentials("id", SECRET, TOKEN),
            EnvironmentCredentials({"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": SECRET}),
            signer,
        )
    ]

    assert "id" in shown[0]
    assert not [text for text in shown if SECRET in text or TOKEN in text]


def test_credentials_are_values() -> None:
    credentials = Credentials("id", SECRET, TOKEN)

    assert credentials == Credentials("id", SECRET, TOKEN) == copy.deepcopy(credentials)
    assert credentials != Credentials("id", SECRET, "another token")
    assert pickle.loads(pickle.dumps(credentials)) == credentials


def test_white_space_around_pasted_keys_and_mounted_secrets_is_dropped() -> None:
    environment = {"OSS_ACCESS_KEY_ID": "id\n", "OSS_ACCESS_KEY_SECRET": " secret\r\n", "OSS_SESSION_TOKEN": "token\n"}

    assert StaticCredentials(" id\n", "\tsecret\r\n", " token \n").get() == Credentials("id", "secret", "token")
    assert EnvironmentCredentials(environment).get() == Credentials("id", "secret", "token")


@pytest.mark.parametrize("bad", ["the-tok\nen", "the-tok–en", "the-tok\0en", "the-tok\x7fen"], ids=ascii)
@pytest.mark.parametrize(("name", "label"), list(enumerate(["Access Key ID", "Access Key Secret", "STS token"])))
def test_what_cannot_be_sent_is_refused_without_being_shown(name: int, label: str, bad: str) -> None:
    good = ["id", "secret", "token"]

    with pytest.raises(CredentialsError, match=f"the {label} contains a character that is not allowed") as refused:
        StaticCredentials(*good[:name], bad, *good[name + 1 :])

    assert "the-tok" not in f"{refused.value} {refused.value!r} {vars(refused.value)}"


# --- static -----------------------------------------------------------------------------------------------------------


def test_static_credentials_stay_what_they_are() -> None:
    provider = StaticCredentials("id", "secret", "token")

    assert provider.get() == Credentials("id", "secret", "token")
    assert provider.renew(provider.get()) == provider.get()
    assert StaticCredentials("id", "secret").get().security_token is None
    assert StaticCredentials("id", "secret", "").get().security_token is None


@pytest.mark.parametrize(
    ("key_id", "secret", "missing"),
    [
        ("", "secret", "Access Key ID"),
        ("id", "", "Access Key Secret"),
        ("", "", "Access Key ID"),
        (" ", "secret", "Access Key ID"),
        ("id", "\n", "Access Key Secret"),
    ],
)
def test_what_is_missing_is_named_with_the_next_step(key_id: str, secret: str, missing: str) -> None:
    with pytest.raises(CredentialsError, match=f"the {missing} is missing; enter it in the connection"):
        StaticCredentials(key_id, secret)


# --- anonymous --------------------------------------------------------------------------------------------------------


def test_anonymous_requests_have_no_credentials() -> None:
    provider = AnonymousCredentials()

    assert provider.get() is None
    assert provider.renew(Credentials("id", "secret")) is None


# --- environment ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "credentials"),
    [
        (OSS_NAMES, Credentials("id", "secret")),
        ({**OSS_NAMES, "OSS_SESSION_TOKEN": "token"}, Credentials("id", "secret", "token")),
        ({**OSS_NAMES, "OSS_SESSION_TOKEN": ""}, Credentials("id", "secret")),
        (ALIBABA_NAMES, Credentials("other id", "other secret")),
        (
            {**ALIBABA_NAMES, "ALIBABA_CLOUD_SECURITY_TOKEN": "token"},
            Credentials("other id", "other secret", "token"),
        ),
        ({**ALIBABA_NAMES, **OSS_NAMES}, Credentials("id", "secret")),
        # A token belongs to the key of its own family.
        ({**ALIBABA_NAMES, "OSS_SESSION_TOKEN": "token"}, Credentials("other id", "other secret")),
    ],
)
def test_the_environment_is_read_by_both_families_of_names(
    environment: dict[str, str], credentials: Credentials
) -> None:
    assert EnvironmentCredentials(environment).get() == credentials


@pytest.mark.parametrize("environment", [{}, {"OSS_ACCESS_KEY_ID": "id"}, {**OSS_NAMES, "OSS_ACCESS_KEY_SECRET": ""}])
def test_an_environment_without_a_whole_key_is_an_error_with_the_names_to_set(environment: dict[str, str]) -> None:
    with pytest.raises(CredentialsError, match="set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET"):
        EnvironmentCredentials(environment).get()


@pytest.mark.parametrize(("of_oss", "missing"), [
    ({"OSS_ACCESS_KEY_ID": "id"}, "OSS_ACCESS_KEY_SECRET"),
    ({"OSS_ACCESS_KEY_SECRET": "secret"}, "OSS_ACCESS_KEY_ID"),
])  # fmt: skip
def test_half_a_key_is_not_completed_by_another_callers(of_oss: dict[str, str], missing: str) -> None:
    with pytest.raises(CredentialsError, match=f"{missing} is missing; set OSS_ACCESS_KEY_ID and OSS_ACC"):
        EnvironmentCredentials({**ALIBABA_NAMES, **of_oss}).get()
    with pytest.raises(CredentialsError, match="ALIBABA_CLOUD_ACCESS_KEY_SECRET is missing"):
        EnvironmentCredentials({"ALIBABA_CLOUD_ACCESS_KEY_ID": "id"}).get()


def test_the_environment_is_read_each_time() -> None:
    environment = dict(OSS_NAMES)
    provider = EnvironmentCredentials(environment)
    first = provider.get()

    environment["OSS_SESSION_TOKEN"] = "renewed"

    assert provider.get() == provider.renew(first) == Credentials("id", "secret", "renewed")


def test_by_default_it_is_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OSS_NAMES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("OSS_SESSION_TOKEN", raising=False)

    assert EnvironmentCredentials().get() == Credentials("id", "secret")
