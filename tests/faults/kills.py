"""Kills transfers at random times until they are done, and proves that nothing was lost or mixed.

``python -m tests.faults.kills --kills 200 --seed 7`` prints what came of it.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.checkpoint import Checkpoint, DownloadCheckpoint, UploadCheckpoint, decode
from tests.faults.nursery import Child, Nursery
from tests.world import BUCKET, PART, some_bytes

PARTS = 5
CONTENT = some_bytes((PARTS - 1) * PART + 17)
SLOW = 1_500_000  # bytes per second of one part
LONGEST = 0.3  # seconds until a kill: about as long as a transfer takes


class Place:
    """A server, a file, an object and a folder of checkpoints, which tries in processes of their own share."""

    def __init__(self, folder: Path, oss: LocalOSS, nursery: Nursery, direction: str) -> None:
        self.oss = oss
        self.direction = direction
        self.file = folder / "files" / "file"
        self.store = FileCheckpointStore(folder / "checkpoints")
        self._nursery = nursery
        self.file.parent.mkdir(parents=True)
        if direction == "upload":
            self.file.write_bytes(CONTENT)
        else:
            oss.put(BUCKET, "source" if direction == "copy" else "key", CONTENT)

    def start(self, **job: Any) -> Child:
        facts = {
            "direction": self.direction,
            "endpoint": self.oss.endpoint,
            "access_key_id": self.oss.access_key_id,
            "access_key_secret": self.oss.access_key_secret,
            "region": self.oss.region,
            "file": str(self.file),
            "store": str(self.store.folder),
        }
        return self._nursery.start(**{**facts, **job})

    def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints that are there now; a half-written one would be an error."""
        return [decode(path.read_text()) for path in self.store.folder.glob("*.json")]

    def finished_parts(self) -> set[int]:
        """Return the numbers of the parts that a later try must not move again."""
        finished: set[int] = set()
        for checkpoint in self.checkpoints():
            if isinstance(checkpoint, DownloadCheckpoint):
                finished |= {number for run in checkpoint.runs for number in range(run.first, run.last + 1)}
            elif isinstance(checkpoint, UploadCheckpoint):
                try:
                    finished |= set(self.oss.parts(BUCKET, "key", checkpoint.upload_id))
                except KeyError:  # completed
                    finished |= set(range(1, PARTS + 1))
        return finished

    def moved_parts(self) -> set[int]:
        """Return the numbers of the parts that somebody asked to move since the log was cleared."""
        calls = self.oss.calls("UploadPart") + self.oss.calls("UploadPartCopy")
        sent = {request.part_number for request in calls if request.part_number}
        ranges = [request.range or "" for request in self.oss.calls("GetObject")]
        return sent | {int(text.removeprefix("bytes=").partition("-")[0]) // PART + 1 for text in ranges}

    def lost_initiates(self) -> int:
        """Return how many uploads no checkpoint names."""
        named = {each.upload_id for each in self.checkpoints() if isinstance(each, UploadCheckpoint)}
        return len([upload_id for _, upload_id in self.oss.uploads(BUCKET) if upload_id not in named])

    def settle(self) -> None:
        """Wait until the server has done with the requests of processes that are gone."""
        self.oss.stop()
        self.oss.start()

    def is_right(self) -> bool:
        here = self.file.read_bytes() if self.direction == "download" else self.oss.object(BUCKET, "key")
        return here == CONTENT

    def litter(self) -> list[str]:
        """Return what a finished transfer should not have left: part files and checkpoints."""
        beside = [path.name for path in self.file.parent.iterdir() if path != self.file]
        return beside + [path.name for path in self.store.folder.glob("*.json")]


@dataclass
class Figures:
    """What came of the kills."""

    kills: int = 0
    transfers: int = 0
    kept: Counter[int] = field(default_factory=Counter)
    lost_initiates: int = 0

    def __str__(self) -> str:
        kept = ", ".join(f"{number} parts kept: {count}" for number, count in sorted(self.kept.items()))
        return (
            f"{self.kills} kills in {self.transfers} transfers, each of which ended right; after a kill {kept}; "
            f"upload IDs left by kills between initiate and save: {self.lost_initiates}"
        )


def kill_at_random_times(folder: Path, nursery: Nursery, *, kills: int, seed: int) -> Figures:
    """Run transfers, of each kind by turns, and kill each process at a random time until that many were killed.

    :raises AssertionError: when bytes are lost, mixed or moved again
    """
    chance = random.Random(seed)
    figures = Figures()
    while figures.kills < kills:
        direction = ("upload", "download", "copy")[figures.transfers % 3]
        with LocalOSS(buckets=(BUCKET,)) as oss:
            for operation in ("UploadPart", "GetObject"):
                oss.fail_after(operation, 0, Fault("bandwidth", bytes_per_second=SLOW))
            oss.fail_after("UploadPartCopy", 0, Fault("latency", seconds=PART / SLOW))
            place = Place(folder / str(figures.transfers), oss, nursery, direction)
            _one_transfer(place, chance, figures, kills)
        figures.transfers += 1
    return figures


def _one_transfer(place: Place, chance: random.Random, figures: Figures, kills: int) -> None:
    while True:
        finished = place.finished_parts()
        child = place.start(workers=2)
        if figures.kills < kills:
            child.ended.wait(chance.uniform(0, LONGEST))
            child.kill()
        child.wait()
        place.settle()
        again = place.moved_parts() & finished
        assert not again, f"parts {again} were finished and moved again"
        if not child.was_killed:
            break
        figures.kills += 1
        figures.kept[len(place.finished_parts())] += 1
        place.oss.clear_requests()
    assert "error" not in child.outcome, child.outcome
    assert place.is_right()
    figures.lost_initiates += place.lost_initiates()
    assert not place.litter(), place.litter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Nursery(Path(folder)) as nursery:
        print(kill_at_random_times(Path(folder), nursery, kills=arguments.kills, seed=arguments.seed))


if __name__ == "__main__":
    main()
