"""Planted defects: the way to OSS and local files with one decision taken wrongly, each with the test that notices it.

A mutant under which its test passes is a hole. The engine's own are in ``tests/simulation/mutants.py``.
"""

from __future__ import annotations

import copy
import os
import re
import select
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Lock
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ossresume.checkpoints import file
from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
from airflow_provider_ossresume.errors import LocalFileError, ObjectTooLarge, ServiceError, TransferStopped
from airflow_provider_ossresume.model import etags
from airflow_provider_ossresume.oss import (
    base_client,
    body_streams,
    connections,
    dialing,
    object_operations,
    response,
    results,
    resumable_get,
    service_errors,
    wire,
    xml_reader,
)
from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.connections import Connections
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from airflow_provider_ossresume.oss.dialing import Route
from airflow_provider_ossresume.oss.response import Response, ResponseHead
from airflow_provider_ossresume.oss.results import ReceivedRange
from airflow_provider_ossresume.oss.resumable_get import ResumableGet
from airflow_provider_ossresume.oss.retry import Attempts, Retrying
from airflow_provider_ossresume.oss.stop import NeverStopped
from airflow_provider_ossresume.oss.temporary_credentials import RefreshingCredentials
from airflow_provider_ossresume.oss.wire import Wire
from airflow_provider_ossresume.transfer import local_file, part_file, publishing, target_file
from airflow_provider_ossresume.transfer.descriptor import Descriptor
from airflow_provider_ossresume.transfer.local_file import LocalFile
from airflow_provider_ossresume.transfer.part_file import PartFile
from airflow_provider_ossresume.transfer.stop import Stop
from tests.faults import test_file_systems, test_slow_disks
from tests.unit import (
    test_believing,
    test_callbacks,
    test_client,
    test_connections,
    test_deadlines,
    test_download,
    test_file_store,
    test_headers,
    test_heads,
    test_hostile_peers,
    test_idle_connections,
    test_resumable_get,
    test_retry,
    test_stopping,
    test_upload,
    test_xml,
)


@dataclass(frozen=True)
class Mutant:
    """One planted defect.

    :ivar place: the module or class whose ``attribute`` is ``wrong`` then
    :ivar test: passes without the defect, and fails with it
    :ivar given: its arguments, but for fixtures
    """

    name: str
    place: object
    attribute: str
    wrong: object
    test: Callable[..., None]
    given: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


# What is replaced is the inside of the package, so the mutants are not checked for types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, no-any-return"

nothing = lambda *_, **__: None  # noqa: E731


# --- which answers are believed ---------------------------------------------------------------------------------------


def with_a_cut_head(this, first, whole, right=Wire.head):
    try:
        return right(this, first, whole)
    except ExchangeFailed:
        return this._taken(wire.MAX_HEAD)


def without_broken_lines(this, head, method, right=ResponseHead.__init__):
    first, *lines = head.splitlines(keepends=True)
    right(this, first + b"".join(line for line in lines if b":" in line or not line.strip()), method)


def with_two_lengths(this, head, method, right=ResponseHead.__init__):
    try:
        right(this, head, method)
    except ExchangeFailed as error:
        if "in two ways" not in str(error):
            raise


def with_more_from_the_proxy(this, made, stop, right=Route._tunnel):
    try:
        right(this, made, stop)
    except ExchangeFailed as error:
        if "more than its response" not in str(error):
            raise


def without_its_total(*args, total, right=results.received_range, **options):
    return right(*args, **options)


def as_if_it_were_the_range(this, pieces):
    left = this.size
    for piece in pieces:
        yield piece[:left]
        left -= len(piece[:left])


def to_a_cut(this, buffer, limit, right=Response._read):
    try:
        return right(this, buffer, limit)
    except ExchangeFailed as error:
        if "before the end of the body" in str(error):
            return 0
        raise


def of_any_chunk(this, size):
    return this._wire.read(size, this.limit)


def with_the_whole_body(this, *args, right=Connections._send):
    right(this, *args)
    return True


def with_none_instead(text, right=results.read_etag):
    return right(text) or "none"


def with_blanks(body, right=xml_reader._parse):
    if body[:1].isspace():
        raise xml_reader.MalformedXML("XML or text declaration not at start of entity")
    return right(body)


