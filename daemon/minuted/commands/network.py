"""The way to the service and the ports that others come to: what of the network can be tried beforehand."""

import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from minuted.addresses import LOOPBACK, shown_url
from minuted.config import ConfigError, Settings

REACH_S_MAX: Final = 3.0
"""How long a proxy may take to let us in."""


def way(settings: Settings, proxies: Mapping[str, str] | None = None) -> str:
    """Look at the way to the service: the sandbox's sockets, the environment's proxy. Raises ConfigError."""
    for family, key in ((socket.AF_INET, "AF_INET"), (socket.AF_INET6, "AF_INET6")):
        try:
            socket.socket(family, socket.SOCK_STREAM).close()
        except OSError as error:
            if family == socket.AF_INET:
                raise ConfigError(
                    f"there are no {key} sockets here ({error.strerror}): give them back with "
                    f"RestrictAddressFamilies={key} AF_INET6 (systemctl edit minuted)"
                ) from None
    url = settings.engine.token_url or settings.service_url
    parts = urlsplit(url)
    if settings.service == "local" or parts.hostname in LOOPBACK:
        return "no proxy on the way to this machine"
    found = getproxies() if proxies is None else proxies
    names = {"ws": ("ws", "socks", "https", "http", "all"), "wss": ("wss", "socks", "https", "all")}
    name = next((each for each in names.get(parts.scheme, (parts.scheme, "all")) if found.get(each)), "")
    if not name or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return f"straight to {shown_url(url)}"
    _reach(name, found[name])
    return f"by the proxy {shown_url(found[name])}, which answers"


def _reach(name: str, proxy: str) -> None:
    """Connect to a proxy and say nothing. Raises ConfigError."""
    parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    try:
        place = (parts.hostname or "", parts.port or {"https": 443, "socks5": 1080}.get(parts.scheme, 80))
        socket.create_connection(place, timeout=REACH_S_MAX).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"the proxy {shown_url(proxy)} cannot be reached ({reason}): set {name.upper()}_PROXY right, or "
            "name the service's host in NO_PROXY"
        ) from None


def bind(host: str, port: int) -> None:
    """Raise ConfigError where a port cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("" if host == "*" else host, port))
            trial.listen()
        except OSError as error:
            raise ConfigError(
                f"port {port} of {host} cannot be used: {error.strerror}; "
                f"who has it: ss -ltnp 'sport = :{port}'"
            ) from None
