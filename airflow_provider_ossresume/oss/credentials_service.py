"""A service that issues credentials: one bounded request, and its response.

Only the code and the message of an error response are ever shown, without the secrets that were sent. Redirects are
not followed, and ~/.netrc is not read. The head of a response may take ``LONGEST`` seconds, and its body the same.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from airflow_provider_ossresume import __version__
from airflow_provider_ossresume.errors import ArgumentError, CredentialsError, CredentialsUnavailable
from airflow_provider_ossresume.oss import response as http_response
from airflow_provider_ossresume.oss.connection_errors import reason
from airflow_provider_ossresume.oss.connections import Connections, environment_settings
from airflow_provider_ossresume.oss.credentials import Credentials
from airflow_provider_ossresume.oss.deadlines import ExchangeFailed, Limit
from airflow_provider_ossresume.oss.header_values import one_line, read_http_date
from airflow_provider_ossresume.oss.proxies import NO_PROXY
from airflow_provider_ossresume.oss.temporary_credentials import TemporaryCredentials

CONNECT_TIMEOUT = 5.0  # seconds; the same as alibabacloud-credentials
LOOK_TIMEOUT = 2.0  # seconds to find out whether a service exists
READ_TIMEOUT = 10.0  # seconds without a byte; the same as alibabacloud-credentials
LONGEST = 20.0  # seconds for the head of a response, and again for its body
MAX_RESPONSE = 64 * 1024  # bytes; a response of STS has about 2,000, most of them the token


@dataclass(frozen=True)
class ServiceResponse:
    """The response of a service.

    :ivar date: its Date in seconds since 1970, or None
    """

    status: int
    body: bytes = field(repr=False)
    date: float | None = None

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace").strip()

    def fields(self) -> Mapping[str, Any]:
        """Return the body as a JSON object; empty if it is not one."""
        try:
            read = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}


class CredentialsService:
    """A service that issues credentials, at the level of HTTP.

    :param origin: scheme, host and port, checked by :func:`check_origin`
    :param direct: use no proxy: the service is on this machine or in its local network
    :param proxies: as in requests; None uses those of the environment
    :param verify_tls: False, or the path of a CA bundle
    :param longest: seconds for the head of a response, and again for its body
    """

    def __init__(
        self,
        origin: str,
        *,
        direct: bool = False,
        proxies: Mapping[str, str] | None = None,
        verify_tls: bool | str = True,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        longest: float = LONGEST,
    ) -> None:
        self.origin = origin
        self.host = urlsplit(origin).netloc
        self._timeouts = {
            "connect_timeout": connect_timeout,
            "send_timeout": read_timeout,
            "read_timeout": read_timeout,
            "stall_timeout": longest,
            "longest_work": longest,
        }
        self._longest = longest
        self._settings = environment_settings(origin, proxies=NO_PROXY if direct else proxies, verify_tls=verify_tls)

    def is_there(self) -> bool:
        """Return whether something listens at the origin. Takes at most two seconds for each address."""
        parts = urlsplit(self.origin)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=LOOK_TIMEOUT).close()
        except OSError:
            return False
        return True

    def ask(
        self, what: str, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> ServiceResponse:
        """Send one request and return the response, whatever its status.

        :param what: the request's name in errors
        :raises CredentialsUnavailable: if no complete response comes
        """
        sent = {"user-agent": f"airflow-provider-ossresume/{__version__}", "accept-encoding": "identity"}
        if method in ("PUT", "POST"):
            sent["content-length"] = str(len(body))
        sent |= headers or {}
        try:
            with (
                # There are hours between two requests, so no connection is kept.
                closing(Connections(self._settings, max_connections=1, **self._timeouts)) as way,
                way.exchange(method, self.origin, path, sent, body) as response,
            ):
                date = read_http_date(response.fields.get("date"))
                return ServiceResponse(response.status, self._read(what, response), date.timestamp() if date else None)
        except ExchangeFailed as error:
            raise self._unreachable(what, error) from None  # its URL may hold a secret

    def _read(self, what: str, response: http_response.Response) -> bytes:
        body = bytearray()
        for piece in response.pieces(MAX_RESPONSE, Limit("the response did not come", total=self._longest)):
            body += piece
            if len(body) > MAX_RESPONSE:
                raise CredentialsUnavailable(
                    f"{what} at {self.origin}: the response is longer than {MAX_RESPONSE} bytes"
                )
        return bytes(body)

    def _unreachable(self, what: str, error: ExchangeFailed) -> CredentialsError:
        proxy = self._settings.proxies.to(self.origin)
        said = f"{what} at {self.origin}{f' ({proxy})' if proxy else ''}: {reason(error)}"
        if error.is_lasting:
            return CredentialsError(said)
        return CredentialsUnavailable(f"{said}; check that the service is up and that this worker can reach it")

    def refused(
        self,
        what: str,
        response: ServiceResponse,
        *,
        hint: str = "",
        secrets: Iterable[str | None] = (),
        retryable: bool = False,
    ) -> CredentialsError:
        """Return the error for a response without credentials.

        :param secrets: values that were sent, and that a message may repeat
        """
        fields = response.fields()
        said = " ".join(text for text in (str(response.status), one_line(str(fields.get("Code") or ""))) if text)
        text = f"{what} at {self.origin} answered {said}"
        message = without(secrets, str(fields.get("Message") or ""))
        if message and "Signature" not in said:  # such a message repeats everything that was signed
            text += f": {one_line(message).rstrip('.')}"
        if hint or 300 <= response.status < 400:
            text += f"; {hint or 'a redirect is not followed'}"
        if request_id := fields.get("RequestId"):
            text += f" [request id {one_line(str(request_id))}]"
        may_pass = retryable or response.status in (408, 429) or response.status >= 500
        return CredentialsUnavailable(text) if may_pass else CredentialsError(text)

    def issued(self, what: str, response: ServiceResponse, fields: object) -> TemporaryCredentials:
        """Return the credentials in a response. All these services use the same names of fields.

        :raises CredentialsUnavailable: if a field is missing or invalid
        """
        given = fields if isinstance(fields, dict) else {}
        texts = {name: given.get(name) for name in ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")}
        lacking = [name for name, text in texts.items() if not isinstance(text, str) or not text.strip()]
        if lacking:
            raise CredentialsUnavailable(
                f"{what} at {self.origin}: the response has no {', no '.join(lacking)}; is it the right service?"
            )
        key_id, secret, token, expiration = (str(text) for text in texts.values())
        ends = _seconds(expiration)
        if ends is None:
            raise CredentialsUnavailable(f"{what} at {self.origin}: Expiration {one_line(expiration)!r} is not a time")
        try:
            credentials = Credentials(key_id, secret, token)
        except CredentialsError as error:
            raise CredentialsUnavailable(f"{what} at {self.origin}: {error}") from None
        # Both by the service's clock, because this worker's may be wrong.
        return TemporaryCredentials(credentials, lifetime=ends - (response.date or time.time()))


def check_origin(argument: str, url: str, *, example: str) -> str:
    """Return the URL without a slash at its end.

    :raises ArgumentError: if it is not http(s)://, a host and perhaps a port, and nothing else
    """
    origin = url.strip().rstrip("/")
    parts = split_url(origin)
    if parts is None or parts[1]:
        value = "…" if "@" in url else url
        raise ArgumentError(argument, value, f"give http:// or https:// and a host, such as {example}")
    return parts[0]


def split_url(url: str) -> tuple[str, str] | None:
    """Return an http(s) URL's origin, and its path and query, if any; None if it cannot be used."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if the port is not a number
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.fragment:
        return None
    if not url.isascii() or not url.isprintable() or " " in url:
        return None
    origin = f"{parts.scheme}://{parts.netloc}"
    rest = url[url.index("://") + 3 + len(parts.netloc) :]
    return origin, f"/{rest}" if rest.startswith("?") else rest


def without(secrets: Iterable[str | None], text: str) -> str:
    """Return the text with secrets replaced, in every form in which they are sent."""
    for secret in secrets:
        if secret:
            for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}:
                text = text.replace(form, "…")
    return text


def _seconds(text: str) -> float | None:
    """Return a time such as ``2026-01-31T08:00:00Z`` in seconds since 1970; None if it is not a time."""
    try:
        time_ = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return (time_ if time_.tzinfo else time_.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None