BELIEVING = [
    Mutant(
        "a cut head is believed", Wire, "head", with_a_cut_head,
        test_deadlines.test_a_head_that_is_cut_is_a_broken_connection, {"cut": len(test_deadlines.HEAD) - 10},
    ),
    Mutant(
        "a broken line of a head is skipped", ResponseHead, "__init__", without_broken_lines,
        test_connections.test_a_head_with_a_broken_line_is_a_failed_exchange,
        {"head": test_connections.BROKEN_HEADS["a line without a colon"]},
    ),
    Mutant(
        "a head may tell two lengths", ResponseHead, "__init__", with_two_lengths,
        test_heads.test_an_answer_that_tells_its_length_in_two_ways_is_none,
        {"lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n"},
    ),
    Mutant(
        "a folded field stays in its lines", response, "_FOLD", re.compile("(?!)"),
        test_heads.test_a_field_that_is_folded_is_one_line,
    ),
    Mutant(
        "a redirect is shown with its password", service_errors, "_without_user", lambda location: location,
        test_heads.test_a_redirect_is_shown_without_the_password_in_it,
    ),
    Mutant(
        "bytes left over from the last answer are used", Wire, "is_silent", True,
        test_idle_connections.test_what_nobody_asked_for_never_becomes_the_next_answer, {"is_tls": False},
    ),
    Mutant(
        "bytes left over in TLS are used", wire, "_decrypted", lambda _: False,
        test_idle_connections.test_nor_does_what_tls_has_decrypted_already,
    ),
    Mutant(
        "bytes behind the answer to CONNECT are used", Route, "_tunnel", with_more_from_the_proxy,
        test_deadlines.test_what_comes_after_the_answer_to_connect_is_no_tls,
    ),
    Mutant(
        "the ETag of an answer is not compared", results, "same_etag", lambda *_: True,
        test_believing.test_a_proxy_that_drops_if_match_never_makes_a_file_of_two_objects,
        {"size": 5 * test_believing.PART, "byte_range": None},
    ),
    Mutant(
        "nor is it where a download goes on", results, "same_etag", lambda *_: True,
        test_resumable_get.test_an_object_that_changed_is_begun_again_from_its_first_byte, {"keeps_conditions": False},
    ),
    Mutant(
        "the total of an answer is not compared", results, "received_range", without_its_total,
        test_believing.test_an_answer_about_another_object_is_the_object_having_changed,
        {"headers": {"ETag": '"E"', "Content-Range": "bytes 0-9/101"}, "why": "it had 100 bytes and now has 101"},
    ),
    Mutant(
        "an answer needs no ETag", results, "read_etag", with_none_instead,
        test_believing.test_a_head_or_a_get_without_an_etag_is_no_answer_and_asked_for_again, {"etag": ""},
    ),
    Mutant(
        "a weak ETag goes into If-Match", etags, "if_match", lambda etag: f'"{etags.opaque(etag)}"',
        test_believing.test_a_weak_etag_is_compared_here_as_if_match_would_never_match,
    ),
    Mutant(
        "a peer that ignores Range is believed to have sent it", ReceivedRange, "wanted", as_if_it_were_the_range,
        test_believing.test_an_object_that_came_whole_is_cut_to_what_was_asked_for,
        {"start": 10, "stop": 20, "piece_size": 7},
    ),
    Mutant(
        "a body that is cut is taken", Response, "_read", to_a_cut,
        test_idle_connections.test_a_break_in_a_body_drops_those_that_wait,
    ),
    Mutant(
        "a chunk may have a negative size", response._Chunks, "read1", of_any_chunk,
        test_hostile_peers.test_a_chunk_of_negative_size_is_an_error_when_it_brings_more_than_the_sink_takes_at_once,
    ),
    Mutant(
        "a success before the body was sent is believed", Connections, "_send", with_the_whole_body,
        test_connections.test_a_success_that_is_answered_before_the_body_is_sent_is_none, {"status": b"200 OK"},
    ),
    Mutant(
        "a refusal whose body is cut is a broken connection", base_client, "until_it_breaks", lambda pieces: pieces,
        test_deadlines.test_a_refusal_whose_body_is_cut_is_one,
    ),
    Mutant(
        "blanks before the XML make it none", xml_reader, "_parse", with_blanks,
        test_deadlines.test_blanks_while_oss_is_at_work_do_not_make_a_stall, {"operation": "CopyObject"},
    ),
    Mutant(
        "a page of a listing is not decoded", xml_reader.XmlNode, "decoded", lambda _, text: text,
        test_xml.test_an_answer_is_read,
        dict(zip(("xml", "read", "value"), test_xml.ANSWERS["list objects"], strict=True)),
    ),
    Mutant(
        "a copy whose source is missing misses its target", Call, "copy_source", "",
        test_believing.test_a_copy_whose_source_is_missing_names_the_source,
    ),
    Mutant(
        "a callback that failed is no answer of OSS", service_errors, "unexpected_success",
        lambda call, answered, _: call.bad_answer(f"was answered {answered.status}"),
        test_callbacks.test_a_callback_server_that_is_away_is_a_failed_callback_too,
    ),
    Mutant(
        "a header of ours may be given", object_operations, "check_given", lambda headers: dict(headers or {}),
        test_headers.test_a_header_of_ours_is_refused_by_name_before_anything_is_sent, {"name": "Host"},
    ),
]  # fmt: skip


