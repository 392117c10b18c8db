"""What the hook tells Airflow's collector of hook lineage, for tasks that no operator of ours speaks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_ossresume._airflow import BaseHook, report_hook_lineage
from airflow_provider_ossresume.assets.oss import PLAIN
from airflow_provider_ossresume.hooks.telling import tell
from airflow_provider_ossresume.transfer.result import TransferResult


def report_lineage(
    hook: BaseHook, context: Mapping[str, Any] | None, result: TransferResult, *, makes_object: bool
) -> None:
    """Report the file and the object of a transfer inside a task; outside one nobody listens."""
    if context is None:
        return

    def report() -> None:
        # The factory of file assets puts a path into a URI as it is, and 2.11 refuses one that is not ASCII.
        path = quote(os.fsencode(os.path.abspath(result.path)), safe=f"{PLAIN} ")
        file = ("file", {"path": path})
        target = ("oss", {"bucket": result.target.bucket, "key": result.target.key})
        source, made = (file, target) if makes_object else (target, file)
        report_hook_lineage(hook, inputs=[source], outputs=[made])

    tell(f"the lineage of {result.target}", report)
