"""Who takes part. Run as a module, one of them moves files once and prints what it cost as JSON.

The clock and the CPU seconds run from a client that is made to the last file moved. ``bare_mib`` is the memory after
the imports, ``peak_mib`` the most that was in use. Nothing that verifies is switched off; the S3 clients have no
CRC-64 of the kind that OSS checks, so they move bytes without a checksum, as their default is or was for years.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Thread, get_ident
from typing import Any

MIB = 2**20
REGION = "cn-hangzhou"
KEY_ID, SECRET = "LTAIbench", "bench-secret"

Move = Callable[[str, str], object]  # of a key and a file's path


@dataclass(frozen=True)
class Contestant:
    """A client as it is set up.

    :param settings: ``part_size``, ``max_concurrency``, ``store``, ``store_delay``: see :class:`Job`
    :param fresh: begins at zero in cases where the others resume
    """

    name: str
    client: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    fresh: bool = False


def ours(suffix: str, *, fresh: bool = False, **settings: Any) -> Contestant:
    return Contestant(f"ours-{suffix}", "ours", settings, fresh)


TUNED = {"part_size": 8 * MIB, "max_concurrency": 8}  # what this engine has by default
CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("ours", "ours"),
        Contestant("oss2", "oss2"),
        Contestant("oss2-tuned", "oss2", TUNED),
        Contestant("oss-v2", "oss-v2"),
        Contestant("oss-v2-tuned", "oss-v2", TUNED),
        Contestant("boto3", "boto3"),
        Contestant("boto3-tuned", "boto3", TUNED),
        Contestant("awscrt", "awscrt"),
        Contestant("obstore", "obstore"),
        Contestant("raw", "raw", {"max_concurrency": 4}),
        Contestant("ours-set", "ours-set"),
        Contestant("rclone", "rclone"),
    )
}


@dataclass(frozen=True)
class Job:
    """What one process is to do.

    :param files: pairs of a key and a local path
    :param folder: for checkpoints
    :param callers: threads that move one file after another
    :param resume: checkpoints are asked for where they are not the default
    :param store: of our checkpoints: ``file`` or ``memory``
    :param store_delay: seconds that each call of our store takes
    :param profile: sample where our threads are, and print it to stderr
    """

    client: str
    direction: str
    endpoint: str
    bucket: str
    files: list[tuple[str, str]]
    folder: str
    authority: str | None = None
    part_size: int | None = None
    max_concurrency: int | None = None
    callers: int = 1
    resume: bool = False
    store: str = "file"
    store_delay: float = 0.0
    profile: bool = False

    @property
    def is_upload(self) -> bool:
        return self.direction == "upload"

    def settings(self, part_size: str, max_concurrency: str) -> dict[str, int]:
        """Return the part size and the concurrency under a library's own names, as far as they are set."""
        given = {part_size: self.part_size, max_concurrency: self.max_concurrency}
        return {name: value for name, value in given.items() if value is not None}


class CountingStore:
    """A checkpoint store whose calls are counted and may take their time."""

    def __init__(self, inner: Any, delay: float) -> None:
        self._inner, self._delay = inner, delay
        self.calls = self.bytes_saved = 0

    def load(self, key: str) -> str | None:
        self._call()
        text: str | None = self._inner.load(key)
        return text

    def load_first(self, keys: Sequence[str]) -> tuple[str, str] | None:
        if not hasattr(self._inner, "load_first"):
            return next(((key, text) for key in keys if (text := self.load(key)) is not None), None)
        self._call()
        found: tuple[str, str] | None = self._inner.load_first(keys)
        return found

    def save(self, key: str, text: str) -> None:
        self._call()
        self.bytes_saved += len(text.encode())
        self._inner.save(key, text)

    def delete(self, key: str) -> None:
        self._call()
        self._inner.delete(key)

    def _call(self) -> None:
        self.calls += 1
        if self._delay:  # sleep(0) takes 0.1 ms too
            time.sleep(self._delay)


def with_ours(job: Job) -> tuple[Move, Callable[[], dict[str, Any]]]:
    from airflow_provider_ossresume import resumable
    from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore

    client = resumable.make_client(
        job.endpoint,
        access_key_id=KEY_ID,
        access_key_secret=SECRET,
        region=REGION,
        verify_tls=job.authority or True,
        max_connections=max(32, job.max_concurrency or 0),
    )
    make_store = resumable.make_upload_store if job.is_upload else resumable.make_download_store
    move = resumable.resumable_upload if job.is_upload else resumable.resumable_download
    store = CountingStore(MemoryCheckpointStore() if job.store == "memory" else make_store(job.folder), job.store_delay)
    settings: dict[str, Any] = job.settings("part_size", "max_concurrency")

    def used() -> dict[str, Any]:
        return {"store_calls": store.calls, "store_bytes": store.bytes_saved}

    return lambda key, file: move(client, job.bucket, key, file, store=store, **settings), used