# --- what is tried again ----------------------------------------------------------------------------------------------


def again_and_again(this, right=ResumableGet.restart):
    this._may_restart = True
    return right(this)


def after_the_first_failure(this, state, right=Retrying._is_over):
    return right(this, state) or state.args[0]._spent > this._policy.total


def by_our_clock(headers, right=service_errors._retry_after):
    return right({name: value for name, value in headers.items() if name != "date"})


def at_the_cost_of_an_attempt(this, *args, right=Connections._exchange):
    try:
        return right(this, *args)
    except connections._NoResponse as error:
        raise error.failure from None


def as_if_nothing_had_come(this, *args, right=Connections._exchange):
    try:
        return right(this, *args)
    except ExchangeFailed as error:
        raise connections._NoResponse(error) from None


def as_if_it_had_not_come(this, *args, right=Connections._exchange):
    try:
        return right(this, *args)
    except connections._NoResponse as error:
        error.failure.is_timeout = False
        raise


def with_the_files_errors(this, made, head, body, right=Connections._send):
    try:
        return right(this, made, head, body)
    except OSError as error:
        raise ExchangeFailed(str(error)) from error


def of_answers_only(error, right=base_client.is_overload):
    return isinstance(error, ServiceError) and right(error)


TRYING_AGAIN = [
    Mutant(
        "a download begins anew instead of going on", ResumableGet, "_resumes", False,
        test_resumable_get.test_what_broke_goes_on_behind_the_last_byte, {"start": 0, "stop": None},
    ),
    Mutant(
        "an object that changes all the time is begun again and again", ResumableGet, "restart", again_and_again,
        test_resumable_get.test_one_that_changes_again_and_again_is_not,
        {"keeps_conditions": True, "knows_ranges": True},
    ),
    Mutant(
        "progress does not give attempts back", Attempts, "progressed", nothing,
        test_resumable_get.test_each_64_kib_further_begin_the_attempts_anew,
    ),
    Mutant(
        "a few bytes are progress", resumable_get, "STALL_SIZE", 1,
        test_resumable_get.test_a_few_bytes_further_do_not,
    ),
    Mutant(
        "work counts against retry_max_time", Attempts, "moved", nothing,
        test_retry.test_the_time_in_which_bytes_move_is_not_spent,
    ),
    Mutant(
        "the work of sending does", body_streams, "_counted", lambda pieces, _: pieces,
        test_client.test_the_time_in_which_a_body_is_sent_is_not_spent,
    ),
    Mutant(
        "a long first attempt is the only one", Retrying, "_is_over", after_the_first_failure,
        test_retry.test_there_are_two_attempts_however_long_the_first_one_took,
    ),
    Mutant(
        "Retry-After is a date of our clock", service_errors, "_retry_after", by_our_clock,
        test_client.test_the_wait_may_be_asked_for_in_several_ways,
        {
            "headers": {"Date": "Thu, 01 Jan 2026 00:00:00 GMT", "Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT"},
            "wait": 30.0,
        },
    ),
    Mutant(
        "a 407 is tried again", dialing, "_TRANSIENT", (407, *dialing._TRANSIENT),
        test_deadlines.test_a_proxy_that_refuses_for_good_is_asked_once, {"status": "407 No", "attempts": 1},
    ),
    Mutant(
        "a dead connection that waited costs an attempt", Connections, "_exchange", at_the_cost_of_an_attempt,
        test_idle_connections.test_a_dead_connection_that_waited_costs_no_attempt_and_the_others_are_dropped,
    ),
    Mutant(
        "a request is sent again though an answer has begun", Connections, "_exchange", as_if_nothing_had_come,
        test_idle_connections.test_what_fails_within_an_answer_is_not_sent_again_unasked,
    ),
    Mutant(
        "a POST that may have come is sent again", Connections, "_exchange", as_if_it_had_not_come,
        test_heads.test_a_post_that_is_not_answered_in_time_is_not_sent_again_behind_the_callers_back,
    ),
    Mutant(
        "the error of a local file is the connection's", Connections, "_send", with_the_files_errors,
        test_deadlines.test_the_error_of_a_local_file_is_not_the_connections,
    ),
    Mutant(
        "an error behind a 200 may always pass", service_errors, "_STATUSES", {},
        test_believing.test_an_error_that_comes_behind_a_200_is_the_error_that_it_says,
        {"code": "EntityTooLarge", "kind": ObjectTooLarge, "attempts": 1},
    ),
    Mutant(
        "nobody reads by how much OSS throttles", service_errors, "qos_delay", nothing,
        test_believing.test_an_error_tells_by_how_much_oss_throttles, {"status": 503, "delay": "1500", "told": 1.5},
    ),
    Mutant(
        "nobody hears of throttling", base_client, "is_overload", lambda _: False,
        test_stopping.test_the_stop_is_told_of_throttling_and_of_timeouts,
        {"answer": test_stopping.an_answer("503 Busy", Connection="close"), "told": 1},
    ),
    Mutant(
        "nobody hears of timeouts", base_client, "is_overload", of_answers_only,
        test_stopping.test_the_stop_is_told_of_throttling_and_of_timeouts, {"answer": b"", "told": 1},
    ),
]  # fmt: skip


