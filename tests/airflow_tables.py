"""Queries of Airflow's tables that 3.4 answers as the other versions do. Imports no Airflow."""

from __future__ import annotations

import re

# The map index of task instances and of their states has another name in 3.4, and former tries are rows of their own.
_VIEWS = {
    "task_instance": "task_instance WHERE working_set",
    "task_instance_history": "task_instance WHERE working_set IS NOT TRUE",
    "task_state_store": "task_state_store",
}

NEW_IN_3_4 = "dynamic_region"  # a table


def as_3_4_has_it(query: str) -> str:
    """Return a query for an Airflow that has the table :data:`NEW_IN_3_4`."""

    def view(found: re.Match[str]) -> str:
        return f"FROM (SELECT *, region_index AS map_index FROM {_VIEWS[found[1]]}) AS {found[1]}"

    return re.sub(rf"FROM ({'|'.join(_VIEWS)})\b", view, query)
