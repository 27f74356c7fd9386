"""Where the running minuted is to be found, also while the configuration's file has a mistake.

Who corrects a file must still be able to pause the room: what runs goes by the configuration it has accepted.
"""

import os
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from minuted.config import PLACES, ConfigError, Settings, parse
from minuted.control import is_served

from . import printing

ACCEPTED: Final = "minuted.accepted.toml"
"""The copy that a run goes by, in its runtime_dir; readable for root and its own user."""


def found(read: Callable[[], Settings], path: Path | None) -> Settings:
    """Return the settings of the running minuted. Raises ConfigError for a mistake where none runs."""
    try:
        return read()
    except ConfigError as error:
        if (file := readable(path)) is None:
            raise
        settings = stand_in(file)
        if not is_served(settings.control_endpoint("supervisor")):
            raise
        printing.complain(f"minuted: {error}; what runs goes by the configuration before that")
        return settings


def readable(path: Path | None) -> Path | None:
    """Return the configuration that would be read, where this user may."""
    return next((place for place in ([path] if path else PLACES) if os.access(place, os.R_OK)), None)


def stand_in(path: Path) -> Settings:
    """Return what is known without the file: the accepted settings, else at least where the sockets are."""
    settings = Settings(path=path)
    with suppress(OSError, ValueError, RecursionError):
        if folder := tomllib.loads(path.read_text(encoding="utf-8")).get("runtime_dir"):
            settings = replace(settings, runtime_dir=Path(folder).expanduser())
    with suppress(OSError, ValueError):
        return parse((settings.runtime_dir / ACCEPTED).read_text(encoding="utf-8"), path)
    return settings
