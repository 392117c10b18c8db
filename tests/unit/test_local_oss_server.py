"""The local OSS server as a process and as an object: its life, its folder, its journal, its hooks, its manners."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.local_oss.__main__ import main
from airflow_provider_ossresume.local_oss.answers import Refusal
from airflow_provider_ossresume.local_oss.contents import Contents
from airflow_provider_ossresume.local_oss.records import StoredObject
from airflow_provider_ossresume.local_oss.storage import Storage
from airflow_provider_ossresume.model.crc64 import crc64
from tests.unit.test_local_oss import MIN_PART, Client, complete_xml, md5_of

pytest_plugins = ["airflow_provider_ossresume.local_oss.fixtures"]


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[LocalOSS]:
    with LocalOSS(tmp_path / "root") as oss:
        yield oss


def talk(oss: LocalOSS, *pieces: bytes) -> bytes:
    """Send raw bytes and return all that comes back until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", oss.port), timeout=60) as sock:
        for piece in pieces:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        while data := sock.recv(65536):
            received += data
        return received


def signed_head(oss: LocalOSS, method: str, key: str, headers: dict[str, str]) -> bytes:
    path, headers = Client(oss).signed(method, key, {}, headers, bucket="bucket")
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{n}: {v}" for n, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


# --- its life ---------------------------------------------------------------------------------------------------------


def test_it_stops_and_starts_again_on_the_same_port(oss: LocalOSS) -> None:
    client, endpoint = Client(oss), oss.endpoint
    client("PUT", "key", body=b"bytes")
    oss.stop()
    with pytest.raises(ConnectionRefusedError):
        client("GET", "key")
    oss.start()
    assert oss.endpoint == endpoint
    assert client("GET", "key").body == b"bytes"


def test_another_server_finds_what_the_folder_holds(tmp_path: Path) -> None:
    with LocalOSS(tmp_path, buckets=["first", "bucket"]) as oss:
        client = Client(oss)
        client("PUT", "中文/../😀", headers={"x-oss-meta-a": "中"}, body=b"bytes")
        client("POST", "appended", {"append": "", "position": "0"}, body=b"one")
        upload_id = client.initiate(x_oss_meta_b="2")
        first = client.upload_part(upload_id, 1, b"x" * MIN_PART).headers["etag"]
    with LocalOSS(tmp_path) as oss:
        client = Client(oss)
        assert client("GET", bucket=None).texts("Buckets/Bucket/Name") == ["bucket", "first"]
        assert client("GET", "中文/../😀").body == b"bytes"
        assert client("HEAD", "中文/../😀").headers["x-oss-meta-a"].encode("latin-1").decode() == "中"
        assert client("POST", "appended", {"append": "", "position": "3"}, body=b"two").status == 200
        assert oss.object("bucket", "appended") == b"onetwo"
        assert oss.uploads("bucket") == [("key", upload_id)]
        last = client.upload_part(upload_id, 2, b"end").headers["etag"]
        assert client.complete(upload_id, [(1, first), (2, last)]).status == 200
        assert client("HEAD", "key").headers["x-oss-meta-b"] == "2"


def test_what_a_killed_server_left_half_done_is_removed(tmp_path: Path) -> None:
    with LocalOSS(tmp_path) as oss:
        oss.put("bucket", "key", b"bytes")
    (tmp_path / "data" / f"{'0' * 32}.data").write_bytes(b"half")
    (tmp_path / "data" / "notes.txt").write_bytes(b"somebody's")
    with LocalOSS(tmp_path) as oss:
        assert oss.object("bucket", "key") == b"bytes"
    assert {path.name for path in (tmp_path / "data").iterdir()} >= {"notes.txt"}
    assert len(list((tmp_path / "data").iterdir())) == 2


