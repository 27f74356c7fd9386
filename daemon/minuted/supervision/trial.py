"""A new configuration, tried before it is accepted, and kept for the processes that are to read it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from minuted.config import (
    ACCEPTED_NAME,
    HANDED_DOWN,
    ConfigError,
    Settings,
    require_credentials,
    require_keyterms,
)
from minuted.delivery.discovery import LOAD_S_MAX
from minuted.delivery.fingerprints import fingerprints

from .orphans import waited_for
from .plans import Plan, names, plan
from .roster import Stages
from .sink_credentials import SinkCredentials, without_ours

TRIAL_S_MAX: Final = LOAD_S_MAX + 10.0
"""How long loading the sinks for a trial may take; longer, and the new configuration is refused."""
REASON_CHARACTERS_MAX: Final = 500

Source = Callable[[], tuple[Settings, str]]
"""Reads the configuration anew: the settings, and the text they were made of. Raises ConfigError."""

log = structlog.get_logger(__name__)


class Accepted:
    """The configuration that the processes of a run read, and the credentials that sinks may have.

    They stay as they are whatever becomes of the file meanwhile. Readable by this user alone: there are
    sinks' secrets in them.
    """

    def __init__(self, runtime_dir: Path) -> None:
        self.path = runtime_dir / "minuted.accepted.toml"
        self.offered = runtime_dir / "minuted.offered.toml"
        self.credentials = SinkCredentials(runtime_dir)

    def offer(self, text: str) -> None:
        """Write it beside the accepted one. Raises OSError."""
        self.offered.unlink(missing_ok=True)
        with open(  # noqa: PTH123  # a descriptor
            os.open(self.offered, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)

    def accept(self) -> None:
        """Have what was offered read from now on."""
        self.offered.replace(self.path)

    def discard(self) -> None:
        self.offered.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self.credentials.discard()


class Trial:
    """One look at a new configuration, on a thread of its own: the sinks it names are loaded for it."""

    def __init__(
        self,
        source: Source,
        accepted: Accepted,
        old: Settings,
        stages: Callable[[Settings], Stages],
        again: Collection[str],
        *,
        key: str,
        code: Mapping[str, str],
        wake: Callable[[], None],
    ) -> None:
        self.refusal = ""
        self.settings = old
        self.stages: Stages = {}
        self.plan = Plan()
        self.key = key
        """The service key's mark, to see whether it changes."""
        self.code = code
        """The marks of the sinks' code, by their names; another one is another sink."""
        self._done = threading.Event()
        arguments = (source, accepted, old, stages, again, wake)
        threading.Thread(target=self._run, args=arguments, name="trial", daemon=True).start()

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def _run(
        self,
        source: Source,
        accepted: Accepted,
        old: Settings,
        stages: Callable[[Settings], Stages],
        again: Collection[str],
        wake: Callable[[], None],
    ) -> None:
        try:
            self.settings, text = source()
            require_credentials(self.settings)
            require_keyterms(self.settings)
            key = mark_of_key(self.settings)
            again = {*again, "transcription"} if key != self.key else again
            code = fingerprints(self.settings)
            again = {*again, *(f"delivery/{name}" for name in code if code[name] != self.code.get(name))}
            self.key, self.code, self.stages = key, code, stages(self.settings)
            self.plan = plan(old, self.settings, stages(old), self.stages, again)
            accepted.offer(text)
            concerned = (*self.plan.added, *self.plan.restarted)
            try_sinks(self.settings, accepted.offered, concerned, accepted.credentials.path)
        except (ConfigError, OSError) as error:
            self.refusal = " ".join(str(error).split())[:REASON_CHARACTERS_MAX]
        except Exception as error:  # whoever waits for it must hear something
            log.exception("reload_failed")
            self.refusal = f"failed with {type(error).__name__}"
        self._done.set()
        wake()


def try_sinks(settings: Settings, offered: Path, stages: Collection[str], credentials: str = "") -> None:
    """Load the sinks in a process of its own. Raises ConfigError for one that would not work.

    `credentials` is the folder with those that a sink may have.
    """
    sinks = [stage.removeprefix("delivery/") for stage in stages if stage.startswith("delivery/")]
    if not sinks:
        return
    path = ["--config", str(settings.path.absolute())] if settings.path else []
    ours = {name: value for name, value in os.environ.items() if name not in (*HANDED_DOWN, "NOTIFY_SOCKET")}
    try:
        with waited_for(
            lambda: subprocess.Popen(
                [sys.executable, "-P", "-m", "minuted", *path, "sinks", *sinks],
                env={**without_ours(ours, credentials), ACCEPTED_NAME: str(offered)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        ) as process:
            _, errors = process.communicate(timeout=TRIAL_S_MAX)
    except subprocess.TimeoutExpired:
        raise ConfigError(f"loading {names(sinks)} took longer than {TRIAL_S_MAX:.0f} s") from None
    if process.returncode:
        said = [line for line in errors.decode(errors="replace").splitlines() if line.startswith("minuted: ")]
        raise ConfigError(
            "; ".join(line.removeprefix("minuted: ") for line in said) or "the sinks do not load"
        )


def mark_of_key(settings: Settings) -> str:
    """Give what tells one service key, or secret, from another without being one. Raises ConfigError."""
    if settings.service != "assemblyai":
        return ""
    secret = settings.token_secret() if settings.takes_tokens else settings.api_key()
    return sha256(secret.encode()).hexdigest()
