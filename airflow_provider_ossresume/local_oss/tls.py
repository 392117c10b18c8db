"""TLS with a certificate made for one server, and signed by an authority made with it."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.local_oss.incoming import is_address

_DAYS = 365  # validity of a certificate; the server makes a new one at each start


def server_tls(host: str) -> tuple[ssl.SSLContext, bytes]:
    """Return a context for a server on that host, and the authority's certificate (PEM) for its clients.

    The certificate names the host, ``localhost``, ``127.0.0.1`` and ``::1``. Neither private key stays on the disk.

    :raises ArgumentError: if the package cryptography is not installed
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        raise ArgumentError("tls", True, "this needs the package cryptography; run pip install cryptography") from error

    def builder(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=_DAYS))
        )

    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local OSS authority")])
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # signs certificates and lists
    ca = (
        builder("local OSS authority", ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names = [
        x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name) for name in _names(host)
    ]
    certificate = (
        builder("local OSS", key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # a context reads a key only from a file
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context, ca.public_bytes(Encoding.PEM)


def _names(host: str) -> list[str]:
    return sorted({host, "localhost", "127.0.0.1", "::1"})
