"""Copies objects to another prefix before a mirror deletes them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from airflow_provider_ossresume.errors import NoSuchKey
from airflow_provider_ossresume.model.manifest import Row, Victim
from airflow_provider_ossresume.model.objects import ObjectMeta
from airflow_provider_ossresume.model.set_options import SetOptions
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers.mover_base import ClientForCrew, MoverSettings
from airflow_provider_ossresume.sets.movers.prefix_copy import PrefixCopy, PrefixCopyClient
from airflow_provider_ossresume.sets.ports import FileJob
from airflow_provider_ossresume.transfer.crew import Crew
from airflow_provider_ossresume.transfer.progress import Meter

log = logging.getLogger(__name__)

COPY_WORKERS = 8  # parts of one large object at once; OSS moves the bytes


class PrefixBackup:
    """Lets OSS copy objects to the same names below another prefix, overwriting what is there.

    A copy keeps metadata and tags. Storage class, encryption and ACL are the defaults of the backup's bucket.

    :param target: where the objects will be deleted
    :param backup: where they are copied
    :param settings: of the mover that deletes; its options do not apply to the copies
    """

    def __init__(
        self, client: PrefixCopyClient, target: OssPrefix, backup: OssPrefix, *, settings: MoverSettings
    ) -> None:
        self._backup = backup
        self._oss = ClientForCrew(client)
        config = replace(settings.config, verify=True)
        self._threshold = int(config.multipart_threshold)
        self._copy = PrefixCopy(
            client,
            target,
            backup,
            settings=replace(settings, options=SetOptions(), config=config, headers=lambda key: {}, backup=None),
        )

    def save(self, victims: Sequence[Victim], crew: Crew) -> None:
        """Copy the objects that have not changed since the plan, many small ones at once. Skip the others.

        :raises OSSResumeError: if one cannot be copied
        """
        rows = [Row(number, each.name, each.size, each.identity) for number, each in enumerate(victims, 1)]
        moved: deque[int] = deque()
        job = FileJob(crew, lambda: Meter(moved), check_first=True)
        small = [row for row in rows if row.size < self._threshold]
        for _ in crew.run(lambda row: self._copy.move_small(row, job), small):
            pass
        for row in rows:
            if row.size >= self._threshold:
                # In a worker, because the calling thread keeps the crew's watch.
                crew.call(
                    lambda: self._copy.move_large(row, workers=COPY_WORKERS, check_first=True, watch=crew.check)  # noqa: B023
                )
        log.info("Copied %s objects to %s; they are deleted next", f"{len(rows):,}", self._backup.uri)

    def has(self, victim: Victim, meta: ObjectMeta, crew: Crew) -> bool:
        """Return True if the copy has the object's bytes, by size and CRC-64. Workers call it.

        :param meta: of the object, from a HEAD just now
        """
        try:
            copy = self._oss.stopped_by(crew).head_object(self._backup.ref(victim.name))
        except NoSuchKey:
            return False
        return meta.crc64 is not None and (copy.size, copy.crc64) == (meta.size, meta.crc64)
