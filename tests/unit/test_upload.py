"""Uploads, against the local OSS server on a real socket."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
from airflow_provider_ossresume.errors import (
    AccessDenied,
    AlreadyExists,
    ArgumentError,
    ConnectionFailed,
    IntegrityError,
    NoSuchUpload,
    OSSResumeError,
    RequestError,
    ServiceError,
    SourceChanged,
    StoreUnavailable,
    TransferStopped,
    TrySuperseded,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.checkpoint import Owner, UploadCheckpoint, decode, encode
from airflow_provider_ossresume.oss.credentials import Credentials, StaticCredentials
from airflow_provider_ossresume.transfer.local_file import READ_SIZE, FileIdentity, LocalFile
from tests.world import BUCKET, PART, BytesBody, StopInRequest, Transfers, a_client, a_file, some_bytes, touch

BROKEN = Fault("status", status=403, code="AccessDenied")


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART, 5 * PART + 17])
def test_the_object_holds_exactly_the_file(transfers: Transfers, tmp_path: Path, size: int) -> None:
    source = a_file(tmp_path, size=size)

    result = transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert (result.size, result.parts_kept, result.outcome) == (size, 0, "transferred")
    assert result.parts_sent == result.parts == max(1, -(-size // PART))
    assert result.bytes_moved == size
    assert not transfers.store.texts
    assert not transfers.oss.uploads(BUCKET)


def test_a_small_file_goes_in_one_request(transfers: Transfers, tmp_path: Path) -> None:
    transfers.upload(a_file(tmp_path, size=PART - 1))

    assert [request.operation for request in transfers.oss.requests] == ["PutObject"]


def test_many_workers_send_the_parts_of_one_file(oss: LocalOSS, tmp_path: Path) -> None:
    source = a_file(tmp_path, size=40 * PART + 3)

    result = Transfers(oss, max_concurrency=8).upload(source)

    assert oss.object(BUCKET, "key") == source.read_bytes()
    assert result.parts_sent == 41


def test_a_retry_sends_only_what_is_missing_even_after_the_file_was_touched(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = a_file(tmp_path, size=5 * PART)
    transfers.oss.fail_after("UploadPart", 3, BROKEN)
    with pytest.raises(AccessDenied):
        transfers.upload(source)
    transfers.oss.clear_faults()
    transfers.oss.clear_requests()
    touch(source)

    result = transfers.upload(source)

    assert (result.parts_kept, result.parts_sent) == (3, 2)
    assert transfers.part_numbers() == [4, 5]
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert not transfers.store.texts
    assert not transfers.oss.uploads(BUCKET)


def test_a_kept_part_whose_bytes_changed_is_sent_again(transfers: Transfers, tmp_path: Path) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    found = source.stat()
    content = bytearray(source.read_bytes())
    content[PART + 5] ^= 1  # in part 2; size and mtime stay
    source.write_bytes(content)
    os.utime(source, ns=(found.st_atime_ns, found.st_mtime_ns))

    result = transfers.upload(source)

    assert transfers.part_numbers() == [2, 4, 5]
    assert (result.parts_kept, result.parts_sent) == (2, 3)
    assert transfers.oss.object(BUCKET, "key") == bytes(content)


def test_a_file_of_another_size_restarts_and_aborts_the_old_upload(
    transfers: Transfers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    source.write_bytes(some_bytes(4 * PART, seed=2))

    with caplog.at_level("INFO"):
        result = transfers.upload(source)

    assert (result.parts_kept, result.parts_sent) == (0, 4)
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert not transfers.oss.uploads(BUCKET)
    assert f"the source's size was {5 * PART} bytes and is now {4 * PART}" in caplog.text


def test_the_last_line_of_the_log_is_a_text_before_a_filter_can_copy_the_results_dict(
    transfers: Transfers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Airflow 2.11's filter of secrets makes a plain dict of each argument that is one."""
    with caplog.at_level("INFO"):
        result = transfers.upload(a_file(tmp_path))
    [last] = [record for record in caplog.records if record.getMessage().startswith("Transferred: ")]
    assert last.args == ("Transferred", str(result))


def test_other_metadata_restarts_since_initiate_fixed_it(transfers: Transfers, tmp_path: Path) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)

    result = transfers.upload(source, headers={"x-oss-meta-colour": "blue"})

    assert (result.parts_kept, result.parts_sent) == (0, 5)
    assert transfers.client.head_object(result.target).metadata == {"colour": "blue"}
    assert not transfers.oss.uploads(BUCKET)


def test_another_acl_does_not_restart_since_complete_sets_it(transfers: Transfers, tmp_path: Path) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3, headers={"x-oss-object-acl": "private"})

    result = transfers.upload(source, headers={"x-oss-object-acl": "public-read"})

    assert (result.parts_kept, result.parts_sent) == (3, 2)
    [complete] = transfers.oss.calls("CompleteMultipartUpload")
    assert complete.headers["x-oss-object-acl"] == "public-read"


