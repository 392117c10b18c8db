"""The base class of the hook's methods: the connection, its client, and the names of objects."""

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
    """A hook with a connection. It resolves keys, prefixes and bucket names."""

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
        """The settings of the connection, or of the worker's environment if there is no connection.

        :raises ArgumentError: for an invalid field, or if the connection does not exist; and in a thread or process
            that must not call Airflow, unless the connection was looked up before
        """
        if self.oss_conn_id is None:
            return ConnectionSettings.from_environment()
        instead = "name a connection, or pass None to use the worker's own credentials"
        check_text("oss_conn_id", self.oss_conn_id)
        refuse_empty("oss_conn_id", self.oss_conn_id, instead=instead)
        context = current_context()
        if context is not None and (refusal := why_not_callable(context)):
            reason = f"{refusal}; call the hook's get_conn() in the task's main thread before you start other threads"
            raise ArgumentError("oss_conn_id", self.oss_conn_id, reason)
        return ConnectionSettings.from_connection(find_connection(self.oss_conn_id, self.get_connection))

    @lazy_property
    def conn(self) -> OssClient:
        return self.settings.client(self.transfer_config, region=self.region)

    def get_conn(self) -> OssClient:
        """Return the client. The first call creates it from the connection.

        :raises ArgumentError: for an invalid field of the connection
        :raises CredentialsError: if the connection has no credentials
        """
        return self.conn

    def with_stop(self, stop: Stop) -> Self:
        """Return a copy of this hook that a stop can end. After the stop, no request starts and none continues.

        A running call then raises the stop's exception.
        """
        stoppable = copy.copy(self)
        stoppable.conn = self.get_conn().with_stop(stop)
        stoppable._stop = stop
        return stoppable

    def _stoppable(self, watch: Callable[[], None]) -> Callable[[], None]:
        """Return a ``watch`` that also checks this hook's stop. A transfer has its own stop and would miss this one."""
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
        """Return the object that a key and a bucket name refer to. An ``ObjectRef`` is returned as it is.

        :raises ArgumentError: if the URL and ``bucket_name`` name different buckets, no bucket is named, one of the
            names is empty, or OSS does not allow it
        """
        return resolve_target(
            key, bucket_name, default_bucket=self._default_bucket(key, bucket_name), version_id=version_id
        )

    def key_pattern(self, key: str, bucket_name: str | None = None, *, kind: PatternKind = "key") -> KeyPattern:
        """Return the pattern that a key and a bucket name refer to.

        :raises ArgumentError: if the URL and ``bucket_name`` name different buckets, no bucket is named, or no key can
            match
        """
        bucket, text = resolve_names(
            key, bucket_name, default_bucket=self._default_bucket(key, bucket_name), argument="bucket_key"
        )
        return KeyPattern(bucket, text, kind)

    def prefix(self, prefix: str | PrefixRef | None = None, bucket_name: str | None = None) -> PrefixRef:
        """Return the bucket and prefix for a prefix or an ``oss://bucket/prefix`` URL.

        None means the whole bucket. A ``PrefixRef`` is returned as it is.

        :raises ArgumentError: if the URL and ``bucket_name`` name different buckets, no bucket is named, one of the
            names is ``""``, or no key can start with the prefix
        """
        return resolve_prefix(prefix, bucket_name, default_bucket=self._default_bucket(prefix, bucket_name))

    def _default_bucket(self, name: object, bucket_name: str | None) -> str | None:
        """Return the connection's bucket. The connection is looked up only if it is needed."""
        has_bucket = isinstance(name, (ObjectRef, PrefixRef)) or (isinstance(name, str) and name.startswith("oss://"))
        return None if bucket_name is not None or has_bucket else self.settings.bucket
