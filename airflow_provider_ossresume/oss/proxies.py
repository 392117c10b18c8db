"""Which proxy a host is reached through: the given one, else that of the environment, as requests reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from requests.utils import select_proxy, should_bypass_proxies
from urllib3.util import Url, parse_url

from airflow_provider_ossresume.errors import ArgumentError

SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")

NO_PROXY: Mapping[str, str] = {"all": ""}  # no proxy, whatever the environment says


@dataclass(frozen=True)
class Proxy:
    """A proxy, and the setting that names it. User name and password are not shown.

    :ivar url: the URL with its scheme
    """

    url: str = field(repr=False)
    set_by: str

    def __str__(self) -> str:
        return f"proxy {_without_password(self.url)} set by {self.set_by}"


class Proxies:
    """The proxies of one client. The proxy is chosen for each host, NO_PROXY included.

    :param given: as in requests: a URL by scheme, or by scheme and host; an empty URL means no proxy. NO_PROXY does not
        apply to these.
    :raises ArgumentError: for a proxy that cannot be used
    """

    def __init__(self, given: Mapping[str, str] | None) -> None:
        said = dict(given or {})
        self._no_proxy = said.pop("no_proxy", None)
        self._given = {name: url and parse_proxy("proxy", url) for name, url in said.items()}
        self._environment = getproxies()

    def to(self, url: str) -> Proxy | None:
        """Return the proxy for a URL; None if there is none.

        :raises ArgumentError: if the environment's proxy cannot be used
        """
        if (given := select_proxy(url, self._given)) is not None:
            return Proxy(given, "proxy") if given else None
        found = select_proxy(url, self._environment)
        if not found or should_bypass_proxies(url, no_proxy=self._no_proxy):
            return None
        variable = _variable(urlsplit(url).scheme, found)
        return Proxy(parse_proxy(variable, found), f"{variable} in the environment")


def parse_proxy(argument: str, url: str) -> str:
    """Return a proxy's URL with its scheme: ``host:3128`` stands for ``http://host:3128``.

    :param argument: the field, or the environment variable
    :raises ArgumentError: if it is not a proxy; the value is not shown, because it may contain the password
    """
    text = url.strip()
    text = text if "://" in text else f"http://{text.removeprefix('//')}"
    # Parsed as in requests: a "/" or "#" in a password ends the host, and errors of requests would show the password.
    try:
        parts = parse_url(text)
    except ValueError:
        parts = Url()
    # "none" and "direct" are not hosts; a name of one label needs a scheme or a port.
    is_word = "://" not in url and not parts.port and not re.search("[.:]", parts.host or "")
    whose = "" if argument == "proxy" else "it is set in the environment of this worker; "
    if not parts.host or is_word or parts.scheme not in SCHEMES or parts.path not in (None, "", "/") or parts.query:
        raise ArgumentError(
            argument, "…", f"{whose}write it as http://host:3128 or http://user:password@host:3128; percent-encode "
            "special characters, such as %2F for /"
        )  # fmt: skip
    if not _is_latin(unquote(parts.auth or "")):
        raise ArgumentError(
            argument, _without_password(text), f"{whose}its user name or password has characters that a proxy cannot "
            "receive; choose others"
        )  # fmt: skip
    if parts.scheme.startswith("socks") and not _has_socks():
        raise ArgumentError(
            argument, _without_password(text), f"{whose}a SOCKS proxy needs the package PySocks; install it on this "
            "worker, or use an http:// proxy"
        )  # fmt: skip
    return text


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _has_socks() -> bool:
    try:
        import_module("socks")
    except ImportError:
        return False
    return True


def _variable(scheme: str, proxy: str) -> str:
    """Return the environment variable that contains a proxy. Lower case takes precedence."""
    wanted = (f"{scheme}_proxy", "all_proxy")
    names = [name for name, value in os.environ.items() if name.lower() in wanted and value == proxy]
    # On macOS and Windows it may come from the system's settings.
    return min(names, key=lambda name: (wanted.index(name.lower()), name.isupper()), default=wanted[0])


def _without_password(url: str) -> str:
    parts = parse_url(url)
    return str(parts._replace(auth=None, path=None, query=None, fragment=None))
