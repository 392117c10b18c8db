"""Uploads the files of a folder to a prefix: small ones in one request each, large ones part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from airflow_provider_ossresume.errors import (
    AlreadyExists,
    SourceChanged,
)
from airflow_provider_ossresume.model.entries import Entry, printable
from airflow_provider_ossresume.model.manifest import Fact, LedgerRow, Row, Victim
from airflow_provider_ossresume.model.objects import ObjectMeta, ObjectRef
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.model.resume import same_content
from airflow_provider_ossresume.model.set_names import is_folder_marker
from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers.expected_object import ExpectedObject
from airflow_provider_ossresume.sets.movers.file_in_folder import descriptor_path
from airflow_provider_ossresume.sets.movers.mover_base import (
    MTIME_HEADER,
    Gone,
    MoverBase,
    apply_change_policy,
    fact_by_mtime,
    identity_of_etag,
    is_as_planned,
    mtime_of,
    source_changed_error,
)
from airflow_provider_ossresume.sets.movers.object_deletion import DeleteClient, delete_objects
from airflow_provider_ossresume.sets.movers.opened_file import NoBytes, OpenedFile
from airflow_provider_ossresume.sets.ports import FileJob, Watch
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.options import UploadOptions
from airflow_provider_ossresume.transfer.part_body import PartBody
from airflow_provider_ossresume.transfer.ports import Job
from airflow_provider_ossresume.transfer.stop import Stop
from airflow_provider_ossresume.transfer.target_object import TargetObject
from airflow_provider_ossresume.transfer.upload import UploadClient, Uploader


class FolderUploadClient(UploadClient, DeleteClient, Protocol):
    """The client methods that are needed; see ``oss.client.OssClient``."""


class FolderUpload(MoverBase[FolderUploadClient, LocalFolder, OssPrefix]):
    """Uploads the files of a folder to a prefix; see :class:`~airflow_provider_ossresume.sets.ports.Mover`."""

    def compare(self, source: Entry, target: Entry, crew: Crew) -> Fact | None:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        if source.size != target.size:
            return None
        meta = self._oss.stopped_by(crew).head_object(self._target_object(target.name))
        if self._options.compare == "size_mtime":
            return fact_by_mtime(source, target, {mtime_of(source.identity), mtime_of(meta)})
        if meta.crc64 is None or meta.size != source.size:
            return None
        with self._open(source.name) as file:
            crc = file.proven_crc64(crew.stop) if file.size == meta.size else None
            if crc != meta.crc64:
                return None
            return Fact(source.name, meta.size, file.lasting_identity, identity_of_etag(meta.etag), crc)

    def _move_small(self, row: Row, job: FileJob) -> LedgerRow:
        if is_folder_marker(row.name):
            return self._upload_marker(row, job)
        oss, expected = self._oss.stopped_by(job.crew), self._expected(row)
        target = expected.ref
        with self._open(row.name) as file:
            self._check_source(row, file)
            headers = self._headers(target, file)
            there = TargetObject(oss, target, headers)
            if same := self._already_there(row, file, there, expected, job.crew, job.check_first):
                return same
            body = PartBody(
                file,
                Part(1, 0, file.size),
                Job(job.crew.stop, job.meter, job.rate),
                verify=self._settings.config.verify,
            )
            try:
                meta = oss.put_object(target, body, headers={**headers, **expected.guard})
            except AlreadyExists as error:
                meta = there.equal_or_raise(error, size=file.size, crc64=body.crc64())
            return LedgerRow(
                row.number,
                "done",
                source=file.lasting_identity,
                target=identity_of_etag(meta.etag),
                crc64=body.crc64(),
                size=file.size,
                moved=file.size,
            )

    def _upload_marker(self, row: Row, job: FileJob) -> LedgerRow:
        """Create the empty object that represents an empty folder."""
        target = self._target_object(row.name)
        meta = self._oss.stopped_by(job.crew).put_object(
            target,
            PartBody(NoBytes(), Part(1, 0, 0), Job(job.crew.stop, job.meter, None), verify=True),
            headers=self._settings.headers(target.key),
        )
        return LedgerRow(row.number, "done", source=row.identity, target=identity_of_etag(meta.etag), crc64=0)

    def _already_there(
        self,
        row: Row,
        file: OpenedFile,
        there: TargetObject,
        expected: ExpectedObject,
        crew: Crew,
        check_first: bool,
    ) -> LedgerRow | None:
        """Return the row's result if the target has the file already; None if it has to be uploaded.

        :raises OSSResumeError: if the target must not be overwritten
        """
        if not (check_first or expected.must_be_checked):
            return None
        meta = there.head()
        if meta is not None and check_first and (same := self._same(row, file, meta, crew.stop)):
            return same
        expected.check(meta)
        return None

    def _same(self, row: Row, file: OpenedFile, meta: ObjectMeta, stop: Stop) -> LedgerRow | None:
        """Return the result ``same`` if the object is newer than the plan and has the file's bytes; else None."""
        identity = identity_of_etag(meta.etag)
        if identity == row.was or meta.crc64 is None or meta.size != file.size:
            return None
        crc = file.proven_crc64(stop)
        if not same_content(meta, size=file.size, crc64=crc):
            return None
        return LedgerRow(row.number, "same", source=file.lasting_identity, target=identity, crc64=crc, size=file.size)

    def move_large(self, row: Row, *, workers: int, check_first: bool, watch: Watch) -> LedgerRow:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        return apply_change_policy(
            self._options, row, lambda: self._send_parts(row, workers=workers, check_first=check_first, watch=watch)
        )

    def _send_parts(self, row: Row, *, workers: int, check_first: bool, watch: Watch) -> LedgerRow:
        expected = self._expected(row)
        target = expected.ref
        with self._open(row.name) as file:
            self._check_source(row, file)
            headers = self._headers(target, file)
            if expected.must_be_checked:
                with Crew(workers=1, tick=watch) as crew:
                    there = TargetObject(self._oss.stopped_by(crew), target, headers)
                    if same := crew.call(lambda: self._already_there(row, file, there, expected, crew, check_first)):
                        return same
            uploader = Uploader(
                self._client,
                target,
                self._settings.checkpointer(
                    "upload", row, source=f"{self.source.uri}{row.name}", target=target.uri, headers=headers
                ),
                config=self._settings.config_for_large_file(workers),
                options=UploadOptions(
                    headers=headers,
                    if_exists=expected.if_exists,
                    source_changed="restart" if self._options.source_changed == "take" else "fail",
                    earlier_try=check_first,
                ),
                watch=watch,
            )
            result = uploader.upload(descriptor_path(file.number) or self.source.path / row.name, name=str(file))
            return LedgerRow(
                row.number,
                "done" if result.outcome == "transferred" else "same",
                source=file.lasting_identity,
                target=identity_of_etag(result.etag),
                crc64=result.crc64,
                size=result.size,
                moved=result.bytes_moved,
            )

    def delete(self, victims: Iterable[Victim], crew: Crew) -> Iterator[tuple[Victim, str]]:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        return delete_objects(self._oss.stopped_by(crew), self.target, victims, crew, backup=self._settings.backup)

    # --- shared -------------------------------------------------------------------------------------------------------

    def _open(self, name: str) -> OpenedFile:
        """:raises Gone: if the file no longer exists"""
        number = self.source.open_source(name, follow_links=self._options.symlinks == "follow")
        shown = f"{self.source}/{printable(name)}"
        if number is None:
            raise Gone(f"{shown} no longer exists")
        return OpenedFile(number, shown)

    def _target_object(self, name: str) -> ObjectRef:
        return self.target.ref(name)

    def _expected(self, row: Row) -> ExpectedObject:
        return ExpectedObject(self._target_object(row.name), row, self._options.target_changed)

    def _headers(self, target: ObjectRef, file: OpenedFile) -> Mapping[str, str]:
        headers = self._settings.headers(target.key)
        if self._options.keep_mtime or self._options.compare == "size_mtime":
            headers = {**headers, MTIME_HEADER: str(file.mtime_ns)}
        return headers

    def _check_source(self, row: Row, file: OpenedFile) -> None:
        if self._options.source_changed != "take" and not is_as_planned(row, size=file.size, identity=file.identity):
            raise source_changed_error(SourceChanged, file)
