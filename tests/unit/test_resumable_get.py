"""A download that breaks goes on behind the last byte that came, and never mixes two objects."""

from __future__ import annotations

import re

import pytest

from airflow_provider_ossresume.errors import BadAnswer, ConnectionFailed, PreconditionFailed
from airflow_provider_ossresume.oss.results import MAX_SKIPPED
from airflow_provider_ossresume.oss.retry import RetryPolicy
from tests.unit.raw_peer import Connection, RawPeer, an_answer
from tests.unit.test_client import TARGET, Collected, a_scripted_client, failure
from tests.world import some_bytes

CONTENT = some_bytes(500_000)
RETRIED = RetryPolicy(attempts=3, sleep=lambda _: None)


class Peer:
    """Serves an object, whose answers may be cut.

    :param cuts: after how many bytes of its body each answer ends; the last one holds for all that follow
    :param etags: which version each answer is of, in the same way
    :ivar asked: Range and If-Match of each request
    """

    def __init__(
        self,
        content: bytes = CONTENT,
        *,
        cuts: tuple[int | None, ...] = (None,),
        etags: tuple[str, ...] = ("E",),
        knows_ranges: bool = True,
        keeps_conditions: bool = True,
    ) -> None:
        self.asked: list[tuple[str | None, str | None]] = []
        self._content = content
        self._cuts = cuts
        self._etags = etags
        self._knows_ranges = knows_ranges
        self._keeps_conditions = keeps_conditions

    def __call__(self, connection: Connection) -> None:
        for head in connection.requests():
            number = len(self.asked)
            cut = self._cuts[min(number, len(self._cuts) - 1)]
            etag = self._etags[min(number, len(self._etags) - 1)]
            said, condition = header(head, "range"), header(head, "if-match")
            self.asked.append((said, condition))
            if self._keeps_conditions and condition not in (None, f'"{etag}"'):
                connection.say(an_answer("412 No", b"<Error><Code>PreconditionFailed</Code></Error>"))
                continue
            answer = self._answer(said, etag)
            if cut is None:
                connection.say(answer)
            else:
                connection.say(answer[: answer.index(b"\r\n\r\n") + 4 + cut])
                return

    def _answer(self, said: str | None, etag: str) -> bytes:
        if said is None or not self._knows_ranges:
            return an_answer(body=self._content, ETag=f'"{etag}"')
        first, last = map(int, said.removeprefix("bytes=").split("-"))
        return an_answer(
            "206 Partial Content",
            self._content[first : last + 1],
            ETag=f'"{etag}"',
            Content_Range=f"bytes {first}-{last}/{len(self._content)}",
        )


def header(head: str, name: str) -> str | None:
    found = re.search(rf"(?im)^{name}: *(.*?)\r?$", head)
    return found[1] if found else None


@pytest.mark.parametrize(("start", "stop"), [(0, None), (1000, 400_000)], ids=["whole", "a part"])
def test_what_broke_goes_on_behind_the_last_byte(start: int, stop: int | None) -> None:
    sink, peer = Collected(), Peer(cuts=(100_001, 7, None))
    with RawPeer(peer) as server:
        client = a_scripted_client(server.url, retry=RETRIED)
        meta = client.get_object(TARGET, sink, start=start, stop=stop)

    assert sink.data == CONTENT[start:stop]
    assert sink.opened == 1
    assert (meta.size, meta.etag) == (len(CONTENT), "E")
    last = (stop or len(CONTENT)) - 1
    assert peer.asked == [
        (f"bytes={start}-{last}" if stop else None, None),
        (f"bytes={start + 100_001}-{last}", '"E"'),
        (f"bytes={start + 100_008}-{last}", '"E"'),
    ]


def test_a_range_that_may_end_before_its_stop_goes_on_to_the_objects_end() -> None:
    class Standard(Peer):
        def _answer(self, said: str | None, etag: str) -> bytes:
            assert said
            return super()._answer(said.replace("-999999", f"-{len(CONTENT) - 1}"), etag)

    sink, peer = Collected(), Standard(cuts=(1000, None))
    with RawPeer(peer) as server:
        client = a_scripted_client(server.url, retry=RETRIED)
        client.get_object(TARGET, sink, start=10, stop=1_000_000, may_end_before=True)

    assert sink.data == CONTENT[10:]
    assert peer.asked[1] == (f"bytes=1010-{len(CONTENT) - 1}", '"E"')


def test_each_64_kib_further_begin_the_attempts_anew() -> None:
    sink, peer = Collected(), Peer(cuts=(70_000,))
    with RawPeer(peer) as server:
        a_scripted_client(server.url, retry=RETRIED).get_object(TARGET, sink)

    assert sink.data == CONTENT
    assert len(peer.asked) == 8


