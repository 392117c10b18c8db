"""Downloads the objects of a prefix to a folder: small ones in one request each, large ones part by part.

A file appears under its name in one step, when it is complete. Until then its bytes are in a part file beside it. A
later try resumes or removes the part file. Scans and the janitor recognise it by its name.
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
from airflow_provider_ossresume.sets.movers.file_in_folder import FileInFolder, identity_of, lasting_identity_of
from airflow_provider_ossresume.sets.movers.mover_base import (
    Gone,
    MoverBase,
    MoverSettings,
    apply_change_policy,
    fact_by_mtime,
    head_source,
    identity_of_etag,
    mtime_of,
    target_changed_error,
)
from airflow_provider_ossresume.sets.movers.small_download import fetch, lock_part_file
from airflow_provider_ossresume.sets.ports import FileJob, Watch
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.download import DownloadClient, Downloader
from airflow_provider_ossresume.transfer.options import DownloadOptions
from airflow_provider_ossresume.transfer.part_file import PartFile, remove_part_file

log = logging.getLogger(__name__)


class PrefixDownloadClient(DownloadClient, Protocol):
    """The client methods that are needed; see ``oss.client.OssClient``."""


class PrefixDownload(MoverBase[PrefixDownloadClient, OssPrefix, LocalFolder]):
    """Downloads the objects of a prefix to a folder; see :class:`~airflow_provider_ossresume.sets.ports.Mover`."""

    def __init__(
        self, client: PrefixDownloadClient, source: OssPrefix, target: LocalFolder, *, settings: MoverSettings
    ) -> None:
        super().__init__(client, source, target, settings=settings)
        self._unsynced: deque[str] = deque()  # names whose folders are not fsynced yet

    def compare(self, source: Entry, target: Entry, crew: Crew) -> Fact | None:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        if source.size != target.size:
            return None
        meta = self._oss.stopped_by(crew).head_object(self.source.ref(source.name))
        if self._options.compare == "size_mtime":
            return fact_by_mtime(source, target, {mtime_of(meta), mtime_of(target.identity)})
        if meta.crc64 is None or meta.size != source.size:
            return None
        with self._target_file(target.name, make=False) as place, place.open() as file:
            crc = file.proven_crc64(crew.stop) if file.size == meta.size else None
            if crc != meta.crc64:
                return None
            return Fact(source.name, meta.size, identity_of_etag(meta.etag), file.lasting_identity, crc)

    # --- small files --------------------------------------------------------------------------------------------------

    def _move_small(self, row: Row, job: FileJob) -> LedgerRow:
        if is_folder_marker(row.name):
            return self._make_folder(row)
        with self._target_file(row.name) as place, place.naming_its_path():
            if same := self._same(row, place, job.crew):
                return same
            with lock_part_file(place, key=self.source.ref(row.name).uri) as file:
                try:
                    return self._fetch_into(file, row, place, job)
                except TransferStopped:
                    raise  # keep the part file; a later try resumes from it
                except BaseException:
                    with suppress(LocalFileError):
                        remove_part_file(file.path)
                    raise

    def _fetch_into(self, file: PartFile, row: Row, place: FileInFolder, job: FileJob) -> LedgerRow:
        meta, crc = fetch(
            self._oss.stopped_by(job.crew), self.source.ref(row.name), row, file, job=job, settings=self._settings
        )
        file.flush(size=meta.size)
        job.crew.check()  # the disk may have taken long
        self._check_target(row, place)
        found = self._publish(file, row, place, meta)
        return LedgerRow(
            row.number,
            "done",
            source=identity_of_etag(meta.etag),
            # A file that has replaced it already is not proven.
            target=lasting_identity_of(found) if file.is_found(found) else "",
            crc64=crc,
            size=meta.size,
            moved=meta.size,
        )

    def _publish(self, file: PartFile, row: Row, place: FileInFolder, meta: ObjectMeta) -> os.stat_result:
        file.publish(place.path, replaces=not self._must_not_exist(row))
        self._unsynced.append(row.name)
        return self._finish_file(row, place, meta)

    def _finish_file(self, row: Row, place: FileInFolder, meta: ObjectMeta) -> os.stat_result:
        """Set the file's mtime if wanted, and return its status."""
        self._set_mtime(place, meta)
        found = place.stat()
        if found is None or found.st_size != meta.size:
            raise LocalFileError(f"{place} was replaced right after it was downloaded")
        return found

    def _set_mtime(self, place: FileInFolder, meta: ObjectMeta) -> None:
        """Set the mtime that the upload stored with the object, if there is one and the file system allows it."""
        is_wanted = self._options.keep_mtime or self._options.compare == "size_mtime"
        mtime = _mtime_ns(mtime_of(meta)) if is_wanted else None
        if mtime is None:
            return
        try:
            os.utime(place.name, ns=(mtime, mtime), dir_fd=place.folder, follow_symlinks=False)
        except FileNotFoundError:
            return  # the caller notices it
        except OSError as error:
            log.warning("%s keeps the time of its download because its mtime cannot be set: %s", place, reason(error))

    def _make_folder(self, row: Row) -> LedgerRow:
        """Create the folder that a marker represents."""
        with self.target.parent(f"{row.name}x", make=True) as (folder, _):
            self._unsynced.append(f"{row.name}x")
            return LedgerRow(row.number, "done", source=row.identity, target=identity_of(os.fstat(folder)))

    # --- the target file ----------------------------------------------------------------------------------------------

    def _same(self, row: Row, place: FileInFolder, crew: Crew) -> LedgerRow | None:
        """Return the result ``same`` if the file is newer than the plan and has the object's bytes; else None.

        :raises LocalFileError: if something is there that a file must not replace
        """
        found = place.stat()
        if found is None or found.st_size != row.size or identity_of(found) == row.was:
            return None
        try:
            meta = self._oss.stopped_by(crew).head_object(self.source.ref(row.name))
        except NoSuchKey as error:
            raise Gone(f"{self.source.ref(row.name)} no longer exists") from error
        if meta.crc64 is None or meta.size != row.size or identity_of_etag(meta.etag) != row.identity:
            return None
        with place.open() as file:
            crc = file.proven_crc64(crew.stop)
            if not same_content(meta, size=file.size, crc64=crc):
                return None
            self._unsynced.append(row.name)  # an earlier try may have been killed before the fsync
            self._set_mtime(place, meta)  # for the same reason
            return LedgerRow(
                row.number, "same", source=row.identity, target=file.lasting_identity, crc64=crc, size=file.size
            )

    def _must_not_exist(self, row: Row) -> bool:
        return self._options.target_changed == "fail" and row.was is None

    def _check_target(self, row: Row, place: FileInFolder) -> None:
        if self._options.target_changed == "fail":
            found = place.stat()
            if (None if found is None else identity_of(found)) != row.was:
                raise target_changed_error(place)

    # --- large files --------------------------------------------------------------------------------------------------

    def move_large(self, row: Row, *, workers: int, check_first: bool, watch: Watch) -> LedgerRow:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        return apply_change_policy(
            self._options, row, lambda: self._fetch_parts(row, workers=workers, check_first=check_first, watch=watch)
        )

    def _fetch_parts(self, row: Row, *, workers: int, check_first: bool, watch: Watch) -> LedgerRow:
        source = self.source.ref(row.name)
        with Crew(workers=1, tick=watch) as crew:
            meta = crew.call(lambda: head_source(self._oss.stopped_by(crew), source, row, self._options))
        with self._target_file(row.name) as place, place.naming_its_path():
            found = place.stat()
            is_new = found is not None and identity_of(found) != row.was
            if self._options.target_changed == "fail" and row.was is not None:
                with Crew(workers=1, tick=watch) as crew:
                    same = crew.call(lambda: self._same(row, place, crew)) if check_first else None
                if same:
                    return same
            if not (check_first and row.was is None):  # else the downloader checks if the file is an earlier try's
                self._check_target(row, place)
            downloader = Downloader(
                self._client,
                source,
                self._settings.checkpointer(
                    "download", row, source=source.uri, target=f"{self.target.uri}{row.name}", headers={}
                ),
                config=self._settings.config_for_large_file(workers),
                options=DownloadOptions(
                    if_exists="fail" if self._must_not_exist(row) else "overwrite",
                    object_changed="restart" if self._options.source_changed == "take" else "fail",
                    create_parents=False,
                    earlier_try=check_first and is_new,
                ),
                watch=watch,
            )
            result = downloader.download(place.path)
            self._unsynced.append(row.name)
            found = self._finish_file(row, place, replace(meta, size=result.size))
            return LedgerRow(
                row.number,
                "done" if result.outcome == "transferred" else "same",
                source=identity_of_etag(result.etag),
                target=lasting_identity_of(found),
                crc64=result.crc64,
                size=result.size,
                moved=result.bytes_moved,
            )

    # --- the folder ---------------------------------------------------------------------------------------------------

    def make_durable(self, crew: Crew) -> None:
        """Fsync the folders of the moved files, and the folders above them."""
        folders: set[str] = set()
        with suppress(IndexError):
            while True:
                name = self._unsynced.popleft()
                while name:
                    name = name.rpartition("/")[0]
                    folders.add(f"{name}/" if name else "")
        for _ in crew.run(self._sync, folders):
            pass

    def _sync(self, name: str) -> None:
        # Some network file systems cannot fsync a folder. The files themselves are flushed already.
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
    def _target_file(self, name: str, *, make: bool = True) -> Iterator[FileInFolder]:
        with self.target.parent(name, make=make) as (folder, last):
            yield FileInFolder(folder, last, self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self.target.path, name)


def _mtime_ns(text: str) -> int | None:
    """Return a time in nanoseconds since 1970; None if the text is not a time that a file can have."""
    if not re.fullmatch("-?[0-9]{1,19}", text):
        return None
    mtime = int(text)
    return mtime if abs(mtime) < 2**63 else None
