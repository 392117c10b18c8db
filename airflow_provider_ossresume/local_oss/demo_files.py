"""The files of the demo: a file to upload, the DAG that uploads it, and the settings for a separate Airflow."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from airflow_provider_ossresume.model.parts import plan_parts

BUCKET, KEY = "bucket", "in.bin"

_DAG = '''\
"""Upload a file. Kill the task in the middle: its retry sends only the parts that OSS does not have yet."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator


def write_pid(context):
    """Write down the ID of the task's process, so that you can kill it."""
    Path({pid!r}).write_text(str(os.getpid()))


with DAG(
    dag_id="ossresume_demo",
    start_date=datetime(2026, 1, 1),
    schedule="@once",  # it starts by itself
    is_paused_upon_creation=False,
) as dag:
    OSSResumableUploadOperator(
        task_id="upload",
        file={file!r},
        key={url!r},
        retries=3,
        retry_delay=timedelta(seconds=5),
        on_execute_callback=write_pid,
    )
'''


def write_files(folder: Path, *, size: int, connection: str, airflow_port: int) -> None:
    """Write the file to upload, the DAG, and the settings for the shell that runs Airflow.

    :param size: of the file, in bytes
    :param connection: the Airflow connection ``oss_default``, as JSON
    """
    file = folder / "in.bin"
    with file.open("wb") as to:
        for part in plan_parts(size):
            to.write(os.urandom(part.size))
    (folder / "dags").mkdir()
    dag = _DAG.format(pid=str(folder / "task.pid"), file=str(file), url=f"oss://{BUCKET}/{KEY}")
    (folder / "dags" / "ossresume_demo.py").write_text(dag, encoding="utf-8")
    (folder / "env.sh").write_text(_env(folder, connection, airflow_port), encoding="utf-8")


def _env(folder: Path, connection: str, port: int) -> str:
    settings = {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_OSS_DEFAULT": connection,
        # There is no login, so nobody else may connect.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        # Standalone may start the task before the API server, and that server is slow at first on a busy machine.
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "10",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # The names of host and port in Airflow 2.11, which requires a login.
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    lines += [f'export {name}="127.0.0.1,localhost${{{name}:+,${name}}}"' for name in ("NO_PROXY", "no_proxy")]
    return (
        "# Settings for an Airflow that keeps everything in this folder: source this file in the shell that runs it.\n"
        + "".join(f"{line}\n" for line in lines)
    )
