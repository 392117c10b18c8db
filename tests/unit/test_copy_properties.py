"""What a copy has beside its bytes, whichever way it goes: one request, parts, or through the worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_ossresume.errors import NotCopyable
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.model.copy_options import CopyOptions, copied_properties
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from tests.world import BUCKET, PART, Transfers, some_bytes

CONTENT = some_bytes(3 * PART)
COPY = ObjectRef(BUCKET, "copy")
WAYS = ("one request", "parts", "the worker", "the worker, one request")
# Parts are for copies into another storage class: OSS takes all others in a bucket by one request.
OF_WAY: dict[str, dict[str, Any]] = {
    "one request": {},
    "parts": {"threshold": 0},
    "the worker": {"mode": "stream"},
    "the worker, one request": {"mode": "stream", "config": {"multipart_threshold": "1MiB"}},
}
OPERATION = {
    "one request": "CopyObject",
    "parts": "UploadPartCopy",
    "the worker": "UploadPart",
    "the worker, one request": "PutObject",
}


@pytest.fixture
def transfers(oss: LocalOSS) -> Iterator[Transfers]:
    oss.put(
        BUCKET, "source", CONTENT, content_type="text/csv", cache_control="no-cache", x_oss_meta_who="me",
        x_oss_tagging="team=data%20eng&x=", x_oss_object_acl="public-read", x_oss_storage_class="Standard",
    )  # fmt: skip
    return Transfers(oss)


def copy(transfers: Transfers, way: str, options: CopyOptions | None = None, **more: Any) -> ObjectMeta:
    """Copy that way, into another storage class, and return what HEAD says of the copy."""
    given: CopyOptions = {"storage_class": "IA", **(options or {})}
    transfers.copy("source", properties=copied_properties("copy", given), **{**OF_WAY[way], **more})
    assert transfers.calls(OPERATION[way]) > 0
    assert transfers.oss.object(BUCKET, "copy") == CONTENT
    return transfers.client.head_object(COPY)


@pytest.mark.parametrize("way", WAYS)
def test_metadata_and_tags_go_along_and_the_acl_does_not(transfers: Transfers, way: str) -> None:
    made = copy(transfers, way)

    assert (made.content_type, made.metadata) == ("text/csv", {"who": "me"})
    assert (made.headers["cache-control"], made.headers["x-oss-storage-class"]) == ("no-cache", "IA")
    assert transfers.client.get_object_tagging(COPY) == {"team": "data eng", "x": ""}
    assert transfers.client.get_object_acl(COPY) == "default"


@pytest.mark.parametrize("way", WAYS)
def test_metadata_and_tags_are_replaced_where_that_is_asked_for(transfers: Transfers, way: str) -> None:
    made = copy(
        transfers, way,
        {"metadata_directive": "replace", "content_type": "text/plain", "metadata": {"by": "us"},
         "tagging_directive": "replace", "tags": {"a": "b"}},
    )  # fmt: skip

    assert (made.content_type, made.metadata) == ("text/plain", {"by": "us"})
    assert "cache-control" not in made.headers
    assert transfers.client.get_object_tagging(COPY) == {"a": "b"}


@pytest.mark.parametrize("way", WAYS)
def test_tags_that_are_replaced_by_none_are_gone(transfers: Transfers, way: str) -> None:
    copy(transfers, way, {"tagging_directive": "replace"})

    assert transfers.client.get_object_tagging(COPY) == {}
    assert transfers.calls("GetObjectTagging") == 1  # the test's own


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("acl", "has"), [("copy", "public-read"), ("private", "private")])
def test_the_acl_is_the_source_s_or_what_is_given(transfers: Transfers, way: str, acl: Any, has: str) -> None:
    copy(transfers, way, {"acl": acl})

    assert transfers.client.get_object_acl(COPY) == has


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_that_is_there_already_with_all_of_it_is_skipped(transfers: Transfers, way: str) -> None:
    copy(transfers, way, {"acl": "copy"})

    options: CopyOptions = {"storage_class": "IA", "acl": "copy"}
    again = transfers.copy(
        "source", properties=copied_properties("copy", options), if_exists="skip_if_same", **OF_WAY[way]
    )
    other = transfers.copy(
        "source", properties=copied_properties("copy", {**options, "acl": "private"}), if_exists="skip_if_same",
        **OF_WAY[way],
    )  # fmt: skip

    assert (again.outcome, other.outcome) == ("skipped", "transferred")


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_object_is_copied_with_its_properties(transfers: Transfers, way: str) -> None:
    transfers.oss.put(BUCKET, "source", b"", x_oss_meta_who="me")

    result = transfers.copy("source", **OF_WAY[way])

    assert (result.size, transfers.oss.object(BUCKET, "copy")) == (0, b"")
    assert transfers.client.head_object(COPY).metadata == {"who": "me"}


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_each_request_names_the_version_that_was_found(transfers: Transfers, way: str) -> None:
    transfers.oss.keep_versions(BUCKET)
    transfers.oss.put(BUCKET, "source", CONTENT)
    version = transfers.client.head_object(ObjectRef(BUCKET, "source")).version_id

    def overwrite(request: Request) -> None:
        if request.operation in (OPERATION[way], "GetObject"):
            transfers.oss.on_request = None
            transfers.oss.put(BUCKET, "source", some_bytes(3 * PART, seed=2))

    transfers.oss.on_request = overwrite

    made = copy(transfers, way)

    assert made.version_id
    if "worker" in way:
        assert {request.query["versionId"] for request in transfers.oss.calls("GetObject")} == {version}
    else:
        sources = {request.headers["x-oss-copy-source"] for request in transfers.oss.calls(OPERATION[way])}
        assert sources == {f"/{BUCKET}/source?versionId={version}"}


@pytest.mark.parametrize("way", WAYS)
def test_an_older_version_is_copied_where_it_is_named(transfers: Transfers, way: str) -> None:
    transfers.oss.keep_versions(BUCKET)
    transfers.oss.put(BUCKET, "source", CONTENT)
    version = transfers.client.head_object(ObjectRef(BUCKET, "source")).version_id
    transfers.oss.put(BUCKET, "source", b"newer")

    copy(transfers, way, version_id=version)


# --- onto itself ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["one request", "parts"])
def test_a_copy_onto_itself_changes_what_is_replaced_and_keeps_the_rest(transfers: Transfers, way: str) -> None:
    properties = copied_properties("source", {"storage_class": "IA"})

    result = transfers.copy("source", key="source", properties=properties, **OF_WAY[way])

    source = ObjectRef(BUCKET, "source")
    made = transfers.client.head_object(source)
    assert (result.outcome, transfers.oss.object(BUCKET, "source")) == ("transferred", CONTENT)
    assert (made.headers["x-oss-storage-class"], made.metadata, made.content_type) == ("IA", {"who": "me"}, "text/csv")
    assert transfers.client.get_object_tagging(source) == {"team": "data eng", "x": ""}
    assert transfers.client.get_object_acl(source) == "public-read"


def test_an_older_version_becomes_the_current_one(transfers: Transfers) -> None:
    transfers.oss.keep_versions(BUCKET)
    transfers.oss.put(BUCKET, "source", CONTENT)
    version = transfers.client.head_object(ObjectRef(BUCKET, "source")).version_id
    transfers.oss.put(BUCKET, "source", b"newer")

    transfers.copy("source", key="source", version_id=version)

    assert transfers.oss.object(BUCKET, "source") == CONTENT


@pytest.mark.parametrize("mode", ["server", "stream"])
def test_a_copy_onto_itself_that_changes_nothing_is_refused_before_anything_is_sent(
    transfers: Transfers, mode: str
) -> None:
    with pytest.raises(NotCopyable) as raised:
        transfers.copy("source", key="source", mode=mode)

    assert (raised.value.reason, raised.value.retryable) == ("itself", False)
    assert [request.operation for request in transfers.oss.requests] == ["HeadObject"]
