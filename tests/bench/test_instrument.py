"""The instrument is honest: its CRC-64 is right, other bytes are noticed, and a link is as slow as it says."""

from __future__ import annotations

import http.client
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastcrc import crc64

from tests.bench import unchanged
from tests.bench.cases import CASES, KIB, TLS, Case, named
from tests.bench.contestants import CONTESTANTS, MIB, ours
from tests.bench.measure import Material, Plan, Run, measure
from tests.bench.server import Link, Programs, Server, Unavailable, build
from tests.world import some_bytes

SIZES = [0, 1, 7, 8, 15, 16, 127, 128, 255, 256, 257, 383, 384, 4_099, 256 * 1024, 256 * 1024 + 1, MIB + 13]
SMALL = Case("small", "", "", 3 * MIB + 17, (), part_size=MIB)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    try:
        return build(tmp_path_factory.mktemp("bench"))
    except Unavailable as error:
        pytest.skip(f"the benchmark's server cannot be built: {error}")


@pytest.fixture
def server(programs: Programs, tmp_path: Path) -> Iterator[Server]:
    with Server(programs, Link(), tmp_path) as running:
        yield running


def put(server: Server, path: str, body: bytes) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("PUT", f"/bench/{path}", body=body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


@pytest.mark.parametrize("size", SIZES)
def test_the_server_computes_the_crc64_of_what_it_receives(server: Server, size: int) -> None:
    body = some_bytes(size)

    answer = put(server, "key", body)

    assert int(answer.headers["x-oss-hash-crc64ecma"]) == crc64.xz(body)
    assert server.stored(["key"]) == [(size, crc64.xz(body))]


def test_the_server_knows_a_file_by_its_bytes(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(some_bytes(2 * MIB + 5))

    server.serve("key", file)

    assert server.stored(["key"]) == [(2 * MIB + 5, crc64.xz(file.read_bytes()))]


@pytest.mark.parametrize("case", [replace(SMALL, direction="upload"), replace(SMALL, direction="download")])
def test_other_bytes_are_noticed(server: Server, tmp_path: Path, case: Case) -> None:
    with Material(case, tmp_path) as material:
        material.register(server)
        for key, file in material.pairs():
            if case.direction == "upload":
                put(server, key, bytes(case.size))
            else:
                file.write_bytes(bytes(case.size))
        with pytest.raises(ValueError, match="other bytes arrived"):
            material.verify(server)


def test_bytes_beyond_the_limit_are_refused(server: Server) -> None:
    server.reset(limit=150)

    assert [put(server, "key", bytes(100)).status for _ in range(2)] == [200, 403]
    assert server.stats()["refused"] == 1


def test_a_link_takes_the_time_that_its_bytes_need(programs: Programs, tmp_path: Path) -> None:
    with Server(programs, Link(rate=20_000_000, delay=20), tmp_path) as server:
        began = time.monotonic()
        put(server, "key", bytes(4_000_000))
        # 200 ms for the bytes less the 10 ms that may be caught up, and two round trips
        assert time.monotonic() - began >= 0.23


def runs_of(case: Case, programs: Programs, folder: Path, *, rounds: int = 1) -> list[Run]:
    plan = Plan(rounds, folder, patience=60, log=lambda line: None)
    return list(measure(case, list(case.contestants), programs, plan))


@pytest.mark.parametrize("link", [Link(), TLS], ids=str)
@pytest.mark.parametrize("direction", ["upload", "download"])
def test_ours_and_the_raw_client_move_the_same_bytes(
    programs: Programs, tmp_path: Path, direction: str, link: Link
) -> None:
    if link.tls and not programs.has_tls:
        pytest.skip("OpenSSL's headers are absent")
    contestants = (ours("all-parts", max_concurrency=2), CONTESTANTS["raw"])
    case = replace(SMALL, direction=direction, contestants=contestants, link=link, size=17 * MIB + 3)

    runs = runs_of(case, programs, tmp_path, rounds=2)

    assert sorted(run["contestant"] for run in runs) == ["ours-all-parts", "ours-all-parts", "raw", "raw"]
    operation = "UploadPart" if direction == "upload" else "GetObject"
    requests = {run["contestant"]: run["requests"][operation] for run in runs}
    assert requests == {"ours-all-parts": 18 if direction == "upload" else 19, "raw": 18}  # one for the beginning
    assert {run["moved"] for run in runs} == {17 * MIB + 3}
    assert all(run["wall"] > 0 and run["cpu"] > 0 and run["peak_mib"] >= run["bare_mib"] for run in runs)


@pytest.mark.skipif(not shutil.which("rclone"), reason="rclone is not installed")
@pytest.mark.parametrize("direction", ["upload", "download"])
def test_rclone_moves_all_files_of_a_set_by_one_request_each(
    programs: Programs, tmp_path: Path, direction: str
) -> None:
    contestants = (CONTESTANTS["ours-set"], CONTESTANTS["rclone"])
    case = replace(SMALL, direction=direction, contestants=contestants, size=100 * KIB, files=40, callers=8)

    for run in runs_of(case, programs, tmp_path):
        assert run["requests"]["PutObject" if direction == "upload" else "GetObject"] == 40
        assert run["moved"] == 40 * 100 * KIB
        assert run["cpu"] > 0


def test_a_plan_of_what_is_there_asks_for_one_head_a_file_and_once_proven_for_none(tmp_path: Path) -> None:
    first, second = unchanged.measure(tmp_path, 60)

    assert first["requests"] == {"HeadObject": 60, "ListObjectsV2": 1}
    assert first["heads_at_once"] <= 32
    assert first["read"] >= 60 * unchanged.SIZE
    assert second["requests"] == {"ListObjectsV2": 1}
    assert second["read"] < 60 * unchanged.SIZE


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_link_that_connections_share_moves_no_more_when_they_are_many(
    programs: Programs, tmp_path: Path, direction: str
) -> None:
    link = Link(shared=20 * MIB, delay=5)
    contestants = tuple(ours(f"c{count}", max_concurrency=count) for count in (2, 8))
    case = replace(SMALL, direction=direction, contestants=contestants, link=link, size=20 * MIB)

    for run in runs_of(case, programs, tmp_path):
        assert 0.9 < run["wall"] < 3
        assert run["moved"] == 20 * MIB


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_a_resumed_transfer_moves_the_other_half_and_a_fresh_one_all(
    programs: Programs, tmp_path: Path, direction: str
) -> None:
    contestants = (ours("resumed", max_concurrency=1), ours("fresh", fresh=True))
    case = replace(SMALL, direction=direction, contestants=contestants, size=20 * MIB, resume=True)

    moved = {run["contestant"]: run["moved"] for run in runs_of(case, programs, tmp_path)}

    assert moved == {"ours-resumed": 10 * MIB, "ours-fresh": 20 * MIB}


def test_the_calls_of_a_slow_store_are_counted(programs: Programs, tmp_path: Path) -> None:
    contestants = (ours("slow", store="memory", store_delay=0.001),)
    case = replace(SMALL, direction="upload", contestants=contestants, size=17 * MIB)

    [run] = runs_of(case, programs, tmp_path)

    assert run["store_calls"] > 0
    assert 0 < run["store_bytes"] < 10_000


def test_names_of_cases_are_unique_and_may_be_patterns() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in named(["upload-1g", "*-5m"])] == ["upload-1g", "upload-5m", "download-5m"]