class AllAtOnce:
    """Moves all files of a job by one call."""

    def __init__(self, move_all: Callable[[], object]) -> None:
        self.move_all = move_all


class Missing(Exception):
    """A program that a contestant needs is not on this machine."""


class Forgetful:
    """A ledger in memory."""

    def rows(self) -> dict[int, Any]:
        return {}

    def add(self, row: Any) -> None:
        if not row.is_proven:
            raise RuntimeError(row)

    def flush(self) -> None:
        pass


def with_our_set(job: Job) -> AllAtOnce:
    """Run the files as one batch of a plan that has been made; what plans cost is measured by tests.bench.plans."""
    from airflow_provider_ossresume import resumable
    from airflow_provider_ossresume.checkpoints.memory import MemoryCheckpointStore
    from airflow_provider_ossresume.model.entries import Entry, object_identity
    from airflow_provider_ossresume.model.manifest import BatchHeader, PlanHeader, Row
    from airflow_provider_ossresume.model.objects import PrefixRef
    from airflow_provider_ossresume.model.set_options import SetOptions
    from airflow_provider_ossresume.sets.batch.run_batch import run_batch
    from airflow_provider_ossresume.sets.locations.local_folder import LocalFolder
    from airflow_provider_ossresume.sets.locations.oss_prefix import OssPrefix
    from airflow_provider_ossresume.sets.movers.folder_upload import FolderUpload
    from airflow_provider_ossresume.sets.movers.mover_base import MoverSettings
    from airflow_provider_ossresume.sets.movers.prefix_download import PrefixDownload

    client = resumable.make_client(
        job.endpoint, access_key_id=KEY_ID, access_key_secret=SECRET, region=REGION, max_connections=32
    )
    key, file = job.files[0]
    prefix = OssPrefix(client, PrefixRef(job.bucket, key.removesuffix(Path(file).name)))
    folder, options = LocalFolder(Path(file).parent), SetOptions()
    settings = MoverSettings(options, MemoryCheckpointStore)
    if job.is_upload:
        mover: Any = FolderUpload(client, folder, prefix, settings=settings)
        found = [
            entry for entry in folder.scan(options, is_source=True, watch=lambda: None) if isinstance(entry, Entry)
        ]
        rows = [Row(number, each.name, each.size, each.identity) for number, each in enumerate(found)]
    else:
        mover = PrefixDownload(client, prefix, folder, settings=settings)
        rows = []
        for number, (_, path) in enumerate(job.files):
            meta = client.head_object(prefix.ref(Path(path).name))
            rows.append(Row(number, Path(path).name, meta.size, object_identity(meta.etag)))
    batch = BatchHeader(0, "", len(rows), sum(row.size for row in rows))
    header = PlanHeader(
        plan_id="", provider="", source=mover.source.uri, target=mover.target.uri, mode="copy", compare="crc64",
        batches=(batch,), options=options.as_json(),
    )  # fmt: skip
    return AllAtOnce(lambda: run_batch(mover, header, batch, rows, Forgetful()).raise_for_failures())


def with_oss2(job: Job) -> Move:
    import oss2

    auth = oss2.AuthV4(KEY_ID, SECRET)
    bucket = oss2.Bucket(auth, job.endpoint, job.bucket, region=REGION)
    settings: dict[str, Any] = job.settings("part_size", "num_threads")
    if job.is_upload:
        store = oss2.ResumableStore(root=job.folder)
        return lambda key, file: oss2.resumable_upload(bucket, key, file, store=store, **settings)
    store = oss2.ResumableDownloadStore(root=job.folder)
    return lambda key, file: oss2.resumable_download(bucket, key, file, store=store, **settings)


