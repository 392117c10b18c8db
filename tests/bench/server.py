"""The server of the benchmark, and the raw client: compiled from C, run in processes of their own."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

HERE = Path(__file__).parent
BUCKET = "bench"
FLAGS = ("-O2", "-Wall", "-Wno-unused-function", "-Wno-format-truncation")


@dataclass(frozen=True)
class Link:
    """The way between a contestant and the server.

    :param rate: bytes a second for each connection; 0 is loopback as it is
    :param shared: bytes a second for all connections together; 0 is no limit
    :param delay: milliseconds of a round trip
    """

    tls: bool = False
    rate: int = 0
    delay: int = 0
    shared: int = 0

    def __str__(self) -> str:
        way = f"{self.delay} ms and {self.rate / 1e6:g} MB/s a connection" if self.rate else "loopback"
        if self.shared:
            way = f"{self.delay} ms and {self.shared / 125_000:g} Mbit/s for all connections"
        return way + (", TLS" if self.tls else "")


class Unavailable(Exception):
    """What a case needs is not on this machine."""


@dataclass(frozen=True)
class Programs:
    """The compiled programs."""

    server: Path
    raw_client: Path
    has_tls: bool


def build(folder: Path) -> Programs:
    """Compile the programs into the folder.

    :raises Unavailable: without a C compiler
    """
    if not (compiler := shutil.which("gcc") or shutil.which("cc")):
        raise Unavailable("there is no C compiler (gcc or cc)")
    folder.mkdir(parents=True, exist_ok=True)
    tls = ["-lssl", "-lcrypto"]
    if not _compiles(compiler, folder, tls):
        tls = ["-DWITHOUT_TLS"]
    for name in ("server", "raw_client"):
        files = [str(HERE / f"{name}.c"), "-o", str(folder / name)]
        subprocess.run([compiler, *FLAGS, *files, "-lpthread", *tls], check=True)
    return Programs(folder / "server", folder / "raw_client", has_tls="-lssl" in tls)


def _compiles(compiler: str, folder: Path, flags: list[str]) -> bool:
    probe = folder / "probe.c"
    probe.write_text("#include <openssl/ssl.h>\nint main(void) { return !TLS_method(); }\n")
    command = [compiler, str(probe), "-o", str(folder / "probe"), *flags]
    return subprocess.run(command, capture_output=True).returncode == 0


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for 127.0.0.1, which is its own authority, and its key.

    :raises Unavailable: without the openssl program
    """
    if not shutil.which("openssl"):
        raise Unavailable("there is no openssl program to make a certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    what = ["-x509", "-nodes", "-days", "30", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", *what, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


class Server:
    """A running server; a context manager.

    :param folder: for the certificate
    """

    def __init__(self, programs: Programs, link: Link, folder: Path) -> None:
        self._command = [str(programs.server), "--rate", str(link.rate), "--delay", str(link.delay)]
        self._command += ["--shared", str(link.shared)]
        self.link = link
        self.authority: Path | None = None
        if link.tls:
            if not programs.has_tls:
                raise Unavailable("there are no headers of OpenSSL (libssl-dev)")
            self.authority, key = make_certificate(folder)
            self._command += ["--certificate", str(self.authority), "--key", str(key)]

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.link.tls else 'http'}://127.0.0.1:{self.port}"

    def serve(self, key: str, file: Path) -> None:
        """Serve the file as the object of that key."""
        self._ask("POST", "/_bench/serve", {"x-bench-path": f"/{BUCKET}/{key}", "x-bench-file": str(file)})

    def reset(self, *, limit: int = 0, keep_uploads: bool = False) -> dict[str, Any]:
        """Begin to count anew.

        :param limit: what would move more bytes than that is refused with 403; 0 is no limit
        """
        keep = {"x-bench-keep-uploads": "yes"} if keep_uploads else {}
        stats: dict[str, Any] = json.loads(self._ask("POST", "/_bench/reset", {"x-bench-limit": str(limit), **keep})[1])
        return stats

    def stats(self) -> dict[str, Any]:
        """Return what was counted since the last reset, and the server's CPU seconds since its start."""
        stats: dict[str, Any] = json.loads(self._ask("GET", "/_bench/stats", {})[1])
        return stats

    def stored(self, keys: list[str]) -> list[tuple[int, int]]:
        """Return size and CRC-64 of objects. The server knows them as they were sent: oss2 quotes slashes."""
        try:
            answers = [self._ask("HEAD", f"/{BUCKET}/{key}", {})[0] for key in keys]
        except RuntimeError:
            answers = [self._ask("HEAD", f"/{BUCKET}/{quote(key, safe='')}", {})[0] for key in keys]
        return [(int(answer["Content-Length"]), int(answer["x-oss-hash-crc64ecma"])) for answer in answers]

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> tuple[http.client.HTTPMessage, bytes]:
        connection = self._connect()
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"the server answered {answer.status} to {method} {path}: {body!r}")
        return answer.headers, body

    def _connect(self) -> http.client.HTTPConnection:
        if self.authority is None:
            return http.client.HTTPConnection("127.0.0.1", self.port)
        context = ssl.create_default_context(cafile=str(self.authority))
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context)
