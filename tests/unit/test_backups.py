"""A mirror on OSS may copy what it deletes to another prefix before: what has no proven copy is not deleted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.errors import AccessDenied, ArgumentError, PlanRefused
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.objects import ObjectRef, PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.set_transfers import LocationRef, SetTransfers
from airflow_provider_ossresume.transfer.config import TransferConfig
from tests.moving_world import write
from tests.world import BUCKET, PART, a_client, some_bytes

TARGET = PrefixRef(BUCKET, "set/")
SAVED = f"oss://{BUCKET}/saved/"
FILES = {"a": b"1", "b/c": b"22"}
OLD = {"old": b"old", "b/old": some_bytes(3 * PART), "z/old": b""}


class Mirror:
    """A mirror of a folder, and of a prefix that has the same, with what only the target has."""

    def __init__(self, oss: LocalOSS, root: Path) -> None:
        self.oss = oss
        self.root = root
        self.client = a_client(oss)
        # The one of three parts is a large one here.
        config = TransferConfig.of({"part_size": PART, "multipart_threshold": 2 * PART, "progress_interval": 0})
        self.transfers = SetTransfers(self.client, config)
        write(root / "source", FILES)
        for name, data in FILES.items():
            oss.put(BUCKET, f"from/{name}", data)
        for name, data in OLD.items():
            oss.put(BUCKET, f"set/{name}", data, content_type="text/x-old", x_oss_meta_by="somebody")
        self.sources: dict[str, LocationRef] = {
            "folder": LocalFolder(root / "source"),
            "prefix": PrefixRef(BUCKET, "from/"),
        }

    def mirrored(self, source: str = "folder", **options: Any) -> Verdict:
        chosen = SetOptions(**{"mode": "mirror", "max_delete_share": 1, "backup_prefix": SAVED, **options})
        return self.transfers.transfer(
            self.sources[source], TARGET, options=chosen, work_folder=str(self.root / "work")
        )

    def below(self, prefix: str, bucket: str = BUCKET) -> dict[str, bytes]:
        keys = [key for key in self.oss.objects(bucket) if key.startswith(prefix)]
        return {key.removeprefix(prefix): self.oss.object(bucket, key) for key in keys}


@pytest.fixture
def mirror(oss: LocalOSS, tmp_path: Path) -> Mirror:
    return Mirror(oss, tmp_path)


@pytest.mark.parametrize("source", ["folder", "prefix"])
def test_what_is_deleted_lies_below_the_backup_prefix(mirror: Mirror, source: str) -> None:
    verdict = mirror.mirrored(source)

    assert (verdict.outcome, verdict.deleted, verdict.kept) == ("proven", 3, 0)
    assert mirror.below("set/") == FILES
    assert mirror.below("saved/") == OLD
    meta = mirror.client.head_object(ObjectRef(BUCKET, "saved/b/old"))
    assert (meta.content_type, meta.metadata) == ("text/x-old", {"by": "somebody"})


def test_the_backup_may_be_another_bucket(mirror: Mirror) -> None:
    mirror.oss.create_bucket("other-bucket")
    mirror.mirrored(backup_prefix="oss://other-bucket")

    assert mirror.below("", "other-bucket") == OLD
    assert mirror.below("set/") == FILES


def test_options_of_objects_are_not_those_of_the_copies(mirror: Mirror) -> None:
    mirror.mirrored(object_options={"metadata": {"by": "the mirror"}, "content_type": "text/x-new"})

    assert mirror.client.head_object(ObjectRef(BUCKET, "set/a")).metadata == {"by": "the mirror"}
    meta = mirror.client.head_object(ObjectRef(BUCKET, "saved/old"))
    assert (meta.content_type, meta.metadata) == ("text/x-old", {"by": "somebody"})


def test_without_a_copy_nothing_is_deleted_and_the_next_try_goes_on(mirror: Mirror) -> None:
    mirror.oss.fail("CopyObject", key="saved/old", fault=Fault("status", status=403, code="AccessDenied"))

    with pytest.raises(AccessDenied, match="saved/old"):
        mirror.mirrored()
    assert mirror.below("set/") == {**FILES, **OLD}

    assert mirror.mirrored().deleted == 3
    assert mirror.below("saved/") == OLD


def test_what_a_former_backup_has_is_not_copied_again_when_it_is_the_same(mirror: Mirror) -> None:
    mirror.oss.put(BUCKET, "saved/old", b"old")
    mirror.oss.put(BUCKET, "saved/z/old", b"of another day")

    assert mirror.mirrored().deleted == 3
    assert mirror.below("saved/") == OLD
    assert "saved/old" not in [call.key for call in mirror.oss.calls("CopyObject")]


def test_a_copy_that_somebody_spoils_saves_its_object(mirror: Mirror, caplog: pytest.LogCaptureFixture) -> None:
    def spoil(request: Request) -> None:
        if request.operation == "CopyObject" and request.key == "saved/old":
            mirror.oss.put(BUCKET, "saved/old", b"xxx")

    mirror.oss.after_request = spoil
    with caplog.at_level(logging.WARNING):
        verdict = mirror.mirrored()

    assert (verdict.deleted, verdict.kept) == (2, 1)
    assert mirror.below("set/") == {**FILES, "old": b"old"}
    assert "old was not deleted: its copy below backup_prefix is not proven" in caplog.text


def test_what_is_overwritten_since_the_plan_is_neither_copied_nor_deleted(mirror: Mirror) -> None:
    def overwrite(request: Request) -> None:
        if request.operation == "PutObject" and request.key == "set/a":
            mirror.oss.put(BUCKET, "set/old", b"new")

    mirror.oss.after_request = overwrite
    verdict = mirror.mirrored()

    assert (verdict.deleted, verdict.kept) == (2, 1)
    assert mirror.below("set/")["old"] == b"new"
    assert "old" not in mirror.below("saved/")


@pytest.mark.parametrize(
    "where",
    [f"oss://{BUCKET}/set/saved/", f"oss://{BUCKET}/set", f"oss://{BUCKET}", f"oss://{BUCKET}/from/x/", "oss://ops"],
)
def test_a_backup_that_overlaps_is_refused(mirror: Mirror, where: str) -> None:
    chosen = SetOptions(mode="mirror", max_delete_share=1, backup_prefix=where)
    with pytest.raises(PlanRefused, match=r"backup_prefix=.* overlap"):
        mirror.transfers.plan(mirror.sources["prefix"], TARGET, options=chosen, work_folder="oss://ops/work/")


def test_a_backup_of_a_folder_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    chosen = SetOptions(mode="mirror", backup_prefix=SAVED)
    with pytest.raises(PlanRefused, match="needs a target on OSS"):
        mirror.transfers.plan(PrefixRef(BUCKET, "from/"), LocalFolder(tmp_path / "down"), options=chosen)


@pytest.mark.parametrize("where", ["", "None", "saved/", "/saved", "oss://", 5, "oss://B/x/"])
def test_what_is_no_prefix_is_refused(where: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^backup_prefix="):
        SetOptions(mode="mirror", backup_prefix=where)


def test_a_copy_takes_no_backup_as_it_deletes_nothing() -> None:
    with pytest.raises(ArgumentError, match=r'backup_prefix.*mode="copy"'):
        SetOptions(backup_prefix=SAVED)
