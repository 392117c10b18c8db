"""What a checkpoint is called in its store: a name that no other transfer has, and every try of this one."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from airflow_provider_ossresume.model.checkpoint import checkpoint_key
from airflow_provider_ossresume.model.objects import ObjectRef


class CheckpointKeys(NamedTuple):
    """The names of one transfer's checkpoint, each 40 hex digits.

    :ivar present: where it is kept
    :ivar former: where 0.1 kept it; shared with the task's other transfers of the same object, so what lies there is
        this transfer's only when the checkpoint says so
    """

    present: str
    former: str


class TaskIds(NamedTuple):
    """One task instance, whichever try of it and on whichever worker."""

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
    """Return the keys of a transfer's checkpoint: the same ones for each try, others for each other transfer.

    A task's upload is told from others by the object and the file's name, not by its folder: a retry may find the file
    in another one, a temporary one or another worker's, and keeps its parts by their content. All others are told by
    the whole path.

    :param direction: ``upload`` or ``download``
    :param target: the object, and perhaps its version
    :param path: the local file's, absolute
    :param task: whose transfer it is; None outside Airflow
    :param byte_range: what of the object is wanted, as ``[start, stop)``; None for all of it
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
    """Return the same for people, as a Variable's description shows it.

    :param by: the task instance, or the process outside Airflow
    """
    version = f" version {target.version_id}" if target.version_id is not None else ""
    wanted = f" bytes [{byte_range[0]}, {byte_range[1]})" if byte_range else ""
    of, to = {"download": ("of", "to"), "copy": ("to", "from")}.get(direction, ("of", "from"))
    return f"{direction} {of} {target}{version}{wanted} {to} {path} by {by}"
