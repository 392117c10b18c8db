"""Queries of Airflow's tables that 3.4 answers as the other versions do. Imports no Airflow."""

from __future__ import annotations

import re

# In 3.4 each try has a row of its own, XComs and rendered fields belong to a try, and the map index has another name.
_OF_TRY = (
    "SELECT own.*, ti.dag_id, ti.run_id, ti.task_id, ti.region_index AS map_index"
    " FROM {} AS own JOIN task_instance AS ti ON ti.id = own.task_instance_id WHERE ti.working_set"
)
_WITH_MAP_INDEX = "SELECT *, region_index AS map_index FROM {}"
_VIEWS = {
    "task_instance": _WITH_MAP_INDEX.format("task_instance WHERE working_set"),
    "task_instance_history": _WITH_MAP_INDEX.format("task_instance WHERE working_set IS NOT TRUE"),
    "task_state_store": _WITH_MAP_INDEX.format("task_state_store"),
    "xcom": _OF_TRY.format("xcom_v2"),
    "rendered_task_instance_fields": _OF_TRY.format("rtif_v2"),
}

NEW_IN_3_4 = "dynamic_region"  # a table


def as_3_4_has_it(query: str) -> str:
    """Return a query for an Airflow that has the table :data:`NEW_IN_3_4`."""
    return re.sub(rf"\bFROM ({'|'.join(_VIEWS)})\b", lambda found: f"FROM ({_VIEWS[found[1]]}) AS {found[1]}", query)