def test_no_bytes_are_left_of_what_was_replaced_or_removed(oss: LocalOSS, tmp_path: Path) -> None:
    client = Client(oss)
    for data in (b"one", b"two"):
        client("PUT", "key", body=data)
        client("PUT", "copy", headers={"x-oss-copy-source": "/bucket/key"})
    upload_id = client.initiate()
    for data in (b"one", b"two"):
        etag = client.upload_part(upload_id, 1, data).headers["etag"]
    client.complete(upload_id, [(1, etag)])
    upload_id = client.initiate()
    client.upload_part(upload_id, 1, b"one")
    client("DELETE", "key", {"uploadId": upload_id})
    client("PUT", "key", headers={"Content-MD5": "x"}, body=b"one")
    client("POST", "appended", {"append": "", "position": "0"}, body=b"one")
    client("POST", "appended", {"append": "", "position": "3"}, body=b"two")
    client("POST", "appended", {"append": "", "position": "3"}, body=b"late")
    for key in oss.objects("bucket"):
        client("DELETE", key)
    assert list((tmp_path / "root" / "data").iterdir()) == []


def test_a_server_without_a_folder_removes_its_own() -> None:
    with LocalOSS() as oss:
        oss.put("bucket", "key", b"bytes")
        root = oss.root
        assert root.is_dir()
    assert not root.exists()


def test_closing_ends_every_connection_at_once(tmp_path: Path) -> None:
    oss = LocalOSS(tmp_path).start()
    silent = socket.create_connection(("127.0.0.1", oss.port))
    sending = socket.create_connection(("127.0.0.1", oss.port))
    sending.sendall(signed_head(oss, "PUT", "key", {"Content-Length": "1000000"}) + b"x" * 1000)
    began = time.monotonic()
    oss.close()
    assert time.monotonic() - began < 10
    assert has_ended(silent)
    assert has_ended(sending)
    assert oss.objects("bucket") == []
    oss.close()


def has_ended(sock: socket.socket) -> bool:
    sock.settimeout(5)
    try:
        return sock.recv(10) == b""
    except ConnectionResetError:  # the kernel's word when the server had not read everything
        return True


def test_the_fixture_gives_an_airflow_connection(local_oss: LocalOSS) -> None:
    local_oss.security_token = "token"
    assert json.loads(local_oss.airflow_connection()) == {
        "conn_type": "oss_resume",
        "login": local_oss.access_key_id,
        "password": local_oss.access_key_secret,
        "extra": {
            "endpoint": local_oss.endpoint,
            "region": "cn-hangzhou",
            "security_token": "token",
        },
    }


@pytest.mark.parametrize(("host", "addressing"), [("127.0.0.1", None), ("::1", None), ("localhost", "path")])
def test_the_airflow_connection_asks_for_the_path_style_where_that_is_not_the_default(
    tmp_path: Path, host: str, addressing: str | None
) -> None:
    extra = json.loads(LocalOSS(tmp_path, host=host).airflow_connection())["extra"]

    assert extra.get("addressing") == addressing


# --- the direct ways --------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_a_key_error(oss: LocalOSS) -> None:
    for call in (
        lambda: oss.object("bucket", "key"),
        lambda: oss.delete("bucket", "key"),
        lambda: oss.parts("bucket", "key", "id"),
        lambda: oss.abort("bucket", "key", "id"),
    ):
        with pytest.raises(KeyError):
            call()


def test_an_upload_can_be_taken_away(oss: LocalOSS) -> None:
    client = Client(oss)
    upload_id = client.initiate()
    oss.abort("bucket", "key", upload_id)
    assert client.upload_part(upload_id, 1, b"bytes").code == "NoSuchUpload"


# --- journal and hooks ------------------------------------------------------------------------------------------------


