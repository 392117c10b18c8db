"""Stand-ins on loopback for the services that issue credentials: STS, the ECS metadata service, a credentials URI."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from typing_extensions import Self

from airflow_provider_ossresume.local_oss import LocalOSS

ROLE = "acs:ram::1234567890123456:role/transfers"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack-rrsa-c1"
KEY_ID, KEY_SECRET = "LTAI-of-the-user", "the-Secret-of-the-user/5f1e"


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    raw_query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Told:
    """An answer."""

    status: int = 200
    body: object = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Service:
    """A service on loopback that issues credentials, one set after the other: STS.1, STS.2, …

    ``instead`` holds answers that take the place of the next ones; ``on_ask`` is called with each request, in the
    thread that serves it; ``clock_offset`` is by how many seconds the service's clock is ahead. Each set that is issued
    becomes the one that ``oss`` knows, where there is one; ``gives`` is a set that is issued instead, again and again.
    """

    def __init__(
        self, oss: LocalOSS | None = None, *, lifetime: float = 3600.0, certificate: Path | None = None
    ) -> None:
        self.asked: list[Asked] = []
        self.instead: list[Told] = []
        self.on_ask: Callable[[Asked], None] = lambda _: None
        self.clock_offset = 0.0
        self.lifetime = lifetime
        self.issued = 0
        self.gives: tuple[str, str, str] | None = None
        self._oss = oss
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def serve(self) -> None:
                parts = urlsplit(self.path)
                if len(self.headers.get_all("Host", [])) != 1:
                    self.send_error(400, "one Host header, as HTTP wants it")
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                told = service._tell(Asked(self.command, parts.path, query, parts.query, headers, body))
                data = told.body if isinstance(told.body, str) else json.dumps(told.body)
                self.send_response(told.status)
                for name, value in {"Content-Length": str(len(data)), **told.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data.encode())

            do_GET = do_PUT = do_POST = serve

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(service.now, usegmt=True)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # Each connection shakes hands in its own thread; one that fails says so to nobody.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def now(self) -> float:
        return time.time() + self.clock_offset

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def issue(self) -> dict[str, str]:
        """Return new credentials, as all these services tell them."""
        with self._lock:
            self.issued += 1
            given = self.gives or (f"STS.{self.issued}", secret_of(self.issued), token_of(self.issued))
            key_id, secret, token = given
            if self._oss:
                self._oss.set_credentials(access_key_id=key_id, access_key_secret=secret, security_token=token)
        expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now + self.lifetime))
        return {
            "AccessKeyId": key_id, "AccessKeySecret": secret, "SecurityToken": token, "Expiration": expiration,
        }  # fmt: skip

    def answer(self, asked: Asked) -> Told:
        raise NotImplementedError

    def _tell(self, asked: Asked) -> Told:
        with self._lock:
            self.asked.append(asked)
            instead = self.instead.pop(0) if self.instead else None
        self.on_ask(asked)
        return instead or self.answer(asked)


def secret_of(number: int) -> str:
    return f"the-Secret-of-set-{number}/7ab3"


def token_of(number: int) -> str:
    return f"the-Token-of-set-{number}/8bc4+x=="


# --- STS --------------------------------------------------------------------------------------------------------------


class Sts(Service):
    """STS with one RAM user, one role, and one OIDC provider that vouches for the ``oidc_tokens``.

    What is signed is verified as Alibaba documents "Signature V3"; the timestamp may be 15 minutes off.
    """

    def __init__(self, oss: LocalOSS | None = None, **options: Any) -> None:
        super().__init__(oss, **options)
        self.secrets = {KEY_ID: KEY_SECRET}
        self.security_token: str | None = None
        self.external_id: str | None = None
        self.oidc_tokens: set[str] = set()

    def answer(self, asked: Asked) -> Told:
        action = asked.headers.get("x-acs-action") or asked.query.get("Action")
        if action == "AssumeRole":
            return self._assume_role(asked)
        if action == "AssumeRoleWithOIDC":
            return self._assume_role_with_oidc(asked)
        return refusal(404, "InvalidAction.NotFound", "Specified api is not found.")

    def _assume_role(self, asked: Asked) -> Told:
        authorization = dict(part.split("=", 1) for part in asked.headers["authorization"].split(" ", 1)[1].split(","))
        key_id = authorization["Credential"]
        if key_id not in self.secrets:
            return refusal(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        canonical = canonical_request(asked, authorization["SignedHeaders"])
        if not hmac.compare_digest(signature(self.secrets[key_id], canonical), authorization["Signature"]):
            said = f"Specified signature is not matched with our calculation. server canonicalRequest is: {canonical}"
            return refusal(400, "SignatureDoesNotMatch", said)
        if self._is_late(asked.headers["x-acs-date"]):
            return refusal(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        if asked.headers.get("x-acs-security-token") != self.security_token:
            return refusal(400, "InvalidSecurityToken.Malformed", "The specified SecurityToken is malformed.")
        if asked.query.get("ExternalId") != self.external_id:
            return refusal(403, "NoPermission", "You are not authorized to do this action.")
        return self._issued_for(asked.query)

    def _assume_role_with_oidc(self, asked: Asked) -> Told:
        if self._is_late(asked.query["Timestamp"]):
            return refusal(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        if asked.form["OIDCProviderArn"] != PROVIDER:
            return refusal(400, "AuthenticationFail.NoPermission", "No such OIDC Provider registered.")
        if asked.form["OIDCToken"] not in self.oidc_tokens:
            return refusal(400, "AuthenticationFail.OIDCToken.Expired", "This JsonWebToken is expired.")
        return self._issued_for(asked.form)

    def _issued_for(self, parameters: Mapping[str, str]) -> Told:
        if parameters["RoleArn"] != ROLE:
            return refusal(404, "EntityNotExist.Role", f"The role not exists: {parameters['RoleArn']}.")
        if int(parameters["DurationSeconds"]) > 3600:
            said = "The Min/Max value of DurationSeconds is 15min/1hr."
            return refusal(400, "InvalidParameter.DurationSeconds", said)
        return Told(body={"RequestId": "R-1", "Credentials": self.issue()})

    def _is_late(self, timestamp: str) -> bool:
        then = time.mktime(time.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        return abs(then - self.now) > 15 * 60


def canonical_request(asked: Asked, signed_headers: str) -> str:
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in asked.query.items())
    return "\n".join(
        (
            asked.method,
            asked.path,
            "&".join(f"{name}={value}" for name, value in pairs),
            "".join(f"{name}:{asked.headers[name].strip()}\n" for name in signed_headers.split(";")),
            signed_headers,
            hashlib.sha256(asked.body).hexdigest(),
        )
    )


def signature(secret: str, canonical: str) -> str:
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def refusal(status: int, code: str, message: str) -> Told:
    return Told(status, {"RequestId": "R-1", "HostId": "sts.aliyuncs.com", "Code": code, "Message": message})


# --- the ECS metadata service, and a credentials URI ------------------------------------------------------------------


class Metadata(Service):
    """An ECS instance's metadata service in security hardening mode: nothing without a token."""

    ROLES = "/latest/meta-data/ram/security-credentials/"

    def __init__(self, oss: LocalOSS | None = None, *, role: str | None = "worker-role", **options: Any) -> None:
        super().__init__(oss, **options)
        self.role = role
        self._tokens = 0

    def answer(self, asked: Asked) -> Told:
        if asked.path == "/latest/api/token":
            seconds = asked.headers.get("x-aliyun-ecs-metadata-token-ttl-seconds", "")
            if asked.method != "PUT" or not seconds.isdigit() or not 1 <= int(seconds) <= 21_600:
                return Told(400, "<html>Bad Request</html>")
            self._tokens += 1
            return Told(body=f"the-token-of-the-metadata-service-{self._tokens}")
        if asked.headers.get("x-aliyun-ecs-metadata-token") != f"the-token-of-the-metadata-service-{self._tokens}":
            return Told(403, "<html>Forbidden</html>")
        if self.role and asked.path == self.ROLES:
            return Told(body=f"{self.role}\n")
        if self.role and asked.path == self.ROLES + self.role:
            return Told(body={"Code": "Success", "LastUpdated": "2026-01-01T00:00:00Z", **self.issue()})
        return Told(404, "<html>Not Found</html>")


class Uri(Service):
    """Answers at one path, which is a secret of its own."""

    PATH = "/the-Secret-path-9cd5?scope=oss"

    def answer(self, asked: Asked) -> Told:
        if f"{asked.path}?{asked.raw_query}" != self.PATH:
            return Told(404, "not found")
        return Told(body={"Code": "Success", **self.issue()})
