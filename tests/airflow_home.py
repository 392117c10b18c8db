"""A throw-away home for this process's Airflow, which would else make one in the home of whoever runs the tests."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile

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