def test_the_journal_tells_each_request(tmp_path: Path) -> None:
    with LocalOSS(tmp_path / "root", clock=lambda: 1e9, log=tmp_path / "log.jsonl") as oss:
        client = Client(oss)
        client.now = lambda: 1e9
        oss.put("bucket", "key", b"0123456789")
        client("GET", "key", headers={"Range": "bytes=2-4"})
        upload_id = client.initiate("new")
        client.upload_part(upload_id, 3, b"bytes", key="new")
        client("HEAD", "missing")
        got, begun, part, head = oss.requests
    assert (got.operation, got.method, got.bucket, got.key, got.range) == (
        "GetObject",
        "GET",
        "bucket",
        "key",
        "bytes=2-4",
    )
    assert (got.status, got.code, got.bytes_received, got.bytes_sent, got.when) == (206, "", 0, 3, 1e9)
    assert (begun.operation, begun.query) == ("InitiateMultipartUpload", {"uploads": ""})
    assert (part.operation, part.part_number, part.upload_id, part.bytes_received) == ("UploadPart", 3, upload_id, 5)
    assert (head.status, head.code, head.bytes_sent, head.headers["host"]) == (
        404,
        "NoSuchKey",
        0,
        f"127.0.0.1:{oss.port}",
    )
    assert [request.number for request in oss.requests] == [1, 2, 3, 4]
    logged = [Request(**json.loads(line)) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert sorted(logged, key=lambda request: request.number) == oss.requests
    oss.clear_requests()
    assert oss.requests == []


def test_hooks_see_each_request_before_its_work_and_after_its_answer(oss: LocalOSS) -> None:
    client, seen = Client(oss), []
    finished = threading.Event()
    oss.on_request = lambda request: seen.append((request.operation, request.status, oss.objects("bucket")))

    def after(request: Request) -> None:
        seen.append((request.operation, request.status, oss.objects("bucket")))
        finished.set()

    oss.after_request = after
    client("PUT", "key", body=b"")
    assert finished.wait(60)
    assert seen == [("PutObject", 0, []), ("PutObject", 200, ["key"])]
    oss.on_request = oss.after_request = None
    client("PUT", "key", body=b"")
    assert len(seen) == 2


def test_a_hook_can_hold_a_request(oss: LocalOSS) -> None:
    client, arrived, go_on = Client(oss), threading.Event(), threading.Event()

    def hold(_: Request) -> None:
        arrived.set()
        go_on.wait(60)

    oss.on_request = hold
    thread = threading.Thread(target=client, args=("PUT", "key"), kwargs={"body": b"bytes"})
    thread.start()
    assert arrived.wait(60)
    assert oss.objects("bucket") == []
    go_on.set()
    thread.join()
    assert oss.objects("bucket") == ["key"]


def test_a_bug_is_told_as_an_internal_error(oss: LocalOSS, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Request) -> None:
        raise ZeroDivisionError

    oss.on_request = broken
    reply = Client(oss)("GET", "key")
    assert (reply.status, reply.code) == (500, "InternalError")
    assert "ZeroDivisionError" in caplog.text


# --- many at once -----------------------------------------------------------------------------------------------------


def test_parts_may_come_at_once(oss: LocalOSS) -> None:
    client, data = Client(oss), [os.urandom(MIN_PART) for _ in range(24)]
    upload_id = client.initiate()
    threads = [
        threading.Thread(target=client.upload_part, args=(upload_id, number, part))
        for number, part in enumerate(data, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.complete(upload_id, [(n, md5_of(part)) for n, part in enumerate(data, 1)]).status == 200
    assert oss.object("bucket", "key") == b"".join(data)


def test_an_object_can_be_read_while_it_is_replaced(oss: LocalOSS) -> None:
    client, sizes = Client(oss), set()
    versions = [bytes([number]) * 200_000 for number in range(20)]
    oss.put("bucket", "key", versions[0])

    def replace() -> None:
        for version in versions:
            client("PUT", "key", body=version)

    writer = threading.Thread(target=replace)
    writer.start()
    while writer.is_alive():
        reply = client("GET", "key")
        sizes.add(len(reply.body))
        assert md5_of(reply.body) == reply.headers["etag"].strip('"')
    writer.join()
    assert sizes == {200_000}


def test_one_of_two_completes_wins(oss: LocalOSS) -> None:
    client = Client(oss)
    upload_id = client.initiate()
    etag = client.upload_part(upload_id, 1, b"x" * 5_000_000).headers["etag"]
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(client.complete(upload_id, [(1, etag)]).status))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 404, 404, 404]


def test_a_part_that_comes_after_the_abort_leaves_nothing(tmp_path: Path) -> None:
    storage = Storage(tmp_path, clock=time.time)
    storage.create_bucket("bucket")
    upload = storage.initiate("bucket", "key", {})
    late = storage.contents.receive([memoryview(b"late")])
    storage.abort("bucket", upload)
    with pytest.raises(Refusal, match="NoSuchUpload"):
        storage.put_part("bucket", upload, 1, late)
    assert list((tmp_path / "data").iterdir()) == []


def test_an_object_that_was_made_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    storage = Storage(tmp_path, clock=time.time)
    storage.create_bucket("bucket")
    first, second = (
        StoredObject("key", storage.contents.receive([memoryview(data)]), "etag", "Normal", {}, 0.0)
        for data in (b"first", b"second")
    )
    storage.put("bucket", first, forbid_overwrite=True)
    with pytest.raises(Refusal, match="FileAlreadyExists"):
        storage.put("bucket", second, forbid_overwrite=True)
    assert storage.contents.read(storage.object("bucket", "key").content) == b"first"
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_parts_are_joined_where_the_kernel_cannot_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    contents = Contents(tmp_path)
    parts = [os.urandom(10_000_000), b"", b"end"]
    joined = contents.join([contents.receive([memoryview(part)]) for part in parts])
    whole = b"".join(parts)
    assert contents.read(joined) == whole
    assert (joined.size, joined.crc64) == (len(whole), crc64(whole))


def test_a_client_that_leaves_in_the_middle_is_told_in_the_journal(oss: LocalOSS) -> None:
    oss.put("bucket", "key", b"x" * 64_000_000)
    settled = threading.Event()
    oss.after_request = lambda _: settled.set()
    with socket.create_connection(("127.0.0.1", oss.port)) as sock:
        sock.sendall(signed_head(oss, "GET", "key", {}))
        sock.recv(1000)
    assert settled.wait(60)
    (call,) = oss.requests
    assert call.status == 200
    assert 0 < call.bytes_sent < 64_000_000


# --- HTTP -------------------------------------------------------------------------------------------------------------


def test_a_chunked_body_is_stored(oss: LocalOSS) -> None:
    head = signed_head(oss, "PUT", "key", {"Transfer-Encoding": "chunked"})
    answer = talk(oss, head, b"5;name=value\r\nhello\r\n", b"6\r\n world\r\n0\r\nTrailer: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert oss.object("bucket", "key") == b"hello world"
    answer = talk(oss, head, b"5\r\nhelloX\r\n0\r\n\r\n")
    assert b"400" in answer.split(b"\r\n")[0]
    answer = talk(oss, head, b"zz\r\n")
    assert b"400" in answer.split(b"\r\n")[0]


def test_a_client_is_told_to_send_its_body(oss: LocalOSS) -> None:
    with socket.create_connection(("127.0.0.1", oss.port), timeout=60) as sock:
        sock.sendall(signed_head(oss, "PUT", "key", {"Content-Length": "5", "Expect": "100-continue"}))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"bytes")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_client_that_is_refused_is_not_told_to_send_its_body(oss: LocalOSS) -> None:
    head = signed_head(oss, "PUT", "key", {"Content-Length": "5", "Expect": "100-continue", "x-oss-date": "never"})
    answer = talk(oss, head)
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"Connection: close" in answer


def test_requests_may_follow_each_other_on_a_connection(oss: LocalOSS) -> None:
    oss.put("bucket", "key", b"bytes")
    answer = talk(oss, signed_head(oss, "GET", "key", {}) * 3)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    answer = talk(oss, signed_head(oss, "GET", "key", {"Connection": "close"}) * 3)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    http_1_0 = signed_head(oss, "GET", "key", {}).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert talk(oss, http_1_0 * 2).count(b"HTTP/1.1 200 OK") == 1


def test_a_request_may_name_the_whole_url(oss: LocalOSS) -> None:
    oss.put("bucket", "key", b"bytes")
    head = signed_head(oss, "GET", "key", {}).replace(b"GET /", f"GET {oss.endpoint}/".encode(), 1)
    assert talk(oss, head).endswith(b"bytes")


def test_a_body_that_ends_early_stores_nothing(oss: LocalOSS) -> None:
    assert talk(oss, signed_head(oss, "PUT", "key", {"Content-Length": "10"}), b"five.") == b""
    assert oss.objects("bucket") == []
    (call,) = oss.requests
    assert (call.status, call.bytes_received) == (0, 5)


HOSTILE = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no path": b"GET bucket HTTP/1.1\r\n\r\n",
    "huge head": b"GET / HTTP/1.1\r\nA: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "endless head": b"x" * 1_000_000,
    "many headers": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    "folded header": b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "header without a name": b"GET / HTTP/1.1\r\n: b\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
    "two lengths": b"PUT /bucket/key HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "length and chunks": b"PUT /b/k HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "strange encoding": b"PUT /bucket/key HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    "negative length": b"PUT /bucket/key HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "no UTF-8 in the key": b"GET /bucket/%ff HTTP/1.1\r\n\r\n",
    "no UTF-8 in the query": b"GET /bucket/?prefix=%ff HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_request_is_refused(oss: LocalOSS, data: bytes) -> None:
    answer = talk(oss, data)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"\r\nConnection: close\r\n" in answer
    assert Client(oss)("PUT", "key", body=b"bytes").status == 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([b"", b"GET /bucket/", b"PUT /bucket/key HTTP/1.1\r\n", b"POST /?"]))
