"""`minuted reload`: have the running minuted read its configuration again, and say what came of it."""

from collections.abc import Callable
from pathlib import Path

from minuted import status
from minuted.config import ConfigError, Settings
from minuted.control import RefusedError, is_served, status_of
from minuted.runtime import service
from minuted.supervision import reloading

from . import printing, running
from .wishing import NotDoneError


def run(read: Callable[[], Settings], path: Path | None) -> int:
    """Print what came of a reload; 1 where it was refused. Raises NotDoneError, and ConfigError."""
    wrong = ""
    try:
        settings = read()
    except ConfigError as error:
        if (file := running.readable(path)) is None:
            raise
        # The running one is to refuse it as well, and to keep the reason for whoever asks how it is.
        wrong, settings = str(error), running.stand_in(file)
    told = status_of(settings, "supervisor") if is_served(settings.control_endpoint("supervisor")) else None
    if told and told.get("state") == "starting":
        printing.complain(f"minuted is starting ({told.get('summary')}); the reload comes after that")
    try:
        result = reloading.ask_for(settings)
    except TimeoutError:
        if not wrong:
            raise NotDoneError(_absence(settings)) from None
        return _refuse(wrong)
    except RefusedError as error:
        raise NotDoneError(f"not done: {error}") from None
    if result.state == "refused" or not wrong:
        text = result.text if result.state == "done" else f"refused: {result.text}"
        printing.say(text)
        return 0 if result.state == "done" else 1
    return _refuse(f"{wrong}; what runs goes by another file ({result.text})")


def _refuse(reason: str) -> int:
    printing.say(f"refused: {reason}")
    return 1


def _absence(settings: Settings) -> str:
    if status.closed(settings) or not status.collect(settings)["stages"]:
        return status.absence(settings)
    restart = service.command("restart", service.SPLIT)
    return (
        "nothing was reloaded: each stage runs by itself here, and reads the configuration when it starts: "
        f"`{restart}` has all of them do so, `{service.command('restart', 'minuted-sink@NAME')}` one sink"
    )
