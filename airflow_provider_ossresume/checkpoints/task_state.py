"""A checkpoint store in the task state store of Airflow 3.3 and later (AIP-103)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Protocol

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.checkpoints import PREFIX
from airflow_provider_ossresume.errors import TrySuperseded

NEVER_EXPIRES = timedelta.max  # airflow.sdk.NEVER_EXPIRE; Airflow compares by identity


class TaskStateStore(Protocol):
    """The ``task_state_store`` in Airflow's context."""

    def get(self, key: str, default: object = None) -> object: ...
    def set(self, key: str, value: object, *, retention: timedelta | None = None) -> None: ...
    def delete(self, key: str) -> None: ...


class TaskStateCheckpointStore:
    """Keeps each checkpoint as JSON under ``ossresume-`` and the key's hash, until its run is deleted.

    Each run, task and map index has its own entries. They never expire: with Airflow's default, ``[state_store]
    default_retention_days``, one could be deleted while its task still waits.
    """

    calls_airflow = True  # so it cannot be used in every thread and process; see _airflow.why_not_callable

    def __init__(self, store: TaskStateStore) -> None:
        self._store = store

    def load(self, key: str) -> str | None:
        try:
            value = self._store.get(PREFIX + key)
        except Exception as error:  # Airflow raises what its API client raises
            raise _airflow.store_error(f"reading the {self.place(key)}", error) from error
        return None if value is None else json.dumps(value)

    def save(self, key: str, text: str) -> None:
        try:
            self._store.set(PREFIX + key, json.loads(text), retention=NEVER_EXPIRES)
        except Exception as error:  # as above
            raise _write_error(f"writing the {self.place(key)}", error) from error

    def delete(self, key: str) -> None:
        try:
            self._store.delete(PREFIX + key)
        except Exception as error:  # as above
            raise _write_error(f"deleting the {self.place(key)}", error) from error

    def place(self, key: str) -> str:
        """Return what to look for in Airflow's UI."""
        return f"task state {PREFIX}{key}"

    def __str__(self) -> str:
        return "task state store"


def _write_error(what: str, error: Exception) -> Exception:
    """Return the error for a failed write. Airflow refuses writes of a superseded try; its reads just find nothing."""
    if _airflow.is_not_found(error):
        return TrySuperseded(
            "Airflow's task state store refuses this try, because a newer try has started; the newer try continues"
        )
    return _airflow.store_error(what, error)