@example(b"\r\n\r\n", b"")
@example(b"\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", b"PUT /bucket/key HTTP/1.1\r\n")
def test_no_bytes_bring_it_down(caplog: pytest.LogCaptureFixture, data: bytes, start: bytes) -> None:
    with LocalOSS() as oss:
        answer = talk(oss, start + data, b"\r\n\r\n")
        assert answer == b"" or re.match(rb"HTTP/1\.1 [45]\d\d ", answer)
        assert b"InternalError" not in answer
        assert oss.objects("bucket") == []
    assert caplog.text == ""


KEYS = [
    "../../../outside",
    "..",
    "../x",
    "a/../../../b",
    "%2e%2e/x",
    "~/x",
    "a\nb",
    "a\x7fb",
    "C:\\x",
    "con",
    "\u202ex",
    ".",
]


def test_no_key_leaves_the_folder(tmp_path: Path) -> None:
    with LocalOSS(tmp_path / "deep" / "root") as oss:
        client = Client(oss)
        for key in KEYS:
            assert client("PUT", key, body=key.encode()).status == 200
            upload_id = client.initiate(key)
            client.upload_part(upload_id, 1, b"part", key=key)
            client("PUT", "copy", headers={"x-oss-copy-source": f"/bucket/{'%2e%2e/' * 5}etc/passwd"})
            client("GET", key, {"uploadId": "../../../upload"})
            client("DELETE", key, {"uploadId": "../../.."})
        for key in KEYS:
            assert client("GET", key).body == key.encode()
        assert sorted(oss.objects("bucket")) == sorted(KEYS)
        client("PUT", bucket="..")
        client("DELETE", bucket="..")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["root"]
    assert {path.name for path in (tmp_path / "deep" / "root").iterdir()} == {"buckets", "data"}


