"""Calls of the hook that ask OSS again what a lost answer has left: with the client of a try of the fault matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import NoSuchBucket
from airflow_provider_ossresume.hooks.oss import OSSResumeHook
from airflow_provider_ossresume.model.objects import ObjectRef
from tests.world import BUCKET, a_client

if TYPE_CHECKING:
    from tests.faults.operations import World

APPENDED = "one of the lines that are appended to a log\n" * 20
TAGS = {"team": "data"}
OWN_BUCKET = "a-bucket-of-its-own"


class HookOf(OSSResumeHook):
    """The hook, with a client that is there instead of a connection."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        self._client = client

    def get_conn(self) -> Any:
        return self._client


def by_the_hook(ask: Callable[[HookOf], object]) -> Callable[[World], object]:
    return lambda world: ask(HookOf(world.transfers.client))


def appends(hook: HookOf) -> None:
    hook.append_string(APPENDED, "a", BUCKET, pos=0)


def is_appended(world: World) -> bool:
    return world.oss.object(BUCKET, "a") == APPENDED.encode()


def a_tagged_object(world: World) -> None:
    world.oss.put(BUCKET, "a", b"a", x_oss_tagging="of=before")


def sets_tags(hook: HookOf) -> None:
    hook.put_object_tagging("a", TAGS, BUCKET)


def removes_tags(hook: HookOf) -> None:
    hook.delete_object_tagging("a", BUCKET)


def has_tags(expected: dict[str, str]) -> Callable[[World], bool]:
    return lambda world: a_client(world.oss).get_object_tagging(ObjectRef(BUCKET, "a")) == expected


def creates_a_bucket(hook: HookOf) -> None:
    hook.create_bucket(OWN_BUCKET, storage_class="IA")


def a_bucket_to_delete(world: World) -> None:
    a_client(world.oss).put_bucket(OWN_BUCKET)


def deletes_the_bucket(hook: HookOf) -> None:
    """Delete it as the operator does: at a retry, one that is not there any more is deleted."""
    if hook.check_for_bucket(OWN_BUCKET):
        hook.delete_bucket(OWN_BUCKET)


def bucket_is_there(world: World) -> bool:
    try:
        return a_client(world.oss).get_bucket_info(OWN_BUCKET).name == OWN_BUCKET
    except NoSuchBucket:
        return False
