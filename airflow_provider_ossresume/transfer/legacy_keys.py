"""Checkpoints that 0.1 has left under its own keys: taken over once, and then kept under the present ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from airflow_provider_ossresume.errors import CheckpointUnreadable, StoreUnavailable
from airflow_provider_ossresume.model.checkpoint import (
    Checkpoint,
    DownloadCheckpoint,
    Owner,
    UploadCheckpoint,
    decode,
    encode,
    saved_at,
)
from airflow_provider_ossresume.model.checkpoint_keys import CheckpointKeys
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.resume import is_download_of, is_upload_to
from airflow_provider_ossresume.transfer.lease import CheckpointStore, LoadsFirst, NamesPlaces
from airflow_provider_ossresume.transfer.part_names import part_file_name, part_file_path

log = logging.getLogger(__name__)

MAX_NAME_BYTES = 255  # of a part file of 0.1


class LegacyKeyStore:
    """A store, in which the checkpoint of one transfer may still lie under its former key.

    It is looked for there once, when nothing lies under the present key. What is this transfer's is given back as if it
    lay under the present one, is saved there from then on, and then deleted under the former key. What is another
    transfer's is left alone: 0.1 gave one key to all versions, ranges and paths of an object in a task.

    :param target: the transfer's object
    :param path: the local file's, absolute
    :param byte_range: what of the object is wanted, as ``[start, stop)``
    """

    def __init__(
        self,
        store: CheckpointStore,
        keys: CheckpointKeys,
        *,
        target: ObjectRef,
        path: str,
        byte_range: tuple[int, int] | None = None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._target = target
        self._file = path
        self._byte_range = byte_range
        self._may_lie_there = True
        self._read: Owner | None = None  # whose checkpoint this try has read under the former key

    @property
    def _path(self) -> Path:
        return Path(self._file)

    @property
    def ends_with_process(self) -> bool:
        return bool(getattr(self._store, "ends_with_process", False))

    def load(self, key: str) -> str | None:
        if not self._may_lie_there:
            return self._store.load(key)
        found_at, text = self._load_first((key, self._keys.former)) or ("", None)
        return text if found_at == key else self._former(text)

    def _load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
        if isinstance(self._store, LoadsFirst):
            return self._store.load_first(keys)
        texts = ((key, self._store.load(key)) for key in keys)
        return next(((key, text) for key, text in texts if text is not None), None)

    def save(self, key: str, text: str) -> None:
        self._store.save(key, text)
        self._forget_former()

    def delete(self, key: str) -> None:
        if self._read is None or not self._may_lie_there:  # else nothing lies under the present key
            self._store.delete(key)
        self._forget_former()

    def place(self, key: str) -> str:
        return self._store.place(key) if isinstance(self._store, NamesPlaces) else f"{self._store} {key}"

    def __str__(self) -> str:
        return str(self._store)

    def _former(self, text: str | None) -> str | None:
        """Return what lies under the former key as it would lie under the present one."""
        checkpoint = self._taken_over(text) if text is not None else None
        if text is None or checkpoint is None:
            self._may_lie_there = False
            return None
        if self._read is None:
            log.info(
                "Using the checkpoint of version 0.1 in %s; from now on it is kept in %s",
                self.place(self._keys.former), self.place(self._keys.present),
            )  # fmt: skip
            self._read = checkpoint.owner
        saved = saved_at(text)
        return encode(checkpoint, saved_at=saved.timestamp() if saved else None)

    def _taken_over(self, text: str) -> Checkpoint | None:
        """Return the checkpoint as it would be now, or None, after saying why it is left alone."""
        try:
            checkpoint = decode(text)
        except CheckpointUnreadable as error:
            self._leave(str(error))
            return None
        if isinstance(checkpoint, UploadCheckpoint):
            if is_upload_to(checkpoint, self._target):
                return checkpoint
        elif self._is_this_download(checkpoint):
            return self._with_present_part_file(checkpoint)
        self._leave("it is of another transfer")
        return None

    def _leave(self, reason: str) -> None:
        log.warning(
            "The checkpoint of version 0.1 in %s is not used, and this transfer starts from the beginning: %s",
            self.place(self._keys.former), reason,
        )  # fmt: skip

    def _is_this_download(self, checkpoint: DownloadCheckpoint) -> bool:
        start, stop = self._byte_range or (0, None)
        is_wanted = checkpoint.start == start and (stop is None or checkpoint.size == stop - start)
        return is_wanted and any(is_download_of(checkpoint, self._target, name) for name in self._former_part_files())

    def _former_part_files(self) -> list[str]:
        former = self._keys.former
        return [
            part_file_path(self._path, former).name,
            part_file_name(self._path.name, former, limit=MAX_NAME_BYTES),
        ]

    def _with_present_part_file(self, checkpoint: DownloadCheckpoint) -> DownloadCheckpoint:
        present = part_file_path(self._path, self._keys.present)
        if not present.exists():
            # Where it cannot be renamed, or is not on this worker, the download restarts and says so.
            with suppress(OSError):
                self._path.with_name(checkpoint.part_file).rename(present)
        return replace(checkpoint, part_file=present.name)

    def _forget_former(self) -> None:
        """Delete the former checkpoint, when it is the one that this try has read."""
        if self._read is None:
            return
        self._may_lie_there = False  # what lies under the present key counts
        former = self._keys.former
        try:
            text = self._store.load(former)
            if text is not None and _owner_of(text) == self._read:
                self._store.delete(former)
            self._read = None
        except StoreUnavailable as error:
            log.warning("The checkpoint of version 0.1 in %s could not be deleted yet: %s", self.place(former), error)


def _owner_of(text: str) -> Owner | None:
    try:
        return decode(text).owner
    except CheckpointUnreadable:
        return None
