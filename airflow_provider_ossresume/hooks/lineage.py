"""What the hook tells Airflow's collector of hook lineage, for tasks that no operator of ours speaks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_ossresume._airflow import BaseHook, report_hook_lineage
from airflow_provider_ossresume.assets.oss import PLAIN
from airflow_provider_ossresume.hooks.telling import tell
from airflow_provider_ossresume.model.objects import ObjectRef, resolve_target
from airflow_provider_ossresume.transfer.result import TransferResult


def report_lineage(hook: BaseHook, context: Mapping[str, Any] | None, result: TransferResult) -> None:
    """Report the two ends of a transfer inside a task; outside one nobody listens."""
    if context is None:
        return

    def report() -> None:
        target, other = _object(result.target), _other_end(result)
        source, made = (target, other) if result.direction == "download" else (other, target)
        report_hook_lineage(hook, inputs=[source], outputs=[made])

    tell(f"the lineage of {result.target}", report)


def _other_end(result: TransferResult) -> tuple[str, dict[str, str]]:
    if result.direction == "copy":
        return _object(resolve_target(result.path, None))
    # The factory of file assets puts a path into a URI as it is, and 2.11 refuses one that is not ASCII.
    return "file", {"path": quote(os.fsencode(os.path.abspath(result.path)), safe=f"{PLAIN} ")}


def _object(target: ObjectRef) -> tuple[str, dict[str, str]]:
    return "oss", {"bucket": target.bucket, "key": target.key}
