"""The classes of Airflow 3.3 for retry policies."""

from __future__ import annotations

import importlib
from typing import Any

from airflow_provider_ossresume._airflow.versions import AIRFLOW_VERSION


def retry_policy_classes() -> tuple[Any, Any]:
    """Return Airflow's classes RetryDecision and RetryPolicy.

    :raises ImportError: before Airflow 3.3, which has none
    """
    try:
        found = importlib.import_module("airflow.sdk.definitions.retry_policy")
    except ImportError as error:
        raise ImportError(
            f"retry policies need Airflow 3.3, and this is {AIRFLOW_VERSION}; remove retry_policy. On every version "
            "our operators fail without a retry for errors that no retry can fix"
        ) from error
    return found.RetryDecision, found.RetryPolicy
