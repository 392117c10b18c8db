"""Objects that are open for writing: they appear whole when they are closed, or not at all."""

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest
from fsspec.core import OpenFile

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    ArgumentError,
    FileExists,
    FileSystemError,
    TransferStopped,
)
from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.objects import ObjectRef
from tests.filesystem_world import a_filesystem, options_of
from tests.world import BUCKET, LONG, PART, some_bytes

PATH = f"{BUCKET}/key"
BROKEN = Fault("status", status=403, code="AccessDenied")
Opening = Callable[[OSSFileSystem], Any]


@contextlib.contextmanager
def generated(fs: OSSFileSystem) -> Iterator[Any]:
    file = fs.open(PATH, "wb", block_size=PART)
    try:
        yield file
    finally:
        file.close()


@pytest.fixture
def fs(oss: LocalOSS) -> OSSFileSystem:
    return a_filesystem(oss)


def test_a_small_file_is_one_request(fs: OSSFileSystem, oss: LocalOSS) -> None:
    with fs.open(PATH, "wb") as file:
        file.write(b"some ")
        file.write(memoryview(b"bytes"))

    assert oss.object(BUCKET, "key") == b"some bytes"
    assert [request.operation for request in oss.requests] == ["PutObject"]


@pytest.mark.parametrize("size", [0, PART - 1, PART, PART + 1, 5 * PART, 5 * PART + 7])
def test_bytes_of_any_size_arrive(fs: OSSFileSystem, oss: LocalOSS, size: int) -> None:
    with fs.open(PATH, "wb", block_size=PART) as file:
        data = some_bytes(size)
        for at in range(0, size, 40_000):
            file.write(data[at : at + 40_000])

    assert oss.object(BUCKET, "key") == data
    assert len(oss.calls("UploadPart")) == (0 if size <= PART else -(-size // PART))
    assert oss.uploads(BUCKET) == []


def test_what_is_written_may_be_overwritten_afterwards(fs: OSSFileSystem, oss: LocalOSS) -> None:
    buffer = bytearray(PART)
    with fs.open(PATH, "wb", block_size=PART) as file:
        for number in range(5):
            buffer[:] = bytes([number]) * PART
            file.write(buffer)

    assert oss.object(BUCKET, "key") == b"".join(bytes([number]) * PART for number in range(5))


def test_the_memory_is_bounded_while_parts_wait_for_the_link(oss: LocalOSS) -> None:
    fs = a_filesystem(oss, file_memory=4 * PART)
    with fs.open(PATH, "wb", block_size=PART) as file:
        for _ in range(20):
            file.write(bytes(PART))
            assert file._stream.parts_under_way <= 3

    assert len(oss.object(BUCKET, "key")) == 20 * PART


@pytest.mark.parametrize(
    "opening",
    [
        lambda fs: fs.open(PATH, "wb", block_size=PART),
        lambda fs: fs.open(PATH, "w", block_size=PART),
        lambda fs: fs.open(PATH, "wb", compression="gzip", block_size=PART),
        lambda fs: fs.open(PATH, "wt", compression="bz2", block_size=PART),
        lambda fs: OpenFile(fs, PATH, "wb"),
        lambda fs: OpenFile(fs, PATH, "w"),
        lambda fs: OpenFile(fs, PATH, "w", compression="gzip"),
        lambda fs: io.BufferedWriter(fs.open(PATH, "wb", block_size=PART)),
        lambda fs: io.TextIOWrapper(fs.open(PATH, "wb", block_size=PART)),
        lambda fs: contextlib.closing(fs.open(PATH, "wb", block_size=PART)),
        generated,
    ],
    ids=[
        "bytes",
        "text",
        "gzip",
        "bz2 text",
        "fsspec.open",
        "fsspec.open text",
        "fsspec.open gzip text",
        "buffer",
        "text layer",
        "closing",
        "generator",
    ],
)
@pytest.mark.parametrize("size", [10, 3 * PART])
def test_an_exception_leaves_the_former_object(fs: OSSFileSystem, oss: LocalOSS, opening: Opening, size: int) -> None:
    oss.put(BUCKET, "key", b"former")

    def write_half() -> None:
        with opening(fs) as file:
            half = os.urandom(size)
            try:
                file.write(half)
            except TypeError:
                file.write(half.hex())
            raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        write_half()

    assert oss.object(BUCKET, "key") == b"former"
    assert oss.uploads(BUCKET) == []


def test_an_exception_that_is_handled_already_does_not_stop_a_file_that_is_written_then(
    fs: OSSFileSystem, oss: LocalOSS
) -> None:
    class Reports:
        def __enter__(self) -> None: ...
        def __exit__(self, *error: object) -> bool:
            with fsspec.open(f"oss://{PATH}", "wb", **options_of(oss)) as file:
                file.write(b"what went wrong")
            return True

    fsspec.register_implementation("oss", OSSFileSystem, clobber=True)
    with Reports():
        raise KeyError

    assert oss.object(BUCKET, "key") == b"what went wrong"


def test_a_file_that_is_closed_while_an_exception_is_handled_is_published(fs: OSSFileSystem, oss: LocalOSS) -> None:
    file = fs.open(PATH, "wb")
    file.write(b"all of it")
    try:
        next(iter([]))
    except StopIteration:
        file.close()

    assert oss.object(BUCKET, "key") == b"all of it"


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}])
@pytest.mark.parametrize("mode", ["wb", "w"])
@pytest.mark.parametrize("size", [10, 3 * PART])
def test_a_file_that_nobody_closes_publishes_nothing(
    fs: OSSFileSystem, oss: LocalOSS, caplog: pytest.LogCaptureFixture, mode: str, options: dict[str, Any], size: int
) -> None:
    file: Any = fs.open(PATH, mode, block_size=PART, **options)
    half: Any = os.urandom(size) if mode == "wb" else os.urandom(size).hex()
    file.write(half)
    del file
    gc.collect()

    assert oss.objects(BUCKET) == []
    assert f"oss://{PATH} was never closed, so it is not published" in caplog.text


