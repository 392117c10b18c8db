"""Archived objects: they are restored for some days, and read in these."""

from __future__ import annotations

import math

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS

from .judge import Judge, Refused
from .seats import BUCKET, judges_that_can

DATA = b"archived bytes"
CLASSES = ["Archive", "ColdArchive", "DeepColdArchive"]


def archived(oss: LocalOSS, storage_class: str = "Archive", key: str = "key") -> None:
    oss.put(BUCKET, key, DATA, x_oss_storage_class=storage_class)


def said(judge: Judge) -> str | None:
    return judge.head("key").headers.get("x-oss-restore")


@pytest.mark.parametrize("storage_class", CLASSES)
def test_an_archived_object_is_restored_and_read(judge: Judge, oss: LocalOSS, storage_class: str) -> None:
    archived(oss, storage_class)
    oss.restore_seconds = math.inf
    with pytest.raises(Refused) as refused:
        judge.get("key")
    assert (refused.value.status, refused.value.code) == (403, "InvalidObjectState")
    assert said(judge) is None

    assert judge.restore("key", days=3).status == 202
    assert said(judge) == 'ongoing-request="true"'
    with pytest.raises(Refused) as refused:
        judge.get("key")
    assert (refused.value.status, refused.value.code) == (403, "InvalidObjectState")
    with pytest.raises(Refused) as refused:
        judge.restore("key")
    assert (refused.value.status, refused.value.code) == (409, "RestoreAlreadyInProgress")

    oss.restore(BUCKET, "key")
    assert judge.get("key").body == DATA
    assert (said(judge) or "").startswith('ongoing-request="false", expiry-date="')


@judges_that_can("restore again")
def test_what_is_restored_already_stays_so_for_longer(judge: Judge, oss: LocalOSS) -> None:
    archived(oss)
    oss.restore_seconds = 0
    judge.restore("key", days=1)
    before = said(judge)

    assert judge.restore("key", days=7).status == 200
    assert said(judge) != before


@pytest.mark.parametrize("tier", ["Expedited", "Standard", "Bulk"])
def test_how_urgent_it_is_is_said_again(judge: Judge, oss: LocalOSS, tier: str) -> None:
    archived(oss, "ColdArchive")

    assert judge.restore("key", days=365, tier=tier).headers["x-oss-object-restore-priority"] == tier


def test_what_oss_has_not_is_refused(judge: Judge, oss: LocalOSS) -> None:
    archived(oss, "Archive")
    archived(oss, "ColdArchive", "cold")
    oss.put(BUCKET, "standard", DATA)

    for key, days, tier, status, code in (
        ("standard", 1, None, 400, "OperationNotSupported"),
        ("key", 8, None, 400, "InvalidArgument"),
        ("cold", 366, None, 400, "InvalidArgument"),
        ("cold", 1, "Soon", 400, "InvalidArgument"),
        ("absent", 1, None, 404, "NoSuchKey"),
    ):
        with pytest.raises(Refused) as refused:
            judge.restore(key, days=days, tier=tier)
        assert (refused.value.status, refused.value.code) == (status, code), key


def test_a_version_is_restored_by_its_id(judge: Judge, oss: LocalOSS) -> None:
    judge.set_versioning("Enabled")
    archived(oss)
    judge.put("key", b"newer")
    oldest = oss.versions(BUCKET, "key")[-1]
    oss.restore_seconds = 0

    assert judge.restore("key", version=oldest).headers["x-oss-version-id"] == oldest
    assert judge.get("key", query={"versionId": oldest}).body == DATA
