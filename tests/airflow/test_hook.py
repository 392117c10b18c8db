"""The hook, outside a task: objects, listings, URLs and transfers, against the local OSS server."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_ossresume.errors import (
    AccessDenied,
    AlreadyExists,
    ArgumentError,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NotCopyable,
    OSSResumeError,
    ServiceError,
)
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.parts import MIB
from airflow_provider_ossresume.operators.copy import OSSCopyObjectOperator
from airflow_provider_ossresume.operators.oss import OSSResumableDownloadOperator, OSSResumableUploadOperator
from airflow_provider_ossresume.sensors.oss import OSSObjectSensor
from tests.world import BUCKET, PART, a_file, some_bytes

CONFIG = {"part_size": PART, "multipart_threshold": PART, "max_concurrency": 1, "part_retries": 0}
DENIED = Fault("status", status=403, code="AccessDenied")
DOWN = Fault("status", status=503, code="ServiceUnavailable")
AWKWARD = "a b+c%20/..//日本語 😀?x=1&y#z"


@pytest.fixture
def hook(connected: LocalOSS) -> OSSResumeHook:
    return OSSResumeHook(transfer_config=CONFIG)


# --- nothing happens before it is asked for ---------------------------------------------------------------------------


@pytest.mark.usefixtures("database")
def test_making_a_hook_looks_nothing_up() -> None:
    hook = OSSResumeHook("no_such_connection", region="{{ region }}", transfer_config={"nonsense": 1})

    with pytest.raises(ArgumentError, match="no_such_connection"):
        _ = hook.settings


@pytest.mark.parametrize(
    "make",
    [
        lambda: OSSResumableUploadOperator(
            task_id="t", file="/no/such/file", key="{{ key }}", bucket_name="{{ b }}", oss_conn_id="no_such_connection",
            checkpoint="{{ home }}", transfer_config="{{ config }}", if_exists="{{ x }}", source_changed="{{ y }}",
        ),
        lambda: OSSResumableDownloadOperator(
            task_id="t", key="{{ key }}", file="/no/such/folder/file", oss_conn_id="no_such_connection",
            checkpoint="nonsense", transfer_config={"part_size": "{{ size }}"}, if_exists="{{ x }}",
        ),
        lambda: OSSCopyObjectOperator(
            task_id="t", source="{{ key }}", target="", source_conn_id="nor_this_one", oss_conn_id="no_such_connection",
            copy_mode="{{ mode }}", metadata="{{ m }}", tags="{{ tags }}", expires="{{ x }}", checkpoint="nonsense",
        ),
        lambda: OSSObjectSensor(task_id="t", bucket_key=["{{ key }}", ""], oss_conn_id="no_such_connection"),
    ],
    ids=["upload", "download", "copy", "sensor"],
)  # fmt: skip
def test_making_an_operator_looks_nothing_up_and_judges_nothing(make: Callable[[], Any]) -> None:
    assert make().oss_conn_id == "no_such_connection"


# --- which object -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("oss://bucket/key", ("bucket", "key")),
        ("oss://bucket/a/b?c#d%20e", ("bucket", "a/b?c#d%20e")),
        ("oss://bucket//a", ("bucket", "/a")),
        ("oss://bucket/日本 語\n", ("bucket", "日本 語\n")),
        ("oss://bucket/", ("bucket", "")),
        ("oss://bucket", ("bucket", "")),
    ],
)
def test_a_url_is_taken_as_it_stands(url: str, parsed: tuple[str, str]) -> None:
    assert OSSResumeHook.parse_oss_url(url) == parsed


@pytest.mark.parametrize("url", ["", "bucket/key", "s3://bucket/key", "OSS://bucket/key", "oss:///key", "oss:/b/key"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ArgumentError, match="give an OSS URL such as oss://bucket/key"):
        OSSResumeHook.parse_oss_url(url)


def test_a_bucket_is_named_by_the_url_then_the_argument_then_the_connection(connections: Any) -> None:
    connections.add(login="an-id", password="a-secret", schema="of-connection", extra={"region": "cn-hangzhou"})
    hook = OSSResumeHook()

    assert hook.target("oss://of-url/key").uri == "oss://of-url/key"
    assert hook.target("oss://of-url/key", "of-url").uri == "oss://of-url/key"
    assert hook.target("key", "of-argument").uri == "oss://of-argument/key"
    assert hook.target("key").uri == "oss://of-connection/key"


def test_a_bucket_that_is_named_needs_no_connection() -> None:
    assert OSSResumeHook("no_such_connection").target("oss://bucket/key") == ObjectRef("bucket", "key")
    assert OSSResumeHook("no_such_connection").target("key", "bucket", version_id="v").version_id == "v"


NAMES: list[tuple[str, str | None, str, str]] = [
    ("oss://one/key", "other", "bucket_name", "has the bucket 'one'; leave one of the two out"),
    ("key", None, "bucket_name", "in an oss:// URL, or in the connection's Bucket field"),
    ("key", "Bucket", "bucket_name", "3 to 63 of a-z, 0-9 and '-'"),
    ("key", "ab", "bucket_name", "3 to 63"),
    ("key", "b" * 64, "bucket_name", "3 to 63"),
    ("key", "-bucket", "bucket_name", "no '-' at either end"),
    ("key", "buc_ket", "bucket_name", "3 to 63"),
    ("key", "buc.ket", "bucket_name", "3 to 63"),
    ("key", "bucket\n", "bucket_name", "3 to 63"),
    ("oss://Bucket/key", None, "bucket_name", "3 to 63"),
    ("oss:///key", None, "key", "give an OSS URL such as oss://bucket/key"),
    ("key", "", "bucket_name", "it is empty, perhaps because a template rendered to nothing"),
    ("oss://bucket", None, "key", "the key is empty, perhaps because a template rendered to nothing"),
    ("", BUCKET, "key", "the key is empty, perhaps because a template rendered to nothing"),
    ("['a']", BUCKET, "key", "turned a list into this string"),
    ("k" * 1024, BUCKET, "key", "this one has 1024"),
    ("語" * 342, BUCKET, "key", "this one has 1026"),
    ("/key", BUCKET, "key", "cannot start with '/'"),
    ("\\key", BUCKET, "key", "cannot start with '/'"),
    ("a\x00b", BUCKET, "key", "OSS keys cannot contain a NUL"),
    ("a\ud800b", BUCKET, "key", "not valid Unicode"),
]

ASKING: dict[str, Callable[[OSSResumeHook, str, str | None], Any]] = {
    "head_object": lambda hook, key, bucket: hook.head_object(key, bucket),
    "object_exists": lambda hook, key, bucket: hook.object_exists(key, bucket),
    "delete_objects": lambda hook, key, bucket: hook.delete_objects(key, bucket),
    "copy_object": lambda hook, key, bucket: hook.copy_object("oss://bucket/key", key, dest_bucket_name=bucket),
    "copy_object from": lambda hook, key, bucket: hook.copy_object(key, "oss://bucket/key", source_bucket_name=bucket),
    "abort_multipart_upload": lambda hook, key, bucket: hook.abort_multipart_upload(key, "an-id", bucket),
    "generate_presigned_url": lambda hook, key, bucket: hook.generate_presigned_url(key, bucket),
    "upload_file": lambda hook, key, bucket: hook.upload_file(__file__, key, bucket, checkpoint="memory"),
    "download_file": lambda hook, key, bucket: hook.download_file(key, "/nowhere/at/all", bucket, checkpoint="memory"),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_a_name_that_oss_forbids_is_refused_before_anything_is_sent(
    hook: OSSResumeHook, connected: LocalOSS, ask: Callable[[OSSResumeHook, str, str | None], Any]
) -> None:
    for key, bucket, argument, says in NAMES:
        with pytest.raises(ArgumentError) as error:
            ask(hook, key, bucket)
        of = "source_" if ask is ASKING["copy_object from"] else ""
        assert (error.value.argument, error.value.retryable) == (of + argument, False), (key, bucket)
        assert says in str(error.value), (key, bucket)
        assert str(error.value).startswith(f"{of}{argument}={error.value.value!r}: ")

    assert connected.requests == []


def test_a_bucket_that_oss_forbids_is_refused_by_listings_too(hook: OSSResumeHook, connected: LocalOSS) -> None:
    for ask in (hook.list_keys, hook.list_multipart_uploads):
        with pytest.raises(ArgumentError, match="bucket_name='No'"):
            ask("No")
        with pytest.raises(ArgumentError, match="bucket_name=None: name the bucket"):
            ask()

    assert connected.requests == []


# --- objects ----------------------------------------------------------------------------------------------------------


def test_head_tells_what_oss_knows(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.put(BUCKET, AWKWARD, b"hello", content_type="text/plain", x_oss_meta_who="wir")

    meta = hook.head_object(AWKWARD, BUCKET)

    assert (meta.size, meta.content_type, meta.metadata) == (5, "text/plain", {"who": "wir"})
    assert meta.crc64 is not None
    assert meta.etag
    assert hook.head_object(f"oss://{BUCKET}/{AWKWARD}").etag == meta.etag


def test_an_object_exists_or_not(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.put(BUCKET, "here", b"")

    assert hook.object_exists("here", BUCKET) is True
    assert hook.object_exists("gone", BUCKET) is False


@pytest.mark.parametrize(
    ("bucket", "fault", "error"),
    [
        ("no-such-bucket", None, NoSuchBucket),
        (BUCKET, DENIED, AccessDenied),
        (BUCKET, Fault("status", status=403, code="SignatureDoesNotMatch"), AccessDenied),
        (BUCKET, Fault("status", status=400, code="InvalidArgument"), ServiceError),
        (BUCKET, Fault("status", status=404, code="NoSuchBucket"), NoSuchBucket),
        (BUCKET, Fault("status", status=404, code="SymlinkTargetNotExist"), ServiceError),
        (BUCKET, DOWN, ServiceError),
    ],
)
def test_whatever_else_than_a_missing_key_is_an_error(
    hook: OSSResumeHook, connected: LocalOSS, bucket: str, fault: Fault | None, error: type[OSSResumeError]
) -> None:
    connected.put(BUCKET, "key", b"bytes")
    if fault:
        connected.fail("HeadObject", fault=fault, times=None)

    with pytest.raises(error):
        hook.object_exists("key", bucket)


def test_keys_are_listed_in_their_order_page_by_page(hook: OSSResumeHook, connected: LocalOSS) -> None:
    many = [f"many/{number:04}" for number in range(1005)]
    keys = sorted([AWKWARD, "b/1", "b/2", "b/2/x", "c", *many], key=str.encode)
    for key in keys:
        connected.put(BUCKET, key, b"")

    assert hook.list_keys(BUCKET) == keys
    assert len(connected.calls("ListObjectsV2")) == 2
    assert hook.list_keys(BUCKET, prefix="b/") == ["b/1", "b/2", "b/2/x"]
    assert hook.list_keys(BUCKET, prefix="b/", delimiter="/") == ["b/1", "b/2"]
    assert hook.list_keys(BUCKET, prefix="b/", start_after_key="b/1") == ["b/2", "b/2/x"]
    assert hook.list_keys(BUCKET, prefix="nothing") == []
    with pytest.raises(NoSuchBucket):
        hook.list_keys("no-such-bucket")


def test_deleting_one_several_and_none(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.create_bucket("other")
    for bucket, key in ((BUCKET, "a"), (BUCKET, AWKWARD), (BUCKET, "stays"), ("other", "a")):
        connected.put(bucket, key, b"")

    assert hook.delete_objects("a", BUCKET) == ["a"]
    assert sorted(hook.delete_objects([AWKWARD, "never was"], BUCKET)) == sorted([AWKWARD, "never was"])
    assert hook.delete_objects([f"oss://{BUCKET}/x", "oss://other/a"]) == ["x", "a"]
    assert hook.delete_objects([], BUCKET) == []

    assert (connected.objects(BUCKET), connected.objects("other")) == (["stays"], [])


def test_what_is_listed_is_what_is_deleted_also_where_a_key_looks_like_a_url(
    hook: OSSResumeHook, connected: LocalOSS
) -> None:
    keys = ["a", f"oss://{BUCKET}/a", "oss://other/a"]
    for key in keys:
        connected.put(BUCKET, key, b"")
    upload_id = hook.get_conn().initiate(ObjectRef(BUCKET, keys[1]))

    assert hook.list_keys(BUCKET, prefix=f"oss://{BUCKET}/a") == ["a"]
    assert (
        list(hook.iterate_keys(None, BUCKET))
        == hook.list_keys(BUCKET)
        == ["a", *(f"oss://{BUCKET}/{k}" for k in keys[1:])]
    )
    assert [found.key for found in hook.find_objects(hook.prefix(f"oss://{BUCKET}/oss://"))] == keys[1:]
    [listed] = hook.list_multipart_uploads(prefix=f"oss://{BUCKET}/oss://")
    hook.abort_multipart_upload(listed.target, listed.upload_id)
    hook.delete_objects(hook.list_keys(prefix=f"oss://{BUCKET}/oss://"), BUCKET)

    assert (upload_id, connected.uploads(BUCKET)) == (listed.upload_id, [])
    assert connected.objects(BUCKET) == ["a"]


def test_what_is_resolved_is_checked_once_more_before_anything_is_deleted(
    hook: OSSResumeHook, connected: LocalOSS
) -> None:
    connected.create_bucket("empty-bucket")
    connected.put(BUCKET, "key", b"")
    old = ObjectRef(BUCKET, "key", version_id="an-old-one")
    for delete in (
        lambda: hook.abort_multipart_upload(ObjectRef("empty-bucket", ""), "an-id"),
        lambda: hook.generate_presigned_url(ObjectRef("empty-bucket", ""), method="DELETE"),
        lambda: hook.delete_objects(ObjectRef(BUCKET, "key"), "empty-bucket"),
        lambda: hook.delete_objects(old),
        lambda: hook.delete_many([old]),
        lambda: hook.abort_multipart_upload(old, "an-id"),
        lambda: hook.delete_objects(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(ArgumentError):
            delete()

    assert connected.objects(BUCKET) == ["key"]
    assert connected.objects("empty-bucket") == []


@pytest.mark.parametrize("upload_id", ["", " ", None])
def test_no_upload_is_aborted_without_an_upload_id(hook: OSSResumeHook, connected: LocalOSS, upload_id: Any) -> None:
    connected.put(BUCKET, "key", b"")
    with pytest.raises(ArgumentError, match="upload_id"):
        hook.abort_multipart_upload("key", upload_id, BUCKET)
    assert connected.objects(BUCKET) == ["key"]


def test_a_copy_is_equal(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.create_bucket("other")
    connected.put(BUCKET, AWKWARD, b"hello", content_type="text/x-special")

    result = hook.copy_object(AWKWARD, f"oss://other/{AWKWARD}", source_bucket_name=BUCKET, checkpoint="memory")

    assert connected.object("other", AWKWARD) == b"hello"
    copied = hook.head_object(AWKWARD, "other")
    assert (copied.etag, copied.crc64, copied.content_type) == (result.etag, result.crc64, "text/x-special")
    assert (result.target.uri, result.path) == (f"oss://other/{AWKWARD}", f"oss://{BUCKET}/{AWKWARD}")
    with pytest.raises(NoSuchKey):
        hook.copy_object("gone", "new", source_bucket_name=BUCKET, dest_bucket_name=BUCKET)


def test_a_copy_outside_a_task_goes_on_where_the_last_process_ended(
    hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path
) -> None:
    connected.put_zeros(BUCKET, "key", 300 * MIB)
    folder = tmp_path / "checkpoints"
    options: Any = {"source_bucket_name": BUCKET, "checkpoint": f"file:{folder}", "storage_class": "IA"}
    hook = OSSResumeHook(transfer_config={"max_concurrency": 1, "part_retries": 0})
    connected.fail("UploadPartCopy", nth=4, fault=DOWN)
    with pytest.raises(ServiceError):
        hook.copy_object("key", f"oss://{BUCKET}/copy", **options)
    seen: list[tuple[int, int]] = []

    result = hook.copy_object(
        "key", f"oss://{BUCKET}/copy", progress_callback=lambda done, total: seen.append((done, total)), **options
    )

    assert (result.parts_kept, result.parts_sent, result.bytes_moved) == (3, 2, 0)
    assert (seen[0], seen[-1]) == ((192 * MIB, 300 * MIB), (300 * MIB, 300 * MIB))
    assert hook.head_object("copy", BUCKET).crc64 == result.crc64
    assert list(folder.iterdir()) == []


def test_a_copy_reads_with_the_hook_that_it_is_given(connected: LocalOSS, connections: Any) -> None:
    with LocalOSS(access_key_id="another", access_key_secret="another-secret", region="cn-beijing") as elsewhere:
        connections.add_text("elsewhere", elsewhere.airflow_connection())
        elsewhere.put(BUCKET, "key", b"hello")
        options: Any = {"source_hook": OSSResumeHook("elsewhere"), "checkpoint": "memory"}

        with pytest.raises(NotCopyable, match=r"cn-beijing .* cn-hangzhou, .*set copy_mode='stream'"):
            OSSResumeHook().copy_object(f"oss://{BUCKET}/key", f"oss://{BUCKET}/copy", **options)
        OSSResumeHook().copy_object(f"oss://{BUCKET}/key", f"oss://{BUCKET}/copy", copy_mode="stream", **options)

    assert connected.object(BUCKET, "copy") == b"hello"


def test_what_counts_for_each_request_of_a_copy_goes_with_each(hook: OSSResumeHook, connected: LocalOSS) -> None:
    connected.put(BUCKET, "key", b"hello")

    hook.copy_object(
        "key", "copy", source_bucket_name=BUCKET, dest_bucket_name=BUCKET, checkpoint="memory",
        request_payer="requester", traffic_limit=8388608,
    )  # fmt: skip

    assert [request.operation for request in connected.requests] == ["HeadObject", "CopyObject"]
    for request in connected.requests:
        assert request.headers["x-oss-request-payer"] == "requester"


def test_an_object_that_a_listing_returned_may_be_copied_as_it_is(hook: OSSResumeHook, connected: LocalOSS) -> None:
    key = "oss://looks/like a url"
    connected.put(BUCKET, key, b"hello")
    [found] = hook.find_objects(hook.prefix(None, BUCKET))

    hook.copy_object(found, ObjectRef(BUCKET, "copy"), checkpoint="memory")

    assert connected.object(BUCKET, "copy") == b"hello"


def test_unfinished_uploads_are_listed_and_aborted(hook: OSSResumeHook, connected: LocalOSS) -> None:
    client = hook.get_conn()
    ids = {key: client.initiate(ObjectRef(BUCKET, key)) for key in (AWKWARD, "b", "c/1")}

    listed = hook.list_multipart_uploads(BUCKET)

    assert {upload.key: upload.upload_id for upload in listed} == ids
    assert all(upload.initiated for upload in listed)
    assert [upload.key for upload in hook.list_multipart_uploads(BUCKET, prefix="c/")] == ["c/1"]

    hook.abort_multipart_upload(AWKWARD, ids[AWKWARD], BUCKET)
    hook.abort_multipart_upload(f"oss://{BUCKET}/b", ids["b"])

    assert connected.uploads(BUCKET) == [("c/1", ids["c/1"])]
    with pytest.raises(NoSuchUpload):
        hook.abort_multipart_upload("b", ids["b"], BUCKET)


# --- presigned URLs ---------------------------------------------------------------------------------------------------


def test_whoever_has_a_url_may_do_one_thing(hook: OSSResumeHook, connected: LocalOSS) -> None:
    put = hook.generate_presigned_url(AWKWARD, BUCKET, method="put", expires=60)
    assert requests.put(put, data=b"hello", timeout=60).status_code == 200
    assert connected.object(BUCKET, AWKWARD) == b"hello"

    get = hook.generate_presigned_url(AWKWARD, BUCKET)
    assert requests.get(get, timeout=60).content == b"hello"
    assert requests.put(get, data=b"other", timeout=60).status_code == 403

    head = hook.generate_presigned_url(f"oss://{BUCKET}/{AWKWARD}", method="HEAD")
    assert requests.head(head, timeout=60).headers["Content-Length"] == "5"

    delete = hook.generate_presigned_url(AWKWARD, BUCKET, method="DELETE")
    assert requests.delete(delete, timeout=60).status_code == 204
    assert connected.objects(BUCKET) == []


def test_a_url_carries_the_sts_token_and_no_secret(connections: Any) -> None:
    with LocalOSS(security_token="a/token+x=") as oss:
        connections.add_text("oss_default", oss.airflow_connection())
        oss.put(BUCKET, "key", b"hello")

        url = OSSResumeHook().generate_presigned_url("key", BUCKET)

        assert requests.get(url, timeout=60).content == b"hello"
        assert oss.access_key_secret not in url


def test_a_url_is_over_when_its_time_is(connections: Any) -> None:
    now = [1_700_000_000.0]
    with LocalOSS(clock=lambda: now[0]) as oss:
        connections.add_text("oss_default", oss.airflow_connection())
        oss.put(BUCKET, "key", b"hello")
        hook = OSSResumeHook()
        hook.head_object("key", BUCKET)  # learns the server's time

        url = hook.generate_presigned_url("key", BUCKET, expires=60)
        assert requests.get(url, timeout=60).status_code == 200
        now[0] += 61

        assert requests.get(url, timeout=60).status_code == 403


@pytest.mark.parametrize("expires", [0, -1, "soon", "8d", 7 * 24 * 3600 + 1])
def test_a_url_for_a_time_that_oss_refuses_is_refused(hook: OSSResumeHook, expires: Any) -> None:
    with pytest.raises(ArgumentError, match=r"expires=.*: give (1 to 604800 seconds|a duration)"):
        hook.generate_presigned_url("key", BUCKET, expires=expires)


@pytest.mark.parametrize("method", ["FROB", "", "GET /other", "LIST"])
def test_a_url_for_a_method_that_oss_has_not_is_refused(connected: LocalOSS, method: str) -> None:
    with pytest.raises(ArgumentError, match=f"method={method!r}.*GET, HEAD, PUT or DELETE"):
        OSSResumeHook().generate_presigned_url("key", BUCKET, method=method)


# --- transfers --------------------------------------------------------------------------------------------------------


def test_a_file_goes_up_and_comes_down_with_its_type_and_metadata(
    hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path
) -> None:
    source, target = a_file(tmp_path, size=3 * PART + 17), tmp_path / "new" / "folder" / "target"

    up = hook.upload_file(
        source, "a/b.csv", BUCKET,
        checkpoint="memory", metadata={"who": "wir äöü"}, headers={"x-oss-storage-class": "IA"},
    )  # fmt: skip
    down = hook.download_file("a/b.csv", target, BUCKET, checkpoint="memory")

    assert target.read_bytes() == source.read_bytes()
    assert (up.parts_sent, down.parts_sent, up.crc64, up.etag) == (4, 4, down.crc64, down.etag)
    meta = hook.head_object("a/b.csv", BUCKET)
    assert (meta.content_type, meta.metadata) == ("text/csv", {"who": "wir äöü"})
    assert meta.headers["x-oss-storage-class"] == "IA"


def test_what_counts_for_each_request_goes_with_each(hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path) -> None:
    source = a_file(tmp_path, size=3 * PART)
    options: Any = {"checkpoint": "memory", "request_payer": "requester", "traffic_limit": "8388608"}

    hook.upload_file(source, "key", BUCKET, **options)
    for _ in range(2):
        hook.download_file("key", tmp_path / "target", BUCKET, if_exists="skip_if_same", **options)

    assert {request.operation for request in connected.requests} == {
        "InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject", "GetObject",
    }  # fmt: skip
    for request in connected.requests:
        assert request.headers["x-oss-request-payer"] == "requester"
        assert request.headers["x-oss-traffic-limit"] == "8388608"


@pytest.mark.parametrize(
    ("key", "given", "content_type"),
    [
        ("a.json", None, "application/json"),
        ("a.csv.gz", None, "application/octet-stream"),
        ("a", None, "application/octet-stream"),
        ("a.json", "text/x-mine", "text/x-mine"),
    ],
)
def test_the_content_type_is_the_given_one_or_guessed(
    hook: OSSResumeHook, tmp_path: Path, key: str, given: str | None, content_type: str
) -> None:
    hook.upload_file(a_file(tmp_path, size=10), key, BUCKET, checkpoint="memory", content_type=given)

    assert hook.head_object(key, BUCKET).content_type == content_type


def test_an_upload_outside_a_task_goes_on_where_the_last_process_ended(
    hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path
) -> None:
    source, folder = a_file(tmp_path, size=5 * PART), tmp_path / "checkpoints"
    connected.fail("UploadPart", nth=4, fault=DOWN)
    with pytest.raises(ServiceError):
        hook.upload_file(source, "key", BUCKET, checkpoint=f"file:{folder}")
    assert len(list(folder.iterdir())) == 1

    result = OSSResumeHook(transfer_config=CONFIG).upload_file(source, "key", BUCKET, checkpoint=f"file:{folder}")

    assert (result.parts_kept, result.parts_sent, result.outcome) == (3, 2, "transferred")
    assert connected.object(BUCKET, "key") == source.read_bytes()
    assert list(folder.iterdir()) == []


def test_a_download_outside_a_task_goes_on_where_the_last_process_ended(
    hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path
) -> None:
    connected.put(BUCKET, "key", some_bytes(5 * PART))
    target, folder = tmp_path / "target", tmp_path / "checkpoints"
    connected.fail("GetObject", nth=4, fault=DOWN)
    with pytest.raises(ServiceError):
        hook.download_file("key", target, BUCKET, checkpoint=f"file:{folder}")
    assert not target.exists()

    result = OSSResumeHook(transfer_config=CONFIG).download_file("key", target, BUCKET, checkpoint=f"file:{folder}")

    assert (result.parts_kept, result.parts_sent) == (3, 2)
    assert target.read_bytes() == some_bytes(5 * PART)
    assert list(folder.iterdir()) == []


def test_outside_a_task_auto_is_a_file_under_the_users_home(
    hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    source = a_file(tmp_path)
    connected.fail("UploadPart", nth=2, fault=DOWN)

    with pytest.raises(ServiceError):
        hook.upload_file(source, "key", BUCKET)

    assert len(list((tmp_path / ".ossresume").iterdir())) == 1
    assert hook.upload_file(source, "key", BUCKET).parts_kept == 1


def test_two_files_for_one_key_do_not_share_a_checkpoint(
    hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path
) -> None:
    one, other = a_file(tmp_path, seed=1), a_file(tmp_path, seed=2, name="other")
    connected.fail_after("UploadPart", 1, DOWN)
    for source in (one, other):
        with pytest.raises(ServiceError):
            hook.upload_file(source, "key", BUCKET, checkpoint=f"file:{tmp_path / 'checkpoints'}")

    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_memory_checkpoint_is_gone_with_the_call(hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path) -> None:
    source = a_file(tmp_path)
    connected.fail("UploadPart", nth=4, fault=DOWN)
    with pytest.raises(ServiceError):
        hook.upload_file(source, "key", BUCKET, checkpoint="memory")

    assert hook.upload_file(source, "key", BUCKET, checkpoint="memory").parts_kept == 0


def test_a_progress_callback_ends_at_the_total(hook: OSSResumeHook, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    hook.upload_file(
        a_file(tmp_path), "key", BUCKET, checkpoint="memory",
        progress_callback=lambda done, total: seen.append((done, total)),
    )  # fmt: skip

    assert seen[-1] == (5 * PART, 5 * PART)
    assert seen == sorted(seen)


@pytest.mark.parametrize(("if_exists", "outcome"), [("skip", "skipped"), ("skip_if_same", "transferred")])
def test_what_is_there_decides_as_if_exists_says(
    hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path, if_exists: Any, outcome: str
) -> None:
    connected.put(BUCKET, "key", b"old")
    target = tmp_path / "target"
    target.write_bytes(b"another old")

    up = hook.upload_file(a_file(tmp_path), "key", BUCKET, checkpoint="memory", if_exists=if_exists)
    down = hook.download_file("key", target, BUCKET, checkpoint="memory", if_exists=if_exists)

    assert (up.outcome, down.outcome) == (outcome, outcome)
    assert (connected.object(BUCKET, "key") == b"old", target.read_bytes() == b"another old") == (
        (True, True) if if_exists == "skip" else (False, False)
    )


def test_if_exists_fail_leaves_what_is_there(hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path) -> None:
    connected.put(BUCKET, "key", b"old")
    target = tmp_path / "target"
    target.write_bytes(b"another old")

    with pytest.raises(AlreadyExists):
        hook.upload_file(a_file(tmp_path), "key", BUCKET, checkpoint="memory", if_exists="fail")
    with pytest.raises(ArgumentError, match=r"file=.*target.*it exists, and if_exists='fail'"):
        hook.download_file("key", target, BUCKET, checkpoint="memory", if_exists="fail")

    assert (connected.object(BUCKET, "key"), target.read_bytes()) == (b"old", b"another old")


# --- bad input --------------------------------------------------------------------------------------------------------

UPLOADS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"file": "{tmp}/missing"}, {}, "file", "no such file on this worker"),
    ({"file": "{tmp}"}, {}, "file", "it is a folder; name a file"),
    ({"file": "/dev/null"}, {}, "file", "not a regular file"),
    ({"file": "a\x00b"}, {}, "file", "cannot be read"),
    ({"if_exists": "replace"}, {}, "if_exists", "choose one of 'overwrite', 'skip', 'skip_if_same', 'fail'"),
    ({"source_changed": "ignore"}, {}, "source_changed", "choose one of 'restart', 'fail'"),
    ({"checkpoint": "redis"}, {}, "checkpoint", "choose one of auto"),
    ({"checkpoint": "variable"}, {}, "checkpoint", "use file or memory"),
    ({"metadata": {"who": "a\r\nEvil: 1"}}, {}, "metadata['who']", "cannot contain control characters"),
    ({"content_type": "text/plain\n"}, {}, "content_type", "cannot contain control characters"),
    ({"storage_class": "Cold"}, {}, "storage_class", "choose one of 'Standard'"),
    ({"tags": {"ü": ""}, "if_exists": "skip"}, {}, "tags", "tags can have only A-Z"),
    ({"acl": "private", "headers": {"X-Oss-Object-Acl": "private"}}, {}, "headers", "acl sets this header already"),
    ({"chunk_size": 1}, {}, "chunk_size", "unknown option; use one of request_payer"),
    ({}, {"part_size": "1KiB"}, "part_size", "100 KiB"),
    ({}, {"part_size": "6GiB"}, "part_size", "5 GiB"),
    ({}, {"part_size": "eight"}, "part_size", 'a string such as "64MiB"'),
    ({}, {"max_concurrency": 0}, "max_concurrency", "from 1 to 64"),
    ({}, {"max_concurrency": 65}, "max_concurrency", "from 1 to 64"),
    ({}, {"max_concurrency": 1.5}, "max_concurrency", "a whole number"),
    ({}, {"part_retries": -1}, "part_retries", "from 0 to 100"),
    ({}, {"connect_timeout": 0}, "connect_timeout", "from 0.001"),
    ({}, {"verify": "yes"}, "verify", "give true or false"),
    ({}, {"chunk_size": 1}, "transfer_config", "unknown field; the fields are checkpoint_interval"),
]


@pytest.mark.parametrize(("arguments", "config", "argument", "says"), UPLOADS)
def test_a_bad_argument_is_refused_before_any_byte_moves(
    connected: LocalOSS, tmp_path: Path, arguments: dict[str, Any], config: dict[str, Any], argument: str, says: str
) -> None:
    given = {"file": str(a_file(tmp_path)), "key": "key", "bucket_name": BUCKET, "checkpoint": "memory", **arguments}
    given["file"] = given["file"].replace("{tmp}", str(tmp_path))

    with pytest.raises(ArgumentError) as error:
        OSSResumeHook(transfer_config={**CONFIG, **config}).upload_file(**given)

    assert error.value.argument == argument
    assert str(error.value).startswith(f"{argument}={error.value.value!r}: ")
    assert says in str(error.value)
    assert connected.requests == []


@pytest.mark.parametrize("config", ["8MiB", 8, ["part_size"]])
def test_a_config_that_is_none_is_refused(connected: LocalOSS, config: Any) -> None:
    with pytest.raises(ArgumentError, match=r"transfer_config=.*give a TransferConfig or a dict of its fields"):
        OSSResumeHook(transfer_config=config).head_object("key", BUCKET)


@pytest.mark.parametrize(
    ("arguments", "argument", "says"),
    [
        ({"file": "{tmp}"}, "file", "folder"),
        ({"file": "{tmp}/file/target"}, "file", ""),
        ({"file": "{tmp}/absent/target", "create_parents": False}, "file", "create_parents"),
        ({"if_exists": "replace"}, "if_exists", "choose one of"),
        ({"object_changed": "ignore"}, "object_changed", "choose one of"),
        ({"request_payer": "owner"}, "request_payer", "choose one of 'requester'"),
        ({"traffic_limit": "fast"}, "traffic_limit", "give bits per second"),
        ({"checkpoint": "redis"}, "checkpoint", "choose one of auto"),
    ],
)
def test_a_bad_argument_of_a_download_is_refused_before_any_byte_moves(
    hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path, arguments: dict[str, Any], argument: str, says: str
) -> None:
    connected.put(BUCKET, "key", b"bytes")
    (tmp_path / "file").write_text("a file where a folder belongs")
    given = {"key": "key", "file": "{tmp}/target", "bucket_name": BUCKET, "checkpoint": "memory", **arguments}
    given["file"] = given["file"].replace("{tmp}", str(tmp_path))

    with pytest.raises(ArgumentError) as error:
        hook.download_file(**given)

    assert error.value.argument == argument
    assert str(error.value).startswith(f"{argument}={error.value.value!r}: ")
    assert says in str(error.value)
    assert connected.requests == []
    assert sorted(os.listdir(tmp_path)) == ["file"]


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"key": None}, "key"),
        ({"key": 7}, "key"),
        ({"key": ["a", "b"]}, "key"),
        ({"file": None}, "file"),
        ({"file": 7}, "file"),
        ({"bucket_name": 7}, "bucket_name"),
        ({"metadata": "{'who': 'we'}"}, "metadata"),
        ({"headers": ["x-oss-storage-class"]}, "headers"),
        ({"content_type": 7}, "content_type"),
    ],
)
def test_what_another_task_returned_by_mistake_is_one_clear_error(
    connected: LocalOSS, tmp_path: Path, arguments: dict[str, Any], argument: str
) -> None:
    """An XComArg whose task returned nothing is None; a rendered dict that is no native one is a text."""
    given = {"file": str(a_file(tmp_path)), "key": "key", "bucket_name": BUCKET, "checkpoint": "memory", **arguments}

    with pytest.raises(ArgumentError) as error:
        OSSResumeHook().upload_file(**given)

    assert error.value.argument == argument
    assert connected.requests == []


def test_a_file_that_may_not_be_read_is_named(hook: OSSResumeHook, tmp_path: Path) -> None:
    source = a_file(tmp_path)
    source.chmod(0)
    if os.access(source, os.R_OK):
        pytest.skip("root may read everything")

    with pytest.raises(ArgumentError, match=rf"file='{source}': the file cannot be read: .*Permission"):
        hook.upload_file(source, "key", BUCKET, checkpoint="memory")


@pytest.mark.parametrize("operation", ["upload", "download"])
def test_a_missing_bucket_or_permission_says_what_to_do(
    hook: OSSResumeHook, connected: LocalOSS, tmp_path: Path, operation: str
) -> None:
    def transfer(bucket: str) -> None:
        if operation == "upload":
            hook.upload_file(a_file(tmp_path), "key", bucket, checkpoint="memory")
        else:
            hook.download_file("key", tmp_path / "target", bucket, checkpoint="memory")

    with pytest.raises(NoSuchBucket, match="check the bucket's name, and that the endpoint is in its region"):
        transfer("no-such-bucket")
    connected.fail("*", fault=DENIED, times=None)
    with pytest.raises(AccessDenied, match="grant oss:") as error:
        transfer(BUCKET)

    assert not error.value.retryable
