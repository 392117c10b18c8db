"""Reads checkpoints that version 0.1 saved under its own keys, and moves them to the present keys."""

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
from airflow_provider_ossresume.transfer.lease import CheckpointStore, HasPlaces, LoadsManyKeys
from airflow_provider_ossresume.transfer.part_names import part_file_name, part_file_path

log = logging.getLogger(__name__)

MAX_NAME_BYTES = 255  # of the name of a part file in version 0.1


class LegacyKeyStore:
    """A store that also looks for the checkpoint of one transfer under its legacy key.

    It looks there only if there is none under the present key. It returns a checkpoint of this transfer as if it were
    under the present key; the next save goes there, and the old one is deleted. A checkpoint of another transfer is
    left alone: version 0.1 used one key for all versions, ranges and paths of an object in a task.

    :param target: the transfer's object
    :param path: absolute path of the local file
    :param byte_range: the range of the object to transfer, as ``[start, stop)``
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
        self._may_exist = True
        self._read: Owner | None = None  # the owner of the checkpoint that this try has read under the legacy key

    @property
    def _path(self) -> Path:
        return Path(self._file)

    @property
    def ends_with_process(self) -> bool:
        return bool(getattr(self._store, "ends_with_process", False))

    def load(self, key: str) -> str | None:
        if not self._may_exist:
            return self._store.load(key)
        found_at, text = self._load_first((key, self._keys.former)) or ("", None)
        return text if found_at == key else self._converted(text)

    def _load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
        if isinstance(self._store, LoadsManyKeys):
            return self._store.load_first(keys)
        texts = ((key, self._store.load(key)) for key in keys)
        return next(((key, text) for key, text in texts if text is not None), None)

    def save(self, key: str, text: str) -> None:
        self._store.save(key, text)
        self._delete_legacy()

    def delete(self, key: str) -> None:
        if self._read is None or not self._may_exist:  # else there is nothing under the present key
            self._store.delete(key)
        self._delete_legacy()

    def place(self, key: str) -> str:
        return self._store.place(key) if isinstance(self._store, HasPlaces) else f"{self._store} {key}"

    def __str__(self) -> str:
        return str(self._store)

    def _converted(self, text: str | None) -> str | None:
        """Return the checkpoint under the legacy key, converted to the present form."""
        checkpoint = self._usable(text) if text is not None else None
        if text is None or checkpoint is None:
            self._may_exist = False
            return None
        if self._read is None:
            log.info(
                "Using the checkpoint of version 0.1 in %s; from now on it is kept in %s",
                self.place(self._keys.former), self.place(self._keys.present),
            )  # fmt: skip
            self._read = checkpoint.owner
        saved = saved_at(text)
        return encode(checkpoint, saved_at=saved.timestamp() if saved else None)

    def _usable(self, text: str) -> Checkpoint | None:
        """Return the checkpoint in its present form, or log why it is left alone and return None."""
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
        return is_wanted and any(is_download_of(checkpoint, self._target, name) for name in self._legacy_part_files())

    def _legacy_part_files(self) -> list[str]:
        legacy = self._keys.former
        return [
            part_file_path(self._path, legacy).name,
            part_file_name(self._path.name, legacy, limit=MAX_NAME_BYTES),
        ]

    def _with_present_part_file(self, checkpoint: DownloadCheckpoint) -> DownloadCheckpoint:
        present = part_file_path(self._path, self._keys.present)
        if not present.exists():
            # If it cannot be renamed, or is not on this worker, the download restarts and logs that.
            with suppress(OSError):
                self._path.with_name(checkpoint.part_file).rename(present)
        return replace(checkpoint, part_file=present.name)

    def _delete_legacy(self) -> None:
        """Delete the checkpoint under the legacy key, if it is the one that this try has read."""
        if self._read is None:
            return
        self._may_exist = False  # from now on only the present key counts
        legacy = self._keys.former
        try:
            text = self._store.load(legacy)
            if text is not None and _owner_of(text) == self._read:
                self._store.delete(legacy)
            self._read = None
        except StoreUnavailable as error:
            log.warning("The checkpoint of version 0.1 in %s could not be deleted yet: %s", self.place(legacy), error)


def _owner_of(text: str) -> Owner | None:
    try:
        return decode(text).owner
    except CheckpointUnreadable:
        return None
