"""Why nothing comes from an address, as far as a connection of its own can tell."""

import os
import socket
from pathlib import Path
from typing import Final

from minuted.runtime import guard

CONNECT_S_MAX: Final = 2.0


def reason(endpoint: str, key_file: Path | str | None = None) -> str:
    """Return in a sentence why a subscriber hears nothing, and what to do; `key_file` is the key it shows."""
    if endpoint.startswith("ipc://"):
        return _of_path(endpoint.removeprefix("ipc://"))
    return _of_host(endpoint.removeprefix("tcp://"), key_file)


def _of_path(path: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX) as trial:
            trial.settimeout(CONNECT_S_MAX)
            trial.connect(f"\0{path[1:]}" if path.startswith("@") else path)
    except FileNotFoundError:
        return f"there is no socket {path}: start minuted, or name the one in its runtime_dir"
    except PermissionError:
        return f"{path} is closed to this user; run: usermod -aG {_group(path)} {guard.user(os.geteuid())}"
    except ConnectionRefusedError:
        return f"nobody listens at {path}: minuted does not run"
    except OSError as error:
        return f"{path} cannot be connected to: {error.strerror or error}"
    return f"nothing comes from {path}: ask minuted status"


def _group(path: str) -> str:
    try:
        return Path(path).parent.group()
    except (OSError, KeyError):
        return "minuted"


def _of_host(address: str, key_file: Path | str | None) -> str:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_S_MAX):
            pass
    except socket.gaierror:
        return f"nobody knows the name {host}: name a machine that runs minuted"
    except ConnectionRefusedError:
        return f"nobody listens at {address}: minuted does not run there, or publish.turns is another address"
    except (OSError, ValueError) as error:
        told = "no answer" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or error
        return f"{address} cannot be reached: {told}"
    if key_file is None:
        return f"{address} answers, and tells nothing without a key: make one there by minuted keys new"
    return (
        f"{address} answers, and does not take the key in {key_file}: it was revoked there, or made by "
        "another machine; make one by minuted keys new"
    )
