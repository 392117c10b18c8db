"""Copies that meet trouble: lost answers, uploads that are gone, other writers, and what OSS refuses to copy."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from airflow_provider_ossresume.errors import (
    AccessDenied,
    AlreadyExists,
    ConnectionFailed,
    IntegrityError,
    NotCopyable,
    ObjectArchived,
    ObjectImmutable,
    ServiceError,
    SourceUnreadable,
    TrySuperseded,
)
from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.checkpoint import Owner, UploadCheckpoint, checkpoint_key, decode, encode
from airflow_provider_ossresume.model.copy_options import copied_properties
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import MIB
from airflow_provider_ossresume.oss.client import OssClient
from tests.unit.relay import Passing, Relay
from tests.unit.test_copy import CONTENT, DENIED, by_parts
from tests.world import BUCKET, PART, Transfers, a_client, some_bytes

LOST = Fault("answer-lost")
TOO_LARGE = Fault("status", status=400, code="EntityTooLarge")
KEY = checkpoint_key("copy", f"oss://{BUCKET}/copy")


@pytest.fixture
def transfers(oss: LocalOSS) -> Iterator[Transfers]:
    oss.put(BUCKET, "source", CONTENT, x_oss_tagging="team=data")
    return Transfers(oss)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="airflow_provider_ossresume")
    return caplog


def breaks_off(transfers: Transfers, **options: object) -> None:
    """Let a try end with three of five parts."""
    with transfers.oss.failing("UploadPartCopy", after=3, fault=DENIED), pytest.raises(AccessDenied):
        transfers.copy("source", **by_parts(**options))
    transfers.oss.clear_requests()


def copied(transfers: Transfers) -> bytes:
    return transfers.oss.object(BUCKET, "copy")


# --- by one request ---------------------------------------------------------------------------------------------------


def test_a_small_copy_asks_once_for_the_source_and_once_for_the_copy(transfers: Transfers) -> None:
    result = transfers.copy("source")

    assert [request.operation for request in transfers.oss.requests] == ["HeadObject", "CopyObject"]
    meta = transfers.client.head_object(ObjectRef(BUCKET, "copy"))
    assert (result.etag, result.crc64, result.size) == (meta.etag, meta.crc64, meta.size)


def test_what_one_request_may_not_copy_is_copied_by_parts(transfers: Transfers, log: pytest.LogCaptureFixture) -> None:
    transfers.oss.fail("CopyObject", fault=TOO_LARGE, times=None)

    result = transfers.copy("source", config={"part_size": PART})

    assert copied(transfers) == CONTENT
    assert (transfers.calls("CopyObject"), result.parts_sent) == (1, 5)
    assert transfers.client.get_object_tagging(ObjectRef(BUCKET, "copy")) == {"team": "data"}
    assert "EntityTooLarge" in log.text


@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_a_copy_whose_answer_is_lost_is_made_once_more_or_found(transfers: Transfers, if_exists: str) -> None:
    transfers.oss.fail("CopyObject", fault=LOST)

    result = transfers.copy("source", if_exists=if_exists)

    assert copied(transfers) == CONTENT
    assert (result.outcome, transfers.calls("CopyObject")) == ("transferred", 2)


def test_another_object_is_not_taken_for_a_copy_whose_answer_is_lost(transfers: Transfers) -> None:
    def put_another(request: Request) -> None:
        if request.operation == "CopyObject":
            transfers.oss.put(BUCKET, "copy", b"another")

    transfers.oss.on_request = put_another

    with pytest.raises(AlreadyExists):
        transfers.copy("source", if_exists="fail")

    assert copied(transfers) == b"another"


def test_damage_that_oss_makes_is_told(transfers: Transfers) -> None:
    transfers.oss.fail("CopyObject", fault=Fault("wrong-crc"), times=None)

    with pytest.raises(IntegrityError, match="oss://bucket/copy has the CRC-64"):
        transfers.copy("source")


def test_a_copy_without_a_crc_is_compared_by_its_size(transfers: Transfers, log: pytest.LogCaptureFixture) -> None:
    transfers.oss.fail("*", fault=Fault("no-crc"), times=None)

    assert transfers.copy("source").size == len(CONTENT)

    assert copied(transfers) == CONTENT
    assert "OSS has no CRC-64 of oss://bucket/source, so only the size of the copy is compared" in log.text
    assert "OSS sent no CRC-64 of oss://bucket/copy" in log.text


def test_what_another_writer_puts_behind_the_copy_is_not_called_damage(
    transfers: Transfers, log: pytest.LogCaptureFixture
) -> None:
    transfers.oss.fail("*", fault=Fault("no-crc"), times=None)

    def put_another(request: Request) -> None:
        if request.operation == "CopyObject":
            transfers.oss.put(BUCKET, "copy", b"another")

    transfers.oss.after_request = put_another

    assert transfers.copy("source").size == len(CONTENT)

    assert "Another writer has replaced or removed oss://bucket/copy already" in log.text


def test_a_copy_that_is_deleted_before_it_can_be_compared_has_been_made(
    transfers: Transfers, log: pytest.LogCaptureFixture
) -> None:
    transfers.oss.fail("*", fault=Fault("no-crc"), times=None)

    def delete(request: Request) -> None:
        if request.operation == "CopyObject":
            transfers.client.delete_object(ObjectRef(BUCKET, "copy"))

    transfers.oss.after_request = delete

    assert transfers.copy("source").size == len(CONTENT)

    assert "Another writer has replaced or removed oss://bucket/copy already" in log.text


# --- by parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_a_completion_whose_answer_is_lost_counts(transfers: Transfers, if_exists: str) -> None:
    transfers.oss.fail("CompleteMultipartUpload", fault=LOST)

    result = transfers.copy("source", **by_parts(if_exists=if_exists))

    assert copied(transfers) == CONTENT
    assert result.outcome == "transferred"
    assert transfers.part_numbers("UploadPartCopy") == [1, 2, 3, 4, 5]
    assert transfers.oss.uploads(BUCKET) == []


def test_a_part_whose_answer_is_lost_is_copied_again(transfers: Transfers) -> None:
    transfers.oss.fail("UploadPartCopy", nth=2, fault=LOST)

    transfers.copy("source", **by_parts())

    assert copied(transfers) == CONTENT
    assert transfers.part_numbers("UploadPartCopy") == [1, 2, 2, 3, 4, 5]


def test_a_try_whose_upload_is_gone_begins_again(transfers: Transfers, log: pytest.LogCaptureFixture) -> None:
    breaks_off(transfers)
    [(_, upload_id)] = transfers.oss.uploads(BUCKET)
    transfers.oss.abort(BUCKET, "copy", upload_id)

    result = transfers.copy("source", **by_parts())

    assert copied(transfers) == CONTENT
    assert (result.parts_kept, result.parts_sent) == (0, 5)
    assert f"Restarting the copy to oss://{BUCKET}/copy: its upload ID {upload_id} is gone" in log.text


def test_an_upload_that_is_aborted_under_the_copy_is_begun_again_once(transfers: Transfers) -> None:
    def abort(request: Request) -> None:
        if request.operation == "UploadPartCopy" and transfers.calls("UploadPartCopy") == 3:
            [(_, upload_id)] = transfers.oss.uploads(BUCKET)
            transfers.oss.abort(BUCKET, "copy", upload_id)

    transfers.oss.after_request = abort

    transfers.copy("source", **by_parts())

    assert copied(transfers) == CONTENT
    assert transfers.calls("InitiateMultipartUpload") == 2


def test_a_try_that_had_finished_is_found_by_the_next_one(transfers: Transfers) -> None:
    transfers.copy("source", **by_parts())
    transfers.oss.clear_requests()

    result = transfers.copy("source", **by_parts(earlier_try=True))

    assert (result.outcome, transfers.calls("UploadPartCopy")) == ("already there", 0)


def test_other_tags_are_no_copy_that_is_there_already(transfers: Transfers) -> None:
    transfers.copy("source", **by_parts())
    transfers.oss.put(BUCKET, "source", CONTENT, x_oss_tagging="team=other")

    assert transfers.copy("source", **by_parts(if_exists="skip_if_same")).outcome == "transferred"

    assert transfers.client.get_object_tagging(ObjectRef(BUCKET, "copy")) == {"team": "other"}


def test_tags_that_may_not_be_read_only_to_be_compared_fail_no_copy(transfers: Transfers) -> None:
    transfers.oss.fail("GetObjectTagging", fault=DENIED, times=None)

    assert transfers.copy("source", earlier_try=True).outcome == "transferred"

    assert copied(transfers) == CONTENT


def test_tags_that_may_not_be_read_to_be_written_are_named(transfers: Transfers) -> None:
    transfers.oss.fail("GetObjectTagging", fault=DENIED, times=None)

    with pytest.raises(AccessDenied, match="oss:GetObjectTagging"):
        transfers.copy("source", **by_parts())

    assert transfers.calls("InitiateMultipartUpload") == 0


def test_a_restart_names_the_source_not_a_file(transfers: Transfers, log: pytest.LogCaptureFixture) -> None:
    breaks_off(transfers)
    transfers.oss.put(BUCKET, "source", CONTENT[:-1])

    transfers.copy("source", **by_parts())

    assert f"the source's size was {len(CONTENT)} bytes and is now {len(CONTENT) - 1}" in log.text
    assert " file" not in log.text
    assert transfers.oss.uploads(BUCKET) == []


@pytest.mark.parametrize("mode", ["server", "stream"])
def test_damage_of_a_part_is_found_before_it_becomes_the_copy(transfers: Transfers, mode: str) -> None:
    transfers.oss.put(BUCKET, "copy", b"before")
    breaks_off(transfers)
    [(_, upload_id)] = transfers.oss.uploads(BUCKET)
    other = ObjectRef(BUCKET, "other")
    transfers.oss.put(BUCKET, "other", some_bytes(PART, seed=9))
    etag = transfers.client.head_object(other).etag
    target = ObjectRef(BUCKET, "copy")
    transfers.client.upload_part_copy(other, target, upload_id, 2, start=0, stop=PART, if_match=etag)

    seen = []
    transfers.oss.on_request = lambda request: seen.append(copied(transfers))

    result = transfers.copy("source", **by_parts(mode=mode))

    assert set(seen) == {b"before"}
    assert (result.outcome, result.parts_kept, copied(transfers)) == ("transferred", 0, CONTENT)
    assert transfers.oss.uploads(BUCKET) == []


def test_a_copy_by_parts_of_a_source_without_a_crc_is_resumed_too(transfers: Transfers) -> None:
    transfers.oss.fail("*", fault=Fault("no-crc"), times=None)
    breaks_off(transfers)

    result = transfers.copy("source", **by_parts())

    assert copied(transfers) == CONTENT
    assert (result.parts_kept, result.parts_sent) == (3, 2)


def test_a_copy_that_began_by_oss_goes_on_through_the_worker(transfers: Transfers) -> None:
    breaks_off(transfers)

    result = transfers.copy("source", **by_parts(mode="stream"))

    assert copied(transfers) == CONTENT
    assert (result.parts_kept, transfers.part_numbers()) == (3, [4, 5])


def with_weak_etags(passing: Passing) -> None:
    if (etag := passing.answer.get("etag", "")) and not etag.startswith("W/"):
        passing.answer["etag"] = f"W/{etag}"


@pytest.mark.parametrize("mode", ["server", "stream"])
def test_an_etag_that_a_proxy_made_weak_is_a_condition_without_its_mark(transfers: Transfers, mode: str) -> None:
    breaks_off(transfers)

    with Relay(transfers.oss, answer=with_weak_etags) as relay:
        transfers.client = a_client(relay)
        result = transfers.copy("source", **by_parts(mode=mode))

    assert copied(transfers) == CONTENT
    assert (result.parts_kept, result.parts_sent) == (3, 2)
    sent = [passing.headers.get("x-oss-copy-source-if-match", "") for passing in relay.passed]
    assert not [condition for condition in sent if "W/" in condition]


# --- other tries ------------------------------------------------------------------------------------------------------


def test_a_superseded_try_completes_nothing(transfers: Transfers) -> None:
    def take_over(request: Request) -> None:
        if request.operation == "UploadPartCopy" and request.part_number == 5:
            ours = decode(transfers.store.load(KEY) or "")
            assert isinstance(ours, UploadCheckpoint)
            newer = UploadCheckpoint(
                bucket=BUCKET, key="copy", upload_id=ours.upload_id, size=ours.size, part_size=ours.part_size,
                options=ours.options, source=ours.source, owner=Owner(9, "the successor"),
            )  # fmt: skip
            transfers.store.save(KEY, encode(newer))

    transfers.oss.on_request = take_over

    with pytest.raises(TrySuperseded, match="the successor"):
        transfers.copy("source", **by_parts(), drop_when=lambda error: True)

    assert transfers.calls("CompleteMultipartUpload") == 0
    assert len(transfers.oss.uploads(BUCKET)) == 1
    transfers.oss.on_request = None

    result = transfers.copy("source", **by_parts(), try_number=10)

    assert (result.parts_kept, result.parts_sent) == (5, 0)
    assert copied(transfers) == CONTENT


def test_two_copies_to_one_target_at_once_leave_one_whole_object(oss: LocalOSS, transfers: Transfers) -> None:
    other = some_bytes(len(CONTENT), seed=2)
    oss.put(BUCKET, "other", other)
    second = Transfers(oss)
    made: list[bytes] = []

    def copy_the_other(request: Request) -> None:
        if request.operation == "UploadPartCopy" and request.part_number == 3 and not made:
            made.append(b"")
            second.copy("other", **by_parts())
            made[0] = copied(transfers)

    oss.on_request = copy_the_other

    transfers.copy("source", **by_parts())

    assert made == [other]
    assert copied(transfers) == CONTENT
    assert oss.uploads(BUCKET) == []


# --- what is not copied -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, by_parts(), by_parts(mode="stream")], ids=["whole", "parts", "stream"])
def test_an_archived_source_is_named_before_a_part_is_copied(transfers: Transfers, options: dict[str, object]) -> None:
    transfers.oss.put(BUCKET, "source", CONTENT, x_oss_storage_class="Archive")

    with pytest.raises(ObjectArchived, match="oss://bucket/source"):
        transfers.copy("source", **options)

    assert transfers.calls("InitiateMultipartUpload") == 0
    transfers.oss.restore(BUCKET, "source")
    assert transfers.copy("source", **options).outcome == "transferred"


@pytest.mark.parametrize(
    ("options", "error"),
    [({}, ObjectImmutable), (by_parts(), NotCopyable), (by_parts(mode="stream"), NotCopyable)],
    ids=["whole", "parts", "stream"],
)
def test_a_retained_target_is_named_before_a_part_is_copied(
    transfers: Transfers, options: dict[str, object], error: type[Exception]
) -> None:
    transfers.oss.put(BUCKET, "copy", b"retained")
    transfers.oss.retain(BUCKET, days=1)

    with pytest.raises(error) as raised:
        transfers.copy("source", **options)

    assert getattr(raised.value, "retryable", None) is False
    assert copied(transfers) == b"retained"
    assert transfers.calls("InitiateMultipartUpload") == 0


def test_a_link_is_not_copied_but_what_it_leads_to_streams(transfers: Transfers) -> None:
    transfers.oss.link(BUCKET, "link", "source")

    with pytest.raises(NotCopyable, match="copy_mode='stream'"):
        transfers.copy("link")

    assert transfers.copy("link", mode="stream").size == len(CONTENT)
    assert copied(transfers) == CONTENT


def test_two_regions_are_refused_with_the_way_out(transfers: Transfers) -> None:
    with pytest.raises(NotCopyable, match=r"is in cn-a and .* in cn-b.*copy_mode='stream'") as raised:
        transfers.copy("source", regions=("cn-a", "cn-b"))

    assert (raised.value.reason, raised.value.retryable) == ("region", False)
    assert transfers.calls("CopyObject") == 0


@pytest.mark.parametrize("options", [{}, by_parts()], ids=["whole", "parts"])
def test_a_source_that_only_its_own_connection_may_read_is_refused_with_the_way_out(
    transfers: Transfers, options: dict[str, object]
) -> None:
    reader = a_client(transfers.oss)
    transfers.oss.fail("CopyObject", fault=DENIED, times=None)
    transfers.oss.fail("UploadPartCopy", fault=DENIED, times=None)

    with pytest.raises(NotCopyable, match="copy_mode='stream'") as raised:
        transfers.copy("source", reader=reader, **options)

    assert (raised.value.reason, raised.value.retryable) == ("account", False)
    assert isinstance(raised.value.__cause__, AccessDenied)
    with pytest.raises(AccessDenied):
        transfers.copy("source", **options)


@pytest.mark.parametrize("mode", ["server", "stream"])
def test_bytes_of_two_accounts_stream_through_the_worker(transfers: Transfers, mode: str) -> None:
    with LocalOSS(access_key_id="another", access_key_secret="another-secret") as elsewhere:
        elsewhere.put(BUCKET, "there", CONTENT, x_oss_meta_who="me", x_oss_tagging="a=b")
        reader = a_client(elsewhere)
        if mode == "server":
            with pytest.raises(NotCopyable, match="copy_mode='stream'"):
                transfers.copy("there", reader=reader)
            return
        result = transfers.copy("there", reader=reader, mode=mode)

    assert (result.size, result.bytes_moved) == (len(CONTENT), len(CONTENT))
    assert copied(transfers) == CONTENT
    assert transfers.client.head_object(ObjectRef(BUCKET, "copy")).metadata == {"who": "me"}
    assert transfers.client.get_object_tagging(ObjectRef(BUCKET, "copy")) == {"a": "b"}


def test_an_error_of_oss_that_may_pass_is_retryable(transfers: Transfers) -> None:
    transfers.oss.fail("CopyObject", fault=Fault("status", status=503, code="ServiceUnavailable"), times=None)

    with pytest.raises(ServiceError) as raised:
        transfers.copy("source")

    assert raised.value.retryable


def test_a_large_object_that_takes_no_one_request_is_cut_into_large_parts(transfers: Transfers) -> None:
    transfers.oss.put_zeros(BUCKET, "source", 300 * MIB)

    result = transfers.copy(
        "source", properties=copied_properties("copy", {"storage_class": "IA"}), config={"part_size": None}
    )

    assert (result.parts, result.bytes_moved) == (5, 0)
    assert transfers.client.head_object(ObjectRef(BUCKET, "copy")).size == 300 * MIB


# --- damage, and answers that say nothing -----------------------------------------------------------------------------

FLIP = Fault("flip", after_bytes=1000)


@pytest.mark.parametrize("size", [PART - 1, 3 * PART])
def test_bytes_that_are_damaged_between_source_and_worker_never_become_the_copy(
    transfers: Transfers, size: int
) -> None:
    transfers.oss.put(BUCKET, "source", some_bytes(size))
    transfers.oss.put(BUCKET, "copy", b"before")

    with transfers.oss.failing("GetObject", fault=FLIP), pytest.raises(IntegrityError):
        transfers.copy("source", mode="stream")

    assert copied(transfers) == b"before"
    assert transfers.copy("source", mode="stream").outcome == "transferred"
    assert copied(transfers) == some_bytes(size)


def test_a_part_of_an_earlier_try_that_is_damaged_does_not_become_part_of_the_copy(transfers: Transfers) -> None:
    transfers.oss.put(BUCKET, "copy", b"before")
    with (
        transfers.oss.failing("UploadPart", after=1, fault=Fault("flip", after_bytes=10)),
        pytest.raises(IntegrityError),
    ):
        transfers.copy("source", mode="stream")

    transfers.copy("source", mode="stream")

    assert copied(transfers) == CONTENT


def test_a_weak_etag_of_the_source_pins_a_copy_too(transfers: Transfers) -> None:
    other = some_bytes(len(CONTENT), seed=2)
    client = transfers.client
    head = client.head_object

    def weak(target: ObjectRef) -> ObjectMeta:
        meta = head(target)
        return replace(meta, etag=f'W/"{meta.etag}"', crc64=None)

    def rewrite(request: Request) -> None:
        if request.operation == "UploadPartCopy" and request.part_number == 2:
            transfers.oss.put(BUCKET, "source", other)

    transfers.oss.on_request = rewrite
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OssClient, "head_object", lambda self, target: weak(target))
        transfers.copy("source", **by_parts())

    assert copied(transfers) == other


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_a_copy_that_oss_made_while_all_its_answers_were_lost_is_found(transfers: Transfers, if_exists: str) -> None:
    transfers.oss.put_zeros(BUCKET, "source", 201 * MIB)
    with transfers.oss.failing("CopyObject", fault=LOST):
        result = transfers.copy("source", if_exists=if_exists, config={"part_size": 64 * MIB})

    assert result.outcome == "already there"


def test_a_connection_that_fails_before_the_copy_began_is_no_reason_to_copy_by_parts(transfers: Transfers) -> None:
    transfers.oss.put_zeros(BUCKET, "source", 201 * MIB)
    with transfers.oss.failing("HeadObject", fault=Fault("refuse")), pytest.raises(ConnectionFailed):
        transfers.copy("source", config={"part_size": 64 * MIB})

    assert transfers.calls("InitiateMultipartUpload") == 0


def test_a_fallback_to_parts_leaves_the_restart_for_a_source_that_changes(transfers: Transfers) -> None:
    other = some_bytes(len(CONTENT), seed=2)
    transfers.oss.fail("CopyObject", fault=TOO_LARGE, times=None)

    def rewrite(request: Request) -> None:
        if request.operation == "UploadPartCopy" and request.part_number == 2:
            transfers.oss.put(BUCKET, "source", other)

    transfers.oss.on_request = rewrite

    transfers.copy("source", config={"part_size": PART})

    assert copied(transfers) == other


def test_a_fallback_to_parts_copies_a_source_that_has_become_empty(transfers: Transfers) -> None:
    """OSS completes no upload of no parts."""
    transfers.oss.fail("CopyObject", fault=TOO_LARGE)

    def empty(request: Request) -> None:
        if request.operation == "CopyObject" and transfers.calls("CopyObject") == 1:
            transfers.oss.put(BUCKET, "source", b"")

    transfers.oss.after_request = empty

    transfers.copy("source", config={"part_size": PART})

    assert copied(transfers) == b""


@pytest.mark.parametrize("if_exists", ["skip", "skip_if_same", "overwrite"])
def test_what_a_retention_policy_protects_is_not_asked_about_when_nothing_is_to_be_written(
    transfers: Transfers, if_exists: str
) -> None:
    transfers.copy("source", **by_parts())
    transfers.oss.retain(BUCKET, days=30)

    result = transfers.copy("source", **by_parts(if_exists=if_exists, earlier_try=if_exists == "overwrite"))

    assert result.outcome == ("already there" if if_exists == "overwrite" else "skipped")


def test_a_source_that_cannot_be_read_is_retried_by_its_own_request_only(transfers: Transfers) -> None:
    with transfers.oss.failing("GetObject", fault=Fault("refuse")), pytest.raises(SourceUnreadable) as caught:
        transfers.copy("source", mode="stream", config={"max_concurrency": 1})

    assert caught.value.retryable
    assert transfers.calls("GetObject") <= 5  # four attempts, and what was under way
    assert transfers.calls("UploadPart") <= 1
