"""Keeps the checkpoints of large files in a work folder, where every worker finds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_ossresume.errors import IntegrityError, LocalFileError, RequestError, StoreUnavailable
from airflow_provider_ossresume.model.plan_layout import CHECKPOINTS, checkpoint_name, checkpoint_of
from airflow_provider_ossresume.sets.ports import WorkFolder


class WorkFolderCheckpoints:
    """A checkpoint store; see :class:`~airflow_provider_ossresume.transfer.lease.CheckpointStore`."""

    def __init__(self, work: WorkFolder) -> None:
        self._work = work

    def __str__(self) -> str:
        return f"the work folder {self._work.uri}"

    def place(self, key: str) -> str:
        """Return the URI of a checkpoint, for messages."""
        return self._work.uri + checkpoint_name(key)

    def keys(self) -> list[str]:
        """Return the keys of all checkpoints.

        :raises StoreUnavailable: if they cannot be listed
        """
        with self._store_errors(""):
            return [key for name in self._work.names(CHECKPOINTS) if (key := checkpoint_of(name))]

    def load(self, key: str) -> str | None:
        with self._store_errors(key):
            data = self._work.read(checkpoint_name(key))
        return None if data is None else data.decode("utf-8", "replace")

    def save(self, key: str, text: str) -> None:
        with self._store_errors(key):
            self._work.write(checkpoint_name(key), text.encode())

    def delete(self, key: str) -> None:
        with self._store_errors(key):
            self._work.delete([checkpoint_name(key)])

    @contextmanager
    def _store_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (RequestError, LocalFileError, IntegrityError) as error:
            raise StoreUnavailable(f"{self.place(key)}: {error}") from error
