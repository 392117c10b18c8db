"""Everything that differs between Airflow 2.11 and 3.0 to 3.4. No other package depends on Airflow's version.

Import from here, not from the modules below:

- ``versions``: the running Airflow
- ``task``: the running task instance
- ``connections``: connections, in a task and in the triggerer
- ``stores``: Variables and XComs
- ``supervisor``: the process that supervises a try, and who may call Airflow
- ``superseded``: how a try ends when a newer one has taken over
- ``lineage``: assets, and lineage for OpenLineage
- ``retry_policies``: those of Airflow 3.3

If :func:`why_not_callable` returns a reason, call nothing that sends a request to Airflow. A trigger may call only
:func:`read_connection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    Asset,
    BaseHook,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    PokeReturnValue,
    Stats,
    TaskGroup,
    conf,
)
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ossresume._airflow.connections import ConnectionNotFound, find_connection, read_connection
from airflow_provider_ossresume._airflow.lineage import (
    add_to_outlet_events,
    openlineage_dataset,
    operator_lineage,
    report_hook_lineage,
)
from airflow_provider_ossresume._airflow.retry_policies import retry_policy_classes
from airflow_provider_ossresume._airflow.stores import (
    can_list_variables,
    delete_variable,
    delete_xcom,
    get_variable,
    get_xcom,
    is_not_found,
    set_variable,
    set_xcom,
    store_error,
    variable_names,
)
from airflow_provider_ossresume._airflow.superseded import leave_to_successor
from airflow_provider_ossresume._airflow.supervisor import watch_supervisor, why_not_callable
from airflow_provider_ossresume._airflow.task import (
    current_context,
    discard_failed_deferral,
    is_last_try,
    max_map_length,
    metric_tags,
)
from airflow_provider_ossresume._airflow.versions import AIRFLOW_3, CLEAR_KEEPS_TASK_STATE, UNCHANGED_SECRET

if TYPE_CHECKING:
    from airflow.sdk.definitions.retry_policy import RetryDecision as RetryDecision
    from airflow.sdk.definitions.retry_policy import RetryPolicy as RetryPolicy

__all__ = [
    "AIRFLOW_3",
    "CLEAR_KEEPS_TASK_STATE",
    "UNCHANGED_SECRET",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "Asset",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "ConnectionNotFound",
    "PokeReturnValue",
    "Stats",
    "TaskGroup",
    "TriggerEvent",
    "add_to_outlet_events",
    "can_list_variables",
    "conf",
    "current_context",
    "delete_variable",
    "delete_xcom",
    "discard_failed_deferral",
    "find_connection",
    "get_variable",
    "get_xcom",
    "is_last_try",
    "is_not_found",
    "leave_to_successor",
    "max_map_length",
    "metric_tags",
    "openlineage_dataset",
    "operator_lineage",
    "read_connection",
    "report_hook_lineage",
    "retry_policy_classes",
    "set_variable",
    "set_xcom",
    "store_error",
    "variable_names",
    "watch_supervisor",
    "why_not_callable",
]
