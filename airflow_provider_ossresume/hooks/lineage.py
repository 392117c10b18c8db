"""What the hook tells Airflow's collector of hook lineage, for tasks that no operator of ours speaks for."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_ossresume._airflow import BaseHook, report_hook_lineage
from airflow_provider_ossresume.assets.oss import PLAIN
from airflow_provider_ossresume.transfer.result import TransferResult

log = logging.getLogger(__name__)


def report_lineage(
    hook: BaseHook, context: Mapping[str, Any] | None, result: TransferResult, *, makes_object: bool
) -> None:
    """Report the file and the object of a transfer inside a task; outside one nobody listens."""
    if context is None:
        return
    # The factory of file assets puts a path into a URI as it is, and 2.11 refuses one that is not ASCII.
    file = ("file", {"path": quote(os.path.abspath(result.path), safe=f"{PLAIN} ")})
    target = ("oss", {"bucket": result.target.bucket, "key": result.target.key})
    source, made = (file, target) if makes_object else (target, file)
    try:
        report_hook_lineage(hook, inputs=[source], outputs=[made])
    except Exception as error:  # whoever collects lineage may be at fault, and the transfer is done
        log.warning("The lineage of %s is not reported: %s", result.target, error)
