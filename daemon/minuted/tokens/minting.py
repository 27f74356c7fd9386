"""Where a temporary token comes from: the service itself, a token server, or a program.

What goes wrong is a NoTokenError whose text may be shown: no key, no secret and no token is in it.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Final

from minuted.addresses import shown_url
from minuted.config import KEY_NAME, TOKEN_SECRET_NAME, Settings
from minuted.http_client import ExchangeError, exchange
from minuted.runtime import guard

ANSWER_S_MAX: Final = 10.0
"""For a whole answer; the service was seen to take 0.8 to 1.2 s."""
LOOK_S: Final = 0.02
"""How often it is looked how much a program has printed: it is not to fill the disk."""
CONNECT_S_MAX: Final = 4.0
ANSWER_BYTES_MAX: Final = 1 << 16
TOKEN_BYTES_MAX: Final = 1 << 14
"""Real ones have some 2,500 characters."""
REASON_CHARACTERS_MAX: Final = 200
LASTS_S: Final = 30.0
"""How long a token is taken to be good for where nobody says."""
EXPIRES_S_MAX: Final = 600.0
"""The service makes none that lasts longer."""
RETRY_AFTER_S_MAX: Final = 86_400.0
_TOO_SLOW: Final = "answers with too much, or too slowly"
_FOREIGN: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", KEY_NAME, TOKEN_SECRET_NAME)
"""What the program does not get of our environment, besides all that only our own processes need."""


class NoTokenError(OSError):
    """No token could be had. `status` is the HTTP answer's, `is_away`: nobody answered at all."""

    def __init__(
        self,
        reason: str,
        status: int | None = None,
        *,
        is_away: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"no token: {reason}")
        self.status = status
        self.is_away = is_away
        self.retry_after_s = retry_after_s
        """When to come again, where the answer says so."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token and how long it opens sessions from when it was made."""

    text: str = field(repr=False)
    expires_s: float = LASTS_S


def obtain(settings: Settings, expires_s: int | None = None, session_s: int | None = None) -> Token:
    """Get a token the way the configuration says. Raises NoTokenError, and ConfigError for a bad secret."""
    if settings.engine.token_command:
        return run(settings.engine.token_command)
    if settings.engine.token_url:
        return fetch(settings.engine.token_url, settings.token_secret(), expires_s, session_s)
    return mint(settings.service_url, settings.api_key(), expires_s or 60, session_s)


def mint(service_url: str, key: str, expires_s: int, session_s: int | None = None) -> Token:
    """Have the service at a ws:// or wss:// address make one. Raises NoTokenError."""
    url = "http" + service_url.rstrip("/").removeprefix("ws") + "/v3/token"
    return _ask("GET", url, key, key, _terms(expires_s, session_s))


def fetch(url: str, secret: str, expires_s: int | None = None, session_s: int | None = None) -> Token:
    """Have a token server give one, for no longer than it allows. Raises NoTokenError."""
    return _ask("POST", url, f"Bearer {secret}", secret, _terms(expires_s, session_s))


def run(command: Sequence[str]) -> Token:
    """Have a program print one: the token alone, or as JSON. Raises NoTokenError."""
    name = Path(command[0]).name
    program = Path(shutil.which(command[0]) or command[0])
    if os.geteuid() == 0 and (whose := guard.foreign(program)):
        raise NoTokenError(f"{whose}: root runs no program of another user's as engine.token_command")
    ours = {
        each: value
        for each, value in os.environ.items()
        if each not in _FOREIGN and not each.startswith("MINUTED_")
    }
    # A file, not a pipe: what the program leaves running cannot hold us up by keeping it open.
    with tempfile.TemporaryFile() as printed:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.DEVNULL,
                env=ours,
                start_new_session=True,
            )
        except OSError as error:
            raise NoTokenError(f"{name} cannot be started: {error.strerror}") from None
        try:
            status = _wait(process, printed, name)
        finally:
            _end(process)
        if status:
            raise NoTokenError(f"{name} ended with exit status {status}")
        return _printed(printed, name)


def _wait(process: "subprocess.Popen[bytes]", printed: IO[bytes], name: str) -> int:
    until_s = time.monotonic() + ANSWER_S_MAX
    while (status := process.poll()) is None:
        if os.fstat(printed.fileno()).st_size > ANSWER_BYTES_MAX:
            raise NoTokenError(f"{name} prints too much")
        if time.monotonic() > until_s:
            raise NoTokenError(f"{name} took longer than {ANSWER_S_MAX:.0f} s")
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
    return status


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of the program, with all it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _printed(printed: IO[bytes], name: str) -> Token:
    printed.seek(0)
    text = printed.read(ANSWER_BYTES_MAX + 1).decode(errors="replace").strip()
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = {"token": text}
    return _token(told if isinstance(told, dict) else {"token": text}, name)


def _terms(expires_s: int | None, session_s: int | None) -> dict[str, int]:
    terms = {"expires_in_seconds": expires_s, "max_session_duration_seconds": session_s}
    return {name: value for name, value in terms.items() if value is not None}


def _ask(method: str, url: str, authorization: str, secret: str, terms: Mapping[str, int]) -> Token:
    where = shown_url(url)
    try:
        answer = exchange(
            method,
            url,
            timeout_s=ANSWER_S_MAX,
            connect_s=CONNECT_S_MAX,
            headers={"Authorization": authorization},
            params=terms,
            wants_body=True,
        )
    except ExchangeError as error:
        if error.kind in ("late", "large"):
            raise NoTokenError(f"{where} {_TOO_SLOW}") from None
        # A proxy that refuses is an answer; whoever does not answer is tried again soon.
        raise NoTokenError(f"{where}: {error}", is_away=error.kind == "away") from None
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        told = {}
    told = told if isinstance(told, dict) else {}
    if answer.status != HTTPStatus.OK:
        said = _harmless(str(told.get("error") or ""), secret)
        again_s = answer.retry_after_s
        raise NoTokenError(
            f"{where} answered {answer.status}" + (f" ({said})" if said else ""),
            answer.status,
            retry_after_s=None if again_s is None else min(again_s, RETRY_AFTER_S_MAX),
        )
    return _token(told, where)


def _token(told: Mapping[str, Any], where: str) -> Token:
    text = told.get("token")
    if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable() or " " in text:
        raise NoTokenError(f"{where} gave no token")
    if len(text) > TOKEN_BYTES_MAX:
        raise NoTokenError(f"{where} gave a token of over {TOKEN_BYTES_MAX} characters")
    return Token(text, _lasting_s(told.get("expires_in_seconds")))


def _lasting_s(value: object) -> float:
    """Read for how long a token is said to be good, within bounds; LASTS_S for what is no such time."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return LASTS_S
    return float(min(value, EXPIRES_S_MAX))


def _harmless(text: str, secret: str) -> str:
    text = text.replace(secret, "<secret>") if secret else text
    return "".join(each for each in text if each.isprintable())[:REASON_CHARACTERS_MAX]
