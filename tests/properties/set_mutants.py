"""Planted defects of sets, each one decision taken wrongly: the state machine has to notice every one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from airflow_provider_ossresume.errors import OSSResumeError
from airflow_provider_ossresume.model.manifest import LedgerRow, Victim
from airflow_provider_ossresume.model.objects import ListedObject
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.sets.finish import finish_plan
from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
from airflow_provider_ossresume.sets.movers import folder_upload
from airflow_provider_ossresume.sets.plan import survey
from airflow_provider_ossresume.sets.work_folder.ledger import Ledger
from airflow_provider_ossresume.transfer.crew import Crew
from tests.properties.set_events import NAMES, Event
from tests.properties.set_tries import SetTries


@dataclass(frozen=True)
class Mutant:
    """One planted defect.

    :ivar place: the module or class whose ``attribute`` is ``wrong`` then
    :ivar direction: of the transfers that notice it
    :ivar message: a part of what is said of it
    :ivar program: that it is noticed in, where hypothesis takes hundreds of programs to find one
    """

    name: str
    place: object
    attribute: str
    wrong: object
    direction: str
    message: str
    program: Callable[[SetTries], None] | None = None

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def delete_without_a_look(
    oss: Any, prefix: OssPrefix, victims: Iterable[Victim], crew: Crew, **_: object
) -> Iterator[tuple[Victim, str]]:
    some = list(victims)
    crew.call(lambda: oss.delete_objects(prefix.where.bucket, [prefix.ref(victim.name).key for victim in some]))
    yield from ((victim, "deleted") for victim in some)


listed = OssClient.list_objects


def listed_up_to_an_error(self: OssClient, bucket: str, **what: str) -> Iterator[ListedObject]:
    try:
        yield from listed(self, bucket, **what)
    except OSSResumeError:
        return


def a_listing_breaks_off(tries: SetTries) -> None:
    for name in NAMES:
        tries.write_source(name, 0)
        tries.write_target(name, 1)
    tries.plan("mirror", Event("second page fails", 1))


def a_file_changes_after_the_plan(tries: SetTries) -> None:
    tries.write_source("a", 0)
    planned = tries.plan("copy")
    tries.write_source("a", 1)
    if planned is not None:
        tries.run(planned, 0)
        tries.finish(planned, None)


def others_write_before_the_finish(tries: SetTries) -> None:
    tries.write_source("a", 0)
    tries.write_target("b0", 0)
    planned = tries.plan("mirror")
    if planned is not None:
        tries.run(planned, 0)
        tries.write_target("a", 1)
        tries.finish(planned, None)


MUTANTS = [
    Mutant(
        "deletes without a look at the ETag", folder_upload, "delete_objects", delete_without_a_look, "upload",
        "is not what was seen",
    ),
    Mutant(
        "does not look once more before it deletes", finish_plan, "find_lost", lambda *_, **__: iter(()), "upload",
        "counts as proven", others_write_before_the_finish,
    ),
    Mutant(
        "forgets what its ledger holds", Ledger, "rows", lambda self: {}, "upload", "are moved once more",
    ),
    Mutant(
        "believes facts whatever has changed since", survey, "still_holds", lambda *_: True, "copy",
        "taken for the same",
    ),
    Mutant(
        "takes a listing that broke off for a whole one", OssClient, "list_objects", listed_up_to_an_error, "download",
        "the source had them all the time", a_listing_breaks_off,
    ),
    Mutant(
        "takes a file that was skipped for proven", LedgerRow, "is_proven",
        property(lambda self: self.result != "failed"), "upload", "counts as proven", a_file_changes_after_the_plan,
    ),
]  # fmt: skip
