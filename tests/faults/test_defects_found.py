"""Defects that the fault tests found, each as the behaviour that is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ossresume.errors import ConnectionFailed
from tests.faults.front import Certificates
from tests.faults.operations import World
from tests.world import BUCKET


def test_headers_that_trickle_are_given_up_within_the_stall_timeout(tmp_path: Path) -> None:
    """Each byte resets the timeout for silence, so a peer that sends one now and then holds a worker for hours."""
    with World(tmp_path, Certificates(tmp_path)) as world:
        world.front.mode = "slow headers"
        way = world.way(over_tls=True)
        way.struck, way.is_slow = ("GetBucketInfo", 1), True

        with pytest.raises(ConnectionFailed, match="headers"):
            way.get_bucket_info(BUCKET)
