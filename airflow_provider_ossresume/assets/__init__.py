"""``oss://`` assets, which Airflow 2 calls datasets."""
