"""A checkpoint store of Airflow Variables. They survive retries and Clear, on any worker and any Airflow version."""

from __future__ import annotations

import re

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.checkpoints import KEY, PREFIX
from airflow_provider_ossresume.errors import CheckpointError


class VariableCheckpointStore:
    """Keeps each checkpoint in a Variable named ``ossresume-`` and the key's hash.

    The name has no raw object key: Airflow 3 does not quote Variable names in URLs, so two objects could share one.

    :param description: shown in the list of Variables, to tell which transfer it belongs to
    """

    calls_airflow = True  # so it cannot be used in every thread and process; see _airflow.why_not_callable

    def __init__(self, description: str = "") -> None:
        self._description = description

    def load(self, key: str) -> str | None:
        try:
            return _airflow.get_variable(PREFIX + key)
        except Exception as error:  # Airflow raises what its database, secrets back end or API client raise
            raise _airflow.store_error(f"reading the {self.place(key)}", error) from error

    def save(self, key: str, text: str) -> None:
        try:
            _airflow.set_variable(PREFIX + key, text, description=self._description)
        except Exception as error:  # as above
            raise _airflow.store_error(f"writing the {self.place(key)}", error) from error

    def delete(self, key: str) -> None:
        try:
            _airflow.delete_variable(PREFIX + key)
        except Exception as error:  # as above
            raise _airflow.store_error(f"deleting the {self.place(key)}", error) from error

    def keys(self) -> list[str]:
        """Return the keys of all checkpoints among the Variables, of any DAG.

        :raises StoreUnavailable: if Airflow does not answer
        :raises CheckpointError: on Airflow 3.0 to 3.2, where a task cannot list Variables
        """
        try:
            names = _airflow.variable_names(PREFIX)
        except Exception as error:  # as above
            raise _airflow.store_error("listing the Variables", error) from error
        if names is None:
            raise CheckpointError(
                "on Airflow 3.0 to 3.2 a task cannot list Variables; give their names with names=[…], as `airflow "
                f"variables list` or the UI shows them: they begin with {PREFIX}"
            )
        return sorted(match[1] for name in names if (match := re.fullmatch(f"{PREFIX}({KEY})", name)))

    def place(self, key: str) -> str:
        """Return what to look for in Airflow's UI."""
        return f"Variable {PREFIX}{key}"

    def __str__(self) -> str:
        return "Variable"
