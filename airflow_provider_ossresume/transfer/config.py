"""How transfers are done: part sizes, concurrency, retries and timeouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.arguments import (
    SHORTEST,
    parse_duration,
    parse_flag,
    parse_whole_number,
)
from airflow_provider_ossresume.model.parts import (
    MAX_PUT_SIZE,
    MIB,
    STALL_SIZE,
    check_part_size,
    parse_size,
)

INITIAL_WORKERS, MAX_WORKERS = 2, 32  # measured: docs/performance
LIMITED_WORKERS = 16  # with max_bandwidth: all start at once, because each has a fixed share
MIN_RATE = 8 * 1024  # bytes per second of one worker; far more than the stall timeout needs
MAX_CONCURRENCY = 64  # in measurements, more connections gained nothing; they cost memory and descriptors
LONGEST_TIME = 86_400.0  # seconds
TIMEOUTS = ("connect_timeout", "read_timeout", "stall_timeout")


@dataclass(frozen=True)
class TransferConfig:
    """How transfers are done. Sizes are an int of bytes or a string such as ``"64MiB"``; durations are
    seconds, a timedelta, or a string such as ``"5m"``.

    Numbers may be strings too, as templates produce them.

    :param part_size: size of a part, 100 KiB to 5 GiB. Default 8 MiB; 16 MiB from 1 GiB on, 32 MiB from 4 GiB on.
        Raised if 10,000 parts would not be enough. A resumed transfer keeps its part size.
    :param multipart_threshold: smaller files and objects are moved in one request, default 16 MiB, at most 5 GiB
    :param max_concurrency: number of parts in flight at once, 1 to 64. By default the transfer starts with 2, and uses
        more, up to 32, while that increases the throughput; with ``max_bandwidth`` it uses 16. The number is lowered
        when requests time out or OSS throttles them
    :param part_retries: how often a request is repeated after transient failures, 0 to 100, default 7
    :param retry_max_time: seconds after the first attempt at a request after which it is not repeated, default 300
    :param connect_timeout: seconds to make a connection; by default the Airflow connection's setting, else 10
    :param read_timeout: seconds without an answer, or to send 256 KiB, after which an attempt fails; by default the
        Airflow connection's setting, else 60
    :param stall_timeout: seconds in which a body must move at least 64 KiB, and in which all headers of an answer must
        arrive; by default the Airflow connection's setting, else 60
    :param checkpoint_interval: minimum seconds between two saves of a download's checkpoint, default 5
    :param progress_interval: seconds between two progress lines in the log, default 10; 0 logs none
    :param verify: compare the CRC-64 of each part and of the whole with OSS's, default True. Without it, a resumed
        upload sends every part again, because nothing proves the parts on OSS.
    :param max_bandwidth: bytes per second for the whole transfer, at least 8 KiB; None is unlimited. The workers share
        it evenly, with at most one worker for each 8 KiB. A ``stall_timeout`` under 16 seconds raises these 8 KiB, so
        that no worker is slow enough to run into it
    :raises ArgumentError: if a value is out of range; the message names it
    """

    part_size: int | str | None = None
    multipart_threshold: int | str = 16 * MIB
    max_concurrency: int | None = None
    part_retries: int = 7
    retry_max_time: float = 300.0
    connect_timeout: float | None = None
    read_timeout: float | None = None
    stall_timeout: float | None = None
    checkpoint_interval: float = 5.0
    progress_interval: float = 10.0
    verify: bool = True
    max_bandwidth: int | str | None = None

    def __post_init__(self) -> None:
        if self.part_size is not None:
            self._set_size("part_size")
            check_part_size("part_size", int(self.part_size))
        self._set_size("multipart_threshold")
        self._set_whole("multipart_threshold", 0, MAX_PUT_SIZE)
        if self.max_concurrency is not None:
            self._set_whole("max_concurrency", 1, MAX_CONCURRENCY)
        self._set_whole("part_retries", 0, 100)
        for name in ("retry_max_time", *self.timeouts):
            self._set_seconds(name, least=SHORTEST)
        for name in ("checkpoint_interval", "progress_interval"):
            self._set_seconds(name, least=0)
        object.__setattr__(self, "verify", parse_flag("verify", self.verify))
        if self.max_bandwidth is not None:
            self._set_size("max_bandwidth")
            self._set_whole("max_bandwidth", MIN_RATE, 2**50)
            if int(self.max_bandwidth) < self._min_rate:
                raise ArgumentError(
                    "max_bandwidth", self.max_bandwidth, f"with stall_timeout={self.stall_timeout:g} give at least "
                    f"{self._min_rate} bytes per second, or set a longer stall_timeout"
                )  # fmt: skip

    @property
    def part_bytes(self) -> int | None:
        return None if self.part_size is None else int(self.part_size)

    @property
    def threshold_bytes(self) -> int:
        return int(self.multipart_threshold)

    @property
    def timeouts(self) -> dict[str, float]:
        """The timeouts that are set, by name."""
        values = {name: getattr(self, name) for name in TIMEOUTS}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def initial_workers(self) -> int:
        """How many parts are in flight at the start."""
        return self.max_concurrency or INITIAL_WORKERS if self.max_bandwidth is None else self.max_workers

    @property
    def max_workers(self) -> int:
        """How many parts may be in flight at once."""
        if self.max_bandwidth is None:
            return self.max_concurrency or MAX_WORKERS
        return min(self.max_concurrency or LIMITED_WORKERS, int(self.max_bandwidth) // self._min_rate)

    def rate_per_worker(self, parts: int) -> float | None:
        """Return the bytes per second that each worker may move, for this number of parts; None is unlimited."""
        workers = min(self.max_workers, max(parts, 1))
        return None if self.max_bandwidth is None else int(self.max_bandwidth) / workers

    @classmethod
    def of(cls, value: TransferConfig | Mapping[str, Any] | None) -> TransferConfig:
        """Return the config for a DAG author's argument: a config, a dict of its fields, or None for the defaults.

        :raises ArgumentError: for an unknown field or a value out of range
        """
        if value is None:
            return _default()
        if isinstance(value, TransferConfig):
            return value
        if not isinstance(value, Mapping):
            raise ArgumentError("transfer_config", value, "give a TransferConfig or a dict of its fields")
        if not value:
            return _default()
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(value) - known):
            raise ArgumentError(
                "transfer_config", unknown[0], f"unknown field; the fields are {', '.join(sorted(known))}"
            )
        return cls(**value)

    @property
    def _min_rate(self) -> int:
        """Bytes per second that one worker needs to move STALL_SIZE in half of the stall_timeout."""
        return MIN_RATE if self.stall_timeout is None else max(MIN_RATE, int(2 * STALL_SIZE / self.stall_timeout))

    def _set_size(self, name: str) -> None:
        object.__setattr__(self, name, parse_size(name, getattr(self, name)))

    def _set_whole(self, name: str, least: int, most: int) -> None:
        object.__setattr__(self, name, parse_whole_number(name, getattr(self, name), least=least, most=most))

    def _set_seconds(self, name: str, *, least: float) -> None:
        duration = parse_duration(name, getattr(self, name), least=least, most=LONGEST_TIME)
        object.__setattr__(self, name, duration.total_seconds())


@cache
def _default() -> TransferConfig:
    return TransferConfig()
