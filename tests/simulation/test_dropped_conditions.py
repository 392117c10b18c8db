"""A proxy drops If-Match: bytes of two contents are still never published as one."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.transfer import copy
from tests.simulation.mutants import ComparesNoParts
from tests.simulation.scripts import DOWNLOAD, UPLOAD, succeeded
from tests.simulation.world import Engine, Profile, a_world

BY_OSS = Profile("copy", size=UPLOAD.size, options={"if_exists": "overwrite", "mode": "server"})
BY_WORKER = Profile("copy", size=UPLOAD.size, options={"if_exists": "overwrite", "mode": "stream"})


def changed_under_way(profile: Profile, operation: str, engine: Engine | None = None) -> str | None:
    """Rewrite the object behind its second part, and drop the next condition; return the invariant that breaks."""
    with a_world(profile, engine=engine) as world:
        process = world.begin(
            (operation, "after", 2, "object rewritten"),
            *((operation, "before", nth, "unconditioned") for nth in (3, 4, 5)),
        )
        if engine is None:
            assert succeeded(world, process)
            assert world.ledger.products[-1].content == world.ledger.truth
        return world.ledger.violation


@pytest.mark.parametrize(
    ("profile", "operation"),
    [(DOWNLOAD, "get"), (BY_OSS, "part copy"), (BY_WORKER, "get")],
    ids=["download", "copy", "copy through the worker"],
)
def test_an_object_that_changes_under_way_is_begun_again(profile: Profile, operation: str) -> None:
    assert changed_under_way(profile, operation) is None


def test_the_simulation_notices_a_copy_that_relies_on_the_condition() -> None:
    engine = Engine(replacements=((copy, "CopiedUpload", ComparesNoParts),))
    assert "never held" in (changed_under_way(BY_OSS, "part copy", engine) or "")
