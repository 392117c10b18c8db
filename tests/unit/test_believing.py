"""What is believed of an answer: that it is whole, and about the object and the bytes that were asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import (
    BadAnswer,
    NoSuchKey,
    ObjectChanged,
    ObjectTooLarge,
    PreconditionFailed,
    ServiceError,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.oss.results import MAX_SKIPPED
from airflow_provider_ossresume.oss.retry import RetryPolicy
from tests.unit.relay import Passing, Relay
from tests.unit.test_client import TARGET, Collected, Scripted, an_answer, failure
from tests.world import BUCKET, PART, Transfers, a_client, some_bytes

RETRIED = RetryPolicy(attempts=3, total=60, sleep=lambda _: None)


# --- ETags and totals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("etag", ["", '""', "W/", '"a b"'])
def test_a_head_or_a_get_without_an_etag_is_no_answer_and_asked_for_again(etag: str) -> None:
    good = an_answer(200, b"x")
    for call in (
        lambda client: client.head_object(TARGET),
        lambda client: client.get_object(TARGET, Collected(), stop=1),
    ):
        with Scripted(an_answer(200, b"x", ETag=etag), good) as server:
            assert call(server.client(retry=RETRIED)).etag == "E"
        with Scripted(an_answer(200, b"x", ETag=etag)) as server:
            error = failure(BadAnswer, lambda call=call, server=server: call(server.client()))
        assert "no ETag" in str(error)
        assert error.retryable


def test_a_weak_etag_is_compared_here_as_if_match_would_never_match() -> None:
    weak, other = 'W/"E"', 'W/"F"'
    ranged = {"Content-Range": "bytes 0-0/9"}
    for answered in (weak, '"E"'):
        with Scripted(an_answer(206, b"x", ETag=answered, **ranged)) as server:
            server.client().get_object(TARGET, Collected(), stop=1, if_match=weak)
        assert server.header("If-Match") is None
    sink = Collected()
    with Scripted(an_answer(206, b"x", ETag=other, **ranged)) as server:
        failure(
            PreconditionFailed, lambda: server.client(retry=RETRIED).get_object(TARGET, sink, stop=1, if_match=weak)
        )

    assert sink.opened == 0
    assert server.connections == 1


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"ETag": '"NEW"', "Content-Range": "bytes 0-9/100"}, "its ETag was E and is now NEW"),
        ({"ETag": '"E"', "Content-Range": "bytes 0-9/101"}, "it had 100 bytes and now has 101"),
    ],
)
def test_an_answer_about_another_object_is_the_object_having_changed(headers: dict[str, str], why: str) -> None:
    sink = Collected()
    with Scripted(an_answer(206, b"x" * 10, **headers)) as server:
        client = server.client(retry=RETRIED)
        error = failure(PreconditionFailed, lambda: client.get_object(TARGET, sink, stop=10, if_match="E", total=100))

    assert why in str(error)
    assert (error.status, error.retryable, sink.opened, server.connections) == (412, False, 0, 1)


@pytest.mark.parametrize("size", [5 * PART, 5 * PART + 77])
@pytest.mark.parametrize("byte_range", [None, (PART, 4 * PART)])
def test_a_proxy_that_drops_if_match_never_makes_a_file_of_two_objects(
    oss: LocalOSS, tmp_path: Path, size: int, byte_range: tuple[int, int] | None
) -> None:
    old, new = some_bytes(5 * PART, seed=1), some_bytes(size, seed=2)
    oss.put(BUCKET, "key", old)
    oss.fail("*", fault=Fault("no-crc"), times=None)  # else the whole would be compared

    def drop(passing: Passing) -> None:
        if passing.headers.pop("if-match", None) and len(oss.calls("GetObject")) == 2:
            oss.put(BUCKET, "key", new)

    with Relay(oss, request=drop) as relay:
        world = Transfers(oss)
        world.client = a_client(relay)
        with pytest.raises(ObjectChanged):
            world.download(tmp_path / "file", object_changed="fail", byte_range=byte_range)
        assert not (tmp_path / "file").exists()
        world.download(tmp_path / "file", byte_range=byte_range)

    start, stop = byte_range or (0, len(new))
    assert (tmp_path / "file").read_bytes() == new[start:stop]


# --- a peer that ignores ranges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "stop"), [(0, 100), (0, 40), (10, 20), (10, 100)])
@pytest.mark.parametrize("piece_size", [7, 1000])
def test_an_object_that_came_whole_is_cut_to_what_was_asked_for(start: int, stop: int, piece_size: int) -> None:
    data = some_bytes(100)
    sink = Collected()
    sink.piece_size = piece_size
    with Scripted(an_answer(200, data)) as server:
        meta = server.client().get_object(TARGET, sink, start=start, stop=stop)

    assert bytes(sink.data) == data[start:stop]
    assert (meta.size, server.connections) == (100, 1)
    assert server.header("Range") == f"bytes={start}-{stop - 1}"
    assert server.header("x-oss-range-behavior") == "standard"


@pytest.mark.parametrize(("start", "stop"), [(MAX_SKIPPED + 1, MAX_SKIPPED + 2), (10, 101), (100, 110)])
def test_a_whole_object_that_does_not_help_is_refused_once_with_what_to_do(start: int, stop: int) -> None:
    sink = Collected()
    with Scripted(an_answer(200, b"x" * 100)) as server:
        error = failure(
            BadAnswer, lambda: server.client(retry=RETRIED).get_object(TARGET, sink, start=start, stop=stop)
        )

    assert (error.retryable, server.connections, sink.opened) == (False, 1, 0)
    assert "ignores Range" in str(error)
    assert "multipart_threshold" in str(error)


def test_a_whole_object_may_end_before_the_range_when_that_is_allowed() -> None:
    sink = Collected()
    with Scripted(an_answer(200, b"x" * 100)) as server:
        server.client().get_object(TARGET, sink, stop=2**18, may_end_before=True)

    assert len(sink.data) == 100


@pytest.mark.parametrize("size", [3000, 2**18 + 5])
def test_a_file_is_downloaded_by_a_cdn_that_ignores_ranges(oss: LocalOSS, tmp_path: Path, size: int) -> None:
    data = some_bytes(size)
    oss.put(BUCKET, "key", data)

    with Relay(oss, request=lambda passing: passing.headers.pop("range", None)) as relay:
        world = Transfers(oss, multipart_threshold="16MiB")
        world.client = a_client(relay)
        world.download(tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == data
    assert len(oss.calls("GetObject")) <= 2


# --- what errors tell -------------------------------------------------------------------------------------------------


def test_a_copy_whose_source_is_missing_names_the_source(oss: LocalOSS) -> None:
    source, client = ObjectRef(BUCKET, "missing 键/source"), a_client(oss)
    for call in (
        lambda: client.copy_object(source, TARGET),
        lambda: client.upload_part_copy(source, TARGET, client.initiate(TARGET), 1, start=0, stop=1, if_match="E"),
    ):
        error = failure(NoSuchKey, call)
        assert error.target == source.uri
        assert f"{error.operation} {source.uri} answered 404" in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "attempts"),
    [
        ("EntityTooLarge", ObjectTooLarge, 1),
        ("PreconditionFailed", PreconditionFailed, 1),
        ("InternalError", ServiceError, 3),
    ],
)
def test_an_error_that_comes_behind_a_200_is_the_error_that_it_says(
    code: str, kind: type[ServiceError], attempts: int
) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    with Scripted(an_answer(200, body)) as server:
        client = server.client(retry=RETRIED)
        error = failure(kind, lambda: client.copy_object(ObjectRef(BUCKET, "source"), TARGET))

    assert (type(error), error.code, server.connections) == (kind, code, attempts)


@pytest.mark.parametrize(("status", "delay", "told"), [(503, "1500", 1.5), (429, "0", 0.0), (503, None, None)])
def test_an_error_tells_by_how_much_oss_throttles(status: int, delay: str | None, told: float | None) -> None:
    headers = {"x-oss-qos-delay-time": delay} if delay else {}
    with Scripted(an_answer(status, b"", **headers)) as server:
        error = failure(ServiceError, lambda: server.client().head_object(TARGET))

    assert (error.qos_delay, error.retry_after) == (told, told)
