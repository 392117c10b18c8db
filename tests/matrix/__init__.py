"""``make test-matrix``: the built package in clean environments, one for each pair of an Airflow and a Python."""
