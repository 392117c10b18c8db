"""What reaches OpenLineage when its own provider listens to real tasks: the operators' datasets, and the hook's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.local_oss.server import ACCESS_KEY_SECRET
from tests.world import BUCKET, PART

pytest.importorskip("airflow.providers.openlineage", reason="make the environment anew: it has no OpenLineage yet")

ROOT = Path(__file__).parents[2]
ODD = "a folder/50%?#+=é.bin"
OBJECT = (f"oss://{BUCKET}", ODD)
COPY = (f"oss://{BUCKET}", f"{ODD} copy")
SIZE = 5 * PART


@dataclass(frozen=True)
class Events:
    """What the listener wrote, and what the tasks came to.

    :ivar folder: of the local files
    """

    found: list[dict[str, Any]]
    states: dict[str, str]
    folder: Path

    def of(self, task_id: str, kind: str) -> dict[str, Any]:
        [event] = [
            each for each in self.found if (each["job"]["name"], each["eventType"]) == (f"of_lineage.{task_id}", kind)
        ]
        return event

    def datasets(self, task_id: str, kind: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Return namespace and name of each input, and of each output."""
        event = self.of(task_id, kind)
        inputs, outputs = (
            [(each["namespace"], each["name"]) for each in event[side]] for side in ("inputs", "outputs")
        )
        return inputs, outputs

    def file(self, name: str) -> tuple[str, str]:
        return "file", str(self.folder / name)