def test_a_configured_part_size_does_not_disturb_a_resume(transfers: Transfers, tmp_path: Path) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)

    result = transfers.upload(source, config={"part_size": 2 * PART})

    assert (result.parts_kept, result.parts_sent) == (3, 2)
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


def test_a_checkpoint_stands_before_the_first_part_and_is_small_and_plain(transfers: Transfers, tmp_path: Path) -> None:
    interrupted_upload(transfers, tmp_path, parts_sent=0)

    [text] = transfers.store.texts.values()
    checkpoint = decode(text)

    assert isinstance(checkpoint, UploadCheckpoint)
    assert [(checkpoint.key, checkpoint.upload_id)] == transfers.oss.uploads(BUCKET)
    assert len(text) < 512
    assert transfers.oss.access_key_secret not in text


# --- lost answers -----------------------------------------------------------------------------------------------------

# What fails, at which call of it, and the outcome: attempts at parts that were sent in vain.
LOST_ANSWERS = [
    ("InitiateMultipartUpload", 1, 0),
    ("UploadPart", 2, 1),
    ("CompleteMultipartUpload", 1, 0),
]


@pytest.mark.parametrize(("operation", "nth", "sent_again"), LOST_ANSWERS)
def test_a_lost_answer_within_a_try_is_asked_for_again(
    transfers: Transfers, tmp_path: Path, operation: str, nth: int, sent_again: int
) -> None:
    source = a_file(tmp_path)
    transfers.oss.fail(operation, nth=nth, fault=Fault("answer-lost"))

    result = transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert transfers.calls("UploadPart") == 5 + sent_again
    assert result.retries == sent_again


