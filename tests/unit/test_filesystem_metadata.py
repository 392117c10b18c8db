"""What the filesystem tells of objects and directories: by few requests, and never by an old listing."""

from __future__ import annotations

from datetime import datetime
from urllib.request import urlopen

import pytest

from airflow_provider_ossresume.errors import ArgumentError, FileMissing
from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from tests.filesystem_world import a_filesystem
from tests.world import BUCKET

KEYS = ("a", "a-b", "d/1.txt", "d/2.csv", "d/e/3.txt", "d/e/f/4.txt", "d2/5.txt", "x/y//z", "x/y/")


@pytest.fixture
def fs(oss: LocalOSS) -> OSSFileSystem:
    for key in KEYS:
        oss.put(BUCKET, key, b"" if key.endswith("/") else key.encode())
    oss.clear_requests()
    return a_filesystem(oss)


def in_bucket(*keys: str) -> list[str]:
    return [f"{BUCKET}/{key}" for key in keys]


def operations(oss: LocalOSS) -> list[str]:
    return [request.operation for request in oss.requests]


def test_an_objects_info_has_what_others_look_for(fs: OSSFileSystem) -> None:
    info = fs.info(f"oss://{BUCKET}/d/1.txt")

    assert (info["name"], info["size"], info["type"]) == (f"{BUCKET}/d/1.txt", 7, "file")
    assert isinstance(info["LastModified"], datetime)
    assert info["mtime"] == info["LastModified"].timestamp()
    assert fs.created(f"{BUCKET}/d/1.txt") == fs.modified(f"{BUCKET}/d/1.txt") == info["LastModified"]
    assert fs.ukey(f"{BUCKET}/d/1.txt") == fs.checksum(f"{BUCKET}/d/1.txt") == info["ETag"]
    assert fs.ls(f"{BUCKET}/d/1.txt") == [info]
    assert fs.ls(f"{BUCKET}/d")[0] == info


def test_what_is_there_is_a_file_or_a_directory(fs: OSSFileSystem) -> None:
    for path, kind in {"a": "file", "d": "directory", "d/e": "directory", "x/y": "directory", "": "directory"}.items():
        assert fs.info(f"{BUCKET}/{path}")["type"] == kind
        assert (fs.isfile(f"{BUCKET}/{path}"), fs.isdir(f"{BUCKET}/{path}")) == (kind == "file", kind == "directory")
    for path in ("d/", "d//", f"oss://{BUCKET}/d/", f"/{BUCKET}/d"):
        assert fs.exists(path if BUCKET in path else f"{BUCKET}/{path}")
    for path in ("no", "d/1.txt/2", "d/1", "a-"):
        assert not fs.exists(f"{BUCKET}/{path}")
        with pytest.raises(FileMissing):
            fs.info(f"{BUCKET}/{path}")
        with pytest.raises(FileNotFoundError):
            fs.ls(f"{BUCKET}/{path}")


def test_a_directory_is_listed_by_one_request(fs: OSSFileSystem, oss: LocalOSS) -> None:
    assert fs.ls(BUCKET, detail=False) == in_bucket("a", "a-b", "d", "d2", "x")
    assert fs.ls(f"{BUCKET}/d", detail=False) == in_bucket("d/1.txt", "d/2.csv", "d/e")
    assert operations(oss) == ["ListObjectsV2"] * 2
    assert fs.ls(f"{BUCKET}/x/y", detail=False) == in_bucket("x/y/")


