"""What the disk answers becomes an error that names the file."""

from __future__ import annotations

from airflow_provider_ossresume.errors import LocalFileError
from tests.simulation.scripts import DOWNLOAD, is_sound
from tests.simulation.world import a_world


def test_a_part_file_that_cannot_be_emptied_is_an_error_of_ours() -> None:
    with a_world(DOWNLOAD) as world:
        process = world.begin(("ftruncate", "before", 1, "broken"))

        assert isinstance(process.error, LocalFileError)


def test_a_part_file_that_cannot_be_removed_keeps_its_checkpoint() -> None:
    with a_world(DOWNLOAD) as world:
        process = world.start_try()
        process.drops = True
        world.chaos.arm(process, ("get", "before"), 3, "denied")
        world.chaos.arm(process, ("unlink", "before"), 1, "broken")
        world.run(process)

        assert is_sound(world)
        assert world.part_files()
        assert world.shelf.text is not None
