"""Why no response came, and what to do about it."""

from __future__ import annotations

import socket
import ssl

from urllib3.exceptions import ConnectTimeoutError, ProxyError

from airflow_provider_ossresume.errors import ConnectionFailed
from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed
from airflow_provider_ossresume.oss.endpoint import Endpoint
from airflow_provider_ossresume.oss.header_values import one_line


def connection_failed(call: Call, error: ExchangeFailed, endpoint: Endpoint) -> ConnectionFailed:
    """Return the error for a failed exchange."""
    failed = call.failed(reason(error, advice=endpoint.advice()))
    failed.retryable = not error.is_lasting
    return failed


# The next step, by an error in the chain of causes. The first that matches is used.
_NEXT_STEPS: tuple[tuple[type[BaseException], str], ...] = (
    (ProxyError, "check the connection's Proxy, or HTTPS_PROXY and NO_PROXY of this machine"),
    (
        ssl.SSLCertVerificationError,
        "set the connection's CA bundle if your own certificate authority has issued the certificate",
    ),
    (ConnectionRefusedError, "nothing listens there; check the host and the port of the endpoint"),
    (
        ConnectTimeoutError,
        "check the endpoint and the firewall; an internal endpoint can only be reached from inside Alibaba Cloud",
    ),
)

# The words of OpenSSL's versions for a server without TLS, and of Python for one that does not respond.
_OF_ANOTHER_HOST = ("Hostname mismatch", "IP address mismatch", "doesn't match")
_NO_TLS = ("WRONG_VERSION_NUMBER", "record layer failure", "no TLS handshake")


def reason(error: BaseException, *, advice: str = "check endpoint and region") -> str:
    """Return the innermost reason and the next step, without the URL, which may contain a signature.

    :param advice: the next step if the host does not exist
    """
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    # A timeout says what did not arrive; otherwise the innermost error is the most specific.
    is_told = isinstance(error, ExchangeFailed) and error.is_timeout
    text = one_line(str(error if is_told else chain[-1])) or type(chain[-1]).__name__
    if any(words in text for words in _NO_TLS):
        return f"{text}; the server does not use TLS: begin the endpoint with http://, or correct its port"
    is_proxys = any(isinstance(each, ProxyError) for each in chain)
    if not is_proxys and isinstance(chain[-1], socket.gaierror):
        return f"{text}; the host name could not be resolved; {advice}"
    if not is_proxys and any(words in text for words in _OF_ANOTHER_HOST):
        return f"{text}; the certificate is for another host; {advice}"
    for kind, step in _NEXT_STEPS:
        if any(isinstance(each, kind) for each in chain):
            return f"{text}; {step}"
    return text
