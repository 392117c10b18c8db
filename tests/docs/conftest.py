"""An Airflow of our own for what the docs show, without a scheduler."""

from __future__ import annotations

from tests.airflow_home import have_airflow_home

have_airflow_home()
