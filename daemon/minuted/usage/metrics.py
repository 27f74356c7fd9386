"""Options and help of `minuted metrics`."""

import argparse
import ipaddress
from collections.abc import Callable


def add_metrics(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Describe `minuted metrics`."""
    metrics = add(
        "metrics",
        "show how everything is, for Prometheus",
        "Printed once, or with --listen served as GET /metrics until Ctrl-C or SIGTERM. Where nothing runs "
        "that is told too, minuted_up 0, and the exit status is 0.",
        "minuted metrics",
        "minuted metrics --listen 127.0.0.1:9464",
    )
    metrics.add_argument(
        "--listen",
        metavar="ADDRESS:PORT",
        type=_listen,
        help="serve it over HTTP, without a password; port 0 takes any free one",
    )


def _listen(text: str) -> tuple[str, int]:
    """Read ADDRESS:PORT; an IPv6 address stands in brackets. No names: which address one is may change."""
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host
    is_bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    if not is_port or address is None or (address.version == 6) != is_bracketed:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not ADDRESS:PORT, as in 127.0.0.1:9464, 0.0.0.0:9464 or [::1]:9464"
        )
    return str(address), int(port)
