"""Whether a try is over is told by evidence: its supervisor is gone, or Airflow says so. A broken back end is none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ossresume import _airflow
from airflow_provider_ossresume._airflow import AIRFLOW_3, AirflowException, AirflowFailException
from airflow_provider_ossresume.checkpoints.select import select_store
from airflow_provider_ossresume.errors import (
    ArgumentError,
    OSSResumeError,
    StoreUnavailable,
    SupervisorGone,
    TrySuperseded,
)
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from tests.world import some_bytes

ON_AIRFLOW_3 = pytest.mark.skipif(not AIRFLOW_3, reason="a task of 2.11 has no socket to its supervisor")
ON_AIRFLOW_2 = pytest.mark.skipif(AIRFLOW_3, reason="Airflow 3 knows each try by an ID of its own")
BROKEN = (ConnectionResetError(104, "Connection reset by peer"), BrokenPipeError(), EOFError(), OSError("down"))


def release() -> tuple[int, ...]:
    from airflow import __version__

    return tuple(map(int, __version__.split(".")[:2]))


# --- the supervisor's socket ------------------------------------------------------------------------------------------


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The supervisor's end of the socket that a supervised task of Airflow 3 has."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import CommsDecoder

    ours, theirs = socket.socketpair()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", CommsDecoder(socket=ours), raising=False)
    with ours, theirs:
        yield theirs


@ON_AIRFLOW_3
def test_a_supervisor_is_gone_when_it_has_hung_up(supervisor: socket.socket) -> None:
    is_gone = _airflow.watch_supervisor({})
    assert not is_gone()
    supervisor.sendall(b"an answer that nobody has read")
    assert not is_gone()

    supervisor.close()

    assert is_gone()


@ON_AIRFLOW_3
@pytest.mark.parametrize("broken", BROKEN, ids=lambda error: type(error).__name__)
def test_a_broken_connection_is_the_supervisors_only_when_that_has_hung_up(
    supervisor: socket.socket, broken: Exception
) -> None:
    assert type(_airflow.store_error("saving", broken)) is StoreUnavailable

    supervisor.close()

    assert type(_airflow.store_error("saving", broken)) is SupervisorGone


@pytest.mark.parametrize("broken", BROKEN, ids=lambda error: type(error).__name__)
def test_where_nobody_supervises_a_broken_connection_is_a_store_that_is_down(broken: Exception) -> None:
    error = _airflow.store_error("saving", broken)

    assert type(error) is StoreUnavailable
    assert str(error).startswith("saving: ")
    assert not str(error).endswith(": ")  # an EOFError has no text of its own


def test_nobody_supervises_in_this_process(dag: Any) -> None:
    from tests.airflow.runs import call_in_a_task

    def is_gone_in_an_orphan(context: Mapping[str, Any]) -> str:
        return in_an_orphan(lambda: _airflow.watch_supervisor(context))

    assert call_in_a_task(dag, is_gone_in_an_orphan) == "False"


@ON_AIRFLOW_2
@pytest.mark.parametrize(("job_id", "said"), [("7", "True"), (None, "False")])
def test_on_2_11_a_parent_that_is_gone_tells_only_where_a_local_task_job_started_the_task(
    job_id: str | None, said: str
) -> None:
    context = {"ti": SimpleNamespace(job_id=job_id)}

    assert in_an_orphan(lambda: _airflow.watch_supervisor(context)) == said


def in_an_orphan(watch: Callable[[], Callable[[], bool]]) -> str:
    """Return what a watch that begins in a child process says when the parent of that child has ended."""
    (said, say), (ready, begun) = os.pipe(), os.pipe()
    if not (parent := os.fork()):
        if os.fork():
            os.read(ready, 1)
            os._exit(0)
        try:
            is_gone, parent = watch(), os.getppid()
            os.write(begun, b".")
            while os.getppid() == parent:
                pass
            os.write(say, str(is_gone()).encode())
        finally:
            os._exit(0)
    os.waitpid(parent, 0)
    os.close(say)
    with os.fdopen(said) as answer:
        return answer.read()


# --- a shell that ends ------------------------------------------------------------------------------------------------

UPLOAD = """
    import sys
    from datetime import datetime, timedelta
    from airflow.providers.common.compat.sdk import DAG, BaseOperator
    from airflow_provider_ossresume.operators.oss import OSSResumableUploadOperator
    from tests.airflow.runs import run

    class LastOperator(BaseOperator):
        def execute(self, context):
            pass

    with DAG(sys.argv[1], schedule=None, start_date=datetime(2024, 1, 1)) as dag:
        OSSResumableUploadOperator(
            task_id="upload", file=sys.argv[2], key="oss://bucket/key", checkpoint=sys.argv[3], retries=1,
            retry_delay=timedelta(0),
            transfer_config={"part_size": "100KiB", "multipart_threshold": "100KiB", "max_concurrency": 1},
        ) >> LastOperator(task_id="last")
    print("ENDED", *run(dag).instance("upload"))
