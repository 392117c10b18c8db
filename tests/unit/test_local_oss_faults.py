"""Each fault does what its name says, to the calls that its rule says, and to nothing else."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Rule, faults
from airflow_provider_ossresume.local_oss.faults import KINDS, load_rules, rule_from_json
from airflow_provider_ossresume.model.crc64 import crc64
from tests.unit.test_local_oss import MIN_PART, Client, content_md5_of
from tests.world import Clock

pytest_plugins = ["airflow_provider_ossresume.local_oss.fixtures"]

DATA = bytes(number % 251 for number in range(300_000))
RESET = (ConnectionResetError, BrokenPipeError)


@pytest.fixture
def client(local_oss: LocalOSS) -> Client:
    local_oss.put("bucket", "key", DATA)
    return Client(local_oss)


def partial_body(client: Client, key: str = "key") -> tuple[bytes, type[BaseException] | None]:
    """Return what arrives of an object, and the error that ends it."""
    path, headers = client.signed("GET", key, {}, {}, bucket="bucket")
    connection = http.client.HTTPConnection("127.0.0.1", client.oss.port)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    received = b""
    try:
        while data := answer.read1(65536):
            received += data
    except OSError as error:
        return received, type(error)
    finally:
        connection.close()
    return received, None


# --- which calls ------------------------------------------------------------------------------------------------------


def statuses(client: Client, count: int) -> list[int]:
    return [client("GET", "key").status for _ in range(count)]


def test_the_nth_call_is_hit_and_no_other(client: Client) -> None:
    client.oss.fail("GetObject", nth=2)
    client("HEAD", "key")
    assert statuses(client, 4) == [200, 500, 200, 200]


def test_some_calls_from_the_nth_on_are_hit(client: Client) -> None:
    client.oss.fail("GetObject", 2, Fault("status", status=503, code="ServiceUnavailable"), times=2)
    assert statuses(client, 4) == [200, 503, 503, 200]


def test_every_call_after_the_nth_is_hit_until_the_faults_are_cleared(client: Client) -> None:
    client.oss.fail_after("*", 1, Fault("status", status=429, code="QpsLimitExceeded"))
    assert statuses(client, 3) == [200, 429, 429]
    client.oss.clear_faults()
    assert statuses(client, 2) == [200, 200]


def test_faults_may_last_for_a_block(client: Client) -> None:
    with client.oss.failing("GetObject", after=1):
        assert statuses(client, 3) == [200, 500, 500]
    assert statuses(client, 1) == [200]


def test_a_rule_may_name_a_key_or_a_part(client: Client) -> None:
    upload_id = client.initiate()
    client.oss.fail("UploadPart", part_number=2, times=None)
    client.oss.fail("HeadObject", key="other", times=None)
    assert [client.upload_part(upload_id, number, b"x").status for number in (1, 2, 3, 2)] == [200, 500, 200, 500]
    assert [client("HEAD", key).status for key in ("key", "other", "key")] == [200, 500, 200]


def test_several_faults_may_hit_one_call(client: Client) -> None:
    client.oss.fail("GetObject", fault=Fault("flip", after_bytes=3))
    client.oss.fail("GetObject", fault=Fault("truncated", after_bytes=10))
    received, _ = partial_body(client)
    assert received == DATA[:3] + bytes([DATA[3] ^ 0xFF]) + DATA[4:10]


def test_rules_are_data(client: Client, tmp_path: Path) -> None:
    rule = Rule(Fault("status", status=503, retry_after=2.5), "GetObject", nth=3, times=None, key="key")
    assert rule_from_json(json.loads(json.dumps(rule.as_json()))) == rule
    file = tmp_path / "rules.json"
    file.write_text('[{"operation": "GetObject", "nth": 2, "fault": {"kind": "status", "status": 503}}]')
    for loaded in load_rules(file):
        client.oss.add_rule(loaded)
    assert statuses(client, 3) == [200, 503, 200]


def test_a_fault_that_cannot_be_is_refused() -> None:
    for kind, fields in (("explode", {}), ("latency", {}), ("skewed-clock", {}), ("bandwidth", {})):
        with pytest.raises(ArgumentError):
            Fault(kind, **fields)
    assert Fault("status") in {Fault("status")}


# --- error answers ----------------------------------------------------------------------------------------------------


def test_status_answers_without_doing_the_work(client: Client) -> None:
    client.oss.fail("PutObject", fault=Fault("status", status=503, code="ServiceUnavailable", retry_after=2))
    reply = client("PUT", "new", body=b"bytes")
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "ServiceUnavailable", "2")
    assert client.oss.objects("bucket") == ["key"]


def test_status_may_come_after_the_work(client: Client) -> None:
    client.oss.fail("PutObject", fault=Fault("status", after_work=True))
    assert client("PUT", "new", body=b"bytes").status == 500
    assert client.oss.object("bucket", "new") == b"bytes"


@pytest.mark.parametrize("size", [1000, 8_000_000])
def test_an_error_reaches_a_client_that_still_sends(client: Client, size: int) -> None:
    client.oss.fail("PutObject")
    assert client("PUT", "new", body=b"x" * size).status == 500
    assert client("PUT", "new", body=b"x" * size).status == 200


def test_the_connection_lives_on_after_an_error_on_a_small_body(client: Client) -> None:
    client.oss.fail("PutObject")
    path, headers = client.signed("PUT", "new", {}, {}, bucket="bucket")
    connection = http.client.HTTPConnection("127.0.0.1", client.oss.port)
    for status in (500, 200):
        connection.request("PUT", path, body=b"x" * 1000, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.getheader("Connection")) == (status, "keep-alive")


# --- connections that end ---------------------------------------------------------------------------------------------


def test_refuse_resets_before_the_body_is_read(client: Client) -> None:
    client.oss.fail("PutObject", fault=Fault("refuse"))
    with pytest.raises(RESET):
        client("PUT", "new", body=b"x" * 8_000_000)
    assert client.oss.calls("PutObject")[0].bytes_received == 0
    assert client.oss.objects("bucket") == ["key"]


def test_reset_request_resets_in_the_body(client: Client) -> None:
    client.oss.fail("PutObject", fault=Fault("reset-request", after_bytes=100_000))
    with pytest.raises(RESET):
        client("PUT", "new", body=b"x" * 8_000_000)
    (call,) = client.oss.calls("PutObject")
    assert (call.status, call.bytes_received) == (0, 100_000)
    assert client.oss.objects("bucket") == ["key"]
    assert client("PUT", "new", body=b"x" * 8_000_000).status == 200


def test_a_lost_answer_means_that_the_work_is_done(client: Client) -> None:
    upload_id = client.initiate("new")
    etag = client.upload_part(upload_id, 1, b"bytes", key="new").headers["etag"]
    client.oss.fail("CompleteMultipartUpload", fault=Fault("answer-lost"))
    with pytest.raises(http.client.RemoteDisconnected):
        client.complete(upload_id, [(1, etag)], key="new")
    assert client.oss.object("bucket", "new") == b"bytes"
    assert client.oss.calls("CompleteMultipartUpload")[0].status == 0


def test_reset_answer_resets_in_the_body(client: Client) -> None:
    client.oss.fail("GetObject", fault=Fault("reset-answer", after_bytes=1000))
    received, error = partial_body(client)
    assert DATA[:1000].startswith(received)
    assert error is ConnectionResetError
    with client.oss.failing("DeleteObject", fault=Fault("reset-answer")), pytest.raises(RESET):
        client("DELETE", "key")
    assert client.oss.objects("bucket") == []


def test_truncated_ends_in_the_body(client: Client) -> None:
    client.oss.fail("GetObject", fault=Fault("truncated", after_bytes=1000))
    assert partial_body(client) == (DATA[:1000], None)
    (call,) = client.oss.calls("GetObject")
    assert (call.status, call.bytes_sent) == (200, 1000)


# --- waits ------------------------------------------------------------------------------------------------------------


def seconds_of(call: object) -> float:
    began = time.monotonic()
    call()  # type: ignore[operator]
    return time.monotonic() - began


def test_latency_comes_before_the_answer_and_after_the_work(client: Client) -> None:
    client.oss.fail("PutObject", fault=Fault("latency", seconds=0.2))
    assert seconds_of(lambda: client("PUT", "new", body=b"bytes")) >= 0.2
    client.oss.fail("PutObject", fault=Fault("latency", seconds=3600))
    path, headers = client.signed("PUT", "late", {}, {}, bucket="bucket")
    connection = http.client.HTTPConnection("127.0.0.1", client.oss.port, timeout=0.3)
    connection.request("PUT", path, body=b"bytes", headers=headers)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    assert client.oss.object("bucket", "late") == b"bytes"


def test_bandwidth_slows_bodies_down_in_both_directions(client: Client) -> None:
    client.oss.fail("GetObject", fault=Fault("bandwidth", bytes_per_second=1_000_000))
    client.oss.fail("PutObject", fault=Fault("bandwidth", bytes_per_second=1_000_000))
    assert seconds_of(lambda: client("GET", "key")) >= 0.25
    assert seconds_of(lambda: client("PUT", "new", body=DATA)) >= 0.25
    assert client.oss.object("bucket", "new") == DATA


def test_a_stall_goes_on_after_its_seconds(client: Client) -> None:
    client.oss.fail("GetObject", fault=Fault("stall", after_bytes=1000, seconds=0.2))
    client.oss.fail("PutObject", fault=Fault("stall-request", after_bytes=1000, seconds=0.2))
    assert seconds_of(lambda: client("GET", "key")) >= 0.2
    assert seconds_of(lambda: client("PUT", "new", body=DATA)) >= 0.2
    assert client.oss.object("bucket", "new") == DATA


@pytest.mark.parametrize(("after_bytes", "arrives"), [(-1, b""), (0, b"HTTP/1.1 200"), (1000, DATA[:1000])])
def test_a_stall_is_silent_until_the_server_closes(tmp_path: Path, after_bytes: int, arrives: bytes) -> None:
    with LocalOSS(tmp_path) as oss:
        oss.put("bucket", "key", DATA)
        oss.fail("GetObject", fault=Fault("stall", after_bytes=after_bytes))
        path, headers = Client(oss).signed("GET", "key", {}, {}, bucket="bucket")
        sock = socket.create_connection(("127.0.0.1", oss.port))
        send_head(sock, "GET", path, headers)
        read_until(sock, arrives)
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            read_until(sock, DATA[-100:])
        began = time.monotonic()
    assert time.monotonic() - began < 10
    sock.settimeout(60)
    assert sock.recv(65536) == b""


def test_a_stall_ends_when_the_client_goes(client: Client) -> None:
    done = threading.Event()
    client.oss.after_request = lambda _: done.set()
    for operation, fault in (("GetObject", Fault("stall")), ("HeadObject", Fault("stall"))):
        client.oss.fail(operation, fault=fault)
        path, headers = client.signed("GET" if operation == "GetObject" else "HEAD", "key", {}, {}, bucket="bucket")
        sock = socket.create_connection(("127.0.0.1", client.oss.port))
        send_head(sock, "GET" if operation == "GetObject" else "HEAD", path, headers)
        sock.close()
        assert done.wait(60)
        done.clear()
    assert client.oss.calls("HeadObject")[0].status == 0, "an answer without a body stalls before its head"


def send_head(sock: socket.socket, method: str, path: str, headers: dict[str, str]) -> None:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    sock.sendall("\r\n".join(lines).encode())


def read_until(sock: socket.socket, wanted: bytes) -> bytes:
    received = b""
    while wanted not in received:
        data = sock.recv(65536)
        assert data, "the connection has ended"
        received += data
    return received


# --- wrong bytes ------------------------------------------------------------------------------------------------------


def flipped(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]


def test_flip_damages_an_upload_on_its_way(client: Client) -> None:
    upload_id = client.initiate()
    client.oss.fail("UploadPart", fault=Fault("flip", after_bytes=70_000))
    reply = client.upload_part(upload_id, 1, DATA[:MIN_PART])
    damaged = flipped(DATA[:MIN_PART], 70_000)
    assert client.oss.parts("bucket", "key", upload_id) == {1: damaged}
    assert reply.headers["x-oss-hash-crc64ecma"] == str(crc64(damaged))
    client.oss.fail("PutObject", fault=Fault("flip", after_bytes=1))
    assert client("PUT", "new", headers={"Content-MD5": content_md5_of(DATA)}, body=DATA).code == "InvalidDigest"


def test_flip_damages_a_download_on_its_way(client: Client) -> None:
    client.oss.fail("GetObject", fault=Fault("flip", after_bytes=5))
    reply = client("GET", "key", headers={"Range": "bytes=1000-1999"})
    assert reply.body == flipped(DATA[1000:2000], 5)
    assert reply.headers["x-oss-hash-crc64ecma"] == str(crc64(DATA))
    assert client.oss.object("bucket", "key") == DATA


def test_flip_answer_damages_the_answer_to_an_upload_too(client: Client) -> None:
    client.oss.fail("InitiateMultipartUpload", fault=Fault("flip-answer"))
    reply = client("POST", "key", query={"uploads": ""})
    assert (reply.status, reply.body[:5]) == (200, flipped(b"<?xml", 0))
    client.oss.fail("GetObject", fault=Fault("flip-answer", after_bytes=5))
    assert client("GET", "key").body == flipped(DATA, 5)


@pytest.mark.parametrize("kind", ["wrong-crc", "no-crc"])
def test_the_crc_can_be_wrong_or_missing(client: Client, kind: str) -> None:
    def crc_of(reply_crc: str | None, data: bytes) -> bool:
        return reply_crc == (str(crc64(data) ^ 1) if kind == "wrong-crc" else None)

    client.oss.fail("*", fault=Fault(kind), times=None)
    assert crc_of(client("GET", "key").headers.get("x-oss-hash-crc64ecma"), DATA)
    assert crc_of(client("HEAD", "key").headers.get("x-oss-hash-crc64ecma"), DATA)
    assert crc_of(client("PUT", "key", body=b"new").headers.get("x-oss-hash-crc64ecma"), b"new")
    upload_id = client.initiate()
    part = client.upload_part(upload_id, 1, b"part")
    assert crc_of(part.headers.get("x-oss-hash-crc64ecma"), b"part")
    listed = client("GET", "key", {"uploadId": upload_id}).texts("Part/HashCrc64ecma")
    assert crc_of(listed[0] if listed else None, b"part")
    done = client.complete(upload_id, [(1, part.headers["etag"])])
    assert crc_of(done.headers.get("x-oss-hash-crc64ecma"), b"part")


def test_xml_can_break_off_or_go_on_and_on(client: Client) -> None:
    whole = client("GET", query={"list-type": "2"}).body
    client.oss.fail("ListObjectsV2", fault=Fault("malformed-xml"))
    half = client("GET", query={"list-type": "2"}).body
    assert (whole.startswith(half), len(half)) == (True, len(whole) // 2)
    client.oss.fail("ListObjectsV2", fault=Fault("huge-xml", after_bytes=1_000_000))
    assert len(client("GET", query={"list-type": "2"}).body) == 1_000_000
    for kind in ("malformed-xml", "huge-xml", "wrong-crc"):
        client.oss.fail("GetObject", fault=Fault(kind))
    assert client("GET", "key").body == DATA


def test_an_xml_object_is_no_answer_in_xml(client: Client) -> None:
    client.oss.put("bucket", "xml", b"<a/>", content_type="application/xml")
    client.oss.fail("GetObject", fault=Fault("malformed-xml"))
    assert client("GET", "xml").body == b"<a/>"


def test_a_skewed_clock_refuses_and_says_its_time(client: Client) -> None:
    client.oss.fail("GetObject", fault=Fault("skewed-clock", seconds=3600))
    reply = client("GET", "key")
    assert (reply.status, reply.code) == (403, "RequestTimeTooSkewed")
    skewed = time.mktime(time.strptime(reply.headers["date"], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
    assert 3590 < skewed - time.time() < 3610


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wound(tmp_path: Path, clock: Clock) -> Iterator[Client]:
    """A client of a server whose clock the test winds."""
    with LocalOSS(tmp_path / "wound", clock=clock) as oss:
        for key in ("hot/a", "hot/b", "cold"):
            oss.put("bucket", key, DATA)
        client = Client(oss)
        client.now = clock
        yield client


def test_keys_below_a_prefix_are_throttled_and_told_when_to_come_again(wound: Client, clock: Clock) -> None:
    wound.oss.throttle("hot/", per_second=2)
    assert [wound("GET", key).status for key in ("hot/a", "hot/b", "hot/a", "hot/b")] == [200, 200, 503, 503]
    told = wound("HEAD", "hot/a")
    assert (told.status, told.headers["x-oss-qos-delay-time"], told.headers["x-oss-ec"]) == (
        503,
        "500",
        "0004-00000302",
    )
    assert [wound("GET", "cold").status for _ in range(5)] == [200] * 5

    clock.now += 0.5
    assert [wound("GET", "hot/a").status for _ in range(2)] == [200, 503]
    clock.now += 60
    assert [wound("GET", "hot/a").status for _ in range(3)] == [200, 200, 503], "quiet saves up one second, no more"
    wound.oss.clear_faults()
    assert wound("GET", "hot/a").status == 200


def test_a_throttled_call_does_no_work(wound: Client) -> None:
    wound.oss.throttle("hot/", per_second=0.5, operation="PutObject")
    assert [wound("PUT", "hot/new", body=data).status for data in (b"first", b"second")] == [200, 503]
    assert wound.oss.object("bucket", "hot/new") == b"first"
    assert wound("GET", "hot/new").status == 200, "another operation is not throttled"


def test_a_throttle_is_a_rule_like_others(wound: Client, clock: Clock) -> None:
    rule = rule_from_json({"fault": {"kind": "throttle", "per_second": 1}, "times": None, "prefix": "hot/"})
    assert rule_from_json(json.loads(json.dumps(rule.as_json()))) == rule
    wound.oss.add_rule(rule)
    assert [wound("GET", "hot/a").status for _ in range(2)] == [200, 503]
    clock.now -= 3600  # a clock that is set back
    assert wound("GET", "hot/a").status == 503
    for per_second in (0, -1):
        with pytest.raises(ArgumentError, match="per_second"):
            Fault("throttle", per_second=per_second)


def test_a_rule_may_name_a_prefix(client: Client) -> None:
    client.oss.put("bucket", "key/below", DATA)
    with client.oss.failing("*", prefix="key/"):
        assert [client("GET", key).status for key in ("key", "key/below")] == [200, 500]
        assert client("GET").status == 200, "a listing has no key"
    client.oss.fail("GetObject", prefix="k")
    client.oss.fail_after("HeadObject", 1, prefix="key/")
    assert client("GET", "key").status == 500
    assert [client("HEAD", "key/below").status for _ in range(2)] == [200, 500]


def test_every_kind_is_tested_here() -> None:
    text = Path(__file__).read_text()
    assert [kind for kind in sorted(KINDS) if f'"{kind}"' not in text] == []
    assert [kind for kind in sorted(KINDS) if f"``{kind}``" not in (faults.__doc__ or "")] == []