# --- which connections are used ---------------------------------------------------------------------------------------


def however_old(this, *args, right=connections.OriginPool.__init__, **options):
    right(this, *args, **{**options, "longest_idle": 1e9})


def without_harm_to_others(this, *, is_clean, is_broken, right=connections._Finish.__call__):
    right(this, is_clean=is_clean, is_broken=False)


def with_a_clock_of_its_own(this, stop, right=OssClient.with_stop):
    other = right(this, stop)
    other._clock = copy.copy(this._clock)
    return other


CONNECTIONS = [
    Mutant(
        "a connection is used however long it waited", connections.OriginPool, "__init__", however_old,
        test_idle_connections.test_a_connection_that_waited_too_long_is_not_used_again,
    ),
    Mutant(
        "those that wait stay after a failure", connections._Finish, "__call__", without_harm_to_others,
        test_idle_connections.test_a_break_in_a_body_drops_those_that_wait,
    ),
    Mutant(
        "those that their peer has closed stay", connections.OriginPool, "sweep", nothing,
        test_idle_connections.test_those_that_their_peer_has_closed_are_closed_though_another_one_is_used,
    ),
    Mutant(
        "a client that is closed leaves them open", Connections, "close", nothing,
        test_idle_connections.test_a_client_that_is_closed_leaves_none_open,
    ),
    Mutant(
        "a child uses its parent's", connections, "os", SimpleNamespace(getpid=lambda: 1, environ=os.environ),
        test_connections.test_a_child_that_is_forked_makes_connections_of_its_own,
    ),
    Mutant(
        "a clock is learnt by one copy of a client", OssClient, "with_stop", with_a_clock_of_its_own,
        test_stopping.test_copies_of_a_client_share_its_stop_and_what_was_learnt_of_oss_clock,
    ),
    Mutant(
        "each client reads the CA bundle", dialing, "_context", dialing._context.__wrapped__,
        test_connections.test_a_ca_bundle_is_read_once_for_all_clients_and_again_when_it_has_changed,
    ),
]  # fmt: skip


# --- stops and limits -------------------------------------------------------------------------------------------------


class Unasked:
    """A stop that shuts what is guarded, and is not looked at."""

    def __init__(self, stop):
        self._stop = stop
        self.check = nothing

    @contextmanager
    def guard(self, shut):
        with ExitStack() as guarded:
            with suppress(TransferStopped):
                guarded.enter_context(self._stop.guard(shut))
            yield


def without_a_look(this, way, made, method, head, body, stop, right=Connections._exchange):
    return right(this, way, made, method, head, body, Unasked(stop))


