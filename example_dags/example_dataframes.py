"""Read and write tables on OSS with pandas, pyarrow, polars and DuckDB.

When to use it: a task reads some columns of a large table, or writes a table. The libraries use the connection through
fsspec. A reader fetches only the columns that it needs. A written file appears when it is closed and complete.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

with DAG(
    dag_id="example_dataframes",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"folder": "my-bucket/orders"},
    tags=["oss", "example"],
) as dag:

    @task
    def with_pandas(params: dict) -> str:
        """Write a Parquet file, and return the folder of the table."""
        import pandas

        from airflow_provider_ossresume.filesystem.oss import OSSFileSystem

        fs = OSSFileSystem(oss_conn_id="oss_default")
        frame = pandas.DataFrame({"customer": [number % 3 for number in range(1000)], "amount": range(1000)})
        with fs.open(f"{params['folder']}/day=1/part.parquet", "wb") as file:
            frame.to_parquet(file)
        return params["folder"]

    @task
    def with_pyarrow(folder: str) -> int:
        """Return the sum of one column over all files in the folder."""
        import pyarrow.compute
        import pyarrow.dataset

        from airflow_provider_ossresume.filesystem.oss import OSSFileSystem

        fs = OSSFileSystem(oss_conn_id="oss_default")
        orders = pyarrow.dataset.dataset(folder, filesystem=fs, format="parquet", partitioning="hive")
        return pyarrow.compute.sum(orders.to_table(columns=["amount"])["amount"]).as_py()

    @task
    def with_polars(folder: str) -> int:
        """Return the same sum for one file."""
        import polars

        from airflow_provider_ossresume.filesystem.oss import OSSFileSystem

        fs = OSSFileSystem(oss_conn_id="oss_default")
        with fs.open(f"{folder}/day=1/part.parquet") as file:
            return polars.scan_parquet(file).select("amount").collect()["amount"].sum()

    @task
    def with_duckdb(folder: str) -> int:
        """Return the same sum over all files, in SQL."""
        import duckdb

        from airflow_provider_ossresume.filesystem.oss import OSSFileSystem

        with duckdb.connect() as connection:
            connection.register_filesystem(OSSFileSystem(oss_conn_id="oss_default"))
            [(total,)] = connection.execute(f"SELECT sum(amount) FROM 'oss://{folder}/*/*.parquet'").fetchall()
        return int(total)

    written = with_pandas()
    with_pyarrow(written)
    with_polars(written)
    with_duckdb(written)