OUTSIDE = ["../../outside", "/etc/passwd", "..", "", "link.data", "0" * 32 + ".data/../../../outside"]


@pytest.mark.parametrize("file", OUTSIDE)
def test_a_record_that_names_a_file_elsewhere_is_not_believed(
    tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    with LocalOSS(tmp_path / "root") as oss:
        oss.put("bucket", "key", b"bytes")
    [record] = (tmp_path / "root" / "buckets" / "bucket" / "objects").iterdir()
    facts = json.loads(record.read_text())
    facts["content"]["file"] = file
    record.write_text(json.dumps(facts))
    with LocalOSS(tmp_path / "root") as oss:
        client = Client(oss)
        reply = client("GET", "key")
        client("DELETE", "key")
    assert (reply.status, b"precious" in reply.body) == (500, False)
    assert (tmp_path / "outside").read_bytes() == b"precious"
    assert "GetObject failed" in caplog.text


def test_a_link_in_the_place_of_a_data_file_is_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    with LocalOSS(tmp_path / "root") as oss:
        oss.put("bucket", "key", b"precious")
        [data] = (tmp_path / "root" / "data").iterdir()
        data.unlink()
        data.symlink_to(tmp_path / "outside")
        assert Client(oss)("GET", "key").status == 500
        oss.put("bucket", "key", b"new")
    assert (tmp_path / "outside").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["../../../outside", "/", "bucket/../../../outside"])