def with_oss_v2(job: Job) -> Move:
    import alibabacloud_oss_v2 as v2

    config = v2.config.load_default()
    config.credentials_provider = v2.credentials.StaticCredentialsProvider(KEY_ID, SECRET)
    config.region, config.endpoint = REGION, job.endpoint
    client = v2.Client(config)
    settings: dict[str, Any] = job.settings("part_size", "parallel_num")
    if job.resume:
        settings |= {"enable_checkpoint": True, "checkpoint_dir": job.folder + "/"}
    is_small = max(os.path.getsize(file) if job.is_upload else 0 for _, file in job.files) < MIB
    if job.is_upload and is_small:
        return lambda key, file: client.put_object_from_file(v2.PutObjectRequest(bucket=job.bucket, key=key), file)
    if job.is_upload:
        uploader = client.uploader(**settings)
        return lambda key, file: uploader.upload_file(v2.PutObjectRequest(bucket=job.bucket, key=key), filepath=file)
    if len(job.files) > 1:
        return lambda key, file: client.get_object_to_file(v2.GetObjectRequest(bucket=job.bucket, key=key), file)
    downloader = client.downloader(**settings)
    return lambda key, file: downloader.download_file(v2.GetObjectRequest(bucket=job.bucket, key=key), filepath=file)


def with_boto3(job: Job) -> Move:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=job.endpoint,
        region_name=REGION,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        verify=job.authority,
        config=Config(
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    # "classic": the other one is awscrt, which takes part itself.
    config = TransferConfig(
        preferred_transfer_client="classic", **job.settings("multipart_chunksize", "max_concurrency")
    )
    if job.is_upload:
        return lambda key, file: client.upload_file(file, job.bucket, key, Config=config)
    return lambda key, file: client.download_file(job.bucket, key, file, Config=config)


def with_awscrt(job: Job) -> Move:
    from awscrt import auth, http, io, s3

    group = io.EventLoopGroup()
    bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
    provider = auth.AwsCredentialsProvider.new_static(KEY_ID, SECRET)
    tls = None
    if job.authority:
        options = io.TlsContextOptions()
        options.override_default_trust_store_from_path(None, job.authority)
        tls = io.ClientTlsContext(options).new_connection_options()
    client = s3.S3Client(
        bootstrap=bootstrap,
        region=REGION,
        tls_mode=s3.S3RequestTlsMode.ENABLED if tls else s3.S3RequestTlsMode.DISABLED,
        tls_connection_options=tls,
        signing_config=s3.create_default_s3_signing_config(region=REGION, credential_provider=provider),
        part_size=job.part_size,
    )
    host = job.endpoint.partition("//")[2]

    def move(key: str, file: str) -> None:
        path = f"/{job.bucket}/{key}"
        headers = http.HttpHeaders([("host", host)])
        if job.is_upload:
            headers.add("content-length", str(os.path.getsize(file)))
            headers.add("content-type", "application/octet-stream")
            request = http.HttpRequest("PUT", path, headers)
            asked = client.make_request(type=s3.S3RequestType.PUT_OBJECT, request=request, send_filepath=file)
        else:
            request = http.HttpRequest("GET", path, headers)
            asked = client.make_request(type=s3.S3RequestType.GET_OBJECT, request=request, recv_filepath=file)
        asked.finished_future.result()

    return move


def with_obstore(job: Job) -> Move:
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        job.bucket,
        endpoint=job.endpoint,
        region=REGION,
        access_key_id=KEY_ID,
        secret_access_key=SECRET,
        unsigned_payload=True,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "allow_invalid_certificates": bool(job.authority), "timeout": "10m"},
    )
    settings: dict[str, Any] = job.settings("chunk_size", "max_concurrency")

    def download(key: str, file: str) -> None:
        with open(file, "wb", buffering=0) as target:
            for piece in obstore.get(store, key).stream(min_chunk_size=MIB):
                target.write(piece)

    if job.is_upload:
        return lambda key, file: obstore.put(store, key, Path(file), **settings)
    return download


def with_rclone(job: Job) -> tuple[AllAtOnce, Callable[[], dict[str, Any]]]:
    """One rclone moves all files of a folder, by the S3 paths of the server.

    Nothing at the target is listed or compared. The server's ETags are no MD5s, so rclone compares none; of a download
    it asks for each object's head. Its CPU seconds and its memory are those of its process.
    """
    program = shutil.which("rclone")
    if program is None:
        raise Missing("the program rclone is not installed")
    key, file = job.files[0]
    folder, prefix = str(Path(file).parent), f":s3:{job.bucket}/{key.removesuffix(Path(file).name)}"
    names = Path(job.folder) / "names"
    names.write_text("".join(f"{Path(path).name}\n" for _, path in job.files))
    ends = [folder, prefix] if job.is_upload else [prefix, folder]
    command = [
        program, "copy", *ends, "--files-from-raw", str(names), "--no-traverse", "--no-check-dest", "--ignore-checksum",
        "--transfers", str(job.callers), "--checkers", str(job.callers), "--config", os.devnull, "--retries", "1",
        "--s3-provider", "Other", "--s3-endpoint", job.endpoint, "--s3-region", REGION, "--s3-access-key-id", KEY_ID,
        "--s3-secret-access-key", SECRET, "--s3-force-path-style", "--s3-no-check-bucket", "--s3-no-head",
    ]  # fmt: skip

    def used() -> dict[str, Any]:
        child = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {"cpu": child.ru_utime + child.ru_stime, "bare_mib": 0.0, "peak_mib": child.ru_maxrss / 1024}

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
    return AllAtOnce(lambda: subprocess.run(command, env=environment, check=True)), used


