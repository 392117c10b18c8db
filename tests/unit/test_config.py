"""How transfers are configured, and that a bad value is refused by its name before any byte moves."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.parts import GIB, KIB, MAX_PART_SIZE, MIB, MIN_PART_SIZE
from airflow_provider_ossresume.transfer.config import TransferConfig

NO_NUMBERS: list[object] = [
    None,
    "",
    "x",
    "nan",
    "true",
    True,
    False,
    [],
    {},
    float("nan"),
    float("inf"),
    -1,
    "-1",
    1e9,
]
NO_WHOLE_NUMBERS: list[object] = [*NO_NUMBERS, 2.5, "2.5", 10**9]
NO_SIZES: list[object] = ["", "x", "64 XB", "-1", True, 1.5, [], -1]

# For each field what it takes and what it refuses.
FIELDS: dict[str, tuple[list[object], list[object]]] = {
    "part_size": (
        [None, MIN_PART_SIZE, MAX_PART_SIZE, "100KiB", "64MiB", "5GiB", "8mb"],
        [*NO_SIZES, 0, MIN_PART_SIZE - 1, MAX_PART_SIZE + 1, "99KiB", "5.1GiB"],
    ),
    "multipart_threshold": ([0, 1, 5 * GIB, "0", "16MiB", "5GiB"], [*NO_SIZES, None, 5 * GIB + 1, "6GiB"]),
    "max_concurrency": ([None, 1, 8, 64, "8"], [*NO_WHOLE_NUMBERS[1:], 0, 65]),
    "part_retries": ([0, 7, 100, "0"], [*NO_WHOLE_NUMBERS, 101]),
    "retry_max_time": ([0.001, 1, 300, 86_400, "300"], [*NO_NUMBERS, 0, 86_401]),
    "connect_timeout": ([None, 0.001, 1, 10.5, 86_400, "1", "10.5"], [*NO_NUMBERS[1:], 0, 86_401]),
    "read_timeout": ([None, 0.001, 1, 10.5, 86_400, "1", "10.5"], [*NO_NUMBERS[1:], 0, 86_401]),
    "stall_timeout": ([None, 0.001, 1, 10.5, 86_400, "1", "10.5"], [*NO_NUMBERS[1:], 0, 86_401]),
    "checkpoint_interval": ([0, 0.5, 5, 86_400, "0.5"], [*NO_NUMBERS, 86_401]),
    "progress_interval": ([0, 0.5, 10, 86_400, "0"], [*NO_NUMBERS, 86_401]),
    "verify": ([True, False, "true", "False"], [None, 0, 1, "1", "no", ""]),
    "max_bandwidth": ([None, 8192, "1MiB", "100 MB", 2**50], [*NO_SIZES, 0, 8191, 2**50 + 1, "8191"]),
}
GOOD = [(name, value) for name, (good, _) in FIELDS.items() for value in good]
BAD = [(name, value) for name, (_, bad) in FIELDS.items() for value in bad]


def test_every_field_is_tested() -> None:
    assert list(FIELDS) == [field.name for field in fields(TransferConfig)]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_a_good_value_is_taken(name: str, value: Any) -> None:
    config = TransferConfig(**{name: value})

    assert getattr(config, name) == value or isinstance(value, str)
    assert TransferConfig.of({name: value}) == config


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=f"^{name}=") as refused:
        TransferConfig(**{name: value})

    assert refused.value.argument == name
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("max_concurrency", "give a whole number from 1 to 64"),
        ("part_retries", "give a whole number from 0 to 100"),
        ("read_timeout", "give a duration from 0.001s to 1d"),
        ("progress_interval", "give a duration from 0s to 1d"),
        ("max_bandwidth", "give bytes as an int, or a string such as"),
    ],
)
def test_a_refusal_says_what_to_give(name: str, advice: str) -> None:
    with pytest.raises(ArgumentError, match=advice):
        TransferConfig(**{name: "much"})


def test_sizes_are_kept_in_bytes() -> None:
    config = TransferConfig(part_size="64MiB", multipart_threshold="1.5 GiB", max_bandwidth="10MB")

    assert (config.part_size, config.part_bytes) == (64 * MIB, 64 * MIB)
    assert (config.multipart_threshold, config.threshold_bytes) == (1536 * MIB, 1536 * MIB)
    assert config.max_bandwidth == 10_000_000


def test_texts_as_templates_give_them_are_kept_as_numbers() -> None:
    config = TransferConfig.of(
        {"max_concurrency": "4", "read_timeout": "2.5", "retry_max_time": "60", "verify": "False"}
    )

    assert config == TransferConfig(max_concurrency=4, read_timeout=2.5, retry_max_time=60, verify=False)
    assert [type(value) for value in (config.max_concurrency, config.read_timeout, config.verify)] == [int, float, bool]


def test_the_defaults_are_those_that_are_documented() -> None:
    assert TransferConfig() == TransferConfig(
        part_size=None,
        multipart_threshold=16 * MIB,
        max_concurrency=None,
        part_retries=7,
        retry_max_time=300,
        connect_timeout=None,
        read_timeout=None,
        stall_timeout=None,
        checkpoint_interval=5,
        progress_interval=10,
        verify=True,
        max_bandwidth=None,
    )


def test_a_config_written_in_sizes_equals_one_written_in_bytes() -> None:
    assert TransferConfig(part_size="100KiB") == TransferConfig(part_size=100 * KIB)


@pytest.mark.parametrize(
    ("max_bandwidth", "workers", "parts", "rate"),
    [
        (None, 8, 100, None),
        (81920, 8, 100, 10240.0),
        ("1MiB", 64, 64, 16384.0),
        (300000, 2, 3, 150000.0),
        (300000, 16, 3, 100000.0),
        (300000, 16, 1, 300000.0),
        (300000, 16, 0, 300000.0),
        (320000, None, 100, 20000.0),
    ],
)
def test_the_bandwidth_is_shared_evenly_by_the_workers_that_have_parts(
    max_bandwidth: int | str | None, workers: int | None, parts: int, rate: float | None
) -> None:
    config = TransferConfig(max_bandwidth=max_bandwidth, max_concurrency=workers)

    assert config.rate_per_worker(parts) == rate


@pytest.mark.parametrize(
    ("given", "first", "most"),
    [
        ({}, 2, 32),
        ({"max_concurrency": 1}, 1, 1),
        ({"max_concurrency": 64}, 64, 64),
        ({"max_bandwidth": "1MiB"}, 16, 16),
        ({"max_bandwidth": "1MiB", "max_concurrency": 3}, 3, 3),
        ({"max_bandwidth": "63KiB"}, 7, 7),
        ({"max_bandwidth": "8KiB", "max_concurrency": 64}, 1, 1),
    ],
)
def test_workers_become_more_only_where_no_number_and_no_bandwidth_is_given(
    given: dict[str, Any], first: int, most: int
) -> None:
    config = TransferConfig(**given)

    assert (config.initial_workers, config.max_workers) == (first, most)


def test_a_stall_timeout_that_is_short_leaves_fewer_workers_to_share_the_bandwidth() -> None:
    config = TransferConfig(max_bandwidth="100KiB", stall_timeout=4)

    assert config.max_workers == 3
    assert (config.rate_per_worker(100) or 0) * 4 >= 2 * 64 * KIB


def test_a_bandwidth_that_would_stall_is_refused_with_the_least_one_that_does_not() -> None:
    with pytest.raises(ArgumentError, match=r"max_bandwidth=8192: with stall_timeout=5 give at least 26214 bytes"):
        TransferConfig(max_bandwidth="8KiB", stall_timeout=5)


def test_a_config_is_a_value() -> None:
    config = TransferConfig()

    with pytest.raises(FrozenInstanceError):
        config.verify = False  # type: ignore[misc]
    assert replace(config, part_size="1MiB").part_bytes == MIB
    with pytest.raises(ArgumentError, match=r"^part_retries="):
        replace(config, part_retries=-1)


# --- what DAG authors write -------------------------------------------------------------------------------------------


def test_a_config_or_nothing_stands_for_itself() -> None:
    config = TransferConfig(verify=False)

    assert TransferConfig.of(config) is config
    assert TransferConfig.of(None) == TransferConfig() == TransferConfig.of({})


def test_a_dict_of_fields_is_a_config() -> None:
    assert TransferConfig.of({"part_size": "1MiB", "verify": False}) == TransferConfig(part_size=MIB, verify=False)


@pytest.mark.parametrize("value", ["64MiB", 8, [("part_size", MIB)], True])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^transfer_config=.*a TransferConfig or a dict of its fields"):
        TransferConfig.of(value)


def test_an_unknown_field_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ArgumentError, match=r"^transfer_config='partsize': unknown field; the fields are .*part_size"):
        TransferConfig.of({"partsize": 1, "verify": True})
