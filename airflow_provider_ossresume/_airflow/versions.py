"""The version of the running Airflow, and the constants that depend only on it."""

from __future__ import annotations

from airflow import __version__

AIRFLOW_VERSION = __version__
RELEASE = tuple(map(int, AIRFLOW_VERSION.split(".")[:2]))

AIRFLOW_3 = RELEASE >= (3,)

# There is no task state before 3.3. From 3.4 on, Clear deletes it unless the user asks to keep it.
CLEAR_KEEPS_TASK_STATE = RELEASE == (3, 3)

# The connection form of 2.11 shows this for a stored secret, and submits it if the secret is not changed
# (airflow/www/views.py).
UNCHANGED_SECRET = "RATHER_LONG_SENSITIVE_FIELD_PLACEHOLDER"  # noqa: S105  not a secret
