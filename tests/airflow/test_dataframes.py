"""What libraries read and write on OSS by fsspec: pandas, pyarrow, polars and DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.registry import _registry

from airflow_provider_ossresume.filesystem.oss import OSSFileSystem
from airflow_provider_ossresume.local_oss import LocalOSS
from tests.world import BUCKET

ABSENT = "only the environments of `make test` have it"
duckdb = pytest.importorskip("duckdb", reason=ABSENT)
pandas = pytest.importorskip("pandas", reason=ABSENT)
polars = pytest.importorskip("polars", reason=ABSENT)
pyarrow = pytest.importorskip("pyarrow", reason=ABSENT)
pytest.importorskip("pyarrow.dataset", reason=ABSENT)
pytest.importorskip("pyarrow.parquet", reason=ABSENT)

COLUMNS = {"day": ["mon", "tue", "wed"], "orders": [1, 2, 3]}


@pytest.fixture
def registered() -> Iterator[None]:
    """``oss`` in fsspec's registry, as a program says it once."""
    before = fsspec.registry.get("oss")
    fsspec.register_implementation("oss", OSSFileSystem, clobber=True)
    yield
    _registry.pop("oss")
    if before:
        fsspec.register_implementation("oss", before, clobber=True)


@pytest.fixture
def options(conn_id: str, registered: None) -> dict[str, Any]:
    return {"oss_conn_id": conn_id}


@pytest.fixture
def fs(conn_id: str) -> OSSFileSystem:
    return OSSFileSystem(oss_conn_id=conn_id)


def a_wide_table(rows: int = 50_000) -> Any:
    """Twenty columns of numbers that no encoding makes small, about 8 MB."""
    return pyarrow.table({f"c{column}": [hash((column, row)) for row in range(rows)] for column in range(20)})


def bytes_fetched(oss: LocalOSS) -> int:
    """Those that were asked for by ranges."""
    total = 0
    for request in oss.calls("GetObject"):
        first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
        total += int(last) + 1 - int(first)
    return total


# --- pandas -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [f"oss://{BUCKET}/a/frame", "oss://{conn_id}@" + f"{BUCKET}/a/frame"])
def test_pandas_writes_and_reads_parquet_and_csv(oss: LocalOSS, options: Any, conn_id: str, url: str) -> None:
    frame, place = pandas.DataFrame(COLUMNS), url.format(conn_id=conn_id)
    given = None if "@" in url else options

    frame.to_parquet(f"{place}.parquet", storage_options=given)
    frame.to_csv(f"{place}.csv.gz", index=False, storage_options=given)

    assert oss.objects(BUCKET) == ["a/frame.csv.gz", "a/frame.parquet"]
    assert pandas.read_parquet(f"{place}.parquet", storage_options=given).equals(frame)
    assert pandas.read_csv(f"{place}.csv.gz", storage_options=given).equals(frame)


def test_pandas_reads_a_directory_of_parts(oss: LocalOSS, options: Any) -> None:
    frame = pandas.DataFrame(COLUMNS)
    frame.to_parquet(f"oss://{BUCKET}/set", partition_cols=["day"], storage_options=options)

    found = pandas.read_parquet(f"oss://{BUCKET}/set", storage_options=options)

    assert len(oss.objects(BUCKET)) == 3
    assert sorted(found["orders"]) == [1, 2, 3]


# --- pyarrow ----------------------------------------------------------------------------------------------------------


def test_pyarrow_writes_and_reads_a_dataset(oss: LocalOSS, fs: OSSFileSystem) -> None:
    table = pyarrow.table(COLUMNS)
    partitioning = pyarrow.dataset.partitioning(pyarrow.schema([("day", pyarrow.string())]), flavor="hive")
    pyarrow.dataset.write_dataset(table, f"{BUCKET}/set", filesystem=fs, format="parquet", partitioning=partitioning)

    found = pyarrow.dataset.dataset(f"{BUCKET}/set", filesystem=fs, format="parquet", partitioning=partitioning)

    assert oss.objects(BUCKET) == [f"set/day={day}/part-0.parquet" for day in ("mon", "tue", "wed")]
    assert found.to_table(filter=pyarrow.dataset.field("day") == "tue").to_pylist() == [{"orders": 2, "day": "tue"}]
    assert found.count_rows() == 3