def without_a_look_at_tls(this, made, stop, place, right=Route._begin_tls):
    right(this, made, Unasked(stop), place)


@contextmanager
def for_good(this, stop):
    with stop.guard(lambda: this._shut(Lock())):
        yield


def without_a_stop(place, stop, *args, right=dialing._resolve):
    return right(place, NeverStopped(), *args)


def by_its_own_shutdown(this, _):
    """It drops TLS first; here the thread is held up then, as any may be, until the peer has had enough."""

    def later(sock, how):
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP)
        poll.poll(10_000)
        super(socket.socket, sock).shutdown(how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "shutdown", later)
        this._socket.shutdown(socket.SHUT_RDWR)


def for_each_address(_, *args, right=dialing._connect_within):
    right(0.6, *args)  # the whole time of the test


def not_heard(this, seconds):
    Event().wait(min(seconds, 3.0))


STOPS_AND_LIMITS = [
    Mutant(
        "nobody asks for a stop when a connection is made", Connections, "_exchange", without_a_look,
        test_stopping.test_a_stop_that_comes_while_a_connection_is_made_lets_nothing_be_sent,
    ),
    Mutant(
        "nobody asks for a stop when TLS begins", Route, "_begin_tls", without_a_look_at_tls,
        test_stopping.test_a_stop_that_comes_while_a_connection_turns_to_tls_ends_it,
    ),
    Mutant(
        "a name server is waited for in spite of a stop", dialing, "_resolve", without_a_stop,
        test_stopping.test_a_stop_ends_the_wait_for_a_name_server,
    ),
    Mutant(
        "credentials are waited for in spite of a stop", RefreshingCredentials, "with_stop", lambda this, stop: this,
        test_stopping.test_a_stop_ends_the_wait_for_credentials_and_no_other_clients,
    ),
    Mutant(
        "a stop shuts what is somebody else's by now", Wire, "guarded", for_good,
        test_stopping.test_a_stop_that_is_late_shuts_no_connection_that_others_use,
    ),
    Mutant(
        "a stop shuts nothing", Wire, "_shut", nothing,
        test_stopping.test_a_stop_ends_the_wait_for,
        {"wait": test_stopping.WAITS["an answer"], "certificate": None},
    ),
    Mutant(
        "a stop is not heard between attempts", Stop, "wait", not_heard,
        test_stopping.test_a_stop_ends_the_wait_for_the_next_attempt,
    ),
    Mutant(
        "a stop ends TLS and lets its socket send on", Wire, "_shut", by_its_own_shutdown,
        test_stopping.test_nothing_is_sent_in_clear_when_a_stop_ends_tls,
    ),
    Mutant(
        "each address has the whole time for a connection", dialing, "_connect_within", for_each_address,
        test_deadlines.test_all_addresses_share_the_time_for_a_connection,
    ),
    Mutant(
        "nobody looks for an early answer", Wire, "is_answered", lambda _: False,
        test_deadlines.test_an_early_refusal_of_a_peer_that_takes_no_more_is_the_answer, {"is_tls": False},
    ),
    Mutant(
        "a 100 Continue that nobody asked for is an early answer", Wire, "is_answered", lambda this: this._has_input,
        test_deadlines.test_an_announcement_that_nobody_asked_for_is_no_early_answer,
    ),
    Mutant(
        "a head may trickle", Connections, "_whole_head", lambda _: Limit("nothing more came", silence=5.0),
        test_deadlines.test_a_head_that_trickles,
    ),
    Mutant(
        "a body that its taker reads slowly stalls", Connections, "body_limit",
        lambda this: Limit("nothing more came", total=this._stall_timeout),
        test_deadlines.test_a_body_read_slowly_by_its_taker_is_no_stall,
    ),
    Mutant(
        "a proxy's answer may trickle", Route, "_limit", lambda _, what: Limit(what, silence=0.3),
        test_deadlines.test_a_proxys_answer_that_trickles,
    ),
    Mutant(
        "a copy that trickles blanks stalls", Connections, "slow_response_limit", Connections.body_limit,
        test_deadlines.test_blanks_while_oss_is_at_work_do_not_make_a_stall, {"operation": "UploadPartCopy"},
    ),
]  # fmt: skip


# --- local files ------------------------------------------------------------------------------------------------------


