"""Read and write objects as files, with Airflow's own paths.

When to use it: a task writes or reads a file line by line, or a library needs a file. Nothing is written to the
worker's disk. The object appears when its ``with`` block ends. If the block raises an exception, no object appears.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task

with DAG(
    dag_id="example_filesystem",
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"folder": "oss://oss_default@my-bucket/orders"},
    tags=["oss", "example"],
) as dag:

    @task
    def write_orders(params: dict) -> str:
        """Write a compressed file, and return its path."""
        path = ObjectStoragePath(params["folder"]) / "today.csv.gz"
        with path.open("wt", compression="gzip") as file:
            file.write("customer,amount\n")
            file.writelines(f"{number % 3},{number}\n" for number in range(1000))
        return str(path)

    @task
    def sum_up(orders: str, params: dict) -> dict[str, int]:
        """Add up the lines of the file. Write the sums to the folder ``sums``, and return them."""
        sums: dict[str, int] = {}
        with ObjectStoragePath(orders).open("rt", compression="infer") as file:
            for line in file.readlines()[1:]:
                customer, amount = line.split(",")
                sums[customer] = sums.get(customer, 0) + int(amount)
        report = ObjectStoragePath(params["folder"]) / "sums" / "today.txt"
        report.write_text("".join(f"{customer}: {total}\n" for customer, total in sums.items()))
        return sums

    sum_up(write_orders())
