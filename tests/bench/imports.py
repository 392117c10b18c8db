"""What importing the operators costs a DAG file beyond what Airflow's own modules cost it."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# What any DAG file with an operator has of Airflow.
PROBE = """
import importlib, json, sys, time
import airflow
for name in (
    ("airflow.models", "airflow.models.variable", "airflow.operators.python", "airflow.hooks.base",
     "airflow.sensors.base", "airflow.triggers.base", "airflow.exceptions")
    if airflow.__version__.startswith("2.") else
    ("airflow.sdk", "airflow.sdk.bases.operator", "airflow.sdk.bases.hook", "airflow.sdk.bases.sensor",
     "airflow.triggers.base", "airflow.exceptions")
):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
airflow_needs_requests = "requests" in sys.modules
before, began = set(sys.modules), time.perf_counter()
importlib.import_module("airflow_provider_ossresume.operators.oss")
seconds = time.perf_counter() - began
added = sorted(set(sys.modules) - before)
print(json.dumps({"ms": seconds * 1000, "airflow_needs_requests": airflow_needs_requests, "added": added}))
"""


def measure_imports(python: Path, *, runs: int, home: Path) -> dict[str, Any]:
    """Return the median in milliseconds, the modules that came, and whether requests did.

    :param python: of an environment with Airflow
    :param home: an empty folder for Airflow
    """
    environment = {"AIRFLOW_HOME": str(home), "HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    measured = []
    for _ in range(runs + 1):
        done = subprocess.run(
            [str(python), "-W", "ignore", "-c", PROBE], env=environment, capture_output=True, text=True, check=True
        )
        measured.append(json.loads(done.stdout.splitlines()[-1]))
    measured = measured[1:]  # the first one compiles
    return {
        "ms": statistics.median(one["ms"] for one in measured),
        "runs": runs,
        "added": measured[0]["added"],
        "requests": "requests" in measured[0]["added"],
        "airflow_needs_requests": measured[0]["airflow_needs_requests"],
    }
