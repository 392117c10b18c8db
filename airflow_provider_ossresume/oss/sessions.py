"""The requests session of a client: its connections, their timeouts, proxies and certificates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_ossresume.errors import ArgumentError


def new_session(*, max_connections: int, send_timeout: float) -> requests.Session:
    """Return a session that keeps no cookies and retries nothing by itself.

    :param send_timeout: seconds that sending one piece of a body may take
    """
    session = _Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(send_timeout, max_connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def environment_settings(
    session: requests.Session, url: str, *, proxies: Mapping[str, str] | None, verify_tls: bool | str
) -> dict[str, Any]:
    """Return proxies, verify and cert for every request to the URL; the environment is read once, here.

    From then on the session trusts it no more, so that it never looks into ~/.netrc.

    :raises ArgumentError: when the CA bundle is not there
    """
    settings = session.merge_environment_settings(url, dict(proxies or {}), None, verify_tls, None)
    if isinstance(settings["verify"], str) and not os.path.exists(settings["verify"]):
        raise ArgumentError(
            "ca_bundle",
            settings["verify"],
            "there is no such file on this worker; correct the connection's CA bundle, "
            "or the environment's REQUESTS_CA_BUNDLE",
        )
    session.trust_env = False
    return {name: settings[name] for name in ("proxies", "verify", "cert")}


class _Session(requests.Session):
    """Sees no redirect: requests would build the next request even where it may not follow it."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _Adapter(HTTPAdapter):
    """Makes connections whose sends have a timeout of their own.

    urllib3 sends a request's body under the connect timeout: too short for a slow link that many workers share.
    """

    def __init__(self, send_timeout: float, max_connections: int) -> None:
        self._pool_classes = _pool_classes(send_timeout)
        super().__init__(pool_connections=2, pool_maxsize=max_connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager


def _pool_classes(send_timeout: float) -> dict[str, type[HTTPConnectionPool]]:
    class Connection(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(send_timeout)

    class SecureConnection(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(send_timeout)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}
