"""Links that Airflow shows for a task."""