def test_a_process_that_ends_without_closing_publishes_nothing(oss: LocalOSS) -> None:
    program = f"""
from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
fs = OSSFileSystem(**{options_of(oss)!r})
text = fs.open({PATH!r}, "w")
text.write("half")
many = fs.open({PATH + "2"!r}, "wb", block_size={PART})
many.write(bytes({3 * PART}))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True)

    assert oss.objects(BUCKET) == []


def test_a_part_that_cannot_be_sent_publishes_nothing_even_when_the_file_is_closed(
    fs: OSSFileSystem, oss: LocalOSS
) -> None:
    oss.fail_after("UploadPart", 1, BROKEN)
    file = fs.open(PATH, "wb", block_size=PART)

    def write_all() -> None:
        for _ in range(20):
            file.write(bytes(PART))
        file.close()

    with pytest.raises(PermissionError, match="UploadPart"):
        write_all()
    oss.clear_faults()
    with pytest.raises(TransferStopped, match=r"has failed|has already ended"):
        file._stream.publish()

    assert oss.objects(BUCKET) == []


def test_a_part_that_cannot_be_sent_leaves_no_parts_even_when_nobody_discards_the_file(oss: LocalOSS) -> None:
    oss.fail_after("UploadPart", 1, BROKEN)
    file = a_filesystem(oss, file_memory=4 * PART).open(PATH, "wb", block_size=PART)

    def write_all() -> None:
        for _ in range(20):
            file.write(bytes(PART))

    with pytest.raises(PermissionError, match="UploadPart"):
        write_all()
    assert oss.uploads(BUCKET) == []
    file.discard()


def test_an_object_with_another_crc_is_an_error_and_no_parts_are_said_to_be_removed(
    fs: OSSFileSystem, oss: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    oss.fail("CompleteMultipartUpload", 1, Fault("wrong-crc"))
    file = fs.open(PATH, "wb", block_size=PART)
    file.write(bytes(3 * PART))

    with pytest.raises(FileSystemError, match="do not use the object"):
        file.close()
    assert oss.calls("AbortMultipartUpload") == []
    assert "are removed" not in caplog.text


def test_a_file_is_written_as_the_transfer_config_says(oss: LocalOSS) -> None:
    config = {"verify": False, "max_bandwidth": "1GiB", "max_concurrency": 1, "progress_interval": 0}
    fs = a_filesystem(oss, transfer_config=config)
    oss.fail("CompleteMultipartUpload", 1, Fault("wrong-crc"))

    with fs.open(PATH, "wb", block_size=PART) as file:
        for _ in range(5):
            file.write(bytes(PART))
            assert file._stream.parts_under_way <= 1

    assert oss.object(BUCKET, "key") == bytes(5 * PART)


def test_a_damaged_object_is_an_error(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.fail("UploadPart", nth=2, fault=Fault("flip"))

    with fs.open(PATH, "wb", block_size=PART) as file:
        file.write(some_bytes(3 * PART))

    assert oss.object(BUCKET, "key") == some_bytes(3 * PART)
    assert len(oss.calls("UploadPart")) == 4  # the damaged one was sent again


def test_an_answer_that_is_lost_is_found_out(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.fail("CompleteMultipartUpload", nth=1, fault=Fault("answer-lost"))

    with fs.open(PATH, "wb", block_size=PART) as file:
        file.write(some_bytes(3 * PART))

    assert oss.object(BUCKET, "key") == some_bytes(3 * PART)


def test_xb_does_not_overwrite(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.put(BUCKET, "key", b"former")

    with pytest.raises(FileExistsError):
        fs.open(PATH, "xb")

    assert oss.object(BUCKET, "key") == b"former"


@pytest.mark.parametrize("size", [10, 3 * PART])
def test_xb_does_not_overwrite_what_another_has_written_meanwhile(fs: OSSFileSystem, oss: LocalOSS, size: int) -> None:
    file = fs.open(PATH, "xb", block_size=PART)
    file.write(bytes(size))
    oss.put(BUCKET, "key", b"of another")

    with pytest.raises(FileExists) as raised:
        file.close()

    assert isinstance(raised.value.__cause__, AlreadyExists)
    assert oss.object(BUCKET, "key") == b"of another"
    assert oss.uploads(BUCKET) == []


@pytest.mark.parametrize("mode", ["ab", "a", "r+b"])
def test_nothing_is_added_to_an_object(fs: OSSFileSystem, mode: str) -> None:
    with pytest.raises(NotImplementedError, match="cannot be changed in place"):
        fs.open(PATH, mode)


def test_the_object_gets_its_options(fs: OSSFileSystem, oss: LocalOSS) -> None:
    with fs.open(PATH, "wb", content_type="text/x", metadata={"a": "b"}, storage_class="IA") as file:
        file.write(b"1")

    meta = fs.client.head_object(ObjectRef(BUCKET, "key"))
    assert (meta.content_type, meta.metadata) == ("text/x", {"a": "b"})
    assert fs.info(PATH)["StorageClass"] == "IA"
    with pytest.raises(ArgumentError, match="unknown option"):
        fs.open(PATH, "wb", ContentType="text/x")


def test_a_compressed_file_is_whole(fs: OSSFileSystem, oss: LocalOSS) -> None:
    with fs.open(f"{PATH}.gz", "w", compression="infer") as file:
        file.write("text")

    assert gzip.decompress(oss.object(BUCKET, "key.gz")) == b"text"
    with fs.open(f"{PATH}.gz", "r", compression="infer") as file:
        assert file.read() == "text"


def test_a_writer_cannot_be_pickled_and_is_only_written(fs: OSSFileSystem) -> None:
    with fs.open(PATH, "wb") as file:
        assert (file.writable(), file.readable(), file.seekable()) == (True, False, False)
        with pytest.raises(RuntimeError):
            pickle.dumps(file)
        assert file.tell() == 0
        file.write(b"12")
        assert file.tell() == 2


def test_a_child_that_was_forked_has_no_part_in_its_parents_file(fs: OSSFileSystem, oss: LocalOSS) -> None:
    file = fs.open(PATH, "wb", block_size=PART)
    file.write(bytes(3 * PART))
    child = os.fork()
    if not child:
        try:
            file.close()
        except BaseException:
            file.discard()
        os._exit(0)
    os.waitpid(child, 0)
    assert oss.objects(BUCKET) == []

    file.close()

    assert oss.object(BUCKET, "key") == bytes(3 * PART)


def test_a_child_that_was_forked_and_forgets_the_file_ends_no_request_of_its_parent(oss: LocalOSS) -> None:
    # The child's garbage collection may take seconds: no request may time out meanwhile.
    fs = a_filesystem(oss, transfer_config={"read_timeout": 600})
    is_sent, may_answer = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if request.operation == "UploadPart":
            is_sent.set()
            may_answer.wait(LONG)

    oss.on_request = hold
    file = fs.open(PATH, "wb", block_size=PART)
    file.write(bytes(3 * PART))
    assert is_sent.wait(LONG)
    child = os.fork()
    if not child:
        del file
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    may_answer.set()
    file.close()

    assert oss.object(BUCKET, "key") == bytes(3 * PART)
    assert len(oss.calls("UploadPart")) == 3  # none was sent again


# --- transactions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 3 * PART])
def test_a_transaction_publishes_all_at_its_end(fs: OSSFileSystem, oss: LocalOSS, size: int) -> None:
    with fs.transaction:
        for number in range(2):
            with fs.open(f"{PATH}{number}", "wb", block_size=PART) as file:
                file.write(bytes(size))
        fs.pipe_file(f"{PATH}2", b"piped")
        assert oss.objects(BUCKET) == []

    assert oss.objects(BUCKET) == ["key0", "key1", "key2"]


@pytest.mark.parametrize("size", [10, 3 * PART])
def test_a_transaction_that_fails_publishes_nothing(fs: OSSFileSystem, oss: LocalOSS, size: int, tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(bytes(size))

    def fail() -> None:
        with fs.transaction:
            with fs.open(PATH, "wb", block_size=PART) as file:
                file.write(bytes(size))
            fs.put(str(tmp_path / "file"), f"{BUCKET}/put")
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert oss.objects(BUCKET) == []
    assert oss.uploads(BUCKET) == []
    fs.pipe_file(PATH, b"after")
    assert oss.object(BUCKET, "key") == b"after"


def test_a_file_that_was_left_by_an_exception_within_a_transaction_is_not_published(
    fs: OSSFileSystem, oss: LocalOSS
) -> None:
    with fs.transaction:
        fs.pipe_file(f"{PATH}1", b"1")
        try:
            with fs.open(f"{PATH}2", "wb") as file:
                file.write(b"half")
                raise KeyError
        except KeyError:
            pass

    assert oss.objects(BUCKET) == ["key1"]


def test_a_file_that_is_open_when_its_transaction_ends_is_not_published(
    fs: OSSFileSystem, oss: LocalOSS, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), fs.transaction:
        file = fs.open(PATH, "wb")
        file.write(b"half")

    assert oss.objects(BUCKET) == []
    assert "was not closed before the transaction ended" in caplog.text


def test_an_error_is_an_oserror_of_ours_with_its_cause(fs: OSSFileSystem, oss: LocalOSS) -> None:
    oss.fail_after("PutObject", 0, Fault("status", status=500, code="InternalError"))

    with pytest.raises(FileSystemError) as raised:
        fs.pipe_file(PATH, b"1")

    assert isinstance(raised.value, OSError)
    assert raised.value.retryable
    assert raised.value.__cause__ is not None
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), copy.errno, copy.retryable) == (str(raised.value), raised.value.errno, True)


def test_a_block_that_is_larger_than_the_memory_is_no_part(oss: LocalOSS) -> None:
    fs = a_filesystem(oss, file_memory=4 * PART)
    data = some_bytes(9 * PART)

    with fs.open(PATH, "wb", block_size=100 * PART) as file:
        file.write(data)

    assert oss.object(BUCKET, "key") == data
    assert len(oss.calls("UploadPart")) == 5  # of two parts' bytes, and the rest
