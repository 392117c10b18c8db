"""Checkpoints as Airflow Variables: they survive retries and clears, on any worker and any Airflow version."""

from __future__ import annotations

import re

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume.checkpoints import KEY, PREFIX
from airflow_provider_ossresume.errors import CheckpointError


class VariableCheckpointStore:
    """Keeps each checkpoint in a Variable named ``ossresume-`` and the key's hash.

    Never a raw object key: Airflow 3 does not quote Variable names in its URLs, so two objects could share one.

    :param description: what the Variables list shows beside the name: which transfer this is
    """

    calls_airflow = True  # so not from every thread and process; see _airflow.why_not_callable

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
        """Return the keys of all checkpoints that are Variables, whoever saved them.

        :raises StoreUnavailable: when Airflow does not answer
        :raises CheckpointError: on Airflow 3.0 to 3.2, where no task can list Variables
        """
        try:
            names = _airflow.variable_names(PREFIX)
        except Exception as error:  # as above
            raise _airflow.store_error("listing the Variables", error) from error
        if names is None:
            raise CheckpointError(
                "this Airflow lets no task list Variables, as 3.0 to 3.2 do not; name them with names=[…], as "
                f"`airflow variables list` or the UI shows them: they begin with {PREFIX}"
            )
        return sorted(match[1] for name in names if (match := re.fullmatch(f"{PREFIX}({KEY})", name)))

    def place(self, key: str) -> str:
        """Return what to look for in Airflow's UI."""
        return f"Variable {PREFIX}{key}"

    def __str__(self) -> str:
        return "Variable"
