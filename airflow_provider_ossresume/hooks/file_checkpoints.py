"""The checkpoint of a file that the filesystem transfers in a task."""

from __future__ import annotations

import os

from airflow_provider_ossresume._airflow import current_context
from airflow_provider_ossresume.checkpoints.select import select_store
from airflow_provider_ossresume.hooks.current_try import CurrentTry
from airflow_provider_ossresume.model.checkpoint_keys import checkpoint_keys, describe_transfer
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.checkpointing import Checkpointer
from airflow_provider_ossresume.transfer.paths import printable_path


def task_checkpointer(
    checkpoint: str, direction: str, target: ObjectRef, other_end: str, *, interval: float
) -> Checkpointer:
    """Return the checkpointer for a file. Inside a task, it uses the store that the task's own transfers would use.

    :param checkpoint: see :func:`~airflow_provider_ossresume.checkpoints.select.select_store`
    :param other_end: the local file's path, or the source's URI
    :param interval: the minimum number of seconds between two saves
    """
    this_try = CurrentTry(current_context())
    path = other_end if direction == "copy" else os.path.abspath(other_end)
    description = describe_transfer(direction, target, printable_path(path), by=this_try.name)
    store = select_store(checkpoint, context=this_try.context, description=description)
    key = checkpoint_keys(direction, target, path, task=this_try.task).present
    return Checkpointer(store, key, owner=this_try.owner, began=this_try.began, interval=interval)