def test_a_few_bytes_further_do_not() -> None:
    sink, peer = Collected(), Peer(cuts=(1000,))
    with RawPeer(peer) as server:
        client = a_scripted_client(server.url, retry=RETRIED)
        error = failure(ConnectionFailed, lambda: client.get_object(TARGET, sink))

    assert error.retryable
    assert len(peer.asked) == 3


@pytest.mark.parametrize("keeps_conditions", [True, False], ids=["412", "If-Match dropped"])
def test_an_object_that_changed_is_begun_again_from_its_first_byte(keeps_conditions: bool) -> None:
    sink, peer = Collected(), Peer(cuts=(1000, None), etags=("E", "F"), keeps_conditions=keeps_conditions)
    with RawPeer(peer) as server:
        meta = a_scripted_client(server.url, retry=RETRIED).get_object(TARGET, sink)

    assert sink.data == CONTENT
    assert (sink.opened, meta.etag) == (2, "F")


def test_so_is_one_that_became_shorter_where_if_match_is_dropped() -> None:
    class Shrinking(Peer):
        def _answer(self, said: str | None, etag: str) -> bytes:
            if said is not None:
                return an_answer("416 No", b"<Error><Code>InvalidRange</Code></Error>")
            return an_answer(body=CONTENT[: 100_000 if etag == "F" else None], ETag=f'"{etag}"')

    sink, peer = Collected(), Shrinking(cuts=(400_000, None), etags=("E", "F"), keeps_conditions=False)
    with RawPeer(peer) as server:
        a_scripted_client(server.url, retry=RETRIED).get_object(TARGET, sink)

    assert sink.data == CONTENT[:100_000]


@pytest.mark.parametrize("keeps_conditions", [True, False], ids=["412", "If-Match dropped"])
@pytest.mark.parametrize("knows_ranges", [True, False], ids=["ranges", "whole"])
def test_one_that_changes_again_and_again_is_not(keeps_conditions: bool, knows_ranges: bool) -> None:
    etags = tuple(f"E{number}" for number in range(50))
    peer = Peer(cuts=(400_000,), etags=etags, keeps_conditions=keeps_conditions, knows_ranges=knows_ranges)
    with RawPeer(peer) as server:
        client = a_scripted_client(server.url, retry=RetryPolicy(attempts=30, sleep=lambda _: None))
        failure(PreconditionFailed, lambda: client.get_object(TARGET, Collected()))

    assert len(peer.asked) <= 5


def test_nor_is_one_that_the_caller_has_named() -> None:
    sink, peer = Collected(), Peer(cuts=(1000, None), etags=("E", "F"))
    with RawPeer(peer) as server:
        client = a_scripted_client(server.url, retry=RETRIED)
        failure(PreconditionFailed, lambda: client.get_object(TARGET, sink, if_match="E"))

    assert sink.opened == 1
    assert [condition for _, condition in peer.asked] == ['"E"', '"E"']


def test_a_peer_that_ignores_ranges_brings_it_from_the_first_byte() -> None:
    content = some_bytes(MAX_SKIPPED + 2_000_000)
    sink, peer = Parts(), Peer(content, cuts=(MAX_SKIPPED + 1_000_000, None), knows_ranges=False)
    with RawPeer(peer) as server:
        a_scripted_client(server.url, retry=RETRIED).get_object(TARGET, sink)

    assert b"".join(sink.parts) == content
    assert len(peer.asked) == 2


class Parts:
    piece_size = 2**20

    def open(self) -> None:
        self.parts: list[bytes] = []

    def resume(self) -> None: ...

    def write(self, data: memoryview) -> None:
        self.parts.append(bytes(data))


CHUNKED = b'HTTP/1.1 206 X\r\nETag: "E"\r\nContent-Range: bytes 0-999/1000\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n'


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n0\r\n", b"\r\nzz"])
def test_when_all_bytes_are_there_their_end_may_be_cut(end: bytes) -> None:
    sink, asked = Collected(), []

    def serve(connection: Connection) -> None:
        asked.append(connection.request())
        connection.say(CHUNKED + CONTENT[:1000] + end)

    with RawPeer(serve) as server:
        a_scripted_client(server.url, retry=RETRIED).get_object(TARGET, sink, start=0, stop=1000)

    assert sink.data == CONTENT[:1000]
    assert len(asked) == 1


@pytest.mark.parametrize("more", [b"\r\n1\r\nx\r\n0\r\n\r\n", b"\r\n5\r\nxxxxx\r\n0\r\n\r\n"])
def test_a_body_that_is_longer_than_it_says_is_refused_once(more: bytes) -> None:
    sink, asked = Collected(), []

    def serve(connection: Connection) -> None:
        asked.append(connection.request())
        connection.say(CHUNKED + CONTENT[:1000] + more)

    with RawPeer(serve) as server:
        client = a_scripted_client(server.url, retry=RETRIED)
        error = failure(BadAnswer, lambda: client.get_object(TARGET, sink, start=0, stop=1000))

    assert "asked for 1000 bytes, got more" in str(error)
    assert len(asked) == 1
