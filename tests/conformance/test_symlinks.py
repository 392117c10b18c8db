"""Symbolic links: where they lead, how they look, and what becomes of them."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS

from .judge import Judge, Refused
from .seats import BUCKET, judges_that_can

DATA = b"the target's bytes"
TARGET = "folder/target 键 & more"


@pytest.fixture(autouse=True)
def target(oss: LocalOSS) -> None:
    oss.put(BUCKET, TARGET, DATA, content_type="text/csv", x_oss_meta_owner="the target")


def test_a_link_leads_to_its_target(judge: Judge) -> None:
    judge.put_link("link", TARGET)

    assert judge.link_target("link") == TARGET
    head, target = judge.head("link"), judge.head(TARGET)
    assert (head.headers["content-length"], head.etag) == (str(len(DATA)), target.etag)
    assert head.headers["x-oss-object-type"] == "Symlink"


@judges_that_can("read through a link")
def test_the_bytes_of_the_target_are_read_through_a_link(judge: Judge) -> None:
    judge.put_link("link", TARGET)

    assert judge.get("link").body == DATA


def test_a_link_has_metadata_of_its_own(judge: Judge) -> None:
    judge.put_link("link", TARGET, headers={"x-oss-meta-owner": "the link"})

    assert judge.head("link").meta == {"owner": "the link"}


def test_a_link_is_listed_as_one(judge: Judge) -> None:
    judge.put_link("link", TARGET)

    for listed in (judge.list_objects(), judge.list_objects_v1()):
        assert dict(zip(listed.keys, listed.kinds, strict=True)) == {TARGET: "Normal", "link": "Symlink"}


def test_a_link_may_be_made_before_its_target(judge: Judge) -> None:
    judge.put_link("link", "later")

    assert judge.link_target("link") == "later"
    with pytest.raises(Refused) as refused:
        judge.get("link")
    assert (refused.value.status, refused.value.code) == (404, "SymlinkTargetNotExist")
    judge.put("later", b"at last")
    assert judge.head("link").headers["content-length"] == "7"


def test_a_link_to_a_link_is_followed_no_further(judge: Judge) -> None:
    judge.put_link("first", TARGET)
    judge.put_link("second", "first")

    with pytest.raises(Refused) as refused:
        judge.get("second")

    assert (refused.value.status, refused.value.code) == (400, "InvalidTargetType")


def test_what_is_no_link_leads_nowhere(judge: Judge) -> None:
    for key, status, code in ((TARGET, 400, "NotSymlink"), ("absent", 404, "NoSuchKey")):
        with pytest.raises(Refused) as refused:
            judge.link_target(key)
        assert (refused.value.status, refused.value.code) == (status, code)


def test_a_link_overwrites_nothing_that_it_must_not(judge: Judge, oss: LocalOSS) -> None:
    with pytest.raises(Refused) as refused:
        judge.put_link(TARGET, "elsewhere", headers={"x-oss-forbid-overwrite": "true"})

    assert (refused.value.status, refused.value.code) == (409, "FileAlreadyExists")
    assert oss.object(BUCKET, TARGET) == DATA


def test_a_deleted_link_leaves_its_target(judge: Judge) -> None:
    judge.put_link("link", TARGET)

    judge.delete("link")

    assert judge.list_objects().keys == [TARGET]
    assert judge.get(TARGET).body == DATA


@judges_that_can("read through a link")
def test_a_link_has_versions_and_each_leads_elsewhere(judge: Judge, oss: LocalOSS) -> None:
    judge.put("other", b"other")
    judge.set_versioning("Enabled")
    judge.put_link("link", TARGET)
    judge.put_link("link", "other")

    newest, oldest = oss.versions(BUCKET, "link")
    assert judge.get("link").body == judge.get("link", query={"versionId": newest}).body == b"other"
    assert judge.get("link", query={"versionId": oldest}).body == DATA