def test_the_root_is_the_accounts_buckets(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.create_bucket("another-bucket")

    assert fs.ls("", detail=False) == ["another-bucket", BUCKET]
    assert fs.ls("oss://", detail=False) == ["another-bucket", BUCKET]
    assert fs.ls("another-bucket") == []
    assert fs.isdir("another-bucket")
    assert not fs.exists("no-such-bucket")
    with pytest.raises(FileNotFoundError):
        fs.ls("no-such-bucket")


def test_all_below_a_directory_is_found_by_a_thousand_a_request(fs: OSSFileSystem, oss: LocalOSS) -> None:
    below = in_bucket("d/1.txt", "d/2.csv", "d/e/3.txt", "d/e/f/4.txt")
    assert fs.find(f"{BUCKET}/d") == below
    assert operations(oss) == ["ListObjectsV2"]
    assert fs.find(f"{BUCKET}/d", withdirs=True) == sorted(in_bucket("d", "d/e", "d/e/f") + below)
    assert fs.find(f"{BUCKET}/d", maxdepth=1) == below[:2]
    assert fs.find(f"{BUCKET}/d", maxdepth=2) == below[:3]
    assert fs.find(f"{BUCKET}/d", maxdepth=1, withdirs=True) == sorted([*in_bucket("d", "d/e"), *below[:2]])
    assert fs.find(f"{BUCKET}/d", prefix="1") == below[:1]
    assert fs.find(f"{BUCKET}/a") == in_bucket("a")
    assert fs.find(f"{BUCKET}/no") == []
    assert fs.find(f"{BUCKET}/x") == in_bucket("x/y//z")
    assert {path: info["size"] for path, info in fs.find(f"{BUCKET}/d2", detail=True).items()} == {
        f"{BUCKET}/d2/5.txt": 8
    }


def test_more_than_a_page_is_listed_whole(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for number in range(1_203):
        oss.put(BUCKET, f"many/{number:04}", b"")

    assert len(fs.find(f"{BUCKET}/many")) == 1_203
    assert len(fs.ls(f"{BUCKET}/many", refresh=True)) == 1_203


def test_patterns_list_only_what_begins_as_they_do(fs: OSSFileSystem, oss: LocalOSS) -> None:
    assert fs.glob(f"{BUCKET}/d*/*.txt") == in_bucket("d/1.txt", "d2/5.txt")
    assert {request.query.get("prefix", "") for request in oss.requests} == {"d", "d/", "d2/"}
    assert fs.glob(f"{BUCKET}/d/**/*.txt") == in_bucket("d/1.txt", "d/e/3.txt", "d/e/f/4.txt")
    assert fs.glob(f"oss://{BUCKET}/[ab]*") == in_bucket("a", "a-b")
    assert fs.glob(f"{BUCKET}/a") == in_bucket("a")
    assert fs.glob(f"{BUCKET}/d/*/") == in_bucket("d/e")
    assert fs.glob(f"{BUCKET}/no*") == []
    assert fs.glob("buck*") == [BUCKET]


def test_walk_and_du_go_down(fs: OSSFileSystem, oss: LocalOSS) -> None:
    walked = [(path.removeprefix(f"{BUCKET}/"), dirs, files) for path, dirs, files in fs.walk(f"{BUCKET}/d")]
    assert list(fs.walk(f"{BUCKET}/no")) == []
    assert walked == [
        ("d", ["e"], ["1.txt", "2.csv"]),
        ("d/e", ["f"], ["3.txt"]),
        ("d/e/f", [], ["4.txt"]),
    ]
    oss.clear_requests()
    assert fs.du(f"{BUCKET}/d") == 7 + 7 + 9 + 11
    assert fs.du(f"{BUCKET}/d2", total=False) == {f"{BUCKET}/d2/5.txt": 8}
    assert operations(oss) == ["ListObjectsV2"] * 2


def test_a_signed_url_reads_the_object(fs: OSSFileSystem) -> None:
    with urlopen(fs.sign(f"{BUCKET}/d/1.txt", expiration=60)) as answer:
        assert answer.read() == b"d/1.txt"
    with pytest.raises(ArgumentError, match="expir"):
        fs.sign(f"{BUCKET}/d/1.txt", expiration=0)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_only_a_missing_object_does_not_exist(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.fail_after("HeadObject", 0, Fault("status", status=403, code="AccessDenied"))

    for ask in (fs.exists, fs.isfile, fs.isdir, fs.info):
        with pytest.raises(PermissionError):
            ask(f"{BUCKET}/d/1.txt")


def test_a_listing_that_fails_is_no_empty_directory(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.fail_after("ListObjectsV2", 0, Fault("status", status=403, code="AccessDenied"))

    for ask in (
        fs.ls,
        fs.find,
        fs.du,
        lambda path: fs.find(path, maxdepth=1),
        lambda path: fs.glob(f"{path}/*"),
        lambda path: list(fs.walk(path)),
    ):
        with pytest.raises(PermissionError):
            ask(f"{BUCKET}/d")  # type: ignore[operator]


@pytest.mark.parametrize("path", ["Bucket/key", "b/key", "a_b/key"])
def test_a_bucket_that_oss_does_not_allow_is_an_argument_error(fs: OSSFileSystem, path: str) -> None:
    with pytest.raises(ArgumentError, match="bucket"):
        fs.info(path)


# --- the cache --------------------------------------------------------------------------------------------------------


def test_a_listing_is_asked_for_once(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for _ in range(3):
        fs.ls(f"{BUCKET}/d")
        fs.info(f"{BUCKET}/d/1.txt")
        fs.isdir(f"{BUCKET}/d/e")

    assert operations(oss) == ["ListObjectsV2"]
    fs.ls(f"{BUCKET}/d", refresh=True)
    fs.info(f"{BUCKET}/d/1.txt", refresh=True)
    assert operations(oss)[1:] == ["ListObjectsV2", "HeadObject"]


def test_a_search_answers_the_listings_below_it(fs: OSSFileSystem, oss: LocalOSS) -> None:
    fs.find(f"{BUCKET}/d")
    oss.clear_requests()

    assert fs.ls(f"{BUCKET}/d", detail=False) == in_bucket("d/1.txt", "d/2.csv", "d/e")
    assert fs.ls(f"{BUCKET}/d/e", detail=False) == in_bucket("d/e/3.txt", "d/e/f")
    assert fs.isfile(f"{BUCKET}/d/e/f/4.txt")
    assert operations(oss) == []


def test_what_is_not_in_a_listing_is_asked_for(fs: OSSFileSystem, oss: LocalOSS) -> None:
    fs.ls(f"{BUCKET}/d")
    assert not fs.exists(f"{BUCKET}/d/new")
    oss.put(BUCKET, "d/new", b"")

    assert fs.exists(f"{BUCKET}/d/new")


def test_the_cache_can_be_switched_off_and_it_ends(oss: LocalOSS) -> None:
    for options in ({"use_listings_cache": False}, {"use_listings_cache": "false"}, {"listings_expiry_time": "0s"}):
        fs = a_filesystem(oss, **options)
        oss.clear_requests()
        fs.ls(BUCKET)
        fs.ls(BUCKET)
        assert operations(oss) == ["ListObjectsV2"] * 2


@pytest.mark.parametrize(
    "change",
    ["pipe", "open", "put", "copy", "move", "rm", "rm_recursive", "rmdir", "marker", "transaction"],
)
def test_no_listing_is_older_than_a_write_of_this_process(oss: LocalOSS, change: str, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    for key in ("d/e/1", "d/e/2", "d/empty/"):
        oss.put(BUCKET, key, b"")
    fs, other = a_filesystem(oss, directory_markers=True), a_filesystem(oss)
    for each in (fs, other):
        for path in ("", "d", "d/e", "d/empty"):
            each.ls(f"{BUCKET}/{path}")
    file = tmp_path_factory.mktemp("files") / "file"
    file.write_bytes(b"")
    path = f"{BUCKET}/d/new/deep/3"

    if change == "pipe":
        fs.pipe_file(path, b"")
    elif change == "open":
        with fs.open(path, "wb"):
            pass
    elif change == "put":
        fs.put(str(file), path)
    elif change == "copy":
        fs.copy(f"{BUCKET}/d/e/1", path)
    elif change == "move":
        fs.mv(f"{BUCKET}/d/e/1", path)
    elif change == "rm":
        fs.rm(f"{BUCKET}/d/e/1")
    elif change == "rm_recursive":
        fs.rm(f"{BUCKET}/d/e", recursive=True)
    elif change == "rmdir":
        fs.rmdir(f"{BUCKET}/d/empty")
    elif change == "marker":
        fs.makedirs(f"{BUCKET}/d/new/deep")
    else:
        with fs.transaction, fs.open(path, "wb"):
            pass

    fresh = a_filesystem(oss, use_listings_cache=False)
    for each in (fs, other):
        for listed in ("", "d", "d/e", "d/empty", "d/new", "d/new/deep"):
            if fresh.exists(f"{BUCKET}/{listed}"):
                assert each.ls(f"{BUCKET}/{listed}") == fresh.ls(f"{BUCKET}/{listed}"), listed
            else:
                assert not each.exists(f"{BUCKET}/{listed}"), listed


def test_a_listing_that_was_under_way_when_something_was_written_is_not_kept(fs: OSSFileSystem, oss: LocalOSS) -> None:
    for number in range(1_001):
        oss.put(BUCKET, f"p/{number + 1:04}", b"")
    other = a_filesystem(oss)

    def write_into_the_first_page(request: Request) -> None:
        if "continuation-token" in request.query:
            oss.on_request = None
            other.pipe_file(f"{BUCKET}/p/0000", b"")

    oss.on_request = write_into_the_first_page
    assert f"{BUCKET}/p/0000" not in fs.ls(f"{BUCKET}/p", detail=False)

    assert f"{BUCKET}/p/0000" in fs.ls(f"{BUCKET}/p", detail=False)


def test_a_pattern_is_answered_by_the_listing_of_a_bucket_too(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "new", b"")

    assert fs.glob(f"{BUCKET}/n*") == [f"{BUCKET}/new"]
    fs.ls(BUCKET)
    assert fs.glob(f"{BUCKET}/n*") == [f"{BUCKET}/new"]


@pytest.mark.parametrize("name", ["a*b", "a[b]", "a?b"])
def test_an_object_with_a_patterns_character_is_no_pattern(fs: OSSFileSystem, oss: LocalOSS, name: str) -> None:
    for key in (name, "aXb", "ab"):
        oss.put(BUCKET, key, key.encode())

    assert fs.cat(f"{BUCKET}/{name}") == name.encode()
    fs.mv(f"{BUCKET}/{name}", f"{BUCKET}/moved")

    assert {"aXb", "ab", "moved"} <= set(oss.objects(BUCKET))
    assert name not in oss.objects(BUCKET)
    assert oss.object(BUCKET, "moved") == name.encode()


def test_a_pattern_that_matches_nothing_is_an_error_of_ours(fs: OSSFileSystem) -> None:
    with pytest.raises(FileMissing, match=rf"nothing exists at {BUCKET}/nothing\*"):
        fs.cat(f"{BUCKET}/nothing*")


@pytest.mark.parametrize("search", ["ls", "find"])
def test_all_that_a_listing_names_is_answered_by_it(fs: OSSFileSystem, oss: LocalOSS, search: str) -> None:
    for name in ("a", "a-b", "a.b", "a/b", "A", "ü", "z"):
        oss.put(BUCKET, f"deep/{name}", b"")
    getattr(fs, search)(f"{BUCKET}/deep")
    listed = fs.ls(f"{BUCKET}/deep")
    oss.clear_requests()

    assert [fs.info(info["name"]) for info in listed] == listed
    assert len(listed) == 6
    assert oss.requests == []
