"""The hook: one Airflow connection, wired to the engine."""
