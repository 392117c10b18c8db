"""Reports the hook's transfers to Airflow's hook lineage collector, for tasks that do not use our operators."""

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

_AssetArguments = dict[str, Any]


def report_lineage(hook: BaseHook, context: Mapping[str, Any] | None, result: TransferResult) -> None:
    """Report the source and target of a transfer. Outside a task, do nothing: there is no collector."""
    if context is None:
        return

    def report() -> None:
        target, others = (
            [_object_asset(result.target)],
            [_other_end(result)] if result.path else [],
        )  # a stream has no path
        sources, made = (target, others) if result.direction == "download" else (others, target)
        report_hook_lineage(hook, inputs=sources, outputs=made)

    report_to_airflow(f"the lineage of {result.target}", report)


def report_set_lineage(hook: BaseHook, context: Mapping[str, Any] | None, verdict: Verdict) -> None:
    """Report the source and target of a transfer of many files, but not each file. Outside a task, do nothing."""
    if context is None or verdict.outcome == "dry run":
        return

    def report() -> None:
        report_hook_lineage(hook, inputs=[_asset_of_uri(verdict.source)], outputs=[_asset_of_uri(verdict.target)])

    report_to_airflow(f"the lineage of {verdict.target}", report)


def _other_end(result: TransferResult) -> _AssetArguments:
    if result.direction == "copy":
        return _object_asset(resolve_target(result.path, None))
    return _file_asset(result.path)


def _asset_of_uri(uri: str) -> _AssetArguments:
    if not uri.startswith("oss://"):
        return _file_asset(path_of_uri(uri))
    bucket, prefix = parse_oss_url(uri)
    return _object_asset(ObjectRef(bucket, prefix)) if prefix else {"uri": f"oss://{bucket}"}


def _file_asset(path: str) -> _AssetArguments:
    # The factory of file assets does not encode the path, and 2.11 refuses URIs that are not ASCII.
    return {"scheme": "file", "asset_kwargs": {"path": quote(os.fsencode(os.path.abspath(path)), safe=f"{PLAIN} ")}}


def _object_asset(target: ObjectRef) -> _AssetArguments:
    return {"scheme": "oss", "asset_kwargs": {"bucket": target.bucket, "key": target.key}}
