"""Would each sink deliver from here? Each is tried in a process of its own, as it will run in one.

A sink is somebody else's code: what hangs, aborts or prints there costs a line and nothing more.
`python -m minuted.commands.sink_check` is that process: it reads what to try as JSON, and answers so.
"""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from minuted import credentials
from minuted.config import HANDED_DOWN, HIDDEN_NAME, ConfigError, Settings, SinkTable
from minuted.delivery import discovery
from minuted.delivery.reasons import one_line, secrets_of
from minuted.runtime import guard, signals
from minuted.runtime.places import PlaceError
from minuted.sink import Sink

from .finding import Finding
from .machine import is_read_only

TRY_S_MAX: Final = 20.0
"""How long a sink may take to be loaded and to look around."""
UNIT_NAME: Final = "MINUTED_CHECK_UNIT"
"""The environment's name for the service in whose sandbox this is."""
_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
_HOMES: Final = ("/home", "/root", "/run/user")
"""What ProtectHome= hides."""


def findings(settings: Settings, names: list[str]) -> Iterator[Finding]:
    """Try the sinks of these names, all at once, and return what became of each."""
    tried = {name: _begun(settings, name) for name in names if settings.sinks[name].enabled}
    places: dict[str, str] = {}
    for name in names:
        what = f"sink {name}"
        if name not in tried:
            yield Finding(what, ok=True, text="off")
            continue
        answer = _answer(tried[name])
        ok, text = bool(answer.get("ok")), str(answer.get("text"))
        for place in answer.get("places", []) if ok else []:
            if (other := places.setdefault(place, name)) != name:
                ok, text = False, f"{text}: sink {other} writes there too; give each a place of its own"
                break
        yield Finding(what, ok=ok, text=text)


def _begun(settings: Settings, name: str) -> "subprocess.Popen[str]":
    table = settings.sinks[name]
    wanted = {
        "name": name,
        "use": table.use,
        "options": table.options,
        "folder": table.folder and str(table.folder),
        "sink_dirs": [str(folder) for folder in settings.sink_dirs],
        "state_dir": str(settings.state_dir),
        "room": settings.room,
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "minuted.commands.sink_check"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=_without_key(os.environ),
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(wanted, default=str))
    process.stdin = None
    return process


def _without_key(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment as a sink may have it: without the service's key."""
    hidden = (*HANDED_DOWN, *HANDED_DOWN.values())
    ours = {name: value for name, value in environment.items() if name not in hidden}
    if folder := environment.get(_CREDENTIALS):
        ours[HIDDEN_NAME] = folder
    return ours


def _answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    too_late = threading.Event()

    def end() -> None:
        too_late.set()
        process.kill()

    timer = threading.Timer(TRY_S_MAX, end)
    timer.start()
    assert process.stdout is not None
    with process.stdout:
        told = process.stdout.read()
    timer.cancel()
    # Its answer is all that is wanted of it; the status of one that has ended by itself stays.
    process.kill()
    process.wait()
    if too_late.is_set():
        return {"text": f"loading it and looking around took longer than {TRY_S_MAX:.0f} s"}
    try:
        answer = json.loads(told)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        return answer
    return {"text": f"its code ended the process that tried it, with exit status {process.returncode}"}


# In the process that tries one.


def tried(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Load a sink, ask it, and return what to tell of it."""
    name, state_dir = wanted["name"], Path(wanted["state_dir"])
    table = SinkTable(
        use=wanted["use"], options=wanted["options"], folder=wanted["folder"] and Path(wanted["folder"])
    )
    settings = Settings(
        sink_dirs=tuple(map(Path, wanted["sink_dirs"])), sinks={name: table}, state_dir=state_dir
    )
    try:
        file = discovery.find(name, settings)
        sink = discovery.make(name, table, discovery.load(file), file)
    except ConfigError as error:
        return {"text": f"bad config: {error}"}
    except discovery.LoadError as error:
        return {"text": f"failed to load: {error}"}
    sink.room, sink.checkpoint = wanted["room"], {}
    try:
        told = sink.check() if callable(getattr(sink, "check", None)) else ""
        places = places_of(sink)
        if own := next((place for place in places if _is_journal(place, state_dir)), ""):
            raise PlaceError(f"{own} is a file of minuted's own: name another", state_dir)
    except PlaceError as error:
        return {"text": f"{error}{advice(error)}"}
    except (Exception, SystemExit) as error:
        text = one_line(error, file.path, secrets_of(vars(sink)))
        plain = isinstance(error, OSError | ValueError)
        return {"text": text.partition(": ")[2] or text if plain else text}
    return {"ok": True, "text": f"{told or 'loaded'} ({file.path})", "places": places}


def places_of(sink: Sink) -> list[str]:
    """Return what no other sink may write to, each as the one name it has whatever it was called."""
    places = []
    path, directory = getattr(sink, "path", None), getattr(sink, "directory", None)
    if isinstance(path, Path):
        places.append(str(path.resolve()))
        if path.is_file():
            status = path.stat()
            places.append(f"inode {status.st_dev}:{status.st_ino}")
    if isinstance(directory, Path):
        # Two formats in one folder are two files a meeting.
        suffix = getattr(sink, "suffix", "")
        places.append(f"{directory.resolve()}/*{suffix if isinstance(suffix, str) else ''}")
    return places


def _is_journal(place: str, state_dir: Path) -> bool:
    path, folder = Path(place), state_dir.resolve()
    if not path.is_relative_to(folder) or path == folder:
        return False
    first = path.relative_to(folder).parts[0]
    return first.startswith(("turns.db", "audio", "sinks", "keys", "token-clients")) or first in (
        "clock.json",
        "paused.json",
        "minuted.lock",
        "minuted.log",
    )


def advice(error: PlaceError) -> str:
    """Return the lines that let a service write there, where it is its sandbox that does not."""
    unit = os.environ.get(UNIT_NAME, "")
    if not unit:
        return ""
    if str(error.folder) in _HOMES:
        return "; the service sees no home folders (ProtectHome=)"
    if error.errno != errno.EROFS or is_read_only(error.folder):
        return ""
    wanted, user = error.wanted, guard.user(os.geteuid())
    make = "" if wanted.is_dir() else f"install -d -o {user} {wanted}; "
    name = unit.removesuffix(".service")
    return f"; run: {make}systemctl edit {name}, and write: [Service], and below it ReadWritePaths={wanted}"


def main() -> None:
    """Try what standard input asks for; what the sink's code prints goes nowhere."""
    signals.die_with_parent()
    wanted = json.load(sys.stdin)
    answer = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    credentials.close_off()
    os.write(answer, json.dumps(tried(wanted)).encode())
    # Not a moment for threads that the sink has started.
    os._exit(0)


if __name__ == "__main__":
    main()
