"""One bounded request to a service that issues credentials, and what its response says.

Nothing that such a response holds is shown, but for the code and the message of an error, with every secret that was
sent taken out. No redirect is followed and no ~/.netrc read, and no response takes longer than ``LONGEST``.
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
from airflow_provider_ossresume.oss.header_values import shown
from airflow_provider_ossresume.oss.messages import read_http_date
from airflow_provider_ossresume.oss.proxies import NO_PROXY
from airflow_provider_ossresume.oss.temporary_credentials import TemporaryCredentials

CONNECT_TIMEOUT = 5.0  # seconds; as alibabacloud-credentials
LOOK_TIMEOUT = 2.0  # seconds, for whether a service is there at all
READ_TIMEOUT = 10.0  # seconds of silence; as alibabacloud-credentials
LONGEST = 20.0  # seconds for the head, and for the body, of a response to come in, however they trickle
MAX_ANSWER = 64 * 1024  # bytes; a response of STS has about two thousand, most of them the token


@dataclass(frozen=True)
class ServiceResponse:
    """What a service answered.

    :ivar date: its clock, as seconds since 1970, or None when it did not tell
    """

    status: int
    body: bytes = field(repr=False)
    date: float | None = None

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace").strip()

    def fields(self) -> Mapping[str, Any]:
        """Return the JSON object that the body is; an empty one when it is none."""
        try:
            read = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}


class CredentialsService:
    """A service that issues credentials, as far as HTTP goes.

    :param origin: scheme, host and port, checked by :func:`check_origin`
    :param direct: past every proxy: the service is on this machine, or on the link
    :param proxies: as in requests; None takes those of the environment
    :param verify_tls: False, or the path of a CA bundle
    :param longest: seconds for the head, and for the body, of a response to come in, however they trickle
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
        """Return whether something listens at the origin, within a second or two."""
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

        :param what: how an error names it
        :raises CredentialsUnavailable: when no whole response comes
        """
        sent = {"user-agent": f"airflow-provider-ossresume/{__version__}", "accept-encoding": "identity"}
        if method in ("PUT", "POST"):
            sent["content-length"] = str(len(body))
        sent |= headers or {}
        try:
            with (
                # Hours lie between two requests: no connection is kept.
                closing(Connections(self._settings, max_connections=1, **self._timeouts)) as way,
                way.exchange(method, self.origin, path, sent, body) as response,
            ):
                date = read_http_date(response.fields.get("date"))
                return ServiceResponse(response.status, self._read(what, response), date.timestamp() if date else None)
        except ExchangeFailed as error:
            raise self._unreachable(what, error) from None  # its URL may hold a secret

    def _read(self, what: str, response: http_response.Response) -> bytes:
        body = bytearray()
        for piece in response.pieces(MAX_ANSWER, Limit("the response did not come", total=self._longest)):
            body += piece
            if len(body) > MAX_ANSWER:
                raise CredentialsUnavailable(f"{what} at {self.origin}: the response is over {MAX_ANSWER} bytes long")
        return bytes(body)

    def _unreachable(self, what: str, error: ExchangeFailed) -> CredentialsError:
        proxy = self._settings.proxies.to(self.origin)
        said = f"{what} at {self.origin}{f' ({proxy})' if proxy else ''}: {reason(error)}"
        if error.is_lasting:
            return CredentialsError(said)
        return CredentialsUnavailable(f"{said}; is the service up, and does this worker reach it?")

    def refused(
        self,
        what: str,
        response: ServiceResponse,
        *,
        hint: str = "",
        secrets: Iterable[str | None] = (),
        retryable: bool = False,
    ) -> CredentialsError:
        """Return the error for a response that brings no credentials.

        :param secrets: what was sent and may come back in a message
        """
        fields = response.fields()
        said = " ".join(text for text in (str(response.status), shown(str(fields.get("Code") or ""))) if text)
        text = f"{what} at {self.origin} answered {said}"
        message = without(secrets, str(fields.get("Message") or ""))
        if message and "Signature" not in said:  # such a one repeats all that was signed
            text += f": {shown(message).rstrip('.')}"
        if hint or 300 <= response.status < 400:
            text += f"; {hint or 'a redirect is not followed'}"
        if request_id := fields.get("RequestId"):
            text += f" [request id {shown(str(request_id))}]"
        may_pass = retryable or response.status in (408, 429) or response.status >= 500
        return CredentialsUnavailable(text) if may_pass else CredentialsError(text)

    def issued(self, what: str, response: ServiceResponse, fields: object) -> TemporaryCredentials:
        """Return what the fields of a response say, as all these services name them.

        :raises CredentialsUnavailable: when one is missing or is not what it should be
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
            raise CredentialsUnavailable(f"{what} at {self.origin}: Expiration {shown(expiration)!r} is no time")
        try:
            credentials = Credentials(key_id, secret, token)
        except CredentialsError as error:
            raise CredentialsUnavailable(f"{what} at {self.origin}: {error}") from None
        # Both by the service's clock, as this worker's may be wrong.
        return TemporaryCredentials(credentials, lifetime=ends - (response.date or time.time()))


def check_origin(argument: str, url: str, *, example: str) -> str:
    """Return the URL without a slash at its end.

    :raises ArgumentError: when it is more or less than http(s)://, a host and perhaps a port
    """
    origin = url.strip().rstrip("/")
    parts = split_url(origin)
    if parts is None or parts[1]:
        value = "…" if "@" in url else url
        raise ArgumentError(argument, value, f"give http:// or https:// and a host, as in {example}")
    return parts[0]


def split_url(url: str) -> tuple[str, str] | None:
    """Return an http(s) URL's origin and the rest of it, which is a path or nothing; None when it cannot be used."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
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
    """Return the text with the secrets taken out of it, in the forms in which they are sent."""
    for secret in secrets:
        if secret:
            for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}:
                text = text.replace(form, "…")
    return text


def _seconds(text: str) -> float | None:
    """Return a time such as ``2026-01-31T08:00:00Z`` as seconds since 1970."""
    try:
        time_ = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return (time_ if time_.tzinfo else time_.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None
