"""Moves the objects of a prefix to a folder: small ones by one request each, large ones part by part.

A file appears under its name at once and whole. Until then it is a part file beside it, which a later try goes on with
or removes, and which scans and the janitor know by its name.
"""

from __future__ import annotations

import logging
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Protocol

from airflow_provider_ossresume.errors import (
    LocalFileError,
    NoSuchKey,
    TransferStopped,
)
from airflow_provider_ossresume.model.entries import Entry
from airflow_provider_ossresume.model.file_errors import reason
from airflow_provider_ossresume.model.manifest import Fact, LedgerRow, Row, Victim
from airflow_provider_ossresume.model.objects import ObjectMeta
from airflow_provider_ossresume.model.resume import same_content
from airflow_provider_ossresume.model.set_names import is_folder_marker
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers.file_in_folder import Anchor, identity_of, lasting_identity_of
from airflow_provider_ossresume.sets.movers.mover_base import (
    Gone,
    MoverBase,
    MoverSettings,
    as_options_say,
    fact_by_mtime,
    identity_by,
    look_at_source,
    mtime_of,
    refuse_target,
)
from airflow_provider_ossresume.sets.movers.small_download import fetch, own_part_file
from airflow_provider_ossresume.sets.ports import FileJob, Watch
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.download import DownloadClient, Downloader
from airflow_provider_ossresume.transfer.options import DownloadOptions
from airflow_provider_ossresume.transfer.part_file import PartFile, remove_part_file

log = logging.getLogger(__name__)


class PrefixDownloadClient(DownloadClient, Protocol):
    """What is needed of OSS; see ``oss.client.OssClient``."""