def test_names_in_records_never_become_paths(tmp_path: Path, name: str) -> None:
    """A bucket and an upload are called as their folders are, so what is removed with them is these."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"precious")
    with LocalOSS(tmp_path / "root") as oss:
        Client(oss).initiate()
    bucket = tmp_path / "root" / "buckets" / "bucket"
    [upload] = bucket.glob("uploads/*/upload.json")
    upload.write_text(json.dumps({**json.loads(upload.read_text()), "upload_id": name}))
    (bucket / "bucket.json").write_text(json.dumps({"name": name, "created": 0.0}))
    with LocalOSS(tmp_path / "root", buckets=[]) as oss:
        [(key, upload_id)] = oss.uploads("bucket")
        oss.abort("bucket", key, upload_id)
        assert Client(oss)("DELETE").status == 204
    assert (tmp_path / "outside" / "file").read_bytes() == b"precious"
    assert list((tmp_path / "root" / "buckets").iterdir()) == []


def test_a_bucket_that_is_a_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "root" / "buckets").mkdir(parents=True)
    (tmp_path / "root" / "buckets" / "bucket").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "bucket.json").write_text(json.dumps({"name": "bucket", "created": 0.0}))
    with pytest.raises(OSError, match="symlink"):
        LocalOSS(tmp_path / "root")
    with LocalOSS(tmp_path / "root", buckets=["other"]) as oss:
        assert Client(oss)("GET").status == 404
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["bucket.json"]


PATHS = ["/%2e%2e/%2e%2e/etc/passwd", "/../../etc/passwd", "/..%2f..%2fetc", "/bucket%2f..%2fx/k", "/%252e%252e/x",
         "/.%00/x", "//etc/passwd", "/\\..\\x"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leaves_the_folder(tmp_path: Path, path: str) -> None:
    with LocalOSS(tmp_path / "root") as oss:
        for method in ("PUT", "GET", "DELETE", "POST"):
            answer = talk(oss, f"{method} {path} HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            assert re.match(rb"HTTP/1\.1 4\d\d ", answer)
    assert [found.name for found in tmp_path.iterdir()] == ["root"]


def test_a_digest_that_is_no_ascii_is_refused(oss: LocalOSS) -> None:
    head = signed_head(oss, "PUT", "key", {"Content-Length": "1", "Content-MD5": "XUFAKrxcZ2REB¹"})
    assert b"InvalidDigest" in talk(oss, head, b"x")


def test_a_billion_laughs_are_not_laughed(oss: LocalOSS) -> None:
    client = Client(oss)
    upload_id = client.initiate()
    client.upload_part(upload_id, 1, b"bytes")
    bomb = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + complete_xml([(1, "&b;")])
    in_utf16 = ('<?xml version="1.0" encoding="utf-16"?>' + bomb.decode()).encode("utf-16")
    for body in (
        bomb,
        in_utf16,
        bomb.decode().encode("utf-16-le"),
        b"<x" * 100_000,
        b"<a>" * 100_000,
        b"\xff\xfe",
        b"\0",
        b"x" * 5_000_000,
    ):
        reply = client("POST", "key", {"uploadId": upload_id}, body=body)
        assert (reply.status, reply.code) == (400, "MalformedXML")


# --- the command ------------------------------------------------------------------------------------------------------


def started(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "airflow_provider_ossresume.local_oss", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 30)[0]
    return process, process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal(tmp_path: Path, number: int) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"operation": "PutObject", "fault": {"kind": "status", "status": 503}}]))
    process, line = started(
        *("--root", str(tmp_path / "root"), "--bucket", "one", "--bucket", "two", "--region", "cn-beijing"),
        *("--access-key-id", "id", "--access-key-secret", "secret", "--security-token", "token"),
        *("--faults", str(faults), "--log", str(tmp_path / "log.jsonl")),
    )
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found
        assert line.split()[1:] == [
            "region=cn-beijing",
            "access_key_id=id",
            "access_key_secret=secret",
            "security_token=token",
        ]
        there = LocalOSS(
            tmp_path / "unused",
            port=int(found[1]),
            region="cn-beijing",
            access_key_id="id",
            access_key_secret="secret",
            security_token="token",
        )
        client = Client(there)
        assert [client("PUT", "key", body=b"bytes", bucket="two").status for _ in range(2)] == [503, 200]
        assert client("GET", "key", bucket="two").body == b"bytes"
    finally:
        process.send_signal(number)
        assert process.wait(30) == 0
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 3


def test_the_command_refuses_to_be_reached_by_others(capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("0.0.0.0", "::", "example.com"):
        with pytest.raises(SystemExit):
            main(["--host", host])
    assert "--allow-remote" in capsys.readouterr().err


REMOTE = ["0.0.0.0", "::", "", "0", "::ffff:0.0.0.0", "192.0.2.1", "fe80::1", "example.com", "localhost.example.com"]


@pytest.mark.parametrize("host", REMOTE)
def test_so_does_the_class_before_it_makes_or_binds_anything(tmp_path: Path, host: str) -> None:
    with pytest.raises(ArgumentError, match=r"^host=.*allow_remote"):
        LocalOSS(tmp_path / "root", host=host)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "::1"])
def test_loopback_addresses_need_no_leave(tmp_path: Path, host: str) -> None:
    with LocalOSS(tmp_path, host=host) as oss, socket.create_connection((host, oss.port)) as sock:
        assert ipaddress.ip_address(sock.getpeername()[0]).is_loopback


def test_it_may_be_told_to_be_reached_by_others(tmp_path: Path) -> None:
    with LocalOSS(tmp_path, host="0.0.0.0", allow_remote=True) as oss:
        assert oss.port


def test_a_killed_server_leaves_whole_objects_only(tmp_path: Path) -> None:
    process, line = started("--root", str(tmp_path))
    port = int(re.search(r":(\d+)", line.split("//")[1])[1])  # type: ignore[index]
    client = Client(LocalOSS(tmp_path / "unused", port=port))
    assert client("PUT", "key", body=b"old").status == 200
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(signed_head(client.oss, "PUT", "key", {"Content-Length": "1000000"}) + b"x" * 500_000)
        while not any(path.stat().st_size > 3 for path in (tmp_path / "data").iterdir()):
            pass
        process.kill()
        process.wait(30)
    with LocalOSS(tmp_path) as oss:
        assert oss.object("bucket", "key") == b"old"
        assert len(list((tmp_path / "data").iterdir())) == 1


def test_servers_share_their_default_key_pair_and_no_port() -> None:
    with LocalOSS() as first, LocalOSS() as second:
        assert first.port != second.port
        assert (first.access_key_id, first.access_key_secret) == (second.access_key_id, second.access_key_secret)
        assert first.security_token is None
