"""Policies that Airflow asks about tasks."""
