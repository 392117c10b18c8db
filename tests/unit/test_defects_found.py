"""What is promised and does not hold yet. Each test is to move to its module's tests when it passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import (
    ArgumentError,
    BadAnswer,
    CheckpointUnreadable,
    CredentialsError,
    OSSResumeError,
    RequestError,
    ServiceError,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.checkpoint import Owner, UploadCheckpoint, decode, encode
from airflow_provider_ossresume.model.objects import ObjectRef, check_key
from airflow_provider_ossresume.oss import messages
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import (
    CredentialsProvider,
    EnvironmentCredentials,
    StaticCredentials,
)
from airflow_provider_ossresume.oss.endpoint import parse_endpoint, region_of
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.progress import Progress
from tests.unit.test_checkpoint import DOWNLOAD, UPLOAD, changed
from tests.unit.test_client import (
    DATA,
    TARGET,
    Bytes,
    Collected,
    Scripted,
    a_scripted_client,
    an_answer,
    everything_about,
    failure,
    once,
)
from tests.world import BUCKET, PART, Transfers, a_client, some_bytes

# --- 1. any redirect crashes with an AttributeError of requests -------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["{elsewhere}/key?x-oss-signature=of-somebody", "http://[::1", "//"])
def test_a_redirect_is_an_error_that_names_where_and_nobody_goes_there(status: int, where: str) -> None:
    with Scripted(an_answer(200)) as elsewhere:
        location = where.format(elsewhere=elsewhere.url)
        with Scripted(an_answer(status, Location=location)) as server:
            client = server.client()
            error = failure(ServiceError, lambda: client.get_object(TARGET, Collected()))
            failure(ServiceError, lambda: client.put_object(TARGET, Bytes(DATA)))

    assert elsewhere.heads == []
    assert (error.status, error.retryable) == (status, False)
    assert f"a redirect to {location.partition('?')[0]} was not followed" in str(error)
    assert "of-somebody" not in str(error)
    assert len(server.heads) == 2


# --- 3. on a fresh connection a piece of the body must go out within the *connect* timeout ----------------------------


def test_a_slow_upload_is_not_cut_by_the_connect_timeout(oss: LocalOSS) -> None:
    class Pieces(Bytes):
        def open(self) -> Any:  # in pieces of 256 KiB, as a part of a file is
            return (self._data[start : start + 256 * 1024] for start in range(0, self.size, 256 * 1024))

    oss.fail("PutObject", fault=Fault("bandwidth", bytes_per_second=5_000_000), times=None)
    body = Pieces(bytes(10 * 2**20))  # more than the sockets' buffers take

    a_client(oss, connect_timeout=0.02, read_timeout=30, retry=once()).put_object(TARGET, body)

    assert len(oss.object(BUCKET, "key")) == body.size


# --- 5. a file store ends a transfer whose file name is no UTF-8, or long -------------------------------------------


@pytest.mark.parametrize("name", [b"\xff.bin", b"a" + "ü".encode() * 127], ids=["no UTF-8", "255 bytes"])
def test_a_file_store_takes_the_checkpoint_of_any_file_name(oss: LocalOSS, tmp_path: Path, name: bytes) -> None:
    import os

    transfers = Transfers(oss, store=FileCheckpointStore(tmp_path / "checkpoints"))
    oss.put(BUCKET, "key", some_bytes(3 * PART))
    file = tmp_path / os.fsdecode(name)

    transfers.download(file)

    assert file.read_bytes() == some_bytes(3 * PART)


def test_any_checkpoint_is_text_that_a_store_can_keep() -> None:
    checkpoint = replace(DOWNLOAD, part_file=".\udcff.part")

    assert decode(encode(checkpoint).encode().decode()) == checkpoint


# --- 6. a credential with a line end in it comes out in the text of a ValueError --------------------------------------


@pytest.mark.parametrize("version", ["v4", "v1"])
def test_white_space_around_credentials_of_the_environment_is_dropped(oss: LocalOSS, version: str) -> None:
    oss.put(BUCKET, "key", DATA)
    environment = {
        "OSS_ACCESS_KEY_ID": f"{oss.access_key_id}\n",  # as Kubernetes secrets often have it
        "OSS_ACCESS_KEY_SECRET": f"{oss.access_key_secret}\n",
    }
    client = a_client(oss, signature_version=version, credentials=EnvironmentCredentials(environment))

    assert client.head_object(TARGET).size == len(DATA)


TWO_LINES, DASHED = "the-tok\nen", "the-tok–en"  # apart, as a traceback shows the line that passes them on
BROKEN_CREDENTIALS: dict[str, Callable[[], CredentialsProvider]] = {
    "a token in two lines": lambda: StaticCredentials("id", "secret", TWO_LINES),
    "an environment token in two lines": lambda: EnvironmentCredentials(
        {"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": "secret", "OSS_SESSION_TOKEN": TWO_LINES}
    ),
    "a token with a dash of a word processor": lambda: StaticCredentials("id", "secret", DASHED),
    "a key ID with one": lambda: StaticCredentials("id–", "secret"),
}


@pytest.mark.parametrize("make", BROKEN_CREDENTIALS.values(), ids=BROKEN_CREDENTIALS)
@pytest.mark.parametrize("version", ["v4", "v1"])
def test_credentials_that_cannot_be_sent_are_an_error_that_does_not_show_them(
    version: str, make: Callable[[], CredentialsProvider]
) -> None:
    def use() -> None:
        a_scripted_client("http://127.0.0.1:1", signature_version=version, credentials=make()).head_object(TARGET)

    error = failure(CredentialsError, use)

    assert "the-tok" not in everything_about(error)
    assert "Signature=" not in everything_about(error)


@pytest.mark.parametrize(("key_id", "secret"), [(" ", "secret"), ("id", "\n")])
def test_white_space_is_no_credential(key_id: str, secret: str) -> None:
    with pytest.raises(CredentialsError, match="is missing"):
        StaticCredentials(key_id, secret)


# --- 7. a header's name is not checked --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "x-oss-meta-ü", "x-oss-meta-a b", "x-oss-meta-a: b", "x-oss-meta-a\r\nb", "a\0"])
def test_a_header_name_that_cannot_be_sent_is_refused_by_name(oss: LocalOSS, name: str) -> None:
    with pytest.raises(ArgumentError, match=r"^headers"):
        a_client(oss).put_object(TARGET, Bytes(DATA), headers={name: "1"})

    assert oss.requests == []


# --- 8. a CA bundle that is not there is an OSError -------------------------------------------------------------------


def test_a_ca_bundle_that_is_not_there_is_named_by_an_error_of_ours(tmp_path: Path) -> None:
    def use() -> None:
        a_scripted_client("https://127.0.0.1:1", verify_tls=str(tmp_path / "no-ca.pem")).head_object(TARGET)

    error = failure(OSSResumeError, use)

    assert "no-ca.pem" in str(error)
    assert not error.retryable


# --- 9. headers and dates that no OSS sends crash the client ----------------------------------------------------------

ODD_HEADERS = [
    (200, {"x-oss-hash-crc64ecma": "²"}),
    (200, {"Content-Length": "²"}),
    (200, {"Last-Modified": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}),
    (403, {"Date": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}),
    (403, {"x-oss-err": "é"}),
    (503, {"Retry-After": "²"}),
    (503, {"Retry-After": "Mon, 01 Jan 2024 00:00:00 +99999999999999"}),
    (503, {"x-oss-qos-delay-time": "²"}),
    (503, {"x-oss-qos-delay-time": "9" * 400}),
]


@pytest.mark.parametrize(("status", "headers"), ODD_HEADERS, ids=str)
def test_whatever_the_headers_of_an_answer_say_only_errors_of_ours_come_out(
    status: int, headers: dict[str, str]
) -> None:
    with Scripted(an_answer(status, **{"ETag": '"E"', **headers})) as server:
        try:
            server.client().head_object(TARGET)
        except RequestError as error:
            assert "HeadObject" in str(error)  # noqa: PT017 - a value would do as well


@pytest.mark.parametrize("date", ["Mon, 01 Jan 99999999999999 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 +" + "9" * 14])
def test_a_date_out_of_range_is_none(date: str) -> None:
    assert messages.read_http_date(date) is None


# --- 10. a try that fails writes over its successor's checkpoint ------------------------------------------------------


def test_a_try_that_fails_after_it_was_superseded_leaves_its_successors_checkpoint_alone() -> None:
    store = MemoryCheckpointStore()
    state = UploadCheckpoint(BUCKET, "key", "ID", 25, 10, "", Owner(1, "first"))
    first = Checkpointer(store, "k", owner=Owner(1, "first"), interval=5)
    second = Checkpointer(store, "k", owner=Owner(2, "second"), interval=5)
    first.save(state)
    second.save(replace(state, upload_id="ID of the second"))
    first.update(replace(state, upload_id="more of the first"))

    first.save_at_end()

    assert decode(store.texts["k"]).owner == Owner(2, "second")


# --- 12. an error about an endpoint shows its password, and hosts that cannot be are taken ----------------------------


@pytest.mark.parametrize("url", ["https://user:topsecret@host:port", "user:topsecret@host", "https://u:topsecret@[::1"])
def test_an_endpoint_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        parse_endpoint(url)

    assert "topsecret" not in everything_about(refused.value)


@pytest.mark.parametrize("url", ["http://a b", "http://<host>", "https://oss-{region}.aliyuncs.com", "http://ü"])
def test_a_host_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ArgumentError, match=r"^endpoint="):
        parse_endpoint(url)


def test_the_region_of_a_buckets_own_host_is_not_misread() -> None:
    assert region_of(parse_endpoint("https://oss-x.oss-cn-hangzhou.aliyuncs.com")) in (None, "cn-hangzhou")


# --- 13. after a restart within a try the log tells a rate that never was ---------------------------------------------


def test_the_rate_after_a_restart_is_of_what_was_moved_since() -> None:
    now = [0.0]
    progress = Progress("x", interval=10, clock=lambda: now[0])
    progress.begin(total=2 * PART, parts=2)
    meter = progress.meter()
    meter.begin()
    meter.add(100 * PART)
    now[0] = 100.0
    progress.tick()
    progress.begin(total=2 * PART, parts=2)
    now[0] = 101.0
    progress.tick()

    assert "stalled" in str(progress) or "100.0 KiB/s" in str(progress)  # of this pass, or of the try


# --- 14. some texts are read as checkpoints though none was ever written so -------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        changed(UPLOAD, ossresume=True),
        changed(UPLOAD, ossresume=1.0),
        changed(DOWNLOAD, runs=[[True, True, "0" * 16]]),
        changed(DOWNLOAD, runs=[[1, 1, "-1"]]),
        changed(DOWNLOAD, runs=[[1, 1, " 0x1f "]]),
        changed(DOWNLOAD, runs=[[1, 1, "f" * 17]]),
        changed(DOWNLOAD, runs=[[1, 1, "1_0"]]),
    ],
)
def test_what_was_never_written_is_never_read(text: str) -> None:
    with pytest.raises(CheckpointUnreadable):
        decode(text)


# --- 15. keys that XML or a proxy cannot carry ------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a\uffff", "\ufffe"])
def test_a_key_that_xml_cannot_hold_is_refused(key: str) -> None:
    with pytest.raises(ArgumentError, match=r"^key="):
        check_key(key)


@pytest.mark.parametrize("key", [".", ".."])
def test_a_key_of_dots_goes_through_a_proxy(oss: LocalOSS, key: str) -> None:
    client = OssClient(
        parse_endpoint("http://oss-cn-hangzhou.aliyuncs.com"),
        StaticCredentials(oss.access_key_id, oss.access_key_secret),
        region=oss.region,
        proxies={"http": oss.endpoint},
        retry=once(),
    )

    client.put_object(ObjectRef(BUCKET, key), Bytes(DATA))

    assert oss.object(BUCKET, key) == DATA


# --- 16. a success that was not asked for is called an error of OSS ---------------------------------------------------


def test_the_whole_object_in_place_of_a_range_is_a_bad_answer() -> None:
    with Scripted(an_answer(200, b"x" * 100, ETag='"E"')) as server:
        failure(BadAnswer, lambda: server.client().get_object(TARGET, Collected(), start=10, stop=20))
