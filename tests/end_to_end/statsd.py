"""A StatsD server on loopback that keeps what Airflow sends it."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from collections.abc import Mapping

from tests.end_to_end.processes import wait_until

PREFIX = "airflow.ossresume."
ARRIVAL_SECONDS = 60


class StatsdListener:
    """Listens for the time of a ``with`` block.

    :ivar settings: what makes Airflow send ours of its metrics here, with tags as InfluxDB has them
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.settings: Mapping[str, str] = {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
            "AIRFLOW__METRICS__METRICS_ALLOW_LIST": "ossresume",
        }

    def __enter__(self) -> StatsdListener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def count(self) -> int:
        """Return how many values have come so far."""
        return len(self._lines)

    def counted(self, *, since: int, tries: int, **tags: str) -> dict[str, int]:
        """Return the sum of each of our counters, and how many times each timer was sent, with those tags.

        :param since: how many values had come before those that are meant
        :param tries: waits for the ends of so many, as a packet may be read after the task has ended
        """

        def has_come() -> dict[str, int] | None:
            sums = self._sums(since, tags)
            return sums if sums.get("duration", 0) >= tries else None  # what a try sends last

        what = f"the ends of {tries} tries with {tags} on the StatsD server"
        return wait_until(has_come, timeout=ARRIVAL_SECONDS, what=lambda: f"{what}: {self._sums(since, tags)}")

    def _sums(self, since: int, tags: Mapping[str, str]) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for line in self._lines[since:]:
            name, _, value = line.partition(":")
            name, *pairs = name.split(",")
            if tags.items() <= dict(pair.split("=", 1) for pair in pairs).items():
                number, kind = value.split("|")[:2]
                sums[name.removeprefix(PREFIX)] += int(number) if kind == "c" else 1
        return dict(sums)

    def _listen(self) -> None:
        while True:
            try:
                packet = self._socket.recv(65_536)
            except OSError:
                return
            self._lines += [line for line in packet.decode().splitlines() if line.startswith(PREFIX)]