def test_two_columns_of_twenty_are_read_by_little_more_than_their_bytes(oss: LocalOSS, fs: OSSFileSystem) -> None:
    table = a_wide_table()
    pyarrow.parquet.write_table(table, f"{BUCKET}/wide.parquet", filesystem=fs)
    metadata = pyarrow.parquet.read_metadata(f"{BUCKET}/wide.parquet", filesystem=fs)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    needed = sum(group.column(column).total_compressed_size for group in groups for column in (2, 11))
    oss.clear_requests()

    found = pyarrow.parquet.read_table(f"{BUCKET}/wide.parquet", filesystem=fs, columns=["c2", "c11"])

    assert found == table.select(["c2", "c11"])
    assert needed <= bytes_fetched(oss) <= 1.1 * (needed + metadata.serialized_size)


# --- polars -----------------------------------------------------------------------------------------------------------


def test_polars_writes_and_reads_open_files(oss: LocalOSS, fs: OSSFileSystem) -> None:
    frame = polars.DataFrame(COLUMNS)
    with fs.open(f"{BUCKET}/frame.parquet", "wb") as file:
        frame.write_parquet(file)

    with fs.open(f"{BUCKET}/frame.parquet") as file:
        assert polars.read_parquet(file).equals(frame)
    with fs.open(f"{BUCKET}/frame.parquet") as file:
        assert polars.scan_parquet(file).filter(polars.col("orders") > 1).collect()["day"].to_list() == ["tue", "wed"]


def test_polars_scans_a_dataset_of_pyarrow_and_reads_what_it_needs(oss: LocalOSS, fs: OSSFileSystem) -> None:
    with fs.open(f"{BUCKET}/set/one.parquet", "wb") as file:
        polars.DataFrame(COLUMNS).write_parquet(file)

    scanned = polars.scan_pyarrow_dataset(pyarrow.dataset.dataset(f"{BUCKET}/set", filesystem=fs))

    assert scanned.filter(polars.col("orders") == 3).select("day").collect().to_dicts() == [{"day": "wed"}]


def test_polars_itself_knows_no_oss_urls(oss: LocalOSS, options: Any) -> None:
    """Its own object stores are S3, GCS and Azure: this test says when its documentation can say more."""
    oss.put(BUCKET, "frame.csv", polars.DataFrame(COLUMNS).write_csv().encode())

    with pytest.raises(FileNotFoundError):
        polars.read_csv(f"oss://{BUCKET}/frame.csv", storage_options=options)


# --- DuckDB -----------------------------------------------------------------------------------------------------------


def test_duckdb_reads_and_writes_with_the_filesystem_registered(oss: LocalOSS, fs: OSSFileSystem) -> None:
    oss.put(BUCKET, "set/one.csv", b"day,orders\nmon,1\ntue,2\n")
    oss.put(BUCKET, "set/two.csv", b"day,orders\nwed,3\n")
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)

        connection.execute(f"COPY (FROM 'oss://{BUCKET}/set/*.csv') TO 'oss://{BUCKET}/all.parquet'")
        [total] = connection.execute(f"SELECT sum(orders) FROM 'oss://{BUCKET}/all.parquet'").fetchall()

    assert total == (6,)
    assert oss.object(BUCKET, "all.parquet")[:4] == b"PAR1"


def test_a_query_of_duckdb_that_fails_writes_nothing(oss: LocalOSS, fs: OSSFileSystem) -> None:
    oss.put(BUCKET, "former.csv", b"former")
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        with pytest.raises(duckdb.Error):
            connection.execute(f"COPY (SELECT error('no') FROM range(10)) TO 'oss://{BUCKET}/former.csv'")

    assert oss.object(BUCKET, "former.csv") == b"former"
