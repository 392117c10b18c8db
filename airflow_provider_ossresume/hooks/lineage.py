"""What the hook tells Airflow's collector of hook lineage, for tasks that no operator of ours speaks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_ossresume._airflow import BaseHook, report_hook_lineage
from airflow_provider_ossresume.assets.oss import PLAIN
from airflow_provider_ossresume.hooks.reporting import report_to_airflow
from airflow_provider_ossresume.model.object_names import parse_oss_url, resolve_target
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.model.verdict import Verdict
from airflow_provider_ossresume.transfer.paths import path_of_uri
from airflow_provider_ossresume.transfer.result import TransferResult

_Side = dict[str, Any]


def report_lineage(hook: BaseHook, context: Mapping[str, Any] | None, result: TransferResult) -> None:
    """Report the two ends of a transfer inside a task; outside one nobody listens."""
    if context is None:
        return

    def report() -> None:
        target, others = [_object(result.target)], [_other_end(result)] if result.path else []  # a stream has no name
        sources, made = (target, others) if result.direction == "download" else (others, target)
        report_hook_lineage(hook, inputs=sources, outputs=made)

    report_to_airflow(f"the lineage of {result.target}", report)


def report_set_lineage(hook: BaseHook, context: Mapping[str, Any] | None, verdict: Verdict) -> None:
    """Report the two ends of a transfer of many files inside a task, and none of the files."""
    if context is None or verdict.outcome == "dry run":
        return

    def report() -> None:
        report_hook_lineage(hook, inputs=[_end(verdict.source)], outputs=[_end(verdict.target)])

    report_to_airflow(f"the lineage of {verdict.target}", report)


def _other_end(result: TransferResult) -> _Side:
    if result.direction == "copy":
        return _object(resolve_target(result.path, None))
    return _file(result.path)


def _end(uri: str) -> _Side:
    if not uri.startswith("oss://"):
        return _file(path_of_uri(uri))
    bucket, prefix = parse_oss_url(uri)
    return _object(ObjectRef(bucket, prefix)) if prefix else {"uri": f"oss://{bucket}"}


def _file(path: str) -> _Side:
    # The factory of file assets puts a path into a URI as it is, and 2.11 refuses one that is not ASCII.
    return {"scheme": "file", "asset_kwargs": {"path": quote(os.fsencode(os.path.abspath(path)), safe=f"{PLAIN} ")}}


def _object(target: ObjectRef) -> _Side:
    return {"scheme": "oss", "asset_kwargs": {"bucket": target.bucket, "key": target.key}}
