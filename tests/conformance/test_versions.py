"""Buckets with versions: what is overwritten or deleted stays, until its version is deleted."""

from __future__ import annotations

import pytest

from airflow_provider_ossresume.local_oss import LocalOSS

from .judge import Deleted, Judge, Refused
from .seats import BUCKET

VERSION, MARKER = "x-oss-version-id", "x-oss-delete-marker"


def written(judge: Judge, key: str, data: bytes) -> str:
    return judge.put(key, data).headers[VERSION]


def test_a_bucket_tells_whether_it_keeps_versions(judge: Judge) -> None:
    assert judge.versioning() is None
    assert VERSION not in judge.put("key", b"bytes").headers

    for status in ("Enabled", "Suspended", "Enabled"):
        judge.set_versioning(status)
        assert judge.versioning() == status


def test_every_version_is_read_by_its_id_and_the_newest_without(judge: Judge) -> None:
    judge.put("key", b"zeroth")
    judge.set_versioning("Enabled")
    first, second = written(judge, "key", b"first"), written(judge, "key", b"second")

    assert judge.get("key").body == b"second"
    assert judge.head("key").headers[VERSION] == second
    for version, data in (("null", b"zeroth"), (first, b"first"), (second, b"second")):
        answer = judge.get("key", query={"versionId": version})
        assert (answer.body, answer.headers[VERSION]) == (data, version)
    with pytest.raises(Refused) as refused:
        judge.get("key", query={"versionId": "0" * 32})
    assert (refused.value.status, refused.value.code) == (404, "NoSuchVersion")


def test_a_deletion_makes_a_delete_marker_and_without_it_the_object_is_back(judge: Judge, oss: LocalOSS) -> None:
    judge.set_versioning("Enabled")
    version = written(judge, "key", b"bytes")

    marker = judge.delete("key")

    assert marker[MARKER] == "true"
    assert oss.objects(BUCKET) == judge.list_objects().keys == []
    for call in (judge.get, judge.head):
        with pytest.raises(Refused) as refused:
            call("key")
        assert (refused.value.status, refused.value.code) == (404, "NoSuchKey")
    with pytest.raises(Refused) as refused:
        judge.get("key", query={"versionId": marker[VERSION]})
    assert (refused.value.status, refused.value.code) == (405, "MethodNotAllowed")

    removed = judge.delete("key", version=marker[VERSION])
    assert (removed[MARKER], removed[VERSION]) == ("true", marker[VERSION])
    assert (judge.get("key").body, judge.list_objects().keys) == (b"bytes", ["key"])

    removed = judge.delete("key", version=version)
    assert (removed.get(MARKER), removed[VERSION]) == (None, version)
    assert oss.versions(BUCKET, "key") == []


def test_the_version_before_takes_the_place_of_one_that_is_deleted(judge: Judge, oss: LocalOSS) -> None:
    judge.set_versioning("Enabled")
    first, second, third = (written(judge, "key", data) for data in (b"first", b"second", b"third"))

    judge.delete("key", version=second)
    judge.delete("key", version=third)

    assert judge.get("key").body == b"first"
    assert oss.versions(BUCKET, "key") == [first]


def test_a_suspended_bucket_has_one_null_version_and_keeps_the_others(judge: Judge, oss: LocalOSS) -> None:
    judge.set_versioning("Enabled")
    first = written(judge, "key", b"first")
    judge.set_versioning("Suspended")

    assert written(judge, "key", b"second") == written(judge, "key", b"third") == "null"
    assert oss.versions(BUCKET, "key") == ["null", first]
    deleted = judge.delete("key")

    assert (deleted[MARKER], deleted[VERSION]) == ("true", "null")
    assert oss.versions(BUCKET, "key") == ["null", first]
    assert judge.get("key", query={"versionId": first}).body == b"first"


