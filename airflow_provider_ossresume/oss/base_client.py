"""How any call to OSS is sent: signed, retried, and turned into a value or an error.

Requests never follow redirects, never read ~/.netrc and always have timeouts. Each attempt gets a new signature and
opens its body again.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_ossresume import __version__
from airflow_provider_ossresume.errors import ArgumentError, RequestError, ServiceError
from airflow_provider_ossresume.model.headers import check_given, check_header
from airflow_provider_ossresume.oss import results, service_errors
from airflow_provider_ossresume.oss.body_streams import object_pieces, request_pieces, until_it_breaks
from airflow_provider_ossresume.oss.call import Call
from airflow_provider_ossresume.oss.clock import OssClock
from airflow_provider_ossresume.oss.connection_errors import connection_failed
from airflow_provider_ossresume.oss.connections import Connections, environment_settings
from airflow_provider_ossresume.oss.credentials import Credentials, CredentialsProvider
from airflow_provider_ossresume.oss.deadlines import LONGEST_END, ExchangeFailed, Limit
from airflow_provider_ossresume.oss.endpoint import Endpoint, check_region_name
from airflow_provider_ossresume.oss.header_values import join_until, one_line, read_http_date
from airflow_provider_ossresume.oss.response import Response
from airflow_provider_ossresume.oss.retry import Attempts, RetryPolicy
from airflow_provider_ossresume.oss.signer import SignatureVersion, Signer
from airflow_provider_ossresume.oss.signing import Signable
from airflow_provider_ossresume.oss.stop import NeverStopped, Stop
from airflow_provider_ossresume.oss.xml_responses import BucketInfo, ServiceInfo

if TYPE_CHECKING:
    from typing_extensions import Self

log = logging.getLogger(__name__)

T = TypeVar("T")
Dated = TypeVar("Dated", BucketInfo, ServiceInfo)

USER_AGENT = f"airflow-provider-ossresume/{__version__}"
READ_SIZE = 64 * 1024  # bytes that are read of a body at once; a page of a listing has a few hundred KiB


class BaseClient:
    """Sends calls. :class:`~airflow_provider_ossresume.oss.client.OssClient` explains the parameters."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: CredentialsProvider,
        *,
        region: str | None,
        signature_version: SignatureVersion = "v4",
        retry: RetryPolicy | None = None,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        stall_timeout: float = 60.0,
        max_connections: int = 32,
        proxies: Mapping[str, str] | None = None,
        verify_tls: bool | str = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if signature_version not in ("v4", "v1"):
            raise ArgumentError("signature_version", signature_version, "choose v4 or v1")
        if signature_version == "v4" and not region:
            raise ArgumentError(
                "region", region, f"V4 signatures need it, and {endpoint} does not contain it; set it, such as "
                "cn-hangzhou"
            )  # fmt: skip
        if verify_tls is False:
            log.warning("verify_tls is off: anyone on the network path to %s can read and change the data", endpoint)
        self.endpoint = endpoint
        self.region = check_region_name(region or "")
        self._credentials = credentials
        self._signature_version = signature_version
        self._retry = retry or RetryPolicy()
        self._stop: Stop = NeverStopped()
        self._retrying = self._retry.retrying()
        self._clock = OssClock(clock)
        self._headers: Mapping[str, str] = {}
        self._connections = Connections(
            environment_settings(str(endpoint), proxies=proxies, verify_tls=verify_tls),
            max_connections=max_connections,
            connect_timeout=connect_timeout,
            send_timeout=read_timeout,
            read_timeout=read_timeout,
            stall_timeout=stall_timeout,
        )

    def close(self) -> None:
        """Close idle connections. The client stays usable."""
        self._connections.close()

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """Return a copy of the client that sends these headers with every request, such as ``x-oss-request-payer``.

        :raises ArgumentError: for a header that the client sets itself
        """
        client = copy.copy(self)
        client._headers = {**self._headers, **check_given(headers)}
        return client

    def with_stop(self, stop: Stop) -> Self:
        """Return a copy of the client that obeys a stop: once it is set, no request starts and none continues.

        A call in progress raises the stop's error. So does one that waits for credentials; other copies of this client
        may continue to wait for those. If the stop has a ``slow_down`` method, it is called when OSS is overloaded.
        """
        client = copy.copy(self)
        client._stop = stop
        if bind := getattr(self._credentials, "with_stop", None):
            client._credentials = bind(stop)
        client._retrying = self._retry.retrying(wait=stop.wait, before_wait=client._before_retry)
        return client

    def _before_retry(self, error: BaseException | None) -> None:
        if is_overload(error):
            self._slow_down()

    def _slow_down(self) -> None:
        if slow_down := getattr(self._stop, "slow_down", None):
            slow_down()

    @property
    def clock_offset(self) -> float:
        """By how many seconds OSS's clock is ahead of this machine's; 0 until OSS has refused this machine's time."""
        return self._clock.offset

    def way_to(self, bucket: str | None) -> str:
        """Return the address and the proxy that requests for a bucket use, and the settings that decide it."""
        proxy = self._connections.proxy_to(self.endpoint.origin(bucket))
        return self.endpoint.describe(bucket) + (f", {proxy}" if proxy else "")

    # --- calls, with retries ------------------------------------------------------------------------------------------

    def _execute(self, call: Call, read: Callable[[Response], T]) -> T:
        """Send a call until it succeeds, and return the result of ``read``, which gets the response.

        :raises RequestError: if a retry cannot help, or the retry policy allows no more
        """
        return self._retrying(lambda attempts: self._attempt(call, read, attempts))

    def _execute_xml(self, call: Call, parse: Callable[[bytes], T]) -> T:
        """Send a call whose response is XML, and return the parsed body."""
        return self._execute(call, lambda response: self._read_xml(call, response, parse))

    def _execute_dated(self, call: Call, parse: Callable[[bytes], Dated]) -> Dated:
        """Return the parsed XML with the response's Date in it."""

        def read(response: Response) -> Dated:
            date = read_http_date(response.fields.get("date"))
            return replace(self._read_xml(call, response, parse), answered_at=date)

        return self._execute(call, read)

    # --- one attempt --------------------------------------------------------------------------------------------------

    def _attempt(self, call: Call, read: Callable[[Response], T], attempts: Attempts) -> T:
        self._stop.check()
        try:
            return self._send(call, read, attempts)
        except RequestError as error:
            if not getattr(error, "code", ""):  # OSS may not have responded at all: tell what was contacted
                error.args = (f"{error} [{self.way_to(call.bucket)}]",)
            raise

    def _send(self, call: Call, read: Callable[[Response], T], attempts: Attempts) -> T:
        # First, because nothing may be signed that a URL cannot hold.
        origin, path = self.endpoint.origin(call.bucket), self.endpoint.path(call.bucket, call.key, call.query)
        credentials, clock_offset = self._credentials.get(), self._clock.offset
        headers = self._headers_of(call, credentials)
        body = call.body or b""
        sent = body if isinstance(body, bytes) else partial(request_pieces, body, attempts)
        try:
            with self._connections.exchange(call.method, origin, path, headers, sent, stop=self._stop) as response:
                _log_response(call, response)
                if response.status not in call.success:
                    raise self._error(call, response, credentials, clock_offset)
                return self._read(response, read)
        except ExchangeFailed as error:
            self._stop.check()  # it may be the stop that has ended the exchange
            raise connection_failed(call, error, self.endpoint) from error

    def _headers_of(self, call: Call, credentials: Credentials | None) -> dict[str, str]:
        """Return the request's headers. Names are in lower case, so that none is sent twice."""
        headers = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
        for name, value in (*self._headers.items(), *call.headers.items()):
            check_header(name, value)
            headers[name.lower()] = value
        if isinstance(call.body, bytes):
            headers["content-length"] = str(len(call.body))
        elif call.body is not None:
            headers["content-length"] = str(call.body.size)
            headers.setdefault("content-type", "application/octet-stream")
        elif call.method in ("PUT", "POST"):
            headers["content-length"] = "0"
        if credentials:
            signable = Signable(call.method, call.bucket, call.key, call.query, headers)
            headers.update(self._signer(credentials).headers(signable))
        return headers

    def _signer(self, credentials: Credentials) -> Signer:
        return Signer(credentials, self._signature_version, self.region, self._clock.now())

    def _read(self, response: Response, read: Callable[[Response], T]) -> T:
        result = read(response)
        if service_errors.qos_delay(response.fields) is not None:
            self._slow_down()
        # A connection is used again only if its response was read to the end. The result is complete in any case.
        with suppress(ExchangeFailed):
            rest = response.pieces(READ_SIZE, Limit("the response did not end", total=LONGEST_END))
            join_until(rest, at_least=service_errors.MAX_ERROR_BYTES)
        return result

    def _read_xml(self, call: Call, response: Response, parse: Callable[[bytes], T]) -> T:
        return results.read_xml(call, response, self._pieces(call, response), parse)

    def _pieces(self, call: Call, response: Response) -> Iterator[bytes]:
        """Yield the response's body as it arrives."""
        limit = self._connections.slow_response_limit() if call.takes_long else self._connections.body_limit()
        return response.pieces(READ_SIZE, limit)

    def _object_pieces(self, response: Response, piece_size: int, attempts: Attempts) -> Iterator[memoryview]:
        return object_pieces(response, piece_size, self._connections.body_limit(), attempts)

    # --- errors -------------------------------------------------------------------------------------------------------

    def _error(
        self, call: Call, response: Response, credentials: Credentials | None, clock_offset: float
    ) -> RequestError:
        if response.status < 300:
            return service_errors.unexpected_success(call, response, self._pieces(call, response))
        error = service_errors.read_error(call, response, until_it_breaks(self._pieces(call, response)))
        self._stop.check()  # the stop may have cut the body
        # Another attempt makes sense too if it would be signed in another way.
        error.retryable = (
            error.retryable or self._adopt_time(error, clock_offset) or self._renew_credentials(error, credentials)
        )
        return error

    def _adopt_time(self, error: ServiceError, used_offset: float) -> bool:
        """Sign with OSS's time from now on. Return whether that changes the signature."""
        if error.code != "RequestTimeTooSkewed" or error.server_time is None:
            return False
        return self._clock.adopt(error.server_time, used_offset=used_offset)

    def _renew_credentials(self, error: ServiceError, used: Credentials | None) -> bool:
        """Ask for new credentials if OSS calls these expired or unknown. Return whether there are others."""
        if error.code not in ("SecurityTokenExpired", "InvalidAccessKeyId", "InvalidSecurityToken"):
            return False
        return used is not None and self._credentials.renew(used) != used


def is_overload(error: BaseException | None) -> bool:
    """Return whether fewer requests at once would help: OSS throttles, or did not respond in time."""
    if isinstance(error, ServiceError):
        return error.status in (429, 503) or error.qos_delay is not None
    cause = error.__cause__ if error is not None else None
    return isinstance(cause, ExchangeFailed) and cause.is_timeout


def _log_response(call: Call, response: Response) -> None:
    if log.isEnabledFor(logging.DEBUG):  # making the texts printable takes time
        log.debug(
            "%s: %s %s [request id %s]",
            call,
            response.status,
            one_line(response.reason),
            one_line(response.fields.get("x-oss-request-id", "")),
        )