class PrefixDownload(MoverBase[PrefixDownloadClient, OssPrefix, LocalFolder]):
    """A prefix and the folder that its objects go to; see :class:`~airflow_provider_ossresume.sets.ports.Mover`."""

    def __init__(
        self, client: PrefixDownloadClient, source: OssPrefix, target: LocalFolder, *, settings: MoverSettings
    ) -> None:
        super().__init__(client, source, target, settings=settings)
        self._written: deque[str] = deque()  # names that are in their folders, and perhaps not on the disk

    def compare(self, source: Entry, target: Entry, crew: Crew) -> Fact | None:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        if source.size != target.size:
            return None
        meta = self._oss.by(crew).head_object(self.source.ref(source.name))
        if self._options.compare == "size_mtime":
            return fact_by_mtime(source, target, {mtime_of(meta), mtime_of(target.identity)})
        if meta.crc64 is None or meta.size != source.size:
            return None
        with self._place(target.name, make=False) as place, place.open() as file:
            crc = file.proven_crc64(crew.stop) if file.size == meta.size else None
            if crc != meta.crc64:
                return None
            return Fact(source.name, meta.size, identity_by(meta.etag), file.lasting_identity, crc)

    # --- small files --------------------------------------------------------------------------------------------------

    def _move_small(self, row: Row, job: FileJob) -> LedgerRow:
        if is_folder_marker(row.name):
            return self._make_folder(row)
        with self._place(row.name) as place, place.explained():
            if same := self._same(row, place, job.crew):
                return same
            with own_part_file(place, key=self.source.ref(row.name).uri) as file:
                try:
                    return self._fetch_into(file, row, place, job)
                except TransferStopped:
                    raise  # nothing is touched any more; a later try goes on with the part file
                except BaseException:
                    with suppress(LocalFileError):
                        remove_part_file(file.path)
                    raise

    def _fetch_into(self, file: PartFile, row: Row, place: Anchor, job: FileJob) -> LedgerRow:
        meta, crc = fetch(
            self._oss.by(job.crew), self.source.ref(row.name), row, file, job=job, settings=self._settings
        )
        file.flush(size=meta.size)
        job.crew.check()  # a disk may have taken long
        self._check_target(row, place)
        found = self._publish(file, row, place, meta)
        return LedgerRow(
            row.number,
            "done",
            source=identity_by(meta.etag),
            # What took its place at once is not what was proven.
            target=lasting_identity_of(found) if file.is_found(found) else "",
            crc64=crc,
            size=meta.size,
            moved=meta.size,
        )

    def _publish(self, file: PartFile, row: Row, place: Anchor, meta: ObjectMeta) -> os.stat_result:
        file.publish(place.path, replaces=not self._has_to_be_free(row))
        self._written.append(row.name)
        return self._finished(row, place, meta)

    def _finished(self, row: Row, place: Anchor, meta: ObjectMeta) -> os.stat_result:
        """Return what stands there, with the time that it is to have."""
        self._set_mtime(place, meta)
        found = place.look()
        if found is None or found.st_size != meta.size:
            raise LocalFileError(f"{place} was replaced as soon as it was there")
        return found

    def _set_mtime(self, place: Anchor, meta: ObjectMeta) -> None:
        """Give the file the time that its upload has left, if there is one, and if the file system takes it."""
        is_wanted = self._options.keep_mtime or self._options.compare == "size_mtime"
        mtime = _mtime_ns(mtime_of(meta)) if is_wanted else None
        if mtime is None:
            return
        try:
            os.utime(place.name, ns=(mtime, mtime), dir_fd=place.folder, follow_symlinks=False)
        except FileNotFoundError:
            return  # which is noticed
        except OSError as error:
            log.warning("%s keeps the time of its download: %s", place, reason(error))

    def _make_folder(self, row: Row) -> LedgerRow:
        """Make the folder that a marker stands for."""
        with self.target.parent(f"{row.name}x", make=True) as (folder, _):
            self._written.append(f"{row.name}x")
            return LedgerRow(row.number, "done", source=row.identity, target=identity_of(os.fstat(folder)))

    # --- what is there already ----------------------------------------------------------------------------------------

    def _same(self, row: Row, place: Anchor, crew: Crew) -> LedgerRow | None:
        """Return that nothing has to be moved, when the file was written since the plan and holds the object's bytes.

        :raises LocalFileError: when something stands there that no file can replace
        """
        found = place.look()
        if found is None or found.st_size != row.size or identity_of(found) == row.was:
            return None
        try:
            meta = self._oss.by(crew).head_object(self.source.ref(row.name))
        except NoSuchKey as error:
            raise Gone(f"{self.source.ref(row.name)} is not there any more") from error
        if meta.crc64 is None or meta.size != row.size or identity_by(meta.etag) != row.identity:
            return None
        with place.open() as file:
            crc = file.proven_crc64(crew.stop)
            if not same_content(meta, size=file.size, crc64=crc):
                return None
            self._written.append(row.name)  # perhaps by a try that was killed before it was on the disk
            self._set_mtime(place, meta)  # the same
            return LedgerRow(
                row.number, "same", source=row.identity, target=file.lasting_identity, crc64=crc, size=file.size
            )

    def _has_to_be_free(self, row: Row) -> bool:
        return self._options.target_changed == "fail" and row.was is None

    def _check_target(self, row: Row, place: Anchor) -> None:
        if self._options.target_changed == "fail":
            found = place.look()
            if (None if found is None else identity_of(found)) != row.was:
                raise refuse_target(place)

    # --- large files --------------------------------------------------------------------------------------------------

    def move_large(self, row: Row, *, workers: int, looks_first: bool, watch: Watch) -> LedgerRow:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        return as_options_say(
            self._options, row, lambda: self._fetch_parts(row, workers=workers, looks_first=looks_first, watch=watch)
        )

    def _fetch_parts(self, row: Row, *, workers: int, looks_first: bool, watch: Watch) -> LedgerRow:
        source = self.source.ref(row.name)
        with Crew(workers=1, tick=watch) as crew:
            meta = crew.call(lambda: look_at_source(self._oss.by(crew), source, row, self._options))
        with self._place(row.name) as place, place.explained():
            found = place.look()
            is_new = found is not None and identity_of(found) != row.was
            if self._options.target_changed == "fail" and row.was is not None:
                with Crew(workers=1, tick=watch) as crew:
                    same = crew.call(lambda: self._same(row, place, crew)) if looks_first else None
                if same:
                    return same
            if not (looks_first and row.was is None):  # then the downloader tells whether it is an earlier try's
                self._check_target(row, place)
            downloader = Downloader(
                self._client,
                source,
                self._settings.checkpointer(
                    "download", row, source=source.uri, target=f"{self.target.uri}{row.name}", headers={}
                ),
                config=self._settings.config_of(workers),
                options=DownloadOptions(
                    if_exists="fail" if self._has_to_be_free(row) else "overwrite",
                    object_changed="restart" if self._options.source_changed == "take" else "fail",
                    create_parents=False,
                    earlier_try=looks_first and is_new,
                ),
                watch=watch,
            )
            result = downloader.download(place.path)
            self._written.append(row.name)
            found = self._finished(row, place, replace(meta, size=result.size))
            return LedgerRow(
                row.number,
                "done" if result.outcome == "transferred" else "same",
                source=identity_by(result.etag),
                target=lasting_identity_of(found),
                crc64=result.crc64,
                size=result.size,
                moved=result.bytes_moved,
            )

    # --- the folder ---------------------------------------------------------------------------------------------------

    def settle(self, crew: Crew) -> None:
        """Put the names of what was moved on the disk, and those of the folders that were made for it."""
        folders: set[str] = set()
        with suppress(IndexError):
            while True:
                name = self._written.popleft()
                while name:
                    name = name.rpartition("/")[0]
                    folders.add(f"{name}/" if name else "")
        for _ in crew.run(self._sync, folders):
            pass

    def _sync(self, name: str) -> None:
        # Some network file systems cannot; the files themselves are there by then.
        with suppress(OSError, LocalFileError), self.target.parent(f"{name}x") as (folder, _):
            os.fsync(folder)

    def delete(self, victims: Iterable[Victim], crew: Crew) -> Iterator[tuple[Victim, str]]:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        for victim in victims:
            yield victim, crew.call(lambda: self._deleted(victim))  # noqa: B023 - it is called at once

    def _deleted(self, victim: Victim) -> str:
        try:
            with self.target.parent(victim.name) as (folder, name):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if (found.st_size, identity_of(found)) != (victim.size, victim.identity):
                    return "changed"
                os.unlink(name, dir_fd=folder)
                return "deleted"
        except FileNotFoundError:
            return "gone"
        except LocalFileError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return "gone"
            raise
        except OSError as error:
            raise LocalFileError(f"{self._path(victim.name)} cannot be removed: {reason(error)}") from error

    @contextmanager
    def _place(self, name: str, *, make: bool = True) -> Iterator[Anchor]:
        with self.target.parent(name, make=make) as (folder, last):
            yield Anchor(folder, last, self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self.target.path, name)


def _mtime_ns(text: str) -> int | None:
    """Return a time in nanoseconds since 1970; None for what is none, or cannot be a file's."""
    if not re.fullmatch("-?[0-9]{1,19}", text):
        return None
    mtime = int(text)
    return mtime if abs(mtime) < 2**63 else None