@pytest.fixture(scope="module")
def events(migrated: None, tmp_path_factory: pytest.TempPathFactory) -> Events:
    folder, log = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("openlineage") / "events.json"
    transport = {"type": "file", "log_file_path": str(log), "append": True}
    with LocalOSS() as oss:
        for key in ("denied", "denied/a"):
            oss.fail("PutObject", fault=Fault("status", status=403, code="AccessDenied"), key=key, times=None)
        connection = json.loads(oss.airflow_connection())
        done = subprocess.run(
            (sys.executable, "-m", "tests.airflow.lineage_scenario", str(folder)),
            cwd=ROOT,
            env={
                **os.environ,
                "AIRFLOW_CONN_OSS_DEFAULT": json.dumps({**connection, "schema": BUCKET}),
                "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    assert done.returncode == 0, done.stdout
    states = json.loads((folder / "states.json").read_text())
    return Events([json.loads(line) for line in log.read_text().splitlines()], states, folder)


def test_the_tasks_ended_as_they_should(events: Events) -> None:
    assert events.states == {
        "by_hook": "success",
        "copies": "success",
        "copy": "success",
        "upload": "success",
        "download": "success",
        "skips": "success",
        "denied": "failed",
        "publish": "success",
        "fetch": "success",
        "copy_prefix": "success",
        "dry_run": "success",
        "publish_denied": "failed",
        "many_by_hook": "success",
        "move.finish": "success",
        "move_denied.finish": "failed",
    }


def test_no_event_shows_a_secret(events: Events) -> None:
    assert ACCESS_KEY_SECRET not in json.dumps(events.found)


@pytest.mark.parametrize("kind", ["START", "COMPLETE"])
def test_an_upload_reads_a_file_and_writes_an_object(events: Events, kind: str) -> None:
    assert events.datasets("upload", kind) == ([events.file("source.bin")], [OBJECT])


def test_a_download_reads_an_object_and_writes_a_file(events: Events) -> None:
    assert events.datasets("download", "COMPLETE") == ([OBJECT], [events.file(ODD)])


def test_the_bucket_of_a_connection_is_known_when_the_task_has_used_it(events: Events) -> None:
    assert events.datasets("download", "START") == ([], [events.file(ODD)])


@pytest.mark.parametrize("kind", ["START", "FAIL"])
def test_a_failed_transfer_tells_what_it_was_about(events: Events, kind: str) -> None:
    expected = ([events.file("source.bin")], [(f"oss://{BUCKET}", "denied")])
    assert events.datasets("denied", kind) == expected


@pytest.mark.parametrize("kind", ["START", "COMPLETE"])
def test_a_copy_reads_an_object_and_writes_another(events: Events, kind: str) -> None:
    assert events.datasets("copy", kind) == ([OBJECT], [COPY])


def test_a_copy_by_the_hook_reports_both_objects(events: Events) -> None:
    inputs, outputs = events.datasets("copies", "COMPLETE")

    assert OBJECT in inputs
    assert COPY in outputs


@pytest.mark.parametrize("task_id", ["upload", "download", "copy"])
def test_what_was_written_has_its_size(events: Events, task_id: str) -> None:
    [output] = events.of(task_id, "COMPLETE")["outputs"]
    statistics = output["outputFacets"]["outputStatistics"]

    assert (statistics["size"], statistics["fileCount"]) == (SIZE, 1)


@pytest.mark.parametrize(("task_id", "kind"), [("upload", "START"), ("denied", "FAIL"), ("skips", "COMPLETE")])
def test_what_was_not_written_has_none(events: Events, task_id: str, kind: str) -> None:
    [output] = events.of(task_id, kind)["outputs"]

    assert "outputStatistics" not in output.get("outputFacets", {})


def test_a_skipped_upload_still_tells_where_its_data_goes(events: Events) -> None:
    assert events.datasets("skips", "COMPLETE") == ([events.file("source.bin")], [OBJECT])


def test_the_hook_in_a_python_task_reports_what_it_reads_and_writes(events: Events) -> None:
    # A file asset's path is not decoded by whoever makes the dataset of it.
    made = events.file("from hook/year=2026/%C3%A9")
    inputs, outputs = events.datasets("by_hook", "COMPLETE")

    assert inputs == [events.file("source.bin"), OBJECT]
    assert outputs == [OBJECT, made]


# --- many files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["START", "COMPLETE"])
def test_a_folder_that_is_uploaded_is_one_dataset_and_its_prefix_another(events: Events, kind: str) -> None:
    assert events.datasets("publish", kind) == ([events.file("many é")], [(f"oss://{BUCKET}", "raw?/")])


def test_a_prefix_that_is_downloaded_is_one_dataset_and_its_folder_another(events: Events) -> None:
    assert events.datasets("fetch", "START") == ([], [events.file("fetched")])
    assert events.datasets("fetch", "COMPLETE") == ([(f"oss://{BUCKET}", "raw?/")], [events.file("fetched")])


@pytest.mark.parametrize("kind", ["START", "COMPLETE"])
def test_a_prefix_that_is_copied_is_one_dataset_and_the_other_prefix_another(events: Events, kind: str) -> None:
    assert events.datasets("copy_prefix", kind) == ([(f"oss://{BUCKET}", "raw?/")], [(f"oss://{BUCKET}", "copies/")])


def test_the_finish_of_a_plan_tells_what_all_its_batches_have_moved(events: Events) -> None:
    assert events.datasets("move.finish", "COMPLETE") == ([events.file("many é")], [(f"oss://{BUCKET}", "moved/")])


@pytest.mark.parametrize("task_id", ["publish", "fetch", "copy_prefix", "move.finish"])
def test_what_was_moved_has_its_size_and_its_number_of_files(events: Events, task_id: str) -> None:
    [output] = events.of(task_id, "COMPLETE")["outputs"]
    statistics = output["outputFacets"]["outputStatistics"]

    assert (statistics["size"], statistics["fileCount"]) == (30, 2)


def test_the_finish_of_a_plan_that_is_not_proven_tells_what_it_was_about(events: Events) -> None:
    expected = ([events.file("many é")], [(f"oss://{BUCKET}", "denied/")])
    assert events.datasets("move_denied.finish", "FAIL") == expected


@pytest.mark.parametrize("kind", ["START", "FAIL"])
def test_what_is_not_proven_tells_what_it_was_about(events: Events, kind: str) -> None:
    assert events.datasets("publish_denied", kind) == ([events.file("many é")], [(f"oss://{BUCKET}", "denied/")])


@pytest.mark.parametrize(
    ("task_id", "kind"), [("publish", "START"), ("publish_denied", "FAIL"), ("dry_run", "COMPLETE")]
)
def test_what_no_task_says_it_has_moved_has_no_size(events: Events, task_id: str, kind: str) -> None:
    [output] = events.of(task_id, kind)["outputs"]

    assert "outputStatistics" not in output.get("outputFacets", {})


def test_the_hook_reports_folders_and_prefixes_and_nothing_of_a_dry_run(events: Events) -> None:
    inputs, outputs = events.datasets("many_by_hook", "COMPLETE")

    assert events.file("many %C3%A9") in inputs
    assert (f"oss://{BUCKET}", "/") in inputs
    assert (f"oss://{BUCKET}", "by hook/") in outputs
    assert events.file("whole bucket") in outputs
    assert (f"oss://{BUCKET}", "dry/") not in outputs


def test_what_the_hook_writes_without_a_file_has_no_input(events: Events) -> None:
    inputs, outputs = events.datasets("many_by_hook", "COMPLETE")

    assert (f"oss://{BUCKET}", "loaded é") in outputs
    files = [name for namespace, name in inputs if namespace == "file"]  # those of the other calls
    assert all(name.startswith(str(events.folder)) for name in files)
