"""The base of the filesystem: its options, and the client made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsspec.spec import AbstractFileSystem

from airflow_provider_ossresume.filesystem import paths
from airflow_provider_ossresume.filesystem.client_options import SECRET_OPTIONS, make_client, read_options
from airflow_provider_ossresume.filesystem.listings import Listings
from airflow_provider_ossresume.model.arguments import parse_duration, parse_flag, parse_whole_number
from airflow_provider_ossresume.model.lazy_property import lazy_property
from airflow_provider_ossresume.model.parts import MIB, parse_size
from airflow_provider_ossresume.oss.client import OssClient
from airflow_provider_ossresume.transfer.config import TransferConfig

LISTING_SECONDS = 10.0
IGNORED_OPTIONS = ("asynchronous", "loop")  # fsspec's options for asynchronous filesystems


class BaseFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The options and the client of :class:`~airflow_provider_ossresume.filesystem.oss.OSSFileSystem`, where the
    parameters are explained."""

    protocol = paths.PROTOCOL
    root_marker = ""

    def __init__(
        self,
        *,
        oss_conn_id: str | None = None,
        transfer_config: Mapping[str, Any] | None = None,
        checkpoint: Any = None,
        file_memory: int | str = 128 * MIB,
        directory_markers: bool = False,
        use_listings_cache: bool = True,
        listings_expiry_time: float | None = LISTING_SECONDS,
        max_paths: int | None = None,
        **options: Any,
    ) -> None:
        """Check and store the options. Nothing is sent to OSS or Airflow yet."""
        if self._cached:
            return
        super().__init__(
            use_listings_cache=parse_flag("use_listings_cache", use_listings_cache),
            listings_expiry_time=None if listings_expiry_time is None else _seconds(listings_expiry_time),
            max_paths=None
            if max_paths is None
            else parse_whole_number("max_paths", max_paths, least=1, most=1_000_000),
        )
        self._oss_conn_id = oss_conn_id
        self._options = read_options({name: value for name, value in options.items() if name not in IGNORED_OPTIONS})
        self.config = TransferConfig.of(transfer_config)
        self._checkpoint = checkpoint
        self.file_memory = parse_size("file_memory", file_memory)
        self._make_markers = parse_flag("directory_markers", directory_markers)
        self._listings = Listings(lambda: self.client, self.dircache)

    @lazy_property
    def client(self) -> OssClient:
        """The client, which is made at the first call.

        :raises ArgumentError: if the connection, or an option, cannot be used
        :raises CredentialsError: if there are no credentials
        """
        return make_client(self._oss_conn_id, self._options, self.config)

    @property
    def max_workers(self) -> int:
        """The maximum number of requests at once for one call or one file."""
        return self.config.max_workers

    def __repr__(self) -> str:
        place = self._oss_conn_id or self._options.get("endpoint") or self._options.get("region") or "this worker's"
        return f"{type(self).__name__}({place})"

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return the filesystem as values that JSON can hold, without secrets. To rebuild it, pass the secret again."""
        described: dict[str, Any] = super().to_dict(include_password=include_password)
        return {name: value for name, value in described.items() if name not in SECRET_OPTIONS}

    def to_json(self, *, include_password: bool = True) -> str:
        """Return the filesystem as JSON, without secrets; see :meth:`to_dict`."""
        text: str = super().to_json(include_password=include_password)
        return text

    # --- names --------------------------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return [paths.strip(each) for each in path] if isinstance(path, list) else paths.strip(path)

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        conn_id = paths.connection_in_url(path)
        return {"oss_conn_id": conn_id} if conn_id else {}


def _seconds(value: float | str) -> float:
    return parse_duration("listings_expiry_time", value, least=0).total_seconds()
