"""What every group of the hook's methods stands on: the connection, its client, and the names of objects."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume._airflow import BaseHook, current_context, find_connection, why_not_callable
from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.connection import ConnectionSettings
from airflow_provider_ossresume.model.arguments import check_text, refuse_empty
from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.object_names import parse_oss_url, resolve_names, resolve_prefix, resolve_target
from airflow_provider_ossresume.model.objects import ObjectRef, PrefixRef
from airflow_provider_ossresume.model.patterns import KeyPattern, PatternKind
from airflow_provider_ossresume.transfer.config import TransferConfig

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_provider_ossresume.oss.client import OssClient
    from airflow_provider_ossresume.oss.stop import Stop


class ConnectedHook(BaseHook):
    """A hook that knows its connection, and what a key, a prefix and a bucket name mean there."""

    _stop: Stop | None = None

    def __init__(
        self,
        oss_conn_id: str | None = "oss_default",
        region: str | None = None,
        transfer_config: TransferConfig | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.oss_conn_id = oss_conn_id
        self.region = region
        self._transfer_config = transfer_config

    @lazy_property
    def transfer_config(self) -> TransferConfig:
        return TransferConfig.of(self._transfer_config)

    @lazy_property
    def settings(self) -> ConnectionSettings:
        """What the connection says, or without one the worker's environment.

        :raises ArgumentError: when a field cannot be used, or there is no connection of that name; and in a thread or
            a process that must not call Airflow, where it was not looked up before
        """
        if self.oss_conn_id is None:
            return ConnectionSettings.from_environment()
        instead = "name a connection, or pass None for the worker's own credentials"
        check_text("oss_conn_id", self.oss_conn_id)
        refuse_empty("oss_conn_id", self.oss_conn_id, instead=instead)
        context = current_context()
        if context is not None and (refusal := why_not_callable(context)):
            reason = f"{refusal}; call get_conn() of the hook in the task's main thread first, before you start others"
            raise ArgumentError("oss_conn_id", self.oss_conn_id, reason)
        return ConnectionSettings.from_connection(find_connection(self.oss_conn_id, self.get_connection))

    @lazy_property
    def conn(self) -> OssClient:
        return self.settings.client(self.transfer_config, region=self.region)

    def get_conn(self) -> OssClient:
        """Return the client; made at the first call, with the connection's settings.

        :raises ArgumentError: when the connection cannot be used as it is; the error names the field
        :raises CredentialsError: when it holds no credentials
        """
        return self.conn

    def with_stop(self, stop: Stop) -> Self:
        """Return this hook with an order to end: once it is given, no request is begun and none goes on.

        A call that is under way then raises what the stop raises.
        """
        stoppable = copy.copy(self)
        stoppable.conn = self.get_conn().with_stop(stop)
        stoppable._stop = stop
        return stoppable

    def _stoppable(self, watch: Callable[[], None]) -> Callable[[], None]:
        """Return the watch of a transfer, which has a stop of its own, so that it hears this hook's stop too."""
        if (stop := self._stop) is None:
            return watch

        def watch_and_check() -> None:
            stop.check()
            watch()

        return watch_and_check

    @staticmethod
    def parse_oss_url(url: str) -> tuple[str, str]:
        """Return the bucket and key of ``oss://bucket/key``."""
        return parse_oss_url(url)

    def target(
        self, key: str | ObjectRef, bucket_name: str | None = None, *, version_id: str | None = None
    ) -> ObjectRef:
        """Return the object that key and bucket name mean; an ``ObjectRef`` means what it says.

        :raises ArgumentError: when they disagree, no bucket is named, one of them is empty, or OSS forbids a name
        """
        return resolve_target(
            key, bucket_name, default_bucket=self._default_bucket(key, bucket_name), version_id=version_id
        )

    def key_pattern(self, key: str, bucket_name: str | None = None, *, kind: PatternKind = "key") -> KeyPattern:
        """Return the pattern that key and bucket name mean, for keys to be looked for.

        :raises ArgumentError: when they disagree, no bucket is named, or no key can match
        """
        bucket, text = resolve_names(
            key, bucket_name, default_bucket=self._default_bucket(key, bucket_name), argument="bucket_key"
        )
        return KeyPattern(bucket, text, kind)

    def prefix(self, prefix: str | PrefixRef | None = None, bucket_name: str | None = None) -> PrefixRef:
        """Return the objects that a prefix and a bucket name mean; the prefix may be an ``oss://bucket/prefix`` URL.

        None means the whole bucket. A ``PrefixRef`` means what it says.

        :raises ArgumentError: when they disagree, no bucket is named, one of them is ``""``, or no key can begin so
        """
        return resolve_prefix(prefix, bucket_name, default_bucket=self._default_bucket(prefix, bucket_name))

    def _default_bucket(self, name: object, bucket_name: str | None) -> str | None:
        """Return the connection's bucket; without a look at the connection where it is not needed."""
        has_bucket = isinstance(name, (ObjectRef, PrefixRef)) or (isinstance(name, str) and name.startswith("oss://"))
        return None if bucket_name is not None or has_bucket else self.settings.bucket
