"""Uploads one file of a few parts many times: in threads of the author's own, and in processes that the task forks."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator, Context

from airflow_provider_ossresume.hooks.oss import OSSResumeHook

UPLOADS = 24
PROCESSES = 3


class UploadManyOperator(BaseOperator):
    """Returns how often each outcome, or each kind of error, came."""

    def __init__(self, *, how: Callable[[Callable[[int], str]], list[str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.how = how

    def execute(self, context: Context) -> dict[str, int]:
        hook = OSSResumeHook(transfer_config={"part_size": "100KiB", "multipart_threshold": "100KiB"})
        hook.get_conn()  # looks the connection up, here in the task's main thread
        source, key = context["dag_run"].conf["source"], f"{context['dag_run'].run_id}/{self.task_id}"

        def upload(number: int) -> str:
            return hook.upload_file(source, f"{key}/{number}", "bucket").outcome

        def upload_with_a_variable(number: int) -> str:
            try:
                return hook.upload_file(source, f"{key}/v{number}", "bucket", checkpoint="variable").outcome
            except Exception as error:
                return type(error).__name__

        return dict(Counter(f"auto {each}" for each in self.how(upload))) | dict(
            Counter(f"variable {each}" for each in self.how(upload_with_a_variable))
        )


def in_threads(upload: Callable[[int], str]) -> list[str]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(upload, range(UPLOADS)))


def in_forked_processes(upload: Callable[[int], str]) -> list[str]:
    fork = multiprocessing.get_context("fork")
    # The workers of 2.11's LocalExecutor are daemons and may start no process. DAG authors get around it like this.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    outcomes = fork.Queue()
    processes = [fork.Process(target=lambda number=number: outcomes.put(upload(number))) for number in range(PROCESSES)]
    for process in processes:
        process.start()
    found = [outcomes.get(timeout=240) for _ in processes]
    for process in processes:
        process.join()
    return found


with DAG("threads", schedule=None, start_date=datetime(2024, 1, 1), catchup=False):
    timeout = timedelta(minutes=8)
    UploadManyOperator(task_id="threads", how=in_threads, execution_timeout=timeout)
    UploadManyOperator(task_id="forks", how=in_forked_processes, execution_timeout=timeout)
