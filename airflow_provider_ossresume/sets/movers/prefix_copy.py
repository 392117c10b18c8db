"""Lets OSS copy the objects of a prefix to another one: small ones in one request each, large ones part by part.

No bytes pass through the worker. Each request names the source's ETag, and both CRC-64s must be equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from airflow_provider_ossresume.model.copy_options import replaced_properties
from airflow_provider_ossresume.model.copying import is_proven, plan_copy
from airflow_provider_ossresume.model.entries import Entry
from airflow_provider_ossresume.model.manifest import Fact, LedgerRow, Row, Victim
from airflow_provider_ossresume.model.objects import ObjectMeta
from airflow_provider_ossresume.model.parts import Part
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers.expected_object import ExpectedObject
from airflow_provider_ossresume.sets.movers.mover_base import (
    MoverBase,
    apply_change_policy,
    fact_by_mtime,
    head_source,
    identity_of_etag,
    mtime_of,
)
from airflow_provider_ossresume.sets.movers.object_deletion import DeleteClient, delete_objects
from airflow_provider_ossresume.sets.ports import FileJob, Watch
from airflow_provider_ossresume.transfer.copied_object import WholeCopy
from airflow_provider_ossresume.transfer.copy import Copier, CopyClient
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.options import CopyTransferOptions
from airflow_provider_ossresume.transfer.oss_object import OssObject
from airflow_provider_ossresume.transfer.ports import Job
from airflow_provider_ossresume.transfer.target_object import TargetObject


class PrefixCopyClient(CopyClient, DeleteClient, Protocol):
    """The client methods that are needed; see ``oss.client.OssClient``."""


class PrefixCopy(MoverBase[PrefixCopyClient, OssPrefix, OssPrefix]):
    """Copies the objects of a prefix to another one; see :class:`~airflow_provider_ossresume.sets.ports.Mover`."""

    def compare(self, source: Entry, target: Entry, crew: Crew) -> Fact | None:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        if source.size != target.size:
            return None
        oss = self._oss.stopped_by(crew)
        there = oss.head_object(self.target.ref(target.name))
        if self._options.compare == "size_mtime":
            return fact_by_mtime(
                source, target, {mtime_of(oss.head_object(self.source.ref(source.name))), mtime_of(there)}
            )
        if there.crc64 is None or there.size != source.size:
            return None
        meta = oss.head_object(self.source.ref(source.name))
        if (meta.size, meta.crc64) != (there.size, there.crc64):
            return None
        return Fact(source.name, meta.size, identity_of_etag(meta.etag), identity_of_etag(there.etag), meta.crc64)

    def _move_small(self, row: Row, job: FileJob) -> LedgerRow:
        oss, source, expected = self._oss.stopped_by(job.crew), self.source.ref(row.name), self._expected(row)
        target = expected.ref
        meta = head_source(oss, source, row, self._options)
        there = TargetObject(oss, target, {})
        if job.check_first or expected.must_be_checked:
            now = there.head()
            if job.check_first and now is not None and (same := self._same(row, meta, now)):
                return same
            expected.check(now)
        plan = plan_copy(source, meta, target, replaced_properties(target.key, self._options.object_options))
        acl = oss.get_object_acl(plan.source) if plan.asks_for_acl else None
        copy = WholeCopy(
            oss,
            target,
            existing=there,
            meta=meta,
            headers={**plan.whole_headers(acl=acl), **expected.guard},
            verify=self._settings.config.verify,
        )
        read = OssObject(oss, plan.source, etag=meta.etag, start=0, size=meta.size, total=meta.size, crc64=meta.crc64)
        made = copy.put(Part(1, 0, meta.size), read, Job(job.crew.stop, job.meter, job.rate))
        if self._settings.config.verify:
            is_proven(meta, target=target, size=made.size, crc64=made.crc64)
        return LedgerRow(
            row.number,
            "done",
            source=identity_of_etag(meta.etag),
            target=identity_of_etag(made.etag),
            crc64=made.crc64,
            size=meta.size,
        )

    def _same(self, row: Row, meta: ObjectMeta, there: ObjectMeta) -> LedgerRow | None:
        """Return the result ``same`` if the target is newer than the plan and has the source's bytes; else None."""
        identity = identity_of_etag(there.etag)
        if identity == row.was or meta.crc64 is None or (meta.size, meta.crc64) != (there.size, there.crc64):
            return None
        return LedgerRow(
            row.number, "same", source=identity_of_etag(meta.etag), target=identity, crc64=meta.crc64, size=meta.size
        )

    def move_large(self, row: Row, *, workers: int, check_first: bool, watch: Watch) -> LedgerRow:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        return apply_change_policy(
            self._options, row, lambda: self._copy_parts(row, workers=workers, check_first=check_first, watch=watch)
        )

    def _copy_parts(self, row: Row, *, workers: int, check_first: bool, watch: Watch) -> LedgerRow:
        source, expected = self.source.ref(row.name), self._expected(row)
        target = expected.ref
        with Crew(workers=1, tick=watch) as crew:
            meta = crew.call(lambda: head_source(self._oss.stopped_by(crew), source, row, self._options))
            if expected.must_be_checked:
                there = crew.call(TargetObject(self._oss.stopped_by(crew), target, {}).head)
                if there is not None and check_first and (same := self._same(row, meta, there)):
                    return same
                expected.check(there)
        copier = Copier(
            self._client,
            target,
            self._settings.checkpointer(
                "copy", row, source=source.uri, target=target.uri, headers=self._settings.headers(target.key)
            ),
            config=self._settings.config_for_large_file(workers),
            options=CopyTransferOptions(
                properties=replaced_properties(target.key, self._options.object_options),
                if_exists=expected.if_exists,
                object_changed="restart" if self._options.source_changed == "take" else "fail",
                earlier_try=check_first,
            ),
            watch=watch,
        )
        result = copier.copy(source)
        if (result.size, result.crc64) != (
            meta.size,
            meta.crc64,
        ):  # the source changed meanwhile, and ``take`` allows that
            with Crew(workers=1, tick=watch) as crew:
                meta = crew.call(lambda: head_source(self._oss.stopped_by(crew), source, row, self._options))
        return LedgerRow(
            row.number, "done" if result.outcome == "transferred" else "same", source=identity_of_etag(meta.etag),
            target=identity_of_etag(result.etag), crc64=result.crc64, size=result.size,
        )  # fmt: skip

    def _expected(self, row: Row) -> ExpectedObject:
        return ExpectedObject(self.target.ref(row.name), row, self._options.target_changed)

    def delete(self, victims: Iterable[Victim], crew: Crew) -> Iterator[tuple[Victim, str]]:
        """See :class:`~airflow_provider_ossresume.sets.ports.Mover`."""
        return delete_objects(self._oss.stopped_by(crew), self.target, victims, crew, backup=self._settings.backup)