MAKERS: Mapping[str, tuple[str, Callable[[Job], Any]]] = {  # the module that has to be there, and how to make it
    "ours": ("airflow_provider_ossresume.resumable", with_ours),
    "ours-set": ("airflow_provider_ossresume.resumable", with_our_set),
    "oss2": ("oss2", with_oss2),
    "oss-v2": ("alibabacloud_oss_v2", with_oss_v2),
    "boto3": ("boto3.s3.transfer", with_boto3),
    "awscrt": ("awscrt.s3", with_awscrt),
    "obstore": ("obstore.store", with_obstore),
    "rclone": ("subprocess", with_rclone),
}


# --- in the child -----------------------------------------------------------------------------------------------------


def main() -> None:
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    module, make = MAKERS[job.client]
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(json.dumps({"left_out": f"{error.name or module} is not installed"}))
        return
    bare = memory("VmRSS")
    forget_peak()
    try:
        made = make(job)
    except Missing as error:
        print(json.dumps({"left_out": str(error)}))
        return
    move, used = made if isinstance(made, tuple) else (made, dict)
    with Sampler(active=job.profile) as sampler:
        before, began = cpu_seconds(), time.monotonic()
        if isinstance(move, AllAtOnce):
            move.move_all()
        else:
            move_all(job, move)
        wall, cpu = time.monotonic() - began, cpu_seconds() - before
    print(json.dumps({"wall": wall, "cpu": cpu, "bare_mib": bare, "peak_mib": memory("VmHWM"), **used()}), flush=True)
    if job.profile:
        print(sampler, file=sys.stderr)
    os._exit(0)  # some clients take their time to go


def move_all(job: Job, move: Move) -> None:
    if job.callers == 1:
        for key, file in job.files:
            move(key, file)
        return
    with ThreadPoolExecutor(job.callers) as pool:
        list(pool.map(lambda pair: move(*pair), job.files))


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory(name: str) -> float:
    """MiB, of this process alone: getrusage's peak begins at that of the parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(name)


def forget_peak() -> None:
    """Let VmHWM begin at what is in use now, so that the imports' own peak does not count."""
    with contextlib.suppress(OSError):  # not allowed in some containers: then the imports' peak counts, against it
        Path("/proc/self/clear_refs").write_text("5")


class Sampler:
    """Looks every 2 ms where each thread is; shows the lines and functions that were seen most."""

    def __init__(self, *, active: bool) -> None:
        self._stopped = Event()
        self._lines: Counter[str] = Counter()
        self._functions: Counter[str] = Counter()
        self._thread = Thread(target=self._run, daemon=True)
        self._active = active

    def __enter__(self) -> Sampler:
        if self._active:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(0.002):
            for thread, frame in sys._current_frames().items():
                if thread == get_ident():
                    continue
                place = f"{os.path.relpath(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_name}"
                self._lines[place] += 1
                seen = set()
                walked: Any = frame
                while walked:
                    seen.add(f"{os.path.relpath(walked.f_code.co_filename)} {walked.f_code.co_name}")
                    walked = walked.f_back
                self._functions.update(seen)

    def __str__(self) -> str:
        total = max(1, sum(self._lines.values()))
        lines = ["samples of all threads, those that wait included", "  share  line"]
        lines += [f"{count / total:7.1%}  {place}" for place, count in self._lines.most_common(25)]
        lines += ["  share  function, with what it calls"]
        lines += [f"{count / total:7.1%}  {place}" for place, count in self._functions.most_common(30)]
        return "\n".join(lines)


def write_job(job: Job, folder: Path) -> Path:
    """Return a file of the folder that says it all: 2,000 paths are too long for an argument."""
    file = folder / "job.json"
    file.write_text(json.dumps(asdict(job)))
    return file


if __name__ == "__main__":
    main()
