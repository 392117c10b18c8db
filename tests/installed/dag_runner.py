"""Runs the DAGs of a folder with ``dag.test()``: reads one JSON object a line and answers each with one.

``{"parse": true}`` is answered with the IDs of the DAGs, the import errors, and the deprecation warnings that our own
files caused. ``{"run": "dag_id", "conf": {…}}`` runs a DAG, its retries without their delay, and is answered with the
run's ID and state. What its tasks did stands in the database of AIRFLOW_HOME.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FOLDER = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Airflow logs to stdout, which must not mix with the answers
    dags: dict[str, Any] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if "parse" in order:
            answer, dags = parse()
        else:
            answer = run(dags[order["run"]], order["conf"])
        print(json.dumps(answer, default=str), file=answers)


def parse() -> tuple[dict[str, Any], dict[str, Any]]:
    our_folders = (*find_spec("airflow_provider_ossresume").submodule_search_locations, FOLDER)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bag = _dag_bag()
        import airflow_provider_ossresume.hooks.oss
        import airflow_provider_ossresume.triggers.oss  # noqa: F401  not needed to parse, so imported here
    ours = [
        f"{warning.filename}:{warning.lineno}: {warning.message}"
        for warning in caught
        if issubclass(warning.category, DeprecationWarning) and warning.filename.startswith(our_folders)
    ]
    return {"dags": sorted(bag.dags), "errors": bag.import_errors, "warnings": ours}, bag.dags


def _dag_bag() -> Any:
    try:
        from airflow.dag_processing.dagbag import BundleDagBag
    except ImportError:  # before 3.2
        from airflow.models.dagbag import DagBag

        bag = DagBag(FOLDER, include_examples=False)
        if hasattr(bag, "sync_to_db"):  # before 3.1
            _make_known(bag)
        return bag
    return BundleDagBag(FOLDER, bundle_path=Path(FOLDER), bundle_name="dags-folder")


def _make_known(bag: Any) -> None:
    """Write the DAGs to the database, so that their assets are known and active; from 3.1 on, dag.test() does it."""
    try:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
    except ImportError:  # 2.11
        for dag in bag.dags.values():
            dag.sync_to_db()
        return
    DagBundlesManager().sync_bundles_to_db()
    bag.sync_to_db("dags-folder", None)


def run(dag: Any, conf: dict[str, Any]) -> dict[str, Any]:
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):  # it is mapped
            task.partial_kwargs["retry_delay"] = timedelta(0)
        else:
            task.retry_delay = timedelta(0)
    dag_run = dag.test(run_conf=conf)
    return {"run_id": dag_run.run_id, "state": dag_run.state}


if __name__ == "__main__":
    sys.path.pop(0)  # this folder: no module of ours may stand in for one of Airflow's
    serve()