"""


@pytest.fixture
def script(database: None, connected: LocalOSS, tmp_path: Path) -> list[str]:
    """The arguments of a Python that uploads 500,000 bytes with ``dag.test()``; one for the store is to be added."""
    (tmp_path / "upload.py").write_text(dedent(UPLOAD))
    (tmp_path / "source").write_bytes(some_bytes(500_000))
    return [sys.executable, str(tmp_path / "upload.py"), f"dag_{tmp_path.name}", str(tmp_path / "source")]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), os.getcwd()))}


def test_a_run_that_nohup_started_goes_on_when_its_shell_ends(
    script: list[str], environment: dict[str, str], connected: LocalOSS
) -> None:
    command = f"nohup {' '.join(script)} auto & read go_on"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    shell = subprocess.Popen(("bash", "-c", command), env=environment, text=True, **pipes)

    def end_the_shell(request: Request) -> None:
        if request.operation == "UploadPart" and request.part_number == 3:
            shell.stdin.close()
            shell.wait()

    connected.on_request = end_the_shell
    with shell.stdout as output:
        said = output.read()  # until the run has ended too

    assert "ENDED success 1" in said
    assert connected.object("bucket", "key") == some_bytes(500_000)


# --- a back end whose connection breaks -------------------------------------------------------------------------------

XCOM_BACKEND = """
    try:
        from airflow.sdk.bases.xcom import BaseXCom
    except ImportError:
        from airflow.models.xcom import BaseXCom

    class Flaky(BaseXCom):
        breaks = [ConnectionResetError(104, "reset"), EOFError()]

        @staticmethod
        def serialize_value(value, *, key=None, **more):
            if (key or "").startswith("ossresume-") and Flaky.breaks:
                raise Flaky.breaks.pop()
            return BaseXCom.serialize_value(value, key=key, **more)
"""
STATE_BACKEND = """
    import json, os
    from airflow.sdk.state import BaseStoreBackend

    class Flaky(BaseStoreBackend):
        breaks = [ConnectionResetError(104, "reset"), EOFError()]

        def serialize_task_state_store_to_ref(self, *, value, key, scope):
            if key.startswith("ossresume-") and Flaky.breaks:
                raise Flaky.breaks.pop()
            with open(f"{os.environ['STATES']}/{key}", "w") as file:
                json.dump(value, file)
            return file.name

        def deserialize_task_state_store_from_ref(self, ref):
            with open(ref) as file:
                return json.load(file)

        def delete(self, scope, key, **more):
            pass

    for name in Flaky.__abstractmethods__:
        setattr(Flaky, name, lambda self, *args, **more: None)
    Flaky.__abstractmethods__ = frozenset()
