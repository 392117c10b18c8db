"""HEAD and listings for coroutines: triggers, and asynchronous tasks.

The client's requests block, so threads make them: a few for each connection, which the process's coroutines share. A
coroutine that is cancelled ends its request at once.
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
    from airflow_provider_ossresume.hooks.object_lookup import Look
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from airflow_provider_ossresume.model.listing import ObjectEntry
    from airflow_provider_ossresume.model.objects import ObjectMeta
    from airflow_provider_ossresume.model.waiting import Wanted
    from airflow_provider_ossresume.transfer.config import TransferConfig

T = TypeVar("T")

MOST_CALLS = 16  # at once, for each connection; a hundred sensors on a silent OSS are through in a minute or two
MOST_CONNECTIONS = 4  # looked up at once where that takes a thread; apart, so that no silent OSS delays them


class OSSResumeAsyncHook:
    """The reading calls of :class:`~airflow_provider_ossresume.hooks.oss.OSSResumeHook`, as coroutines.

    They take the same arguments, return the same and raise the same. At most 16 of them are at work at once for one
    connection; the others wait for their turn. The connection is looked up by the first one.

    :param oss_conn_id: the connection; None takes the worker's own credentials
    :param region: takes the place of the connection's
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
        self._opening: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def head_object(self, key: str, bucket_name: str | None = None) -> ObjectMeta:
        """Return what OSS says of an object.

        :raises NoSuchKey: when it does not exist
        """
        return await self._called(lambda hook: hook.head_object(key, bucket_name))

    async def object_exists(self, key: str, bucket_name: str | None = None) -> bool:
        """Tell whether an object exists; only a missing key is False, every other answer raises."""
        return await self._called(lambda hook: hook.object_exists(key, bucket_name))

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
        """Return the keys that begin with the prefix; see :meth:`~.ListingMethods.list_keys`."""
        return await self._called(
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
        """Return the objects that begin with the prefix, with sizes and dates."""
        return await self._called(lambda hook: hook.get_file_metadata(prefix, bucket_name, page_size, max_items))

    async def look(self, wanted: Wanted) -> Look:
        """Look once for what a sensor waits for; see :func:`~airflow_provider_ossresume.hooks.object_lookup.look`."""
        return await self._called(lambda hook: hook.look(wanted))

    async def _called(self, function: Callable[[OSSResumeHook], T]) -> T:
        return await (await self.call(function)).answer()

    async def call(
        self, function: Callable[[OSSResumeHook], T], *, longest: float = math.inf, too_long: str = ""
    ) -> Call[T]:
        """Return a call that waits to be begun: of any reading method, by a thread.

        :param longest: seconds after which it makes no further request
        :param too_long: what it then says; a later call may be quicker
        """
        async with self._lock():
            if self._hook is None:
                self._hook = await self._opened()
        executor = shared_pool(f"calls-{self.oss_conn_id}", most=MOST_CALLS)
        return Call(self._hook, function, executor=executor, longest=longest, too_long=too_long)

    def _lock(self) -> asyncio.Lock:
        """Return what lets one coroutine look the connection up while the others wait; a lock serves one event loop."""
        loop = asyncio.get_running_loop()
        if self._opening is None or self._opening[0] is not loop:
            self._opening = loop, asyncio.Lock()
        return self._opening[1]

    async def _opened(self) -> OSSResumeHook:
        executor = shared_pool("connections", most=MOST_CONNECTIONS)
        if self.oss_conn_id is None:
            return await asyncio.get_running_loop().run_in_executor(executor, self._made, None)
        if current_context() is None:
            return await read_connection(self.oss_conn_id, self._made, executor=executor)
        return self._made(None)  # of Airflow a task may ask only here, in its own thread

    def _made(self, connection: Any) -> OSSResumeHook:
        from airflow_provider_ossresume.hooks.connection import ConnectionSettings
        from airflow_provider_ossresume.hooks.oss import OSSResumeHook  # in a thread: importing requests takes a while

        hook = OSSResumeHook(self.oss_conn_id, region=self.region, transfer_config=self._transfer_config)
        if connection is not None:
            hook.settings = ConnectionSettings.from_connection(connection)  # so that no call asks Airflow for it
        hook.get_conn()  # once, and not by the first calls at once
        return hook


class Call(Generic[T]):
    """One call that a thread makes for a coroutine.

    :ivar began: when its turn came, in seconds since 1970; None before
    """

    def __init__(
        self,
        hook: OSSResumeHook,
        function: Callable[[OSSResumeHook], T],
        *,
        executor: DaemonThreadPool,
        longest: float,
        too_long: str,
    ) -> None:
        self.began: float | None = None
        self._hook = hook
        self._function = function
        self._executor = executor
        self._stop = _TimedStop(longest, too_long)

    async def answer(self) -> T:
        """Return the function's answer. When the coroutine is cancelled, the request in flight ends at once."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, self._made)
        finally:
            # Behind the other coroutines that are cancelled now: else the free thread would begin one of their calls.
            loop.call_soon(self._stop.give)

    def _made(self) -> T:
        self.began = time.time()
        self._stop.begin()
        hook = self._hook.with_stop(self._stop)
        try:
            return self._function(hook)
        finally:
            hook.get_conn().close()  # until the next call a connection would go stale


class _TimedStop(Stop):
    """A stop that also ends what takes too long, before its next request.

    :param longest: seconds
    :param says: what the error says
    """

    def __init__(self, longest: float, says: str) -> None:
        super().__init__()
        self._longest = longest
        self._says = says
        self._ends = math.inf

    def begin(self) -> None:
        self._ends = time.monotonic() + self._longest

    def check(self) -> None:
        super().check()
        if time.monotonic() > self._ends:
            error = OSSResumeError(self._says or f"it takes longer than {self._longest:g} s")
            error.retryable = True  # OSS may just be slow
            raise error
