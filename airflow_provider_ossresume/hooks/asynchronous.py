"""HEAD requests and listings for coroutines, in triggers and in asynchronous tasks.

The client's requests block, so they run in threads. Each connection has a few threads, which all coroutines of the
process share. If a coroutine is cancelled, its request ends at once.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_ossresume._airflow import current_context, read_connection
from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.hooks.thread_pools import DaemonThreadPool, shared_pool
from airflow_provider_ossresume.model.arguments import Flag
from airflow_provider_ossresume.transfer.stop import Stop

if TYPE_CHECKING:
    from airflow_provider_ossresume.hooks.object_lookup import LookResult
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from airflow_provider_ossresume.model.listing import ObjectEntry
    from airflow_provider_ossresume.model.objects import ObjectMeta
    from airflow_provider_ossresume.model.waiting import Wanted
    from airflow_provider_ossresume.transfer.config import TransferConfig

T = TypeVar("T")

MAX_CALLS = 16  # in parallel per connection; if OSS does not answer, 100 sensors time out in one to two minutes
MAX_LOOKUPS = 4  # connections looked up in parallel, in their own threads, so that requests to OSS cannot delay them


class OSSResumeAsyncHook:
    """The reading methods of :class:`~airflow_provider_ossresume.hooks.oss.OSSResumeHook`, as coroutines.

    Arguments, results and errors are the same. At most 16 calls run in parallel for one connection; the others wait.
    The first call looks up the connection.

    :param oss_conn_id: the connection. None uses the worker's own credentials
    :param region: overrides the connection's region
    :param transfer_config: retries and timeouts of the requests
    """

    def __init__(
        self,
        oss_conn_id: str | None = "oss_default",
        region: str | None = None,
        transfer_config: TransferConfig | Mapping[str, Any] | None = None,
    ) -> None:
        self.oss_conn_id = oss_conn_id
        self.region = region
        self._transfer_config = transfer_config
        self._hook: OSSResumeHook | None = None
        self._lookup_lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def head_object(self, key: str, bucket_name: str | None = None) -> ObjectMeta:
        """Return an object's headers.

        :raises NoSuchKey: if the object does not exist
        """
        return await self._run(lambda hook: hook.head_object(key, bucket_name))

    async def object_exists(self, key: str, bucket_name: str | None = None) -> bool:
        """Return whether an object exists. Only a missing key is False; any other error is raised."""
        return await self._run(lambda hook: hook.object_exists(key, bucket_name))

    async def list_keys(
        self,
        bucket_name: str | None = None,
        prefix: str | None = None,
        delimiter: str | None = None,
        page_size: int | None = None,
        max_items: int | None = None,
        start_after_key: str | None = None,
        from_datetime: datetime | None = None,
        to_datetime: datetime | None = None,
        *,
        apply_wildcard: Flag = False,
    ) -> list[str]:
        """Return the keys that start with a prefix; see :meth:`~.ListingMethods.list_keys`."""
        return await self._run(
            lambda hook: hook.list_keys(
                bucket_name,
                prefix,
                delimiter,
                page_size,
                max_items,
                start_after_key,
                from_datetime,
                to_datetime,
                apply_wildcard=apply_wildcard,
            )
        )

    async def get_file_metadata(
        self,
        prefix: str | None = None,
        bucket_name: str | None = None,
        page_size: int | None = None,
        max_items: int | None = None,
    ) -> list[ObjectEntry]:
        """Return the objects whose keys start with a prefix, with sizes and dates."""
        return await self._run(lambda hook: hook.get_file_metadata(prefix, bucket_name, page_size, max_items))

    async def look(self, wanted: Wanted) -> LookResult:
        """Check once for a sensor; see :func:`~airflow_provider_ossresume.hooks.object_lookup.look`."""
        return await self._run(lambda hook: hook.look(wanted))

    async def _run(self, function: Callable[[OSSResumeHook], T]) -> T:
        return await (await self.call(function)).result()

    async def call(
        self, function: Callable[[OSSResumeHook], T], *, timeout: float = math.inf, timeout_message: str = ""
    ) -> Call[T]:
        """Return a call of any reading method, which a thread will run. It starts when its result is awaited.

        :param timeout: seconds after which the call sends no further request
        :param timeout_message: the message of the error that it then raises. The error is retryable
        """
        async with self._lock():
            if self._hook is None:
                self._hook = await self._look_up_hook()
        executor = shared_pool(f"calls-{self.oss_conn_id}", most=MAX_CALLS)
        return Call(self._hook, function, executor=executor, timeout=timeout, timeout_message=timeout_message)

    def _lock(self) -> asyncio.Lock:
        """Return the lock for looking up the connection. An asyncio lock works in one event loop only."""
        loop = asyncio.get_running_loop()
        if self._lookup_lock is None or self._lookup_lock[0] is not loop:
            self._lookup_lock = loop, asyncio.Lock()
        return self._lookup_lock[1]

    async def _look_up_hook(self) -> OSSResumeHook:
        executor = shared_pool("connections", most=MAX_LOOKUPS)
        if self.oss_conn_id is None:
            return await asyncio.get_running_loop().run_in_executor(executor, self._new_hook, None)
        if current_context() is None:
            return await read_connection(self.oss_conn_id, self._new_hook, executor=executor)
        return self._new_hook(None)  # a task may call Airflow only in its own thread, which is this one

    def _new_hook(self, connection: Any) -> OSSResumeHook:
        from airflow_provider_ossresume.hooks.connection import ConnectionSettings
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # in a thread: importing requests takes a while

        hook = OSSResumeHook(self.oss_conn_id, region=self.region, transfer_config=self._transfer_config)
        if connection is not None:
            hook.settings = ConnectionSettings.from_connection(connection)  # so that no later call asks Airflow for it
        hook.get_conn()  # now, so that parallel first calls do not each create a client
        return hook


class Call(Generic[T]):
    """A call that a thread runs for a coroutine.

    :ivar started: when the thread started it, in seconds since 1970; None before
    """

    def __init__(
        self,
        hook: OSSResumeHook,
        function: Callable[[OSSResumeHook], T],
        *,
        executor: DaemonThreadPool,
        timeout: float,
        timeout_message: str,
    ) -> None:
        self.started: float | None = None
        self._hook = hook
        self._function = function
        self._executor = executor
        self._stop = _TimedStop(timeout, timeout_message)

    async def result(self) -> T:
        """Return the function's result. If the coroutine is cancelled, the request in flight ends at once."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, self._call)
        finally:
            # After the other cancelled coroutines have run: otherwise the free thread would start one of their calls.
            loop.call_soon(self._stop.give)

    def _call(self) -> T:
        self.started = time.time()
        self._stop.start()
        hook = self._hook.with_stop(self._stop)
        try:
            return self._function(hook)
        finally:
            hook.get_conn().close()  # an open connection would be stale at the next call


class _TimedStop(Stop):
    """A stop that also ends a call after a timeout. The call ends before its next request.

    :param timeout: seconds
    :param message: the error's message
    """

    def __init__(self, timeout: float, message: str) -> None:
        super().__init__()
        self._timeout = timeout
        self._message = message
        self._deadline = math.inf

    def start(self) -> None:
        self._deadline = time.monotonic() + self._timeout

    def check(self) -> None:
        super().check()
        if time.monotonic() > self._deadline:
            error = OSSResumeError(self._message or f"the call took longer than {self._timeout:g} s")
            error.retryable = True  # OSS may be slow only for now
            raise error
