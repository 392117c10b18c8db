"""What the disk answers becomes an error that names the file."""

from __future__ import annotations

from airflow_provider_ossresume.errors import LocalFileError
from tests.simulation.scripts import DOWNLOAD
from tests.simulation.world import a_world


def test_a_part_file_that_cannot_be_emptied_is_an_error_of_ours() -> None:
    with a_world(DOWNLOAD) as world:
        process = world.begin(("ftruncate", "before", 1, "broken"))

        assert isinstance(process.error, LocalFileError)
