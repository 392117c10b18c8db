"""Every row of the fault matrix, on real sockets: what a fault costs, how it is told, and what the next try moves."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.oss.client import OssClient
from tests.faults import matrix
from tests.faults.front import Certificates
from tests.faults.matrix import Outcome, Row, Trouble
from tests.faults.operations import OLD, OPERATIONS, Operation, World
from tests.faults.way import OPERATIONS as METHODS
from tests.faults.way import Way
from tests.world import BUCKET

ROWS = [row for operation in OPERATIONS.values() for pair in matrix.rows(operation) for row in pair]
PAGE = Path(__file__).parents[2] / "docs" / "fault-matrix.md"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_fault_ends_as_the_matrix_says_and_the_next_try_moves_only_what_is_missing(
    row: Row, tmp_path: Path, certificates: Certificates
) -> None:
    operation = row.operation
    with World(tmp_path, certificates) as world:
        operation.begin(world)

        error, way = a_try(world, operation, row.trouble, lasts=row.lasts)

        moved = world.moved()
        assert error or operation.is_right(world)
        assert nothing_is_mixed(world, operation)
        assert all(wait >= row.trouble.least_wait for wait in way.waits)
        if error:
            next_error, _ = a_try(world, operation)
            assert next_error is None
            assert operation.is_right(world)
        calm_calls, calm_bytes = undisturbed(operation, certificates)
        assert row.expected == Outcome(
            type(error).__name__ if error else None,
            error.retryable if error else None,
            sum(way.attempts[operation.name]) if error else way.all_attempts - calm_calls,
            0 if error else moved - calm_bytes,
            world.moves() if error else 0,
            len(world.oss.uploads(BUCKET)) - operation.uploads_needed,
        )


def test_every_operation_of_the_client_meets_every_fault_once() -> None:
    asks_nothing = {"close", "with_headers", "with_stop", "presigned_url", "way_to"}
    members = {name: value for each in reversed(OssClient.__mro__[:-1]) for name, value in vars(each).items()}
    methods = {name for name, value in members.items() if callable(value) and not name.startswith("_")}

    assert set(METHODS) == methods - asks_nothing
    assert set(METHODS.values()) == matrix.ALL
    assert len(set(map(str, ROWS))) == len(ROWS)


def test_the_page_says_what_the_rows_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == matrix.page(), "run python -m tests.faults.matrix > docs/fault-matrix.md"


def a_try(
    world: World, operation: Operation, trouble: Trouble | None = None, *, lasts: bool = False
) -> tuple[OSSResumeError | None, Way]:
    world.heal()
    way = world.way(over_tls=trouble is not None and trouble.over_tls)
    if trouble:
        way.struck, way.is_slow = (operation.name, operation.nth), trouble.is_slow
        trouble.arm(world, way, operation, lasts)
    try:
        operation.act(world)
    except OSSResumeError as error:
        return error, way
    else:
        return None, way
    finally:
        way.close()
        world.settle()


def nothing_is_mixed(world: World, operation: Operation) -> bool:
    """True when what stands under the final name is what stood there before, or what shall be there."""
    published = world.target.read_bytes() if world.target.exists() else world.oss.object(BUCKET, "key")
    return published == OLD or operation.is_right(world)


@functools.cache
def undisturbed(operation: Operation, certificates: Certificates) -> tuple[int, int]:
    """Return how many attempts a try makes that meets no fault, and how many bytes it moves."""
    with tempfile.TemporaryDirectory() as folder, World(Path(folder), certificates) as world:
        operation.begin(world)
        error, way = a_try(world, operation)
        assert error is None
        return way.all_attempts, world.moved()
