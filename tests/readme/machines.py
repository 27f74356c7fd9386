"""Where README's lines are run as its reader would: here in a new folder, or on a fresh machine."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from systemd.box import Box
from waiting import until

LINE_S_MAX: Final = 120.0
KEY: Final = "a-key-that-nobody-else-may-see"
PORT: Final = 9310
TESTS: Final = Path(__file__).parents[1]


class Running:
    """A line that goes on until it is interrupted, as by Ctrl-C; `output` is what it has written so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, pids: Path, machine: "Machine") -> None:
        self._process = process
        self._log = log
        self._pids = pids
        self._machine = machine

    @property
    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def shows(self, pattern: str) -> str:
        """Wait until a pattern stands in the output, which is returned."""

        def look() -> bool:
            found = re.search(pattern, self.output)
            assert found or self._process.poll() is None, (
                f"ended with {self._process.returncode}:\n{self.output}"
            )
            return bool(found)

        until(look, f"{pattern!r} in the output")
        return self.output

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit status."""
        self._machine.signal_group(int(self._pids.read_text()), "INT")
        return self._process.wait(LINE_S_MAX)

    def close(self) -> None:
        if self._process.poll() is None:
            with suppress(OSError, ValueError, AssertionError):
                self._machine.signal_group(int(self._pids.read_text()), "KILL")
            self._process.kill()
        self._process.wait()


class Machine:
    """What the two have in common: a configuration that README's blocks are put into, and a shell."""

    is_fresh = False
    config_file: str
    """The configuration in force."""

    def __init__(self, folder: Path) -> None:
        self.scratch = folder
        """For what the test itself keeps."""
        self.settings: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}
        """What an earlier line has left for a later one."""
        self._started: list[Running] = []

    def configure(self, text: str, *, without: str = "") -> None:
        """Put a block into the configuration; `without` takes a key away, as "capture.device"."""
        if without:
            *tables, key = without.split(".")
            place = self.settings
            for table in tables:
                place = place.get(table, {})
            place.pop(key, None)
        _merge(self.settings, tomllib.loads(text))
        self.write(self.config_file, written(self.settings))

    def run(self, line: str, user: str = "", status: int | None = 0, timeout_s: float = LINE_S_MAX) -> str:
        """Run a line to its end; return what it wrote. Raise AssertionError for another status."""
        command, options = self.command(line, user)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            **options,
        )
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        assert status is None or process.returncode == status, f"{line}: {process.returncode}\n{output}"
        return output

    @contextmanager
    def running(self, line: str, user: str = "", **environment: str) -> Iterator[Running]:
        """Start a line that does not end by itself; what is left of it is killed."""
        number = len(self._started)
        pids, log = self.place(f"/tmp/readme-{number}"), self.scratch / f"running-{number}.log"
        exports = "".join(f"export {name}={value}; " for name, value in environment.items())
        command, options = self.command(
            f"{exports}echo $$ >{self.inside(pids)}; {line}", user, own_group=True
        )
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)
        started = Running(process, log, pids, self)
        self._started.append(started)
        try:
            yield started
        finally:
            started.close()

    # What differs.

    def command(self, line: str, user: str, *, own_group: bool = False) -> tuple[list[str], dict[str, Any]]:
        raise NotImplementedError

    def place(self, path: str) -> Path:
        """Return where this process finds one of the machine's files."""
        raise NotImplementedError

    def inside(self, path: Path) -> str:
        """Return what the machine calls a place of this process's."""
        raise NotImplementedError

    def signal_group(self, pid: int, name: str) -> None:
        raise NotImplementedError

    def say(self) -> None:
        """Speak into the microphone."""
        raise NotImplementedError

    # The files.

    def write(self, path: str, text: str) -> None:
        place = self.place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def read(self, path: str) -> str:
        place = self.place(path)
        return place.read_text(encoding="utf-8") if place.is_file() else ""


