"""Makes a filesystem's client, from an Airflow connection or from its options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.connection import ConnectionSettings
from airflow_provider_ossresume.hooks.connection_extra import KNOWN, SECRETS
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.config import TransferConfig

# The names that ossfs uses.
ALIASES: Mapping[str, str] = {"key": "access_key_id", "secret": "access_key_secret", "token": "security_token"}
OPTIONS = frozenset(KNOWN) - {"bucket"}
SECRET_OPTIONS = SECRETS | {alias for alias, name in ALIASES.items() if name in SECRETS}


def read_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the client, by the names of a connection's fields. Options that are None are left out.

    :raises ArgumentError: for an unknown option, or two that mean the same
    """
    found: dict[str, Any] = {}
    for option, value in options.items():
        name = ALIASES.get(option, option)
        if name not in OPTIONS:
            raise ArgumentError(option, "…", f"unknown option; the options are {', '.join(sorted(OPTIONS))}")
        if value is None:
            continue
        if name in found:
            raise ArgumentError(option, "…", f"{name} means the same and is given too; leave one of the two out")
        if name in SECRETS and not isinstance(value, str):
            raise ArgumentError(option, "…", f"it is of type {type(value).__name__}; give a str")
        if name == "endpoint" and "@" in str(value):  # an endpoint is shown in logs, unlike the secrets
            raise ArgumentError(
                option,
                "…",
                "an endpoint must not contain a user name or password; pass access_key_id and access_key_secret",
            )
        found[name] = value
    return found


def make_client(oss_conn_id: str | None, options: Mapping[str, Any], config: TransferConfig) -> OssClient:
    """Return a client. Airflow is imported only if there is a connection.

    :raises ArgumentError: if the connection, or an option, cannot be used
    :raises CredentialsError: if there are no credentials
    """
    if oss_conn_id is None:
        return _settings(options).client(config)
    if others := sorted(set(options) - {"region"}):
        reason = f"the connection {oss_conn_id!r} sets it already; leave one of the two out"
        raise ArgumentError(others[0], "…", reason)
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook

    return OSSResumeHook(oss_conn_id, region=options.get("region"), transfer_config=config).get_conn()


def _settings(options: Mapping[str, Any]) -> ConnectionSettings:
    """Return the settings from the options, and the worker's own settings for the rest."""
    worker = ConnectionSettings.from_environment()
    if not options:
        return worker
    has_key = "access_key_id" in options
    extra = {"auth_type": "access_key" if has_key else "default", **options}
    as_connection = SimpleNamespace(conn_id="", extra=json.dumps(extra), extra_dejson=extra)
    given = replace(ConnectionSettings.from_connection(as_connection), conn_id=None)
    if given.endpoint or given.region:
        return given
    return replace(given, region=worker.region, endpoint=worker.endpoint, endpoint_set_by=worker.endpoint_set_by)


def make_checkpointer(checkpoint: Any, direction: str, target: Any, other_end: str, *, interval: float) -> Checkpointer:
    """Return the checkpointer of one file.

    :param checkpoint: None for no checkpoint; ``file`` or ``file:FOLDER``; a store; or a string as for an operator,
        which needs Airflow
    :raises ArgumentError: for anything else
    """
    from airflow_provider_ossresume.checkpoints.file import FileCheckpointStore
    from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
    from airflow_provider_ossresume.model.checkpoint_keys import checkpoint_keys
    from airflow_provider_ossresume.transfer.lease import this_process

    if isinstance(checkpoint, str) and checkpoint not in ("file", "memory") and not checkpoint.startswith("file:"):
        from airflow_provider_ossresume.hooks.file_checkpoints import task_checkpointer

        return task_checkpointer(checkpoint, direction, target, other_end, interval=interval)
    if checkpoint is None or checkpoint == "memory":
        store: Any = MemoryCheckpointStore()
    elif isinstance(checkpoint, str):
        store = FileCheckpointStore(checkpoint.partition(":")[2] or None)
    else:
        store = checkpoint
    key = checkpoint_keys(direction, target, other_end).present
    return Checkpointer(store, key, owner=this_process(), interval=interval)