"""
BACKENDS = {
    "xcom": ("AIRFLOW__CORE__XCOM_BACKEND", XCOM_BACKEND),
    "task_state": ("AIRFLOW__WORKERS__STATE_STORE_BACKEND", STATE_BACKEND),
}


@pytest.mark.parametrize("store", BACKENDS)
def test_a_back_end_whose_connection_breaks_is_a_store_that_is_down(
    script: list[str], environment: dict[str, str], connected: LocalOSS, tmp_path: Path, store: str
) -> None:
    if store == "task_state" and release() < (3, 3):
        pytest.skip("the task state store comes with Airflow 3.3")
    option, code = BACKENDS[store]
    (tmp_path / "flaky_backend.py").write_text(dedent(code))
    (tmp_path / "states").mkdir()
    env = {**environment, option: "flaky_backend.Flaky", "STATES": str(tmp_path / "states")}

    done = subprocess.run([*script, store], env=env, capture_output=True, text=True)

    said = done.stdout + done.stderr
    assert "ENDED success 1" in done.stdout, said
    assert "The checkpoint could not be saved" in said
    assert connected.object("bucket", "key") == some_bytes(500_000)
    assert connected.uploads("bucket") == []


# --- threads and processes of the author's own ------------------------------------------------------------------------


def in_a_thread(function: Callable[[], str]) -> str:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def in_a_forked_process(function: Callable[[], str]) -> str:
    said, say = os.pipe()
    if not (child := os.fork()):
        try:
            os.write(say, function().encode())
        finally:
            os._exit(0)
    os.close(say)
    with os.fdopen(said) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def what_is_chosen(choice: str, context: Mapping[str, Any]) -> str:
    try:
        return type(select_store(choice, context=context)).__name__
    except ArgumentError as error:
        return str(error)


REFUSED = ("variable", "xcom", "task_state")

ELSEWHERE = pytest.mark.parametrize(
    ("elsewhere", "refusal"),
    [
        pytest.param(
            in_a_thread,
            "can only be called from the task's main thread",
            marks=pytest.mark.skipif(not AIRFLOW_3, reason="2.11 has a database session for each thread"),
        ),
        (in_a_forked_process, "A process that the task forked must not use the task's connection"),
    ],
    ids=["thread", "forked process"],
)


@ELSEWHERE
def test_where_airflow_must_not_be_called_auto_is_a_file_and_its_stores_are_refused(
    dag: Any, elsewhere: Callable[[Callable[[], str]], str], refusal: str
) -> None:
    from tests.airflow.runs import call_in_a_task

    def choose(context: Mapping[str, Any]) -> list[str]:
        return [elsewhere(partial(what_is_chosen, choice, context)) for choice in ("auto", "file", "memory", *REFUSED)]

    auto, file, memory, *refused = call_in_a_task(dag, choose)

    assert (auto, file, memory) == ("FileCheckpointStore", "FileCheckpointStore", "MemoryCheckpointStore")
    for choice, said in zip(REFUSED, refused, strict=True):
        assert said.startswith(f"checkpoint='{choice}'")
        assert refusal in said
        assert "use file or file:FOLDER" in said


@ELSEWHERE
def test_where_airflow_must_not_be_called_a_hook_needs_its_connection_looked_up_before(
    dag: Any, connected: LocalOSS, tmp_path: Path, elsewhere: Callable[[Callable[[], str]], str], refusal: str
) -> None:
    from airflow_provider_ossresume.hooks.oss import OSSResumeHook
    from tests.airflow.runs import call_in_a_task

    (tmp_path / "source").write_bytes(b"some bytes")

    def upload(hook: OSSResumeHook) -> str:
        try:
            return hook.upload_file(tmp_path / "source", "key", "bucket").outcome
        except ArgumentError as error:
            return str(error)

    def upload_both_ways(context: Mapping[str, Any]) -> list[str]:
        ready = OSSResumeHook()
        ready.get_conn()
        return [elsewhere(partial(upload, hook)) for hook in (ready, OSSResumeHook())]

    with_connection, without = call_in_a_task(dag, upload_both_ways)

    assert with_connection == "transferred"
    assert without.startswith("oss_conn_id='oss_default'")
    assert refusal in without
    assert "get_conn()" in without


def test_the_log_says_once_what_a_file_means_there(dag: Any, caplog: pytest.LogCaptureFixture) -> None:
    from airflow_provider_ossresume.checkpoints import select
    from tests.airflow.runs import call_in_a_task

    select._warn_once.cache_clear()

    def choose(context: Mapping[str, Any]) -> str:
        def twice() -> str:
            with caplog.at_level("WARNING"):
                caplog.clear()
                what_is_chosen("auto", context)
                what_is_chosen("auto", context)
                return caplog.text

        return in_a_forked_process(twice)

    assert call_in_a_task(dag, choose).count("The checkpoint is a file on this worker instead") == 1


@pytest.mark.skipif(release() < (3, 2), reason="there nothing locks the socket")
@ON_AIRFLOW_3
def test_under_a_supervisor_with_a_locked_socket_threads_may_call_airflow(supervisor: socket.socket) -> None:
    assert in_a_thread(lambda: str(_airflow.why_not_callable({}))) == "None"


@pytest.mark.skipif(release() >= (3, 2), reason="there the socket has a lock")
@ON_AIRFLOW_3
def test_under_a_supervisor_without_a_lock_only_the_main_thread_may_call_airflow(supervisor: socket.socket) -> None:
    assert "main thread" in in_a_thread(lambda: str(_airflow.why_not_callable({})))
    assert _airflow.why_not_callable({}) is None


# --- the end of a try that is over ------------------------------------------------------------------------------------

SUPERSEDED = TrySuperseded("try 2 has taken over")


@pytest.mark.parametrize(
    ("error", "kind"), [(SUPERSEDED, AirflowFailException), (SupervisorGone("saving"), AirflowException)]
)
def test_a_try_in_the_process_of_who_asked_for_it_ends_with_an_exception(
    error: TrySuperseded, kind: type[Exception]
) -> None:
    with pytest.raises(AirflowException) as raised:
        _airflow.leave_to_successor(error, {})

    assert type(raised.value) is kind


@ON_AIRFLOW_2
@pytest.mark.parametrize("error", [SUPERSEDED, SupervisorGone()], ids=["superseded", "supervisor gone"])
@pytest.mark.parametrize(
    ("row", "is_over"),
    [
        ({}, False),
        ({"try_number": 2}, True),
        ({"job_id": 8}, True),
        ({"state": "up_for_retry"}, True),
        ({"state": "success"}, True),
    ],
    ids=str,
)
def test_on_2_11_the_process_ends_at_once_only_when_airflow_says_that_the_try_is_over(
    dag: Any, error: OSSResumeError, row: dict[str, Any], is_over: bool
) -> None:
    from airflow.utils.session import create_session
    from sqlalchemy import text

    from tests.airflow.runs import call_in_a_task

    def leave(context: Mapping[str, Any]) -> int:
        ti = context["ti"]
        ti.job_id = "7"  # as the command line gives it
        with create_session() as session:
            for column, value in {"job_id": 7, "state": "running", **row}.items():
                change = text(f"UPDATE task_instance SET {column} = :value WHERE dag_id = :dag_id")
                session.execute(change, {"value": value, "dag_id": ti.dag_id})
        if not (child := os.fork()):
            try:
                _airflow.leave_to_successor(error, context)
            except AirflowException:
                os._exit(50)
            finally:
                os._exit(99)
        try:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        finally:
            with create_session() as session:
                session.execute(text("UPDATE task_instance SET try_number = 1, state = 'running'"))

    assert call_in_a_task(dag, leave) == (1 if is_over else 50)
