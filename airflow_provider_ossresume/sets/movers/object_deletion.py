"""Deletes objects of a prefix that have not changed since the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from airflow_provider_ossresume.errors import BadAnswer, NoSuchKey
from airflow_provider_ossresume.model.manifest import Victim
from airflow_provider_ossresume.model.objects import MAX_KEYS_TO_DELETE, ObjectMeta, ObjectRef
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers.mover_base import Backup, identity_of_etag
from airflow_provider_ossresume.transfer.crew import Crew


class DeleteClient(Protocol):
    """The client methods that are needed; see ``oss.client.OssClient``."""

    def head_object(self, target: ObjectRef) -> ObjectMeta: ...
    def delete_objects(self, bucket: str, keys: Sequence[str]) -> list[str]: ...


def delete_objects(
    oss: DeleteClient, prefix: OssPrefix, victims: Iterable[Victim], crew: Crew, *, backup: Backup | None = None
) -> Iterator[tuple[Victim, str]]:
    """Delete the objects that have not changed since the plan; yield each with its result.

    OSS has no conditional delete. An object that is written to between the check and the delete is lost.

    :param backup: objects are copied there first; one whose copy cannot be proven is kept and yielded as ``unproven``
    :raises BadAnswer: if OSS does not confirm a deletion; nothing more is deleted
    """

    def look(victim: Victim) -> tuple[Victim, str]:
        try:
            meta = oss.head_object(prefix.ref(victim.name))
        except NoSuchKey:
            return victim, "gone"
        is_the_same = (meta.size, identity_of_etag(meta.etag)) == (victim.size, victim.identity)
        if not is_the_same:
            return victim, "changed"
        return victim, "deleted" if backup is None or backup.has(victim, meta, crew) else "unproven"

    def delete(keys: Sequence[str]) -> None:
        left = set(keys).difference(oss.delete_objects(prefix.where.bucket, keys))
        if left:
            raise BadAnswer(
                f"OSS did not confirm that it deleted {len(left)} objects, such as {min(left)}",
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