class Here(Machine):
    """This machine and a new folder: without a microphone, systemd or other users."""

    def __init__(self, folder: Path, runtime_dir: Path, addresses: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._runtime_dir = runtime_dir
        self._addresses = addresses
        self._bin = folder / "bin"
        self._bin.mkdir()
        launcher = self._bin / "minuted"
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m minuted "$@"\n')
        launcher.chmod(0o755)
        (folder / "home").mkdir()
        (folder / "tmp").mkdir()
        self.config_file = "/home/me/minuted.toml"

    def command(self, line: str, user: str, *, own_group: bool = False) -> tuple[list[str], dict[str, Any]]:
        words = ["setsid", "--wait", "bash", "-c", self.moved(line)]
        kept = {name: value for name, value in os.environ.items() if name != "ASSEMBLYAI_API_KEY"}
        own = {"PATH": f"{self._bin}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
        own |= {"HOME": str(self.place("/home/me"))}
        return words, {"cwd": self.place("/home/me"), "env": {**kept, **own}}

    def moved(self, text: str) -> str:
        """Return a text with the reader's places below the new folder."""
        text = text.replace("/run/user/1000/minuted", str(self._runtime_dir))
        for address, ours in self._addresses.items():
            text = text.replace(address, ours)
        return re.sub(r"(?<![\w./-])/(home/me|etc/minuted|var/lib/minuted)", rf"{self.scratch}/\1", text)

    def place(self, path: str) -> Path:
        return self.scratch / path.lstrip("/")

    def inside(self, path: Path) -> str:
        return str(path)

    def signal_group(self, pid: int, name: str) -> None:
        os.killpg(pid, getattr(signal, f"SIG{name}"))

    def write(self, path: str, text: str) -> None:
        super().write(path, self.moved(text))


class Fresh(Machine):
    """A booted machine on which nothing of minuted ever was; `me` is its user, and root is asked for."""

    is_fresh = True

    def __init__(self, folder: Path, box: Box) -> None:
        super().__init__(folder)
        self.box = box
        self.path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.config_file = "/home/me/minuted.toml"
        self.folders = {"me": "/home/me", "root": "/root"}
        self.environment: dict[str, str] = {}

    def command(self, line: str, user: str, *, own_group: bool = False) -> tuple[list[str], dict[str, Any]]:
        user = user or "me"
        own = self.environment if user == "me" else {}
        words = ["setsid", "--wait"] if own_group else []
        # setpriv, for it is the shell itself then that the signal reaches.
        words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        home = {"HOME": "/root" if user == "root" else "/home/me", "USER": user}
        given = {"PATH": self.path if user == "me" else _plain(self.path), **home, **own}
        words += ["env", *(f"{name}={value}" for name, value in given.items())]
        words += ["bash", "-c", f"cd {self.folders[user]}; {line}"]
        return self.box.entering(*words), {}

    def place(self, path: str) -> Path:
        if not path.startswith("/"):
            path = f"{self.folders['me']}/{path}"
        return self.box.root / path.lstrip("/")

    def inside(self, path: Path) -> str:
        return "/" + str(path.relative_to(self.box.root))

    def signal_group(self, pid: int, name: str) -> None:
        self.box.run("kill", f"-{name}", "--", f"-{pid}", check=False)

    def write(self, path: str, text: str) -> None:
        super().write(path, text)
        if path.startswith("/home/me"):
            self.box.run("chown", "--recursive", "me:", "/home/me")


def _plain(path: str) -> str:
    return ":".join(part for part in path.split(":") if "/home/" not in part)


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _merge(into.setdefault(name, {}), value)
        else:
            into[name] = value


def written(settings: Mapping[str, Any], table: str = "") -> str:
    """Return a configuration as TOML."""
    lines = [f"{name} = {_value(value)}" for name, value in settings.items() if not _is_table(value)]
    text = "\n".join(lines) + "\n"
    for name, value in settings.items():
        path = f"{table}.{name}" if table else name
        if isinstance(value, dict):
            text += f"\n[{path}]\n{written(value, path)}"
        elif _is_table(value):
            text += "".join(f"\n[[{path}]]\n{written(each, path)}" for each in value)
    return text


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def speech(folder: Path, name: str, seconds: float = 8.0) -> Path:
    """Write the first seconds of a recorded voice into a file, of the kind that its name says."""
    import soundfile
    from moonshine_voice.utils import get_assets_path

    samples, rate = soundfile.read(get_assets_path() / "two_cities.wav", stop=int(48_000 * seconds))
    if not folder.is_dir():
        folder.mkdir()
        shutil.chown(folder, *_owner(folder.parent))
    soundfile.write(folder / name, samples, rate)
    shutil.chown(folder / name, *_owner(folder))
    return folder / name


def _owner(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_uid, status.st_gid
