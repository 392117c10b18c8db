"""Runs a row of the matrix."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.faults.front import Certificates
from tests.faults.matrix import Outcome, Trouble
from tests.faults.operations import OLD, Operation, World
from tests.world import BUCKET


def run(operation: Operation, trouble: Trouble | None, folder: Path, certificates: Certificates, *, lasts: bool) -> Outcome:
    with LocalOSS(buckets=(BUCKET,)) as oss:
        world = World(oss, folder, certificates)
        with world.front:
            operation.begin(world)
            error, way = a_try(world, operation, trouble, lasts=lasts)
            moved = world.moved()
            assert error or operation.is_right(world)
            for published in world.target, :
                assert not published.exists() or published.read_bytes() == OLD or operation.is_right(world)
            if error:
                recovery, _ = a_try(world, operation, None, lasts=False)
                assert recovery is None, recovery
                assert operation.is_right(world)
            left = [] if operation.name == "ListMultipartUploads" else oss.uploads(BUCKET)
            calm = undisturbed(operation, certificates) if trouble else (0, 0)
            return Outcome(
                type(error).__name__ if error else None,
                error.retryable if error else None,
                sum(way.attempts[operation.name]) if error else way.all_attempts - calm[0],
                0 if error else moved - calm[1],
                world.moves() if error else 0,
                len(left),
            )


def a_try(world, operation, trouble, *, lasts):
    world.oss.clear_faults()
    world.oss.clear_requests()
    world.front.mode = "pass"
    world.keys.renewed = world.renew_token
    way = world.way(over_tls=bool(trouble and trouble.over_tls))
    if trouble:
        way.struck, way.is_slow = (operation.name, operation.nth), trouble.is_slow
        trouble.arm(world, way, operation, lasts)
    error = None
    try:
        operation.act(world)
    except OSSResumeError as raised:
        error = raised
    way.close()
    world.settle()
    return error, way


@functools.cache
def undisturbed(operation, certificates):
    with tempfile.TemporaryDirectory() as folder, LocalOSS(buckets=(BUCKET,)) as oss:
        world = World(oss, Path(folder), certificates)
        with world.front:
            operation.begin(world)
            error, way = a_try(world, operation, None, lasts=False)
            assert error is None
            return way.all_attempts, world.moved()


if __name__ == "__main__":
    import sys, time, traceback, collections, logging
    logging.disable(logging.CRITICAL)
    from tests.faults.matrix import TROUBLES
    from tests.faults.operations import OPERATIONS
    with tempfile.TemporaryDirectory() as c:
        certs = Certificates(Path(c))
        for name, t in TROUBLES.items():
            if len(sys.argv) > 1 and name not in sys.argv[1:]: continue
            for lasts in False, True:
                groups = collections.defaultdict(list)
                began = time.monotonic()
                for op in OPERATIONS.values():
                    if op.name not in t.operations: continue
                    with tempfile.TemporaryDirectory() as f:
                        try:
                            o = run(op, t, Path(f), certs, lasts=lasts)
                            key = (o.error, o.retryable, o.calls, o.again, o.next_moves, o.uploads_left)
                        except Exception as e:
                            key = "EXC " + repr(e)[:300] + traceback.format_exc()[-300:]
                        groups[key].append(op.name)
                print(name, "LASTS" if lasts else "once", f"{time.monotonic()-began:.1f}s")
                for k, v in groups.items(): print("    ", k, v)
