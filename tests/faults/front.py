"""A front before the local OSS server: TLS, and what goes wrong before HTTP begins."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Mode = Literal["pass", "unknown authority", "wrong name", "expired", "cut handshake", "no tls", "slow headers"]

HEADER_PAUSE = 0.003  # seconds between two bytes of slow headers: far below any timeout for silence


class Certificates:
    """An authority and the certificates for 127.0.0.1 that it, or another one, has signed; as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bundle = folder / "authority.pem"
        key, authority = _authority("The test's authority")
        other_key, other = _authority("Another authority")
        self.bundle.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        self._contexts = {
            "pass": self._context("good", key, authority),
            "unknown authority": self._context("unknown", other_key, other),
            "wrong name": self._context("name", key, authority, address="192.0.2.1"),
            "expired": self._context("expired", key, authority, days=-1),
        }

    def context(self, mode: Mode) -> ssl.SSLContext:
        return self._contexts.get(mode, self._contexts["pass"])

    def _context(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        issuer: x509.Certificate,
        *,
        address: str = "127.0.0.1",
        days: int = 1,
    ) -> ssl.SSLContext:
        own_key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = _builder(name, issuer.subject, own_key, days=days).add_extension(names, critical=False)
        key_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        signed = certificate.add_extension(key_identifier, critical=False).sign(key, hashes.SHA256())
        path = self._folder / f"{name}.pem"
        path.write_bytes(
            own_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = (
        _builder(name, subject, key, days=1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=3))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


class Front:
    """Passes connections on to a port of this machine; ``mode`` says how. Another mode ends all connections."""

    def __init__(self, port: int, certificates: Certificates) -> None:
        self._backend = ("127.0.0.1", port)
        self._certificates = certificates
        self._mode: Mode = "pass"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="front", daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        self._end_connections()

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end_connections()

    def _end_connections(self) -> None:
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            _end(sock)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock, self._mode), name="front-connection", daemon=True).start()

    def _serve(self, sock: socket.socket, mode: Mode) -> None:
        with contextlib.suppress(OSError), self._tracked(sock):
            if mode == "cut handshake":
                sock.recv(1)
                return
            if mode == "no tls":
                sock.recv(4096)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            with (
                self._certificates.context(mode).wrap_socket(sock, server_side=True) as client,
                self._tracked(client),
                socket.create_connection(self._backend) as server,
                self._tracked(server),
            ):
                _relay(client, server, slow_headers=mode == "slow headers")

    @contextlib.contextmanager
    def _tracked(self, sock: socket.socket) -> Iterator[None]:
        with self._lock:
            self._sockets.add(sock)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(sock)
            _end(sock)
            sock.close()


def _relay(client: ssl.SSLSocket, server: socket.socket, *, slow_headers: bool) -> None:
    """Pass on what comes from either side, until one ends. In one thread: OpenSSL takes no two calls at a time."""
    while True:
        readable = [client] if client.pending() else select.select([client, server], [], [])[0]
        for source, target in ((client, server), (server, client)):
            if source not in readable:
                continue
            data = source.recv(65536)
            if not data:
                return
            if source is client or not slow_headers:
                target.sendall(data)
                continue
            for byte in data:
                target.sendall(bytes([byte]))
                threading.Event().wait(HEADER_PAUSE)


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # SSLSocket's own would go on in plain text
