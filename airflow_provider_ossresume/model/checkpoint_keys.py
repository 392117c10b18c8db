"""The key of a checkpoint in its store: the same for each try of a transfer, and different for each other transfer."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from airflow_provider_ossresume.model.checkpoint import checkpoint_key
from airflow_provider_ossresume.model.objects import ObjectRef


class CheckpointKeys(NamedTuple):
    """The keys of one transfer's checkpoint, 40 hex digits each.

    :ivar present: the key under which it is saved
    :ivar former: the key of version 0.1. The task's other transfers of the same object share it, so the checkpoint
        itself must show that it belongs to this transfer.
    """

    present: str
    former: str


class TaskIds(NamedTuple):
    """One task instance, for all its tries and workers."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


def checkpoint_keys(
    direction: str,
    target: ObjectRef,
    path: str,
    *,
    task: TaskIds | None = None,
    byte_range: tuple[int, int] | None = None,
) -> CheckpointKeys:
    """Return the keys of a transfer's checkpoint.

    For a task's upload, the file's name counts but not its folder: a retry may find the file in another folder, for
    example a temporary one, and parts are kept by content. For all other transfers the whole path counts.

    :param direction: ``upload`` or ``download``
    :param target: the object, and perhaps its version
    :param path: the local file's absolute path
    :param task: the task instance; None outside Airflow
    :param byte_range: the wanted range ``[start, stop)`` of the object; None for all of it
    """
    identity: tuple[object, ...] = (path,) if task is None else task
    named = {
        "direction": direction,
        "bucket": target.bucket,
        "key": target.key,
        "version": target.version_id,
        "range": byte_range,
        "path": path.rpartition("/")[2] if task and direction == "upload" else path,
        "task": [*map(str, task)] if task else None,
    }
    present = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:40]
    return CheckpointKeys(present, checkpoint_key(direction, target.uri, *identity))


def describe_transfer(
    direction: str, target: ObjectRef, path: str, *, by: str, byte_range: tuple[int, int] | None = None
) -> str:
    """Return a readable description of the transfer, such as for a Variable's description.

    :param by: the task instance, or the process outside Airflow
    """
    version = f" version {target.version_id}" if target.version_id is not None else ""
    wanted = f" bytes [{byte_range[0]}, {byte_range[1]})" if byte_range else ""
    of, to = {"download": ("of", "to"), "copy": ("to", "from")}.get(direction, ("of", "from"))
    return f"{direction} {of} {target}{version}{wanted} {to} {path} by {by}"