def test_a_try_that_died_after_complete_leaves_nothing_to_send(
    transfers: Transfers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = a_file(tmp_path)
    transfers.client = without_answer_to_complete(transfers)
    with pytest.raises(KeyboardInterrupt):
        transfers.upload(source)
    transfers.client = Transfers(transfers.oss).client
    transfers.oss.clear_requests()

    with caplog.at_level("INFO"):
        result = transfers.upload(source)

    assert (result.outcome, result.parts_sent) == ("already there", 0)
    assert transfers.calls("UploadPart") == transfers.calls("InitiateMultipartUpload") == 0
    assert "the last try had finished it" in caplog.text
    assert not transfers.store.texts


def test_an_upload_id_that_is_gone_restarts_when_the_object_is_another(transfers: Transfers, tmp_path: Path) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    transfers.oss.abort(BUCKET, *transfers.oss.uploads(BUCKET)[0])
    transfers.oss.put(BUCKET, "key", b"something else")

    result = transfers.upload(source)

    assert result.parts_sent == 5
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


def test_an_upload_that_is_aborted_under_way_restarts_once(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path)
    seen: list[int] = []

    def abort_before_part_3(request: object) -> None:
        if getattr(request, "part_number", None) == 3 and not seen:
            seen.append(3)
            transfers.oss.abort(BUCKET, *transfers.oss.uploads(BUCKET)[0])

    transfers.oss.on_request = abort_before_part_3

    transfers.upload(source)

    assert seen
    assert transfers.calls("InitiateMultipartUpload") == 2
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


UNREADABLE = [
    Fault("answer-lost"),
    Fault("malformed-xml"),
    Fault("flip-answer"),
    Fault("truncated", after_bytes=9),
    Fault("status", status=500, after_work=True),
]


@pytest.mark.parametrize("fault", UNREADABLE, ids=lambda fault: fault.kind)
def test_an_upload_that_oss_completed_succeeds_though_no_answer_says_so(
    transfers: Transfers, tmp_path: Path, fault: Fault
) -> None:
    source = a_file(tmp_path)
    transfers.oss.fail("CompleteMultipartUpload", fault=fault, times=None)

    result = transfers.upload(source)

    assert (result.outcome, result.size) == ("transferred", source.stat().st_size)
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert not transfers.store.texts


@pytest.mark.parametrize("fault", [Fault("status", status=503), Fault("refuse")], ids=lambda fault: fault.kind)
def test_the_same_bytes_from_before_are_not_taken_for_an_upload_that_is_still_open(
    transfers: Transfers, tmp_path: Path, fault: Fault
) -> None:
    source = a_file(tmp_path)
    transfers.oss.put(BUCKET, "key", source.read_bytes())
    transfers.oss.fail("CompleteMultipartUpload", fault=fault, times=None)
    with pytest.raises(RequestError) as failed:
        transfers.upload(source, headers={"x-oss-meta-a": "new"})
    transfers.oss.clear_faults()

    result = transfers.upload(source, headers={"x-oss-meta-a": "new"})

    assert (failed.value.operation, failed.value.retryable) == ("CompleteMultipartUpload", True)
    assert (result.outcome, result.parts_kept, result.parts_sent) == ("transferred", 5, 0)
    assert transfers.client.head_object(target_of("key")).metadata == {"a": "new"}
    assert not transfers.oss.uploads(BUCKET)


@pytest.mark.parametrize("fault", [Fault("answer-lost"), Fault("malformed-xml")], ids=lambda fault: fault.kind)
def test_an_unknown_outcome_with_other_bytes_there_is_no_success(
    transfers: Transfers, tmp_path: Path, fault: Fault
) -> None:
    source = a_file(tmp_path)
    transfers.oss.fail("CompleteMultipartUpload", fault=fault, times=None)

    def overwrite(request: object) -> None:
        if getattr(request, "operation", None) == "HeadObject":
            transfers.oss.put(BUCKET, "key", b"another writer's")

    transfers.oss.on_request = overwrite

    with pytest.raises(NoSuchUpload) as failed:
        transfers.upload(source)

    assert failed.value.retryable


def test_when_nobody_can_tell_the_error_is_what_complete_ran_into(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.fail("CompleteMultipartUpload", fault=Fault("answer-lost"), times=None)
    transfers.oss.fail("ListParts", fault=BROKEN, times=None)

    with pytest.raises(ConnectionFailed) as failed:
        transfers.upload(a_file(tmp_path))

    assert (failed.value.operation, failed.value.retryable) == ("CompleteMultipartUpload", True)


def test_a_refusal_of_complete_is_final_and_nothing_more_is_asked(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.fail("CompleteMultipartUpload", fault=BROKEN, times=None)

    with pytest.raises(AccessDenied):
        transfers.upload(a_file(tmp_path))

    assert transfers.oss.requests[-1].operation == "CompleteMultipartUpload"


# The first "<", the number of a part, a digit of an ETag: no XML, parts out of order, a part that is not there.
@pytest.mark.parametrize("at", [0, len("<CompleteMultipartUpload><Part><PartNumber>"), 80])
def test_a_list_of_parts_that_is_damaged_on_its_way_is_sent_again(
    transfers: Transfers, tmp_path: Path, at: int
) -> None:
    source = a_file(tmp_path)
    transfers.oss.fail("CompleteMultipartUpload", fault=Fault("flip", after_bytes=at))

    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert (transfers.calls("CompleteMultipartUpload"), transfers.calls("ListParts")) == (2, 0)


# --- one request ------------------------------------------------------------------------------------------------------


def test_a_body_that_is_damaged_on_its_way_never_becomes_the_object(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path, size=PART - 1)
    transfers.oss.put(BUCKET, "key", b"what stood there before")
    transfers.oss.fail("PutObject", fault=Fault("flip", after_bytes=77), times=None)
    with pytest.raises(ServiceError) as failed:
        transfers.upload(source)
    assert (failed.value.code, failed.value.retryable) == ("InvalidDigest", True)
    assert transfers.oss.object(BUCKET, "key") == b"what stood there before"

    transfers.oss.clear_faults()
    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


@pytest.mark.parametrize(("verify", "is_sent"), [(True, True), (False, False)])
def test_a_digest_is_sent_where_transfers_are_verified(
    transfers: Transfers, tmp_path: Path, verify: bool, is_sent: bool
) -> None:
    transfers.upload(a_file(tmp_path, size=PART - 1), config={"verify": verify})

    [request] = transfers.oss.requests
    assert ("content-md5" in request.headers) is is_sent


class RewritesOnce(StaticCredentials):
    """Rewrites a file when a request is about to be signed: the digest has been read then, the body not yet."""

    def __init__(self, oss: LocalOSS, rewrite: Callable[[], object]) -> None:
        super().__init__(oss.access_key_id, oss.access_key_secret)
        self._rewrite = [rewrite]

    def get(self) -> Credentials:
        while self._rewrite:
            self._rewrite.pop()()
        return super().get()


def test_a_file_that_changes_behind_its_digest_is_sent_anew(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path, size=PART - 1)

    def rewrite() -> None:
        source.write_bytes(some_bytes(PART - 1, seed=2))
        touch(source)

    transfers.client = a_client(transfers.oss, credentials=RewritesOnce(transfers.oss, rewrite))

    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == some_bytes(PART - 1, seed=2)


def test_a_file_of_several_pieces_that_changes_unseen_behind_its_digest_is_refused_and_taken_by_the_next_try(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = a_file(tmp_path, size=READ_SIZE + 1)
    changed = some_bytes(READ_SIZE + 1, seed=2)
    transfers.client = a_client(transfers.oss, credentials=RewritesOnce(transfers.oss, unseen(source, changed)))
    with pytest.raises(ServiceError, match="InvalidDigest"):
        transfers.upload(source, config={"multipart_threshold": "1MiB"})
    assert not transfers.oss.objects(BUCKET)

    transfers.upload(source, config={"multipart_threshold": "1MiB"})

    assert transfers.oss.object(BUCKET, "key") == changed


def test_a_file_of_one_piece_that_changes_unseen_behind_its_digest_is_sent_anew(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = a_file(tmp_path, size=PART - 1)
    changed = some_bytes(PART - 1, seed=2)
    transfers.client = a_client(transfers.oss, credentials=RewritesOnce(transfers.oss, unseen(source, changed)))

    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == changed


def unseen(source: Path, content: bytes) -> Callable[[], None]:
    """Return what writes the content and sets the times back."""
    before = source.stat()

    def rewrite() -> None:
        source.write_bytes(content)
        while source.stat().st_ctime_ns == before.st_ctime_ns:  # the kernel's clock ticks every few milliseconds
            os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))

    return rewrite


# --- errors -----------------------------------------------------------------------------------------------------------


def test_a_server_error_on_list_parts_is_retried_and_never_restarts(transfers: Transfers, tmp_path: Path) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    transfers.oss.fail("ListParts", fault=Fault("status", status=503, code="ServiceUnavailable"))

    result = transfers.upload(source)

    assert (result.parts_kept, result.parts_sent) == (3, 2)
    assert transfers.calls("InitiateMultipartUpload") == 0


def test_a_denied_list_parts_fails_with_the_permission_and_keeps_everything(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    transfers.oss.fail("ListParts", fault=BROKEN)

    with pytest.raises(AccessDenied, match="grant oss:ListParts"):
        transfers.upload(source)

    assert transfers.upload(source).parts_kept == 3


def test_a_flipped_byte_is_noticed_and_the_part_sent_again(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path)
    transfers.oss.fail("UploadPart", nth=2, fault=Fault("flip", after_bytes=77))

    result = transfers.upload(source)

    assert result.retries == 1
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


def test_a_wrong_crc_of_the_whole_is_an_error(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.fail("CompleteMultipartUpload", fault=Fault("wrong-crc"))

    with pytest.raises(IntegrityError, match="do not use"):
        transfers.upload(a_file(tmp_path))


def test_parts_that_another_writer_replaced_are_sent_again(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path)

    def replace_part_2(request: object) -> None:
        if getattr(request, "operation", None) == "CompleteMultipartUpload":
            transfers.oss.on_request = None
            [(key, upload_id)] = transfers.oss.uploads(BUCKET)
            foreign = Transfers(transfers.oss).client
            foreign.upload_part(target_of(key), upload_id, 2, BytesBody(some_bytes(PART, seed=9)))

    transfers.oss.on_request = replace_part_2

    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert transfers.part_numbers() == [1, 2, 3, 4, 5, 2, 2]


def test_a_missing_bucket_is_named(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.fail("InitiateMultipartUpload", fault=Fault("status", status=404, code="NoSuchBucket"))

    with pytest.raises(ServiceError, match=r"InitiateMultipartUpload oss://bucket/key answered 404 NoSuchBucket"):
        transfers.upload(a_file(tmp_path))


# --- the source -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["restart", "fail"])
def test_a_source_that_changes_under_way_is_never_mixed(transfers: Transfers, tmp_path: Path, policy: str) -> None:
    source = a_file(tmp_path)
    replacement = some_bytes(5 * PART, seed=2)

    def replace_source(request: object) -> None:
        if getattr(request, "part_number", None) == 3:
            transfers.oss.on_request = None
            (tmp_path / "new").write_bytes(replacement)
            (tmp_path / "new").replace(source)  # at once: a restart must not meet half of it

    transfers.oss.on_request = replace_source

    if policy == "fail":
        with pytest.raises(SourceChanged):
            transfers.upload(source, source_changed="fail")
        assert transfers.oss.objects(BUCKET) == []
    else:
        transfers.upload(source)
        assert transfers.oss.object(BUCKET, "key") == replacement
    assert transfers.oss.calls("CompleteMultipartUpload") == [] or policy == "restart"


def test_a_source_that_shrinks_under_way_restarts_with_its_new_size(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path)

    def shrink(request: object) -> None:
        if getattr(request, "part_number", None) == 2:
            transfers.oss.on_request = None
            os.truncate(source, 3 * PART + 9)

    transfers.oss.on_request = shrink

    transfers.upload(source)

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()
    assert not transfers.oss.uploads(BUCKET)


@pytest.mark.parametrize("bad", ["missing", "folder", "fifo"])
def test_a_source_that_is_no_file_is_refused_before_any_request(transfers: Transfers, tmp_path: Path, bad: str) -> None:
    path = tmp_path / bad
    if bad == "folder":
        path.mkdir()
    if bad == "fifo":
        os.mkfifo(path)

    with pytest.raises(ArgumentError, match=rf"file='.*{bad}'"):
        transfers.upload(path)

    assert transfers.oss.requests == []


# --- what exists already ----------------------------------------------------------------------------------------------


def test_if_exists_skip_leaves_the_object_alone(transfers: Transfers, tmp_path: Path) -> None:
    transfers.oss.put(BUCKET, "key", b"old")

    assert transfers.upload(a_file(tmp_path), if_exists="skip").outcome == "skipped"
    assert transfers.oss.object(BUCKET, "key") == b"old"


@pytest.mark.parametrize(("same", "outcome"), [(True, "skipped"), (False, "transferred")])
def test_if_exists_skip_if_same_compares_without_a_download(
    transfers: Transfers, tmp_path: Path, same: bool, outcome: str
) -> None:
    source = a_file(tmp_path)
    transfers.oss.put(BUCKET, "key", source.read_bytes() if same else some_bytes(5 * PART, seed=3))

    assert transfers.upload(source, if_exists="skip_if_same").outcome == outcome
    assert transfers.calls("GetObject") == 0
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


@pytest.mark.parametrize("size", [10, 5 * PART])
def test_if_exists_fail_is_guarded_by_oss_itself(transfers: Transfers, tmp_path: Path, size: int) -> None:
    source = a_file(tmp_path, size=size)

    def somebody_else_is_faster(request: object) -> None:
        if getattr(request, "operation", None) in ("PutObject", "CompleteMultipartUpload"):
            transfers.oss.on_request = None
            transfers.oss.put(BUCKET, "key", b"theirs")

    transfers.oss.on_request = somebody_else_is_faster

    with pytest.raises(AlreadyExists):
        transfers.upload(source, if_exists="fail")

    assert transfers.oss.object(BUCKET, "key") == b"theirs"


@pytest.mark.parametrize("size", [10, 5 * PART])
def test_if_exists_fail_succeeds_when_only_the_answer_was_lost(transfers: Transfers, tmp_path: Path, size: int) -> None:
    source = a_file(tmp_path, size=size)
    transfers.oss.fail("PutObject", fault=Fault("answer-lost"))
    transfers.oss.fail("CompleteMultipartUpload", fault=Fault("answer-lost"))

    assert transfers.upload(source, if_exists="fail").outcome == "transferred"


@pytest.mark.parametrize("if_exists", ["overwrite", "fail", "skip_if_same"])
def test_a_retry_after_ones_own_success_moves_nothing(
    transfers: Transfers, tmp_path: Path, if_exists: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = a_file(tmp_path)
    transfers.upload(source, if_exists=if_exists)
    transfers.oss.clear_requests()

    with caplog.at_level("INFO"):
        result = transfers.upload(source, if_exists=if_exists, earlier_try=True)

    assert (result.outcome, result.bytes_moved) == ("already there", 0)
    assert [request.operation for request in transfers.oss.requests] == ["HeadObject", "GetObjectAcl"]
    assert "an earlier try had finished" in caplog.text


@pytest.mark.parametrize("if_exists", ["skip", "skip_if_same"])
def test_an_upload_that_becomes_needless_leaves_no_parts_behind(
    transfers: Transfers, tmp_path: Path, if_exists: str
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    transfers.oss.put(BUCKET, "key", source.read_bytes())

    assert transfers.upload(source, if_exists=if_exists).outcome == "skipped"
    assert transfers.oss.uploads(BUCKET) == []
    assert not transfers.store.texts


@pytest.mark.parametrize("argument", ["if_exists", "source_changed"])
def test_an_unknown_policy_is_refused_by_name(transfers: Transfers, tmp_path: Path, argument: str) -> None:
    with pytest.raises(ArgumentError, match=f"{argument}='perhaps'.*choose one of"):
        transfers.upload(a_file(tmp_path), **{argument: "perhaps"})


def test_the_bytes_under_other_headers_are_not_what_an_upload_that_is_gone_had_made(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = a_file(tmp_path, size=5 * PART)
    transfers.upload(source, headers={"x-oss-meta-v": "1"})
    transfers.oss.fail("UploadPart", nth=3, fault=Fault("status", status=403, code="AccessDenied"))
    with pytest.raises(AccessDenied):
        transfers.upload(source, headers={"x-oss-meta-v": "2"})
    transfers.oss.clear_faults()
    [upload] = transfers.client.list_uploads(BUCKET)
    transfers.client.abort(target_of("key"), upload.upload_id)  # as the lifecycle rule does

    transfers.upload(source, headers={"x-oss-meta-v": "2"}, earlier_try=True)

    assert transfers.client.head_object(target_of("key")).metadata == {"v": "2"}


def test_blanks_that_http_takes_off_a_header_make_no_other_object(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path)
    options: dict[str, Any] = {"headers": {"x-oss-meta-note": " nightly "}, "if_exists": "fail"}
    transfers.upload(source, **options)

    assert transfers.upload(source, earlier_try=True, **options).outcome == "already there"


# --- stopping and tries that overlap ----------------------------------------------------------------------------------


def test_a_stop_keeps_the_checkpoint_and_the_parts(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path)

    def stop_after_two_parts() -> None:
        if transfers.calls("UploadPart") >= 2:
            raise TransferStopped("on_kill")

    with pytest.raises(TransferStopped):
        transfers.upload(source, watch=stop_after_two_parts)

    result = transfers.upload(source)
    assert result.parts_kept >= 2
    assert result.parts_kept + result.parts_sent == 5


@pytest.mark.parametrize("size", [0, 1000])
def test_a_small_file_is_not_sent_again_after_a_stop(
    oss: LocalOSS, transfers: Transfers, tmp_path: Path, size: int
) -> None:
    source = a_file(tmp_path, size=size)
    oss.fail("PutObject", fault=Fault("status", status=500, code="InternalError"))
    stop = StopInRequest(oss)

    with pytest.raises(TransferStopped):
        transfers.upload(source, watch=stop.watch)
    stop.let_go()

    with pytest.raises(KeyError):
        oss.object(BUCKET, "key")


def test_a_superseded_try_stops_and_leaves_everything_to_its_successor(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path)
    taken_over: list[str] = []

    def take_over(request: object) -> None:
        if getattr(request, "part_number", None) == 4:
            [(key, text)] = transfers.store.texts.items()
            checkpoint = decode(text)
            assert isinstance(checkpoint, UploadCheckpoint)
            newer = encode(UploadCheckpoint(**{**vars(checkpoint), "owner": Owner(7, "the successor")}))
            transfers.store.texts[key] = newer
            taken_over.append(newer)

    transfers.oss.on_request = take_over

    with pytest.raises(TrySuperseded, match=r"try 7 \(the successor\)"):
        transfers.upload(source)

    assert list(transfers.store.texts.values()) == taken_over[:1]
    assert transfers.calls("CompleteMultipartUpload") == 0
    assert len(transfers.oss.uploads(BUCKET)) == 1


def test_an_upload_id_that_comes_in_the_grace_of_a_stop_is_in_the_checkpoint(
    transfers: Transfers, tmp_path: Path
) -> None:
    watch = ends_while_initiating(transfers, TransferStopped("on_kill"))

    with pytest.raises(TransferStopped):
        transfers.upload(a_file(tmp_path), watch=watch)

    [text] = transfers.store.texts.values()
    checkpoint = decode(text)
    assert isinstance(checkpoint, UploadCheckpoint)
    assert transfers.oss.uploads(BUCKET) == [("key", checkpoint.upload_id)]


def test_an_upload_id_that_comes_when_the_supervisor_is_gone_is_aborted(transfers: Transfers, tmp_path: Path) -> None:
    watch = ends_while_initiating(transfers, TrySuperseded("the supervisor is gone"))

    with pytest.raises(TrySuperseded):
        transfers.upload(a_file(tmp_path), watch=watch)

    assert not transfers.store.texts
    assert not transfers.oss.uploads(BUCKET)


def test_an_upload_whose_begin_nobody_heard_of_is_told_of(
    transfers: Transfers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transfers.oss.fail_after("InitiateMultipartUpload", 0, Fault("answer-lost"))

    with pytest.raises(OSSResumeError):
        transfers.upload(a_file(tmp_path))

    assert "OSS did not answer the request to start the upload to oss://bucket/key" in caplog.text


def test_parts_that_no_checkpoint_may_name_stay_and_are_told_of(
    oss: LocalOSS, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A save whose answer was lost may have been kept, and then the next try goes on from these parts."""

    class Down(MemoryCheckpointStore):
        def save(self, key: str, text: str) -> None:
            raise StoreUnavailable("no answer")

    oss.fail_after("UploadPart", 3, BROKEN)

    with pytest.raises(AccessDenied):
        Transfers(oss, store=Down()).upload(a_file(tmp_path))

    [(_, upload_id)] = oss.uploads(BUCKET)
    assert f"The checkpoint with upload ID {upload_id} of oss://bucket/key may not be saved" in caplog.text


# --- progress ---------------------------------------------------------------------------------------------------------


def test_progress_grows_to_the_total_and_counts_kept_parts(transfers: Transfers, tmp_path: Path) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    seen: list[tuple[int, int]] = []

    transfers.upload(source, progress_callback=lambda done, total: seen.append((done, total)))

    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (5 * PART, 5 * PART)
    assert {total for _, total in seen} == {5 * PART}


def test_an_exception_in_the_progress_callback_ends_the_transfer_cleanly(transfers: Transfers, tmp_path: Path) -> None:
    source = a_file(tmp_path)

    def refuse(done: int, total: int) -> None:
        if done > 2 * PART:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        transfers.upload(source, progress_callback=refuse)

    assert transfers.upload(source).parts_kept >= 2


# --- fingerprints -----------------------------------------------------------------------------------------------------


def test_a_file_whose_stat_is_the_same_is_not_read_again_for_the_parts_that_oss_has(
    transfers: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3, fingerprint="stat")
    read: list[int] = []
    crc64_of = LocalFile.crc64
    monkeypatch.setattr(
        LocalFile, "crc64", lambda file, part, stop: (read.append(part.number), crc64_of(file, part, stop))[1]
    )

    result = transfers.upload(source, fingerprint="stat")

    assert (result.parts_kept, result.parts_sent, read) == (3, 2, [])
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


def test_a_file_that_was_rewritten_and_got_its_old_time_stamp_back_is_compared_by_its_content(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3, fingerprint="stat")
    changed = bytearray(source.read_bytes())
    changed[PART + 5 : PART + 9] = b"seen"  # in part 2
    unseen(source, bytes(changed))()

    transfers.upload(source, fingerprint="stat")

    assert transfers.part_numbers() == [2, 4, 5]
    assert transfers.oss.object(BUCKET, "key") == changed


def test_a_worker_that_mounts_the_share_under_another_device_number_trusts_the_stat() -> None:
    there = FileIdentity(os.makedev(0, 45), 7, 100, 1, 2)
    here = replace(there, device=os.makedev(0, 51))

    assert here.text == there.text
    assert replace(there, device=os.makedev(8, 1)).text != replace(there, device=os.makedev(8, 2)).text


def test_the_stat_that_an_earlier_version_wrote_is_no_proof_and_no_parts_are_lost(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3, fingerprint="stat")
    [(key, text)] = transfers.store.texts.items()
    found = source.stat()
    earlier = f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
    transfers.store.texts[key] = json.dumps({**json.loads(text), "source": earlier})

    assert transfers.upload(source, fingerprint="stat").parts_kept == 3


@pytest.mark.parametrize("change", [touch, lambda path: moved_away_and_back(path)], ids=["touched", "another inode"])
def test_a_file_whose_stat_is_another_is_compared_by_its_content(
    transfers: Transfers, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3, fingerprint="stat")
    with source.open("r+b") as file:
        file.seek(PART + 5)
        file.write(b"seen")  # in part 2
    change(source)

    result = transfers.upload(source, fingerprint="stat")

    assert transfers.part_numbers() == [2, 4, 5]
    assert (result.parts_kept, result.parts_sent) == (2, 3)
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


def test_parts_of_two_files_are_never_trusted_by_the_stat_of_one(transfers: Transfers, tmp_path: Path) -> None:
    """One worker sends three parts, another one with other bytes two, and then it is the first one's turn again."""
    source = interrupted_upload(transfers, tmp_path, parts_sent=3, fingerprint="stat")
    (tmp_path / "other").mkdir()
    other = a_file(tmp_path / "other", size=5 * PART, seed=2)
    transfers.oss.fail_after("UploadPart", 2, BROKEN)
    with pytest.raises(AccessDenied):
        transfers.upload(other, fingerprint="stat")
    transfers.oss.clear_faults()

    transfers.upload(source, fingerprint="stat")

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


@pytest.mark.parametrize("first", ["content", "stat"])
def test_a_part_that_was_damaged_on_its_way_is_never_trusted_by_the_files_stat(
    transfers: Transfers, tmp_path: Path, first: str
) -> None:
    """The try that sent it was told, and ended before it could send it again."""
    source = a_file(tmp_path, size=5 * PART)
    transfers.oss.fail("UploadPart", part_number=2, fault=Fault("flip", after_bytes=77), times=None)
    with pytest.raises(OSSResumeError):
        transfers.upload(source, fingerprint=first)
    transfers.oss.clear_faults()

    transfers.upload(source, fingerprint="stat")

    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


def test_parts_that_were_sent_by_content_are_compared_by_content(transfers: Transfers, tmp_path: Path) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    found = source.stat()
    with source.open("r+b") as file:
        file.write(b"unseen")
    os.utime(source, ns=(found.st_atime_ns, found.st_mtime_ns))

    assert transfers.upload(source, fingerprint="stat").parts_kept == 2
    assert transfers.oss.object(BUCKET, "key") == source.read_bytes()


def test_a_checkpoint_that_does_not_say_whose_parts_they_are_is_compared_by_content(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3, fingerprint="stat")
    [(key, text)] = transfers.store.texts.items()
    content = json.loads(text)
    del content["source"]  # as earlier versions wrote it
    transfers.store.texts[key] = json.dumps(content)

    assert transfers.upload(source, fingerprint="stat").parts_kept == 3


def moved_away_and_back(path: Path) -> None:
    found = path.stat()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


# --- what is dropped --------------------------------------------------------------------------------------------------


def test_what_a_try_is_to_drop_is_aborted_and_forgotten(
    transfers: Transfers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    ends: list[BaseException] = []
    transfers.oss.fail_after("UploadPart", 1, BROKEN)

    with caplog.at_level("INFO"), pytest.raises(AccessDenied) as failed:
        transfers.upload(source, drop_when=lambda error: not ends.append(error))

    assert ends == [failed.value]
    assert not transfers.oss.uploads(BUCKET)
    assert not transfers.store.texts
    assert transfers.calls("AbortMultipartUpload") == 2  # the second answer says that it is gone
    assert "The finished parts of the upload to oss://bucket/key are removed: upload ID" in caplog.text


def test_a_try_that_gets_no_further_than_the_first_request_drops_what_an_earlier_one_did(
    transfers: Transfers, tmp_path: Path
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    transfers.oss.fail("ListParts", fault=BROKEN, times=None)

    with pytest.raises(AccessDenied):
        transfers.upload(source, drop_when=lambda error: True)

    assert not transfers.oss.uploads(BUCKET)
    assert not transfers.store.texts


@pytest.mark.parametrize("fault", [BROKEN, Fault("stall", after_bytes=-1)], ids=lambda fault: fault.kind)
def test_an_upload_that_cannot_be_aborted_is_kept_with_its_checkpoint(
    transfers: Transfers, tmp_path: Path, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=3)
    transfers.oss.fail("ListParts", fault=BROKEN)
    transfers.oss.fail("AbortMultipartUpload", fault=fault)

    with pytest.raises(AccessDenied):
        transfers.upload(source, drop_when=lambda error: True)

    assert "could not be removed, so they and the checkpoint are kept" in caplog.text
    [text] = transfers.store.texts.values()
    assert isinstance(decode(text), UploadCheckpoint)


def test_a_superseded_try_drops_nothing(transfers: Transfers, tmp_path: Path) -> None:
    source = interrupted_upload(transfers, tmp_path, parts_sent=1)
    [(key, text)] = transfers.store.texts.items()
    checkpoint = decode(text)
    newer = encode(replace(checkpoint, owner=Owner(99, "newer")))

    def fail_and_be_superseded(request: Request) -> None:
        if request.operation == "UploadPart":
            transfers.store.texts[key] = newer

    transfers.oss.on_request = fail_and_be_superseded
    transfers.oss.fail("UploadPart", fault=BROKEN, times=None)

    with pytest.raises(AccessDenied):
        transfers.upload(source, drop_when=lambda error: True)

    assert transfers.oss.uploads(BUCKET) == [(checkpoint.key, checkpoint.upload_id)]
    assert transfers.store.texts == {key: newer}


def interrupted_upload(transfers: Transfers, folder: Path, *, parts_sent: int, **options: Any) -> Path:
    """Leave an upload of five parts of which some were sent, and forget the requests that it took."""
    source = a_file(folder, size=5 * PART)
    transfers.oss.fail_after("UploadPart", parts_sent, BROKEN)
    with pytest.raises(OSSResumeError):
        transfers.upload(source, **options)
    transfers.oss.clear_faults()
    transfers.oss.clear_requests()
    return source


def target_of(key: str):  # type: ignore[no-untyped-def]
    from airflow_provider_ossresume.model.objects import ObjectRef

    return ObjectRef(BUCKET, key)


def without_answer_to_complete(transfers: Transfers):  # type: ignore[no-untyped-def]
    """A client whose process dies when Complete's answer arrives."""
    client = Transfers(transfers.oss).client
    complete = client.complete

    def complete_and_die(*args, **kwargs):  # type: ignore[no-untyped-def]
        complete(*args, **kwargs)
        raise KeyboardInterrupt

    client.complete = complete_and_die  # type: ignore[method-assign]
    return client


def ends_while_initiating(transfers: Transfers, end: OSSResumeError) -> Callable[[], None]:
    """Return a watch that ends a try when OSS has been asked to begin an upload, and before it answers."""
    asked, told = threading.Event(), threading.Event()

    def on_request(request: Request) -> None:
        if request.operation == "InitiateMultipartUpload":
            asked.set()
            told.wait(30)

    def watch() -> None:
        if asked.is_set():
            told.set()
            raise end

    transfers.oss.on_request = on_request
    return watch