def test_many_versions_are_deleted_at_once_and_markers_are_told(judge: Judge, oss: LocalOSS) -> None:
    judge.set_versioning("Enabled")
    first, second = written(judge, "a & b", b"first"), written(judge, "a & b", b"second")
    old = judge.delete("gone")[VERSION]
    written(judge, "kept", b"bytes")

    by_version = judge.delete_versions([("a & b", first), ("a & b", second), ("gone", old)])
    [by_name] = judge.delete_versions([("kept", None)])

    assert by_version == [Deleted("a & b", first), Deleted("a & b", second), Deleted("gone", old, old)]
    assert by_name.marker in oss.versions(BUCKET, "kept")
    assert (oss.versions(BUCKET, "a & b"), len(oss.versions(BUCKET, "kept"))) == ([], 2)


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_all_versions_are_listed_in_pages_the_newest_of_a_key_first(judge: Judge, page: int) -> None:
    judge.put("a", b"")
    judge.set_versioning("Enabled")
    a1, a2 = written(judge, "a", b"1"), written(judge, "a", b"2")
    b1, b2 = written(judge, "b/键", b"1"), judge.delete("b/键")[VERSION]
    b3 = written(judge, "b/键", b"3")
    c1 = judge.delete("c")[VERSION]

    pages = [judge.list_versions(page=page)]
    while pages[-1].next_marker and len(pages) < 10:
        pages.append(judge.list_versions(page=page, marker=pages[-1].next_marker))

    assert [version for listed in pages for version in listed.versions] == [
        ("a", a2, True), ("a", a1, False), ("a", "null", False), ("b/键", b3, True), ("b/键", b1, False),
    ]  # fmt: skip
    assert [marker for listed in pages for marker in listed.markers] == [("b/键", b2), ("c", c1)]
    assert all(len(listed.versions) + len(listed.markers) <= page for listed in pages)


def test_versions_are_listed_by_prefix_and_delimiter(judge: Judge) -> None:
    judge.set_versioning("Enabled")
    for key in ("dir/a", "dir/a", "dir/sub/b", "other/c", "top"):
        written(judge, key, b"")

    top = judge.list_versions(delimiter="/")
    below = judge.list_versions(prefix="dir/", delimiter="/")
    first = judge.list_versions(delimiter="/", page=1)
    rest = judge.list_versions(delimiter="/", page=2, marker=first.next_marker)

    assert (top.prefixes, [key for key, _, _ in top.versions]) == (["dir/", "other/"], ["top"])
    assert (below.prefixes, [key for key, _, _ in below.versions]) == (["dir/sub/"], ["dir/a", "dir/a"])
    assert (first.prefixes, rest.prefixes, len(rest.versions)) == (["dir/"], ["other/"], 1)


def test_a_bucket_without_versions_lists_its_objects_as_null_versions(judge: Judge) -> None:
    judge.put("key", b"bytes")

    assert judge.list_versions().versions == [("key", "null", True)]


def test_pages_go_on_where_a_version_has_been_deleted_meanwhile(judge: Judge) -> None:
    """So clients empty a bucket: a page, its deletion, the next page."""
    judge.set_versioning("Enabled")
    for number in range(5):
        written(judge, "key", b"%d" % number)
    judge.delete("key")

    marker: tuple[str, str] | None = None
    for _ in range(3):
        page = judge.list_versions(page=2, marker=marker)
        found = [*((key, version) for key, version, _ in page.versions), *page.markers]
        judge.delete_versions(found)
        marker = page.next_marker

    assert (marker, judge.list_versions()) == (None, judge.list_versions(prefix="nothing"))
    judge.remove_bucket()


def test_a_delete_marker_is_not_copied(judge: Judge) -> None:
    judge.set_versioning("Enabled")
    written(judge, "key", b"bytes")
    marker = judge.delete("key")[VERSION]

    for version, status in ((marker, 400), (None, 404)):
        with pytest.raises(Refused) as refused:
            judge.copy("key", "copied", version=version)
        assert refused.value.status == status


def test_forbid_overwrite_has_no_effect_where_there_are_versions(judge: Judge, oss: LocalOSS) -> None:
    once = {"x-oss-forbid-overwrite": "true"}
    judge.put("key", b"first", headers=once)
    for status, data in (("Enabled", b"second"), ("Suspended", b"third")):
        judge.set_versioning(status)
        judge.put("key", data, headers=once)
        assert oss.object(BUCKET, "key") == data


def test_a_bucket_with_old_versions_is_not_empty(judge: Judge) -> None:
    judge.set_versioning("Enabled")
    written(judge, "key", b"bytes")
    judge.delete("key")

    with pytest.raises(Refused) as refused:
        judge.remove_bucket()

    assert (refused.value.status, refused.value.code) == (409, "BucketNotEmpty")
