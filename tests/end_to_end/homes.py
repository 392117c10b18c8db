"""What a throw-away home of Airflow's holds, and the environment that makes processes use it."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.end_to_end.flavours import FLAVOUR, SETTINGS
from tests.end_to_end.processes import HOME
from tests.postgres import free_port


def environment(home: Path, database: str, connections: Mapping[str, str], *, fernet_key: str) -> dict[str, str]:
    """Return the environment of each process; AIRFLOW… variables of the caller are not passed on."""
    port = free_port()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))},
        **SETTINGS,
        **FLAVOUR.settings,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        HOME: str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__FERNET_KEY": fernet_key,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API_AUTH__JWT_SECRET": random_key(),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        **{f"AIRFLOW_CONN_{conn_id.upper()}": connection for conn_id, connection in connections.items()},
    }


def copy_dags(dags: Iterable[Path], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for path in dags:
        for file in sorted(path.glob("*.py")) if path.is_dir() else (path,):
            shutil.copy(file, folder)


def random_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()  # the form of a Fernet key; serves as JWT secret too