class Forgotten(dict):
    """Calls that were given up, of which nobody knows."""

    def get(self, *_):
        return None


def though_given_up(this, key, _, right=FileCheckpointStore._delete):
    right(this, key, file._Call())


def of_what_is_told(this, size, right=PartFile.check_space):
    if not os.statvfs(this.path).f_bavail:
        raise LocalFileError("0 bytes are free")
    right(this, size)


LOCAL_FILES = [
    Mutant(
        "a save that was given up lands behind a newer one", file, "_abandoned", Forgotten(),
        test_slow_disks.test_a_store_on_a_disk_that_hangs_says_so,
    ),
    Mutant(
        "a delete that was given up removes a newer checkpoint", FileCheckpointStore, "_delete", though_given_up,
        test_slow_disks.test_a_delete_that_was_given_up_leaves_the_checkpoint_of_a_later_transfer,
    ),
    Mutant(
        "what a killed save left stays", FileCheckpointStore, "_temporary_path",
        lambda this, key: this.folder / f".{key}.{os.urandom(4).hex()}",
        test_file_store.TestFile().test_a_save_that_was_killed_leaves_nothing_behind_the_next_save, {"ends": "save"},
    ),
    Mutant(
        "a part file that others may read stays so", PartFile, "_make_private", nothing,
        test_download.test_a_part_file_that_others_may_read_becomes_private_when_it_is_resumed,
    ),
    Mutant(
        "a part file is private later", part_file, "PRIVATE", 0o644,
        test_download.test_nobody_else_can_open_the_part_file, {"mode": None},
    ),
    Mutant(
        "what comes in the last moment is overwritten", part_file, "move_to_free_name", os.replace,
        test_file_systems.test_what_comes_in_the_last_moment_is_never_overwritten, {"kind": "renames"},
    ),
    Mutant(
        "a share that flushes no file takes no download", publishing, "REFUSED", frozenset(),
        test_file_systems.test_a_share_that_flushes_no_file_is_warned_about_and_takes_a_download, {"code": 22},
    ),
    Mutant(
        "nor a checkpoint", file, "REFUSED", frozenset(),
        test_file_systems.test_a_share_that_flushes_no_file_keeps_checkpoints, {"code": 22},
    ),
    Mutant(
        "where no rename can spare a file it is overwritten", publishing, "_take_and_replace", os.replace,
        test_file_systems.test_nor_is_what_comes_once_the_file_system_has_refused_what_cannot_overwrite,
        {"refused": "_link"},
    ),
    Mutant(
        "a file is closed under its users", Descriptor, "close", Descriptor._close,
        test_file_systems.test_a_file_is_closed_when_its_last_user_is_done,
    ),
    Mutant(
        "a lock that comes late begins another part file", PartFile, "_check_open", nothing,
        test_slow_disks.test_a_lock_that_comes_when_the_transfer_has_ended_touches_nothing,
    ),
    Mutant(
        "a file system that tells no sizes is full", PartFile, "check_space", of_what_is_told,
        test_file_systems.test_a_mount_of_object_storage_that_tells_no_sizes_takes_a_download,
    ),
    Mutant(
        "a mount that writes in order is tried", PartFile, "check_any_order", nothing,
        test_file_systems.test_a_mount_that_writes_in_order_is_refused_before_a_part_moves_and_the_error_says_the_way_out,
    ),
    Mutant(
        "a file that is a mount of its own is tried", target_file, "_mount", nothing,
        test_file_systems.test_a_file_that_is_a_mount_of_its_own_is_refused_before_a_part_moves,
        {"policy": "overwrite"},
    ),
    Mutant(
        "a mount that has crashed has for good", local_file, "is_passing", lambda _: False,
        test_file_systems.test_a_crashed_mount_may_pass_so_retries_count,
    ),
    Mutant(
        "a share is another one on each worker", os, "major", lambda _: 1,
        test_upload.test_a_worker_that_mounts_the_share_under_another_device_number_trusts_the_stat,
    ),
    Mutant(
        "a file that is said to be empty is", LocalFile, "_read_unreported", lambda *_: b"",
        test_file_systems.test_a_file_of_proc_is_read_to_its_end,
    ),
]  # fmt: skip

MUTANTS = [*BELIEVING, *TRYING_AGAIN, *CONNECTIONS, *STOPS_AND_LIMITS, *LOCAL_FILES]
