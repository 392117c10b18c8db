"""The hook for coroutines: the same answers as the other one, on threads of its own, and a prompt end."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from airflow_provider_ossresume.errors import AccessDenied, ArgumentError, NoSuchBucket, NoSuchKey, TransferStopped
from airflow_provider_ossresume.hooks import asynchronous
from airflow_provider_ossresume.hooks.asynchronous import MAX_CALLS, OSSResumeAsyncHook
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.local_oss import Fault, LocalOSS
from airflow_provider_ossresume.model.patterns import KeyPattern
from airflow_provider_ossresume.model.waiting import Wanted
from tests.world import BUCKET, PART

T = TypeVar("T")
KEYS = ["a", "in/1", "in/2", "z"]


@pytest.fixture
def filled(connected: LocalOSS) -> LocalOSS:
    for key in KEYS:
        connected.put(BUCKET, key, key.encode())
    return connected


def answer(ask: Callable[[OSSResumeAsyncHook], Awaitable[T]], **options: Any) -> T:
    async def asked() -> T:
        return await ask(OSSResumeAsyncHook(**options))

    return asyncio.run(asked())


def test_the_answers_are_those_of_the_other_hook(filled: LocalOSS) -> None:
    hook = OSSResumeHook()

    assert answer(lambda there: there.head_object("a", BUCKET)).etag == hook.head_object("a", BUCKET).etag
    assert answer(lambda there: there.object_exists("a", BUCKET))
    assert not answer(lambda there: there.object_exists("A", BUCKET))
    assert answer(lambda there: there.list_keys(BUCKET)) == KEYS
    assert answer(lambda there: there.list_keys(BUCKET, "in/", max_items=1)) == ["in/1"]
    assert answer(lambda there: there.list_keys(BUCKET, "in/*", apply_wildcard=True)) == ["in/1", "in/2"]
    assert answer(lambda there: there.get_file_metadata("in/", BUCKET)) == hook.get_file_metadata("in/", BUCKET)
    wanted = Wanted(patterns=(KeyPattern(BUCKET, "in/*", "wildcard"),))
    assert answer(lambda there: there.look(wanted)).is_done


def test_the_errors_are_those_of_the_other_hook(filled: LocalOSS) -> None:
    with pytest.raises(NoSuchKey):
        answer(lambda there: there.head_object("nothing", BUCKET))
    with pytest.raises(NoSuchBucket):
        answer(lambda there: there.list_keys("nobody-made-this"))
    with pytest.raises(ArgumentError, match="bucket_name"):
        answer(lambda there: there.head_object("a"))
    with pytest.raises(Exception, match="no_such_connection"):
        answer(lambda there: there.head_object("a", BUCKET), oss_conn_id="no_such_connection")
    filled.fail("HeadObject", 1, Fault("status", status=403, code="AccessDenied"))
    with pytest.raises(AccessDenied, match="grant oss:GetObject"):
        answer(lambda there: there.head_object("a", BUCKET))


def test_the_connection_is_looked_up_once(filled: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice() -> list[bool]:
        hook = OSSResumeAsyncHook()
        first = await hook.object_exists("a", BUCKET)
        monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", "{}")
        return [first, await hook.object_exists("z", BUCKET)]

    assert asyncio.run(twice()) == [True, True]


def test_calls_at_once_look_the_connection_up_once(filled: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    lookups: list[str] = []
    read_connection = asynchronous.read_connection

    async def counted(conn_id: str, *arguments: Any, **options: Any) -> Any:
        lookups.append(conn_id)
        return await read_connection(conn_id, *arguments, **options)

    monkeypatch.setattr(asynchronous, "read_connection", counted)

    async def many(hook: OSSResumeAsyncHook) -> list[bool]:
        return await asyncio.gather(*(hook.object_exists("a", BUCKET) for _ in range(20)))

    assert asyncio.run(many(OSSResumeAsyncHook())) == [True] * 20
    assert lookups == ["oss_default"]


def test_a_lookup_that_is_cancelled_or_fails_is_made_again_for_those_that_wait(
    filled: LocalOSS, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = OSSResumeAsyncHook()

    async def many() -> list[Any]:
        calls = [asyncio.create_task(hook.object_exists("a", BUCKET)) for _ in range(3)]
        await asyncio.sleep(0)  # all of them have begun
        calls[0].cancel()
        return await asyncio.gather(*calls, return_exceptions=True)

    connection = os.environ["AIRFLOW_CONN_OSS_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", '{"conn_type": "http"}')
    assert not any(each is True for each in asyncio.run(many()))
    monkeypatch.setenv("AIRFLOW_CONN_OSS_DEFAULT", connection)
    cancelled, *answers = asyncio.run(many())  # in another event loop
    assert isinstance(cancelled, asyncio.CancelledError)
    assert answers == [True, True]


def test_many_calls_are_at_work_at_once_and_no_more_than_that(filled: LocalOSS) -> None:
    all_are_here = threading.Barrier(MAX_CALLS, timeout=30)
    at_once: list[int] = []

    def hold(_: Any) -> None:
        at_once.append(1)
        all_are_here.wait()

    filled.on_request = hold

    async def many() -> list[bool]:
        hook = OSSResumeAsyncHook()
        return await asyncio.gather(*(hook.object_exists("a", BUCKET) for _ in range(2 * MAX_CALLS)))

    assert asyncio.run(many()) == [True] * 2 * MAX_CALLS
    assert len(at_once) == 2 * MAX_CALLS


def test_a_call_that_is_cancelled_ends_its_request_at_once(filled: LocalOSS) -> None:
    filled.fail("HeadObject", 1, Fault("stall"), times=None)
    asked, ended = threading.Event(), threading.Event()
    errors: list[BaseException] = []
    filled.on_request = lambda _: asked.set()

    def head(hook: OSSResumeHook) -> None:
        try:
            hook.head_object("a", BUCKET)
        except TransferStopped as error:
            errors.append(error)
        finally:
            ended.set()

    async def cancel_amid() -> bool:
        hook = OSSResumeAsyncHook(transfer_config={"read_timeout": 600, "stall_timeout": 600})
        waiting = asyncio.create_task((await hook.call(head)).result())
        await asyncio.to_thread(asked.wait, 30)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return await asyncio.to_thread(ended.wait, 30)

    assert asyncio.run(cancel_amid())
    assert len(errors) == 1


def test_an_upload_that_is_cancelled_publishes_nothing(connected: LocalOSS) -> None:
    asked, cancelled, ended = threading.Event(), threading.Event(), threading.Event()

    def hold(request: Any) -> None:
        if request.operation == "UploadPart":
            asked.set()
            cancelled.wait(30)

    connected.on_request = hold

    def load(hook: OSSResumeHook) -> None:
        try:
            hook.load_bytes(bytes(5 * PART), "key", BUCKET)
        finally:
            ended.set()

    async def cancel_amid() -> None:
        hook = OSSResumeAsyncHook(
            transfer_config={"part_size": PART, "multipart_threshold": PART, "max_concurrency": 2}
        )
        waiting = asyncio.create_task((await hook.call(load)).result())
        await asyncio.to_thread(asked.wait, 30)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        cancelled.set()
        assert await asyncio.to_thread(ended.wait, 30)

    asyncio.run(cancel_amid())
    assert (connected.objects(BUCKET), connected.uploads(BUCKET)) == ([], [])


def test_it_works_without_a_connection(filled: LocalOSS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", filled.access_key_id)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", filled.access_key_secret)
    monkeypatch.setenv("OSS_REGION", filled.region)
    monkeypatch.setenv("OSS_ENDPOINT", filled.endpoint)

    assert answer(lambda there: there.object_exists("a", BUCKET), oss_conn_id=None)


@pytest.mark.airflow
def test_it_works_in_a_task(filled: LocalOSS, dag: Any) -> None:
    from tests.airflow.runs import call_in_a_task

    assert call_in_a_task(dag, lambda context: answer(lambda there: there.list_keys(BUCKET, "in/"))) == ["in/1", "in/2"]
