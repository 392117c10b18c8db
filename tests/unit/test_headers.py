"""Headers that a DAG author may set, and those that are not theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.local_oss import LocalOSS
from airflow_provider_ossresume.model.headers import check_given
from airflow_provider_ossresume.model.object_options import object_headers
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.resumable import resumable_download, resumable_upload
from tests.world import BUCKET, Transfers, a_client, a_file

OURS = [
    "Host", "Date", "x-oss-date", "Authorization", "Content-Length", "Content-MD5", "Transfer-Encoding", "Connection",
    "Keep-Alive", "Expect", "TE", "Trailer", "Upgrade", "Proxy-Authorization", "Proxy-Connection", "Range", "If-Match",
    "If-None-Match", "If-Modified-Since", "If-Range", "x-oss-security-token", "x-oss-content-sha256", "Accept-Encoding",
    "x-oss-range-behavior", "x-oss-copy-source", "x-oss-complete-all", "Content-Range",
]  # fmt: skip
THEIRS = ["Cache-Control", "x-oss-meta-range", "x-oss-callback", "x-oss-request-payer", "User-Agent", "Referer", "x-a"]


@pytest.mark.parametrize("name", OURS)
def test_a_header_of_ours_is_refused_by_name_before_anything_is_sent(oss: LocalOSS, tmp_path: Path, name: str) -> None:
    client, file, target = a_client(oss), a_file(tmp_path, size=5), ObjectRef(BUCKET, "key")
    store = MemoryCheckpointStore()
    for spelling in (name, name.lower(), name.upper()):
        headers = {spelling: "x"}
        for call in (
            lambda headers=headers: object_headers("key", {"headers": headers}),
            lambda headers=headers: resumable_upload(client, BUCKET, "key", file, store=store, headers=headers),
            lambda headers=headers: resumable_download(client, BUCKET, "key", file, store=store, headers=headers),
            lambda headers=headers: client.copy_object(target, target, headers=headers),
            lambda headers=headers: client.initiate(target, headers=headers),
            lambda headers=headers: client.complete(target, "ID", [], headers=headers),
            lambda headers=headers: Transfers(oss).upload(file, headers=headers),
        ):
            with pytest.raises(ArgumentError, match=f"headers='{spelling}': the client sets this header itself"):
                call()

    assert oss.requests == []


@pytest.mark.parametrize("name", THEIRS)
def test_any_other_header_is_theirs(name: str) -> None:
    assert check_given({name: "x"}) == {name: "x"}


def test_overwriting_is_forbidden_by_its_argument() -> None:
    with pytest.raises(ArgumentError, match="if_exists='fail'"):
        object_headers("key", {"headers": {"X-OSS-Forbid-Overwrite": "true"}})


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"a b": "x"}, "letters, digits"),
        ({"": "x"}, "letters, digits"),
        ({"\udc80": "x"}, "letters, digits"),
        ({5: "x"}, "letters, digits"),
        ({"a": "x\r\nb: y"}, "control characters"),
        ({"a": "\0"}, "control characters"),
        ({"a": "\udc80"}, "lone surrogate"),
        ({"a": 5}, "give a string"),
    ],
)
def test_what_http_cannot_carry_is_refused(headers: dict[Any, Any], why: str) -> None:
    with pytest.raises(ArgumentError, match=why):
        check_given(headers)


@pytest.mark.parametrize("option", ["metadata", "headers", "tags"])
@pytest.mark.parametrize("bad", ["\udc80", "a\nb", "\0"])
def test_no_option_lets_it_through(option: str, bad: str) -> None:
    for content in ({"a": bad}, {bad: "a"}):
        with pytest.raises(ArgumentError, match=f"^{option}"):
            object_headers("key", {option: content})  # type: ignore[misc]
