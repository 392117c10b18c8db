"""A prefix as one end of a transfer of many files: what a scan finds of OSS's listing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_ossresume.errors import AccessDenied, BadAnswer, NoSuchBucket, PlanRefused, ServiceError
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Rule
from airflow_provider_ossresume.model.entries import Entry, LeftOut
from airflow_provider_ossresume.model.objects import PrefixRef
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.name_rules import PathNameRules
from airflow_provider_ossresume.sets.locations.oss_prefix import PAGE, OssPrefix
from airflow_provider_ossresume.sets.ports import ScanItem
from airflow_provider_ossresume.transfer.part_names import part_file_name
from tests.unit.raw_peer import Connection, RawPeer, an_answer
from tests.world import BUCKET, StopInRequest, a_client


def put(oss: LocalOSS, *keys: str, data: bytes = b"data", **headers: str) -> None:
    for key in keys:
        oss.put(BUCKET, key, b"" if key.endswith("/") else data, **headers)


def scan(
    oss: Any,
    prefix: str = "p/",
    *,
    is_source: bool = True,
    watch: Callable[[], None] = lambda: None,
    work_uri: str = "",
    to_folder: bool = False,
    **options: Any,
) -> list[ScanItem]:
    end = OssPrefix(a_client(oss), PrefixRef(BUCKET, prefix))
    names = PathNameRules(folds=False) if to_folder else None
    return list(end.scan(SetOptions(**options), is_source=is_source, watch=watch, names=names, work_uri=work_uri))


def names(found: list[ScanItem]) -> list[str]:
    return [each.name if isinstance(each, Entry) else f"!{each.reason} {each.name}" for each in found]


def refusal(oss: LocalOSS, **options: Any) -> dict[str, str]:
    with pytest.raises(PlanRefused) as caught:
        scan(oss, **options)
    return dict(caught.value.found)


# --- what is found ----------------------------------------------------------------------------------------------------


def test_objects_come_in_the_order_of_the_bytes_of_their_names(oss: LocalOSS) -> None:
    put(oss, "p/a/x", "p/a-b", "p/a0", "p/é", "p/\uffff", "p/\U00010000", "pq", "p", "o/x", "q/x")

    assert names(scan(oss)) == ["a-b", "a/x", "a0", "é", "\uffff", "\U00010000"]


@pytest.mark.parametrize(("prefix", "uri"), [("p", "p/"), ("p/", "p/"), ("", "")])
def test_a_prefix_is_that_of_a_folder(oss: LocalOSS, prefix: str, uri: str) -> None:
    put(oss, "p", "p/a", "pq/b")
    end = OssPrefix(a_client(oss), PrefixRef(BUCKET, prefix))

    assert end.uri == f"oss://{BUCKET}/{uri}"
    assert names(scan(oss, prefix)) == (["a"] if prefix else ["p", "p/a", "pq/b"])
    assert end.ref("x").uri == f"oss://{BUCKET}/{uri}x"


def test_an_entry_says_what_the_listing_says(oss: LocalOSS) -> None:
    put(oss, "p/a", data=b"12345", x_oss_storage_class="IA")

    [entry] = scan(oss)

    assert isinstance(entry, Entry)
    assert (entry.size, entry.kind, entry.storage_class) == (5, "Normal", "IA")
    assert entry.identity == "o:827CCB0EEA8A706C4C34A16891F84E7B"
    assert entry.modified is not None
    assert abs(entry.modified - datetime.now(timezone.utc).timestamp()) < 600


@pytest.mark.parametrize("count", [0, PAGE - 1, PAGE, PAGE + 1])
def test_all_pages_are_listed(oss: LocalOSS, count: int) -> None:
    put(oss, *(f"p/{number:05}" for number in range(count)))

    assert len(scan(oss)) == count


def test_the_watch_is_called_while_objects_are_taken(oss: LocalOSS) -> None:
    put(oss, *(f"p/{number:04}" for number in range(640)))
    calls: list[None] = []

    scan(oss, watch=lambda: calls.append(None))

    assert len(calls) >= 10


def test_a_stop_ends_a_listing_that_waits_for_its_answer(oss: LocalOSS) -> None:
    put(oss, "p/a")
    stop = StopInRequest(oss)

    with pytest.raises(Exception, match="the transfer was stopped"):
        scan(oss, watch=stop.watch)
    stop.let_go()


def test_a_scan_that_is_closed_leaves_no_thread(oss: LocalOSS) -> None:
    put(oss, "p/a", "p/b")
    before = set(threading.enumerate())
    found = OssPrefix(a_client(oss), PrefixRef(BUCKET, "p")).scan(SetOptions(), is_source=True, watch=lambda: None)
    next(found)
    found.close()  # type: ignore[attr-defined]

    assert not [each.name for each in set(threading.enumerate()) - before if each.name.startswith("ossresume-")]


# --- a listing that fails ---------------------------------------------------------------------------------------------


def test_a_listing_that_fails_in_its_middle_is_an_error_and_no_end(oss: LocalOSS) -> None:
    put(oss, *(f"p/{number:05}" for number in range(PAGE + 5)))
    oss.add_rule(Rule(Fault("status", status=500), "ListObjectsV2", nth=2, times=None))
    found = OssPrefix(a_client(oss), PrefixRef(BUCKET, "p")).scan(SetOptions(), is_source=False, watch=lambda: None)

    assert len([next(found) for _ in range(PAGE)]) == PAGE
    with pytest.raises(ServiceError, match="500"):
        next(found)


def test_a_page_that_fails_is_asked_for_again(oss: LocalOSS) -> None:
    put(oss, *(f"p/{number:05}" for number in range(PAGE + 5)))
    oss.add_rule(Rule(Fault("reset-answer", after_bytes=100), "ListObjectsV2", nth=2))

    assert len(scan(oss)) == PAGE + 5


def test_what_may_not_be_listed_is_no_empty_prefix(oss: LocalOSS) -> None:
    with pytest.raises(NoSuchBucket):
        list(OssPrefix(a_client(oss), PrefixRef("no-bucket")).scan(SetOptions(), is_source=False, watch=lambda: None))
    oss.add_rule(Rule(Fault("status", status=403, code="AccessDenied"), "ListObjectsV2"))
    with pytest.raises(AccessDenied):
        scan(oss, is_source=False)


@pytest.mark.parametrize(
    "keys", [("p/b", "p/a"), ("p/a", "p/a"), ("p/a/x", "p/a-b"), ("p/\U00010000", "p/\uffff"), ("q/a",)], ids=str
)
def test_a_listing_out_of_order_is_refused(keys: tuple[str, ...]) -> None:
    contents = "".join(f"<Contents><Key>{quote(key)}</Key><Size>1</Size><ETag>E</ETag></Contents>" for key in keys)
    xml = f"<ListBucketResult><EncodingType>url</EncodingType>{contents}</ListBucketResult>"

    def serve(connection: Connection) -> None:
        for _ in connection.requests():
            connection.say(an_answer(body=xml.encode()))

    with RawPeer(serve) as peer, pytest.raises(BadAnswer, match="the listing may be incomplete"):
        scan(
            SimpleNamespace(
                endpoint=peer.url, region="cn-hangzhou", access_key_id="id", access_key_secret="s", security_token=None
            )
        )


# --- what is left out -------------------------------------------------------------------------------------------------


def test_filters_leave_out_of_a_source_only(oss: LocalOSS) -> None:
    put(oss, "p/a.csv", "p/b.parquet", "p/_tmp/x.parquet")
    put(oss, "p/large.parquet", data=bytes(100))
    filters: dict[str, Any] = {"include": ["**/*.parquet"], "exclude": ["_tmp/**"], "max_size": 99}

    assert names(scan(oss, **filters)) == [
        "!filtered _tmp/x.parquet", "!filtered a.csv", "b.parquet", "!filtered large.parquet",
    ]  # fmt: skip
    assert names(scan(oss, is_source=False, **filters)) == ["_tmp/x.parquet", "a.csv", "b.parquet", "large.parquet"]


def test_keys_that_lead_out_of_a_folder_are_refused_by_name(oss: LocalOSS) -> None:
    put(oss, "p/../x", "p//x", "p/a/./b", "p/" + "x" * 256, "p/f", "p/f/x", "p/good")
    found = scan(oss, to_folder=True, bad_names="skip")

    assert [each.name for each in found if isinstance(each, Entry)] == ["f", "good"]
    assert list(refusal(oss, to_folder=True)) == ["../x", "/x", "a/./b", "f/x", "x" * 256]
    assert "f is a file" in refusal(oss, to_folder=True)["f/x"]
    assert [each.name for each in scan(oss) if isinstance(each, Entry)] == [
        "../x", "/x", "a/./b", "f", "f/x", "good", "x" * 256,
    ]  # fmt: skip


def test_markers_of_folders_are_counted_or_kept(oss: LocalOSS) -> None:
    put(oss, "p/", "p/a/", "p/a/x", "p/b/")

    assert names(scan(oss)) == ["!empty_folder a/", "a/x", "!empty_folder b/"]
    assert names(scan(oss, empty_folders="marker", to_folder=True)) == ["a/", "a/x", "b/"]
    assert names(scan(oss, is_source=False)) == ["a/x"]
    assert names(scan(oss, is_source=False, empty_folders="marker")) == ["a/", "a/x", "b/"]


def test_a_key_like_a_folders_that_has_bytes_is_no_folder(oss: LocalOSS) -> None:
    for key in ("p/", "p/a/"):
        oss.put(BUCKET, key, b"bytes")

    assert list(refusal(oss)) == ["/", "a/"]
    assert names(scan(oss, bad_names="skip", empty_folders="marker")) == ["!bad_name /", "!bad_name a/"]
    assert [each.place for each in scan(oss, bad_names="skip")] == [b"", b"a/"]
    assert names(scan(oss, is_source=False)) == ["a/"]


@pytest.mark.parametrize("is_source", [True, False])
def test_work_folders_and_part_files_are_no_part_of_a_set(oss: LocalOSS, is_source: bool) -> None:
    part_file = part_file_name("x", "a" * 40)
    put(oss, "p/.ossresume/plans/x", "p/a", "p/b/.ossresume/y", "p/work/plans/z", "p/work2", f"p/{part_file}")

    found = scan(oss, is_source=is_source, work_uri=f"oss://{BUCKET}/p/work/")

    assert [each.name for each in found if isinstance(each, Entry)] == ["a", "work2"]
    assert [each.reason for each in found if isinstance(each, LeftOut)] == (["part_file"] if is_source else [])


# --- links and archives -----------------------------------------------------------------------------------------------


def test_symbolic_links_are_refused_left_out_or_followed(oss: LocalOSS) -> None:
    put(oss, "elsewhere", data=b"12345")
    oss.link(BUCKET, "p/link", "elsewhere")
    put(oss, "p/z")

    assert list(refusal(oss)) == ["link"]
    assert names(scan(oss, symlinks="skip")) == ["!symlink link", "z"]
    link, _ = scan(oss, symlinks="follow", min_size=5, max_size=5)
    assert isinstance(link, Entry)
    assert (link.name, link.size, link.identity) == ("link", 5, "o:827CCB0EEA8A706C4C34A16891F84E7B")
    assert names(scan(oss, exclude=["link"])) == ["!filtered link", "z"]
    assert names(scan(oss, is_source=False)) == ["link", "z"]


def test_a_link_to_nothing_is_refused_though_links_are_followed(oss: LocalOSS) -> None:
    oss.link(BUCKET, "p/link", "absent")

    assert "does not exist" in refusal(oss, symlinks="follow")["link"]


@pytest.mark.parametrize("storage_class", ["Archive", "ColdArchive", "DeepColdArchive"])
def test_archived_objects_are_refused_or_left_out_until_they_are_restored(oss: LocalOSS, storage_class: str) -> None:
    put(oss, "p/a", "p/b", "p/c", x_oss_storage_class=storage_class)
    oss.restore(BUCKET, "p/b")
    oss.restore(BUCKET, "p/c", ongoing=True)

    found = refusal(oss)

    assert f"its storage class is {storage_class}; restore it first" in found["a"]
    assert "its restore has not finished" in found["c"]
    assert names(scan(oss, archived="skip")) == ["!archived a", "b", "!archived c"]
    assert names(scan(oss, exclude=["a", "c"])) == ["!filtered a", "b", "!filtered c"]
    assert names(scan(oss, is_source=False)) == ["a", "b", "c"]


def test_one_request_tells_whether_the_bucket_lets_archives_be_read(oss: LocalOSS) -> None:
    put(oss, "p/a", "p/b", x_oss_storage_class="Archive")

    scan(oss, archived="skip")

    assert len(oss.calls("GetObject")) == 1
