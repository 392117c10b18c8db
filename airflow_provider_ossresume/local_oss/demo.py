"""``python -m airflow_provider_ossresume.local_oss.demo``: a local OSS, a connection, and a DAG to kill and resume.

The server accepts one part at a time, like a slow link, so that you have time to kill the task. It prints what arrives.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.local_oss import LocalOSS, Request
from airflow_provider_ossresume.local_oss.demo_files import BUCKET, write_files
from airflow_provider_ossresume.model.parts import MIB, plan_parts

FOLDER = "ossresume-demo"
SIZE_MIB = 192
SMALLEST_MIB = 16  # a smaller file is sent in one request, so there is nothing to resume
PART_SECONDS = 2.0
LONGEST_SECONDS = 20.0  # for a part; two or three wait at once, and the client gives up after 60 s without an answer
AIRFLOW_PORT = 8080  # Airflow's own default, for its UI

_HELP = """\
The local OSS server listens at {endpoint} and takes one part every {seconds:g} seconds.
The folder {folder} has a file of {mib} MiB, a DAG that uploads it, and the settings for Airflow.

1. In a second terminal, in the environment that has Airflow:

    source {folder}/env.sh
    airflow standalone

   The DAG starts by itself. Airflow's UI is at http://127.0.0.1:{port}

2. When parts arrive below, kill the task in a third terminal:

    kill -9 "$(cat {folder}/task.pid)"

Ctrl-C ends this server. Remove the folder afterwards.
"""


def main(arguments: list[str] | None = None) -> int:
    """Write the folder, then serve and print what arrives until SIGTERM or SIGINT."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        folder = _new_folder(options.folder)
    except ArgumentError as error:
        parser.error(str(error))
    # Blocked before any thread starts, so that only sigwait below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    link, size = SlowLink(options.part_seconds), options.mib * MIB
    with LocalOSS(folder / "oss", buckets=[BUCKET]) as oss:
        printer = ProgressPrinter(len(plan_parts(size)), _print)

        def after_request(request: Request) -> None:
            printer.report(request)
            link.settle(request)

        oss.on_request, oss.after_request = link.wait, after_request
        port = _free_port(AIRFLOW_PORT)
        write_files(folder, size=size, connection=oss.airflow_connection(), airflow_port=port)
        shown = {"endpoint": oss.endpoint, "seconds": options.part_seconds, "folder": shlex.quote(str(options.folder))}
        _print(_HELP.format(**shown, mib=options.mib, port=port))
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        link.end()
    return 0


class SlowLink:
    """Lets the parts of all connections pass one at a time, each after some seconds."""

    def __init__(self, part_seconds: float) -> None:
        self._seconds = part_seconds
        self._turn = threading.Lock()
        self._pass = threading.Event()  # set to release all that wait
        self._ended = False

    def wait(self, request: Request) -> None:
        """Delay a part until it is the next one and its seconds have passed. For a server's ``on_request``."""
        if request.operation == "UploadPart" and not self._ended:
            let_pass = self._pass
            with self._turn:
                let_pass.wait(self._seconds)

    def settle(self, request: Request) -> None:
        """Release all waiting parts if one has broken off: its try was killed, and the others are of the same try."""
        if has_broken_off(request):
            self._let_pass()

    def end(self) -> None:
        """Delay nothing from now on."""
        self._ended = True
        self._let_pass()

    def _let_pass(self) -> None:
        let_pass, self._pass = self._pass, threading.Event()
        let_pass.set()


class ProgressPrinter:
    """Prints the progress of an upload as the server sees it. Any thread may call ``report``.

    :param part_count: parts of the whole file
    """

    def __init__(self, part_count: int, print_line: Callable[[str], None]) -> None:
        self._count = part_count
        self._print_line = print_line
        self._stored: Counter[int] = Counter()  # how often each part was stored
        self._began: float | None = None  # when the first line was printed
        self._lock = threading.Lock()

    def report(self, request: Request) -> None:
        """Print a request that OSS has carried out, or a part that broke off."""
        with self._lock:
            if request.status == 200:
                self._report(request)
            elif has_broken_off(request):
                self._line(f"part {request.part_number} broke off")

    def _report(self, request: Request) -> None:
        if request.operation == "InitiateMultipartUpload":
            self._stored.clear()
            self._line(f"a new upload starts: {self._count} parts to send")
        elif request.operation == "ListParts":
            self._line(f"a try asks which parts are here: {len(self._stored)} of {self._count}")
        elif request.operation == "UploadPart" and request.part_number is not None:
            self._stored[request.part_number] += 1
            self._line(f"part {request.part_number} arrived, {len(self._stored)} of {self._count} are here")
        elif request.operation == "CompleteMultipartUpload":
            again = sorted(number for number, times in self._stored.items() if times > 1)
            self._line(f"the object is complete; parts that arrived twice: {', '.join(map(str, again)) or 'none'}")

    def _line(self, text: str) -> None:
        now = time.monotonic()
        self._began = self._began or now
        self._print_line(f"{now - self._began:6.1f} s  {text}")


def has_broken_off(request: Request) -> bool:
    """True for a part whose connection ended before it was answered."""
    return request.operation == "UploadPart" and request.status == 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_ossresume.local_oss.demo", description=(__doc__ or "").partition(": ")[2]
    )
    parser.add_argument("folder", nargs="?", default=FOLDER, help="folder to create (default: %(default)s)")
    parser.add_argument(
        "--mib", type=_mib, default=SIZE_MIB, help="size of the file in MiB, at least 16 (default: %(default)s)"
    )
    parser.add_argument(
        "--part-seconds",
        type=_seconds,
        default=PART_SECONDS,
        help="seconds that each part takes, 0 to 20 (default: %(default)s)",
    )
    return parser


def _mib(text: str) -> int:
    """:raises ValueError: which argparse explains, with the option's name"""
    if (number := int(text)) < SMALLEST_MIB:
        raise ValueError(text)
    return number


def _seconds(text: str) -> float:
    """:raises ValueError: as above"""
    if not 0 <= (number := float(text)) <= LONGEST_SECONDS:
        raise ValueError(text)
    return number


def _new_folder(name: str) -> Path:
    folder = Path(name).absolute()
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise ArgumentError("folder", name, "the folder exists; remove it or name another one") from error
    return folder


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:  # the port is in use
            continue
    raise RuntimeError("this machine has no free port")


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201  this is what the command is for


if __name__ == "__main__":
    sys.exit(main())
