"""A process that moves one batch of a plan, as a task of Airflow's does: SIGTERM raises in its main thread."""

from __future__ import annotations

import json
import signal
import sys

from airflow_provider_ossresume.model.checkpoint import Owner
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.oss.credentials import StaticCredentials
from airflow_provider_ossresume.oss.endpoint import parse_endpoint
from airflow_provider_ossresume.sets.set_transfers import SetTransfers
from airflow_provider_ossresume.transfer.config import TransferConfig

STOPPED = 3  # what the process ends with after SIGTERM


class Terminated(Exception):
    """What Airflow raises in a task that it ends."""


def main(job: dict[str, str]) -> int:
    def terminate(*_: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    credentials = StaticCredentials(job["access_key_id"], job["access_key_secret"])
    client = OssClient(parse_endpoint(job["endpoint"]), credentials, region=job["region"])
    transfers = SetTransfers(client, TransferConfig(progress_interval=0), Owner(int(job["try"]), f"try-{job['try']}"))
    try:
        transfers.run_batch(job["batch"])
    except Terminated:
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
