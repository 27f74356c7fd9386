"""Addresses in the configuration: sockets of this machine, ports on the network, services. Pure."""

import os
from typing import Final
from urllib.parse import urlsplit

from .options import ConfigError

SOCKET_PATH_BYTES_MAX: Final = 107
"""What the kernel's sockaddr_un holds beside its closing zero."""
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
"""This very machine, by its names."""


def check_socket(key: str, endpoint: str) -> None:
    """Raise ConfigError for what is no ipc:// address that can be bound."""
    scheme, _, address = endpoint.partition("://")
    if scheme != "ipc":
        raise ConfigError(f"{key}: {endpoint!r} is not an ipc:// address")
    if len(os.fsencode(address)) > SOCKET_PATH_BYTES_MAX:
        raise ConfigError(f"{key}: the socket path {address} is over {SOCKET_PATH_BYTES_MAX} bytes")
    if not address.startswith("/"):
        raise ConfigError(f"{key}: the socket path {address!r} must be absolute")


def check_tcp(key: str, endpoint: str) -> None:
    """Raise ConfigError for what is no tcp:// address with a port, and a port after it."""
    host, colon, port = endpoint.removeprefix("tcp://").rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 1 <= int(port) <= 65534):
        raise ConfigError(
            f"{key}: {endpoint!r} is not tcp://ADDRESS:PORT with a port from 1 to 65534 "
            "(the replay socket takes the next one)"
        )


def after(endpoint: str) -> str:
    """Give the same tcp:// address with the next port."""
    host, _, port = endpoint.rpartition(":")
    return f"{host}:{int(port) + 1}"


def check_url(url: str, *, local: bool) -> None:
    """Raise ConfigError for what is no service's address, not showing what may be a secret in it."""
    shown = shown_url(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        # Where it quotes something, that may be a password.
        reason = "its port is no number" if "'" in str(error) else error
        raise ConfigError(f"engine.url: {shown!r} is no address: {reason}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigError(f"engine.url: {shown!r} is not a ws:// or wss:// address")
    loopback = parts.hostname in LOOPBACK
    if local and (parts.scheme != "ws" or port is None or not loopback):
        raise ConfigError(f'engine.url: the local engine listens on "ws://127.0.0.1:PORT", not {shown!r}')


def check_secret_url(key: str, url: str) -> None:
    """Raise ConfigError for what is no address to send a secret to, not showing what may be one in it."""
    shown = shown_url(url)
    try:
        parts = urlsplit(url)
        is_address = parts.port != 0 and bool(parts.hostname)
    except ValueError:
        raise ConfigError(f"{key}: {shown!r} is no address") from None
    if parts.scheme not in ("http", "https") or not is_address:
        raise ConfigError(f"{key}: {shown!r} is not an https:// address")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{key}: {shown!r} has a name or password in it; the secret goes elsewhere")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ConfigError(f"{key}: http:// would show the secret to the network; use https://")


def check_listen(key: str, address: str, *, has_tls: bool) -> None:
    """Raise ConfigError for what is no ADDRESS:PORT to listen on, or one that would show secrets."""
    host, port = host_and_port(address)
    if not (host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ConfigError(f"{key}: {address!r} is not ADDRESS:PORT")
    if host not in LOOPBACK and not has_tls:
        raise ConfigError(
            f"{key}: {address} is open to the network, where secrets would be read: name a certificate and "
            "private_key, or listen on 127.0.0.1 behind a web server that has them"
        )


def host_and_port(address: str) -> tuple[str, str]:
    """Split ADDRESS:PORT; an IPv6 address stands in brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), port


def shown_url(url: str) -> str:
    """Give what of an address may be shown: no name, no password, no query."""
    scheme, slashes, rest = url.partition("//")
    place = rest.partition("?")[0].partition("#")[0].rpartition("@")[2]
    return f"{scheme}{slashes}{place}" if slashes else url.partition("?")[0]
