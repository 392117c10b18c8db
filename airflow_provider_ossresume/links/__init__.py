"""Links from a task in Airflow to what it is about."""
