"""Reads an Airflow connection: ours (``oss_resume``), or one of the official Alibaba provider (``oss``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.hooks.auth_modes import AuthFields, credentials_of, text_of
from airflow_provider_ossresume.transfer.config import TIMEOUTS, TransferConfig

if TYPE_CHECKING:
    from airflow_provider_ossresume.oss.client import OssClient
    from airflow_provider_ossresume.oss.credentials import CredentialsProvider


@dataclass(frozen=True)
class ConnectionSettings:
    """What a connection says, as it stands; a field that is empty there is None here. Secrets are not shown."""

    conn_id: str
    conn_type: str = "oss_resume"
    access_key_id: str | None = None
    access_key_secret: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    auth_type: str | None = None
    auth: AuthFields = field(default_factory=AuthFields)
    region: str | None = None
    bucket: str | None = None
    endpoint: str | None = None
    endpoint_kind: str | None = None
    addressing: str | None = None
    signature_version: str | None = None
    proxy: str | None = field(default=None, repr=False)  # may hold a password
    ca_bundle: str | None = None
    verify_tls: bool = True
    connect_timeout: str | None = None
    read_timeout: str | None = None
    stall_timeout: str | None = None

    @classmethod
    def of(cls, connection: Any) -> ConnectionSettings:
        """Return the settings of an Airflow ``Connection``.

        :raises ArgumentError: when its extra is no JSON object, or ``verify_tls`` neither true nor false

        The bucket stands in the extra ``bucket`` or in the schema; the Access Key in login and password, or, as the
        official provider has it, in the extras ``access_key_id`` and ``access_key_secret``.
        """
        extra: Mapping[str, Any] = connection.extra_dejson
        if not isinstance(extra, Mapping):
            raise ArgumentError("extra", type(extra).__name__, "the connection's extra is a JSON object; correct it")

        def text(name: str) -> str | None:
            return text_of(extra.get(name))

        return cls(
            conn_id=connection.conn_id or "",
            conn_type=connection.conn_type or "oss_resume",
            access_key_id=text_of(connection.login) or text("access_key_id"),
            access_key_secret=text_of(connection.password) or text("access_key_secret"),
            security_token=text("security_token"),
            auth_type=text("auth_type"),
            auth=AuthFields.of(extra),
            region=text("region"),
            bucket=text("bucket") or text_of(connection.schema),
            endpoint=text("endpoint"),
            endpoint_kind=text("endpoint_kind"),
            addressing=text("addressing"),
            signature_version=text("signature_version"),
            proxy=text("proxy"),
            ca_bundle=text("ca_bundle"),
            verify_tls=_truth("verify_tls", extra.get("verify_tls"), default=True),
            **{name: text(name) for name in TIMEOUTS},
        )

    @property
    def proxies(self) -> dict[str, str] | None:
        """As requests takes them; None leaves them to the environment."""
        return {"http": self.proxy, "https": self.proxy} if self.proxy else None

    @property
    def verify(self) -> bool | str:
        """As requests takes it."""
        return self.ca_bundle or True if self.verify_tls else False

    def credentials(self) -> CredentialsProvider:
        """Return where the Access Key comes from; nothing is asked for yet.

        :raises ArgumentError: for an unknown ``auth_type``, or a field that its mode cannot use
        :raises CredentialsError: when what it needs is missing
        """
        return credentials_of(self)

    def client(self, config: TransferConfig, *, region: str | None = None) -> OssClient:
        """Return a client for the connection.

        :param config: its timeouts take the place of the connection's
        :param region: takes the place of the connection's
        :raises ArgumentError: for an endpoint, region, addressing or timeout that cannot be used; nothing is sent
        """
        from airflow_provider_ossresume.oss.client import OssClient
        from airflow_provider_ossresume.oss.endpoint import check_region, parse_endpoint
        from airflow_provider_ossresume.oss.retry import RetryPolicy

        endpoint = parse_endpoint(
            self._endpoint(region or self.region),
            addressing=self.addressing or "auto",  # type: ignore[arg-type]  # checked there
        )
        return OssClient(
            endpoint,
            self.credentials(),
            region=check_region(region or self.region, endpoint),
            signature_version=(self.signature_version or "v4").lower(),  # type: ignore[arg-type]  # checked there
            retry=RetryPolicy(attempts=config.part_retries + 1, total=config.retry_max_time),
            **self._timeouts(config),
            max_connections=config.most_workers,
            proxies=self.proxies,
            verify_tls=self.verify,
        )

    def _timeouts(self, config: TransferConfig) -> dict[str, Any]:
        said = TransferConfig.of({name: getattr(self, name) for name in TIMEOUTS})
        return {**said.timeouts, **config.timeouts}

    def _endpoint(self, region: str | None) -> str:
        from airflow_provider_ossresume.oss.endpoint import endpoint_for

        if self.endpoint_kind == "custom" and not self.endpoint:
            raise ArgumentError("endpoint", self.endpoint, "endpoint_kind 'custom' needs it; fill it in, with https://")
        if self.endpoint:
            # The official provider's connections hold a bare host.
            return self.endpoint if "://" in self.endpoint or self.conn_type != "oss" else f"https://{self.endpoint}"
        if not region:
            raise ArgumentError(
                "region", region, f"fill in Region or Endpoint in the connection {self.conn_id!r}, or pass region="
            )
        return endpoint_for(region.strip().removeprefix("oss-"), self.endpoint_kind or "public")  # type: ignore[arg-type]  # checked there


def _truth(argument: str, value: object, *, default: bool) -> bool:
    if text_of(value) is None:
        return default
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if (truth := words.get(str(value).strip().lower())) is not None:
        return truth
    raise ArgumentError(argument, value, "give true or false")
