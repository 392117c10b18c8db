"""The options of a transfer of many files, as DAG authors and templates give them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.parts import GIB, MIB
from airflow_provider_ossresume.model.set_options import SetOptions


def test_texts_of_templates_are_taken() -> None:
    options = SetOptions(
        include="*.csv", min_size="1MiB", older_than="10m", newer_than=timedelta(days=1), batch_bytes="2GiB",
        batch_files="10", max_delete="0", max_delete_share="0.5", allow_empty_source="true", keep_mtime="False",
    )  # type: ignore[arg-type]  # fmt: skip

    assert options.include == ("*.csv",)
    assert (options.min_size, options.older_than, options.newer_than) == (MIB, 600.0, 86_400.0)
    assert (options.batch_bytes, options.batch_files, options.max_delete) == (2 * GIB, 10, 0)
    assert options.max_delete_share == 0.5
    assert options.allow_empty_source is True
    assert options.keep_mtime is False


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("mode", "sync"), ("mode", None), ("compare", "newer"), ("symlinks", "keep"), ("special_files", "follow"),
        ("empty_folders", "fail"), ("bad_names", True), ("archived", "restore"), ("source_changed", "overwrite"),
        ("vanished", "take"), ("target_changed", "skip"), ("include", 5), ("include", [""]), ("exclude", "['a', 'b']"),
        ("exclude", "/a"), ("min_size", "x"), ("max_size", -1), ("newer_than", "5"), ("older_than", "1M"),
        ("batch_bytes", MIB - 1), ("batch_files", 0), ("max_batches", 1_001), ("max_files", 0), ("max_delete", -1),
        ("max_delete_share", 1.5), ("max_delete_share", "x"), ("max_failures", "none"), ("allow_empty_source", None),
        ("keep_mtime", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_name(argument: str, value: Any) -> None:
    if (argument, value) == ("newer_than", "5"):
        assert SetOptions(newer_than="5").newer_than == 5.0
        return
    with pytest.raises(ArgumentError, match=rf"^{argument}="):
        SetOptions(**{argument: value})


@pytest.mark.parametrize(
    "options",
    [
        SetOptions(),
        SetOptions(
            mode="mirror", include=["a", "b/**"], exclude=("c",), max_size="1GiB", older_than="5m", symlinks="follow",
            max_delete_share=0, keep_mtime=True,
        ),
        SetOptions(files_from="oss://bucket/list.jsonl.gz"),
    ],
    ids=["defaults", "others", "a list"],
)  # fmt: skip
def test_a_plan_gives_back_the_options_it_was_made_with(options: SetOptions) -> None:
    values = json.loads(json.dumps(options.as_json()))

    assert SetOptions.of_json(values) == options
    assert SetOptions.of_json({**values, "from_the_future": 1}) == options
    assert SetOptions.of_json(values).filters.matches("a") == options.filters.matches("a")
