"""Deletes objects of a prefix that still are what a plan has seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from airflow_provider_ossresume.errors import BadAnswer, NoSuchKey
from airflow_provider_ossresume.model.manifest import Victim
from airflow_provider_ossresume.model.objects import MAX_KEYS_TO_DELETE, ObjectMeta, ObjectRef
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers.mover_base import Backup, identity_by
from airflow_provider_ossresume.transfer.crew import Crew


class DeleteClient(Protocol):
    """What is needed of OSS; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...
    def delete_objects(self, bucket: str, keys: Sequence[str]) -> list[str]: ...


def delete_objects(
    oss: DeleteClient, prefix: OssPrefix, victims: Iterable[Victim], crew: Crew, *, backup: Backup | None = None
) -> Iterator[tuple[Victim, str]]:
    """Delete the objects that still are what the plan saw; yield each with what became of it.

    Whoever writes to one between the look and the deletion loses what was written: OSS deletes under no condition.

    :param backup: they are copied there before; one whose copy cannot be proven comes as ``unproven``, and is kept
    :raises BadAnswer: when OSS does not say of an object that it is gone; nothing more is deleted then
    """

    def look(victim: Victim) -> tuple[Victim, str]:
        try:
            meta = oss.head_object(prefix.ref(victim.name))
        except NoSuchKey:
            return victim, "gone"
        is_the_same = (meta.size, identity_by(meta.etag)) == (victim.size, victim.identity)
        if not is_the_same:
            return victim, "changed"
        return victim, "deleted" if backup is None or backup.has(victim, meta, crew) else "unproven"

    def delete(keys: Sequence[str]) -> None:
        left = set(keys).difference(oss.delete_objects(prefix.where.bucket, keys))
        if left:
            raise BadAnswer(
                f"OSS did not say that {len(left)} objects are deleted, {min(left)} among them",
                operation="DeleteMultipleObjects", target=prefix.uri,
            )  # fmt: skip

    remaining = iter(victims)
    while some := list(islice(remaining, MAX_KEYS_TO_DELETE)):
        if backup is not None:
            backup.save(some, crew)
        fates = list(crew.run(look, some))
        keys = [prefix.ref(victim.name).key for victim, fate in fates if fate == "deleted"]
        for _ in crew.run(delete, [keys] if keys else []):
            pass
        yield from fates
