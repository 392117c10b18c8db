"""Each example DAG does what its docstring says: it is run by the installed Airflow, against a local OSS server.

Where Airflow's retry is wanted, OSS forgets an upload when it is to be completed: the first try fails with all parts
sent, and the second one must send none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ossresume.local_oss import Fault, LocalOSS, Request
from airflow_provider_ossresume.model.objects import ObjectRef
from airflow_provider_ossresume.transfer.part_names import part_file_name
from tests.installed.runs import DagRunner
from tests.world import a_client

pytestmark = pytest.mark.airflow

EXAMPLES = Path(__file__).parents[2] / "example_dags"
BUCKET = "my-bucket"
MIB = 2**20
FORGOTTEN = Fault("status", status=404, code="NoSuchUpload")


class Clock:
    """The server's."""

    ahead = 0.0  # seconds

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def server(clock: Clock) -> Iterator[LocalOSS]:
    with LocalOSS(buckets=[BUCKET], clock=clock) as oss:
        yield oss


@pytest.fixture(scope="module")
def airflow(
    airflow_python: str, airflow_env: dict[str, str], server: LocalOSS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DagRunner]:
    env = {**airflow_env, "AIRFLOW_CONN_OSS_DEFAULT": server.airflow_connection()}
    runner = DagRunner(airflow_python, env, tmp_path_factory.mktemp("log") / "airflow.log")
    yield runner
    runner.close()


@pytest.fixture
def oss(server: LocalOSS) -> Iterator[LocalOSS]:
    """The server with an empty bucket and nothing to remember."""
    yield server
    server.clear_faults()
    server.clear_requests()
    server.on_request = server.after_request = None
    for key in server.objects(BUCKET):
        server.delete(BUCKET, key)
    assert not server.uploads(BUCKET)


def some_bytes(size: int) -> bytes:
    return bytes(number % 251 for number in range(1000)) * (size // 1000)


def sent_parts(oss: LocalOSS, key: str) -> list[int]:
    return sorted(request.part_number or 0 for request in oss.calls("UploadPart") if request.key == key)


def test_every_example_is_parsed_without_an_error(airflow: DagRunner) -> None:
    assert not airflow.parsed["errors"]
    assert airflow.parsed["dags"] == sorted(path.stem for path in EXAMPLES.glob("*.py"))


def test_no_example_and_nothing_of_ours_is_deprecated(airflow: DagRunner) -> None:
    assert not airflow.parsed["warnings"]


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.stem}"' in text, path.stem


