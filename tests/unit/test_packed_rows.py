"""Files of rows."""

from __future__ import annotations

import gzip
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ossresume.errors import ManifestUnreadable
from airflow_provider_ossresume.model.manifest import Named
from airflow_provider_ossresume.model.packed_rows import pack_rows, unpack_rows

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMED = st.lists(st.builds(Named, TEXT, TEXT, TEXT), max_size=600)


@given(NAMED)
def test_rows_come_back(rows: list[Named]) -> None:
    assert [Named.of(line) for line in unpack_rows(pack_rows(rows))] == rows


def test_it_is_what_zcat_reads() -> None:
    assert (
        gzip.decompress(pack_rows([Named("\u952e\u2028", "x")])).decode()
        == '{"name":"键\u2028","reason":"x","detail":""}\n'
    )


def test_the_same_rows_make_the_same_bytes() -> None:
    assert pack_rows([Named("a", "x")] * 1_000) == pack_rows([Named("a", "x")] * 1_000)


@given(st.integers(0, 200), st.data())
def test_of_a_torn_file_the_rows_before_the_tear_count(count: int, data: st.DataObject) -> None:
    rows = [Named(f"name-{number * 7919 % 1009}", "x") for number in range(count)]
    whole = pack_rows(rows)
    torn = whole[: data.draw(st.integers(0, len(whole)))]
    found = [Named.of(line) for line in unpack_rows(torn, may_be_torn=True)]

    assert found == rows[: len(found)]


@given(st.integers(0, 200), st.data())
def test_a_torn_file_that_must_be_whole_is_refused(count: int, data: st.DataObject) -> None:
    whole = pack_rows([Named(f"name-{number}", "x") for number in range(count)])

    with pytest.raises(ManifestUnreadable):
        list(unpack_rows(whole[: data.draw(st.integers(0, len(whole) - 1))]))


@given(st.binary(min_size=1))
def test_whatever_the_bytes_it_is_rows_or_unreadable(data: bytes) -> None:
    for may_be_torn in (True, False):
        with suppress(ManifestUnreadable):
            list(unpack_rows(data, may_be_torn=may_be_torn))


def test_what_is_no_gzip_is_refused() -> None:
    with pytest.raises(ManifestUnreadable, match="not a file of rows"):
        list(unpack_rows(b'{"name": "a"}\n', may_be_torn=True))
