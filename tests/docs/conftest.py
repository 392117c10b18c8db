"""An Airflow of our own for what the docs show: a throw-away home, and no scheduler."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile

# Importing airflow makes a home where none is: not in the home of whoever runs the tests.
if "AIRFLOW_HOME" not in os.environ and "airflow" not in sys.modules:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="ossresume-docs-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