def test_resumable_transfer(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    source, target = tmp_path / "in.bin", tmp_path / "out.bin"
    source.write_bytes(some_bytes(18 * MIB))
    oss.fail("CompleteMultipartUpload", fault=FORGOTTEN)
    conf = {"source": str(source), "target": str(target), "bucket": BUCKET, "key": "demo/in.bin"}
    run = airflow.run("example_resumable_transfer", **conf)
    assert run.state == "success"
    assert target.read_bytes() == source.read_bytes()
    assert run.tries("upload") == {-1: ("success", 2)}
    assert run.xcom("upload") == "oss://my-bucket/demo/in.bin"
    assert sent_parts(oss, "demo/in.bin") == [1, 2, 3]


def test_upload(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    source = tmp_path / "export.csv"
    source.write_bytes(some_bytes(MIB))
    run = airflow.run("example_upload", file=str(source), bucket=BUCKET)
    assert run.state == "success"
    key = f"exports/{run.run_id}.csv"
    assert oss.object(BUCKET, key) == source.read_bytes()
    assert run.xcom("upload", "report")["tries"] == 1
    [put] = oss.calls("PutObject")
    assert put.headers["x-oss-storage-class"] == "IA"
    assert put.headers["x-oss-meta-dag-id"] == "example_upload"


def test_filesystem(airflow: DagRunner, oss: LocalOSS) -> None:
    run = airflow.run("example_filesystem", folder=f"oss://oss_default@{BUCKET}/orders")
    assert run.state == "success"
    assert run.xcom("sum_up") == {str(customer): sum(range(customer, 1000, 3)) for customer in range(3)}
    assert oss.objects(BUCKET) == ["orders/sums/today.txt", "orders/today.csv.gz"]


def test_dataframes(airflow: DagRunner, oss: LocalOSS) -> None:
    run = airflow.run("example_dataframes", folder=f"{BUCKET}/orders")
    assert run.state == "success"
    assert oss.objects(BUCKET) == ["orders/day=1/part.parquet"]
    for library in ("pyarrow", "polars", "duckdb"):
        assert run.xcom(f"with_{library}") == sum(range(1000))


def test_file_transfer(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    source, target = tmp_path / "export.csv", tmp_path / "copy.csv"
    source.write_bytes(some_bytes(9 * MIB))
    conf = {"source": str(source), "object": f"oss://{BUCKET}/export.csv", "target": str(target)}
    assert airflow.run("example_file_transfer", **conf).state == "success"
    assert oss.object(BUCKET, "export.csv") == source.read_bytes()
    assert target.read_bytes() == source.read_bytes()


def test_download_twice(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "models/current.bin", some_bytes(MIB))
    conf = {"object": "oss://my-bucket/models/current.bin", "folder": str(tmp_path / "models")}
    first, second = (airflow.run("example_download", **conf) for _ in range(2))
    assert [first.state, second.state] == ["success", "success"]
    assert (tmp_path / "models" / "current.bin").read_bytes() == oss.object(BUCKET, "models/current.bin")
    assert first.xcom("download", "report")["outcome"] == "transferred"
    assert second.xcom("download", "report")["outcome"] == "skipped"
    assert first.xcom("use") == len(some_bytes(MIB))


def test_copy(airflow: DagRunner, oss: LocalOSS) -> None:
    oss.put_zeros(BUCKET, "exports/orders.parquet", 300 * MIB, x_oss_meta_who="me")
    oss.fail("CompleteMultipartUpload", fault=FORGOTTEN)
    first, second = (airflow.run("example_copy") for _ in range(2))
    assert [first.state, second.state] == ["success", "success"]
    assert first.tries("archive") == {-1: ("success", 2)}
    report = first.xcom("archive", "report")
    assert (report["parts_kept"], report["parts_sent"], report["bytes"]) == (5, 0, 0)
    assert second.xcom("archive", "report")["outcome"] == "skipped"
    client, made = a_client(oss), ObjectRef(BUCKET, "archive/orders.parquet")
    assert client.head_object(made).metadata == {"who": "me"}
    assert client.get_object_tagging(made) == {"archived-by": "example_copy"}


def a_folder(root: Path) -> dict[str, bytes]:
    """Make a folder of files, and return their bytes by their names."""
    files = {"a.csv": b"1,2", "2026/b.parquet": some_bytes(MIB), "2026/c.tmp": b"", "empty": b""}
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return files


def test_folders(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    files = a_folder(tmp_path / "export")
    del files["2026/c.tmp"]  # the example leaves such files out
    oss.fail("PutObject", key="raw/a.csv", times=8, fault=Fault("status", status=500))
    conf = {"folder": str(tmp_path / "export"), "prefix": "oss://my-bucket/raw/", "scratch": str(tmp_path / "scratch")}
    run = airflow.run("example_folders", **conf)
    assert run.state == "success"
    assert run.tries("publish") == {-1: ("success", 2)}
    assert {key: oss.object(BUCKET, f"raw/{key}") for key in files} == files
    assert {name: (tmp_path / "scratch" / name).read_bytes() for name in files} == files
    assert not (tmp_path / "scratch" / "2026" / "c.tmp").exists()
    assert run.xcom("fetch", "report")["moved"] == len(files)


def test_many_files(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    files = a_folder(tmp_path / "exports")
    for name in [*"0123456789", "old"]:  # a tenth of what is there may be deleted
        oss.put(BUCKET, f"exports/{name}", b"x")
        (tmp_path / "exports" / name).write_bytes(b"x")
        files[name] = b"x"
    (tmp_path / "exports" / "old").unlink()
    del files["old"]
    conf = {"source": str(tmp_path / "exports"), "target": "oss://my-bucket/exports/"}
    conf["work_folder"] = str(tmp_path / "work")
    first, second = (airflow.run("example_many_files", **conf) for _ in range(2))
    assert [first.state, second.state] == ["success", "success"]
    there = {key.removeprefix("exports/"): oss.object(BUCKET, key) for key in oss.objects(BUCKET)}
    assert there == files
    assert first.tries("move.batch") == {0: ("success", 1)}
    report = first.xcom("move.finish", "report")
    assert (report["moved"], report["there"], report["deleted"]) == (4, 10, 1)
    assert second.tries("move.batch") == {-1: ("skipped", 0)}
    assert second.xcom("move.finish", "report")["there"] == len(files)


def test_sensor_then_download(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "incoming/orders.csv", b"1,2,3")

    def deliver_the_marker(request: Request) -> None:
        if request.key == "incoming/_SUCCESS":
            oss.put(BUCKET, "incoming/_SUCCESS", b"")

    oss.after_request = deliver_the_marker  # so the sensor misses it once, and defers
    run = airflow.run("example_sensor_then_download", bucket=BUCKET, file=str(tmp_path / "orders.csv"))
    assert run.state == "success"
    looks = [request.status for request in oss.calls("HeadObject") if request.key == "incoming/_SUCCESS"]
    assert looks == [404, 200]
    assert (tmp_path / "orders.csv").read_bytes() == b"1,2,3"


def test_retry_safe_etl(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    oss.fail("CompleteMultipartUpload", fault=FORGOTTEN)  # of the one that is completed first
    run = airflow.run("example_retry_safe_etl", bucket=BUCKET, folder=str(tmp_path), tables=["orders", "customers"])
    assert run.state == "success"
    folder = tmp_path / run.run_id
    for table in ("orders", "customers"):
        key = f"etl/{run.run_id}/{table}.csv"
        assert oss.object(BUCKET, key) == (folder / f"{table}.csv").read_bytes()
        assert sent_parts(oss, key) == list(range(1, len(sent_parts(oss, key)) + 1))  # each once
    assert sorted(run.tries("load").values()) == [("success", 1), ("success", 2)]
    resumed = [index for index, (_, number) in run.tries("load").items() if number == 2]
    report = run.xcom("load", "report", resumed[0])
    assert (report["parts_kept"], report["parts_sent"]) == (report["parts"], 0)
    assert oss.object(BUCKET, f"etl/{run.run_id}/_SUCCESS").decode().count("oss://my-bucket/etl/") == 2


def test_an_upload_and_the_dag_that_starts_when_its_object_is_new(
    airflow: DagRunner, oss: LocalOSS, tmp_path: Path
) -> None:
    source, target = tmp_path / "orders.csv", tmp_path / "incoming" / "orders.csv"
    for content in (b"1,2,3", b"4,5,6,7"):  # two events; the second run reads the newer one
        source.write_bytes(content)
        assert airflow.run("example_asset_upload", file=str(source)).state == "success"
        run = airflow.run("example_asset_scheduled", file=str(target))
        assert run.state == "success"
        assert target.read_bytes() == content
        announced = run.xcom("newest")
        assert announced["size"] == len(content)
        assert announced["crc64"] == run.xcom("download", "report")["crc64"]
        assert run.xcom("check") == str(target)
    oss.put(BUCKET, "exports/orders.csv", b"replaced, with no event")
    run = airflow.run("example_asset_scheduled", file=str(target))
    assert run.tries("check")[-1][0] == "failed"


def test_migrate_from_alibaba(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "incoming/orders.csv", b"1,2,3")
    run = airflow.run("example_migrate_from_alibaba", bucket=BUCKET, folder=str(tmp_path))
    assert run.state == "success"
    assert (tmp_path / "orders.csv").read_bytes() == b"1,2,3"
    assert oss.object(BUCKET, "archive/orders.csv") == b"1,2,3"


def test_migrate_from_amazon(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "incoming/orders-1.csv", b"1,2,3")
    run = airflow.run("example_migrate_from_amazon", bucket=BUCKET, folder=str(tmp_path))
    assert run.state == "success"
    assert oss.object(BUCKET, "archive/orders-1.csv") == b"1,2,3"
    [put] = oss.calls("PutObject")
    assert put.headers["x-oss-server-side-encryption"] == "AES256"
    assert put.headers["x-oss-object-acl"] == "private"
    assert put.headers["x-oss-forbid-overwrite"] == "true"


def test_checkpoint_stores(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    source, checkpoints = tmp_path / "export.csv", tmp_path / "checkpoints"
    source.write_bytes(some_bytes(17 * MIB))
    names = ("by_default", "by_variable", "by_xcom", "by_file")
    for name in names:
        oss.fail("CompleteMultipartUpload", fault=FORGOTTEN, key=f"{name}.csv")
    run = airflow.run("example_checkpoint_stores", file=str(source), bucket=BUCKET, checkpoints=str(checkpoints))
    assert run.state == "success"
    for name in names:
        assert oss.object(BUCKET, f"{name}.csv") == source.read_bytes()
        assert run.tries(name) == {-1: ("success", 2)}
        report = run.xcom(name, "report")
        assert (report["parts_kept"], report["parts_sent"]) == (3, 0)
    assert list(checkpoints.iterdir()) == []
    assert run.xcom_keys("done") in ([], ["return_value"])


def test_janitor(airflow: DagRunner, oss: LocalOSS, clock: Clock, tmp_path: Path) -> None:
    checkpoints = f"file:{tmp_path}"  # on Airflow 3.0 to 3.2 no task can list Variables
    (tmp_path / part_file_name("model.bin", "a key")).touch()
    clock.ahead = -8 * 86_400
    a_client(oss, clock=clock).initiate(ObjectRef(BUCKET, "left/behind.bin"))
    clock.ahead = 0
    looked, kept, aborted = (
        airflow.run(
            "example_janitor",
            **{"bucket": BUCKET, "checkpoints": checkpoints, "folder": str(tmp_path), "older_than": age},
            is_dry_run=is_dry_run,
        )
        for age, is_dry_run in (("7d", True), ("9d", False), ("7d", False))
    )
    assert {run.state for run in (looked, kept, aborted)} == {"success"}
    assert looked.xcom("abort_stale_uploads")["would_abort"] == 1
    assert looked.xcom("forget_checkpoints")["found"] == 0
    assert looked.xcom("remove_part_files")["kept_young"] == 1
    assert kept.xcom("abort_stale_uploads")["kept_young"] == 1
    report = aborted.xcom("abort_stale_uploads")
    assert (report["aborted"], report["bytes"], report["prefixes"]) == (1, 0, {"left/": 1})
    assert oss.uploads(BUCKET) == []


def test_hook_in_python_task(airflow: DagRunner, oss: LocalOSS, tmp_path: Path) -> None:
    oss.put(BUCKET, "reports/known.pdf", b"known")
    for name in ("known", "new"):
        (tmp_path / f"{name}.pdf").write_bytes(b"a report")
    run = airflow.run("example_hook_in_python_task", folder=str(tmp_path), bucket=BUCKET)
    assert run.state == "success"
    assert run.xcom("upload_new_reports") == ["reports/known.pdf", "reports/new.pdf"]
    assert run.xcom("count") == len(b"known") + len(b"a report")
    assert oss.object(BUCKET, "reports/known.pdf") == b"known"


def test_scratch_bucket(airflow: DagRunner, oss: LocalOSS) -> None:
    run = airflow.run("example_scratch_bucket", name="of-a-test")
    assert run.state == "success"
    assert run.xcom("make") == "oss://scratch-of-a-test"
    assert run.xcom("work") == {"rows.csv": 11_000, "state.txt": 4}
    assert len(oss.calls("DeleteBucket")) == 1
