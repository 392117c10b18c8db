"""What Airflow knows objects by: ``oss://`` assets, which Airflow 2 calls datasets."""
