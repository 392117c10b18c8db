"""A throw-away home for this process's Airflow, which would else make one in the home of whoever runs the tests."""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__FERNET_KEY": "",  # so that whatever lies in the database can be read in it
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
# The process that has made it: pytest's workers must not share their parent's.
_MAKER = "OSSRESUME_TESTS_AIRFLOW_HOME_OF"


def have_airflow_home() -> None:
    """Make one, unless this process has it already or was given one; to be called before anything imports airflow."""
    is_given = "AIRFLOW_HOME" in os.environ and _MAKER not in os.environ
    if is_given or os.environ.get(_MAKER) == str(os.getpid()):
        return
    if "airflow" in sys.modules:
        raise RuntimeError("airflow was imported before it had a home for the tests")
    home = tempfile.mkdtemp(prefix="ossresume-airflow-")
    os.mkdir(os.path.join(home, "dags"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ.update(_SETTINGS, AIRFLOW_HOME=home)
    os.environ[_MAKER] = str(os.getpid())


def migrate(python: str, env: Mapping[str, str], *, shared: Path) -> None:
    """Let the home in ``env`` have an empty metadata database.

    In a process of its own: alembic would turn this one's logging off. That takes 15 s of a processor, so all processes
    of a test run make one database, in the folder ``shared``, and copy it.
    """
    if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in env:
        _run_migrate(python, env)
        return
    database = Path(env["AIRFLOW_HOME"], "airflow.db")
    made = shared / f"airflow-{hashlib.sha256(python.encode()).hexdigest()[:8]}.db"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_new = not database.exists() or database.stat().st_size == 0
        if is_new and made.exists():
            shutil.copyfile(made, database)
        else:
            _run_migrate(python, env)
            if is_new:
                shutil.copyfile(database, made)


def _run_migrate(python: str, env: Mapping[str, str]) -> None:
    command = (python, "-m", "airflow", "db", "migrate")
    done = subprocess.run(command, env=env, cwd=env["AIRFLOW_HOME"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr  # what it prints is of use only then
