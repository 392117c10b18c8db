"""Why no response came, and what to do about it."""

from __future__ import annotations

import socket
import ssl

from urllib3.exceptions import ConnectTimeoutError, ProxyError

from airflow_provider_ossresume.errors import ConnectionFailed
from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed
from airflow_provider_ossresume.oss.endpoint import Endpoint
from airflow_provider_ossresume.oss.header_values import shown


def connection_failed(call: Call, error: ExchangeFailed, endpoint: Endpoint) -> ConnectionFailed:
    """Return the error for a failed exchange."""
    failed = call.failed(reason(error, advice=endpoint.advice()))
    failed.retryable = not error.is_lasting
    return failed


# What to do when no response came, by what stands in the chain of errors; the first one counts.
_NEXT_STEPS: tuple[tuple[type[BaseException], str], ...] = (
    (ProxyError, "check the connection's Proxy, or HTTPS_PROXY and NO_PROXY of this machine"),
    (
        ssl.SSLCertVerificationError,
        "set the connection's CA bundle if your own authority has issued the certificate",
    ),
    (ConnectionRefusedError, "nothing listens there; check host and port of the endpoint"),
    (
        ConnectTimeoutError,
        "check the endpoint and the firewall; an internal endpoint can only be reached from inside Alibaba Cloud",
    ),
)

# What OpenSSL says, by its version, when it is answered without TLS, and Python when it is not answered at all.
_OF_ANOTHER_HOST = ("Hostname mismatch", "IP address mismatch", "doesn't match")
_NO_TLS = ("WRONG_VERSION_NUMBER", "record layer failure", "no TLS handshake")


def reason(error: BaseException, *, advice: str = "check endpoint and region") -> str:
    """The innermost reason, without the URL, which may hold a signature, and the next step.

    :param advice: the next step when there is no such host
    """
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    # What did not come in time says which of it; else the innermost knows most.
    is_told = isinstance(error, ExchangeFailed) and error.is_timeout
    text = shown(str(error if is_told else chain[-1])) or type(chain[-1]).__name__
    if any(words in text for words in _NO_TLS):
        return f"{text}; the server there does not speak TLS: begin the endpoint with http://, or correct its port"
    is_proxys = any(isinstance(each, ProxyError) for each in chain)
    if not is_proxys and isinstance(chain[-1], socket.gaierror):
        return f"{text}; no name server knows this host; {advice}"
    if not is_proxys and any(words in text for words in _OF_ANOTHER_HOST):
        return f"{text}; the certificate is another host's; {advice}"
    for kind, step in _NEXT_STEPS:
        if any(isinstance(each, kind) for each in chain):
            return f"{text}; {step}"
    return text
