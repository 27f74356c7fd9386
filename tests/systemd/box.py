"""A machine to try services on: a real systemd over a copy-on-write view of this one's root, in namespaces.

It has only a loopback network, and nothing it does reaches this machine. It boots in half a second.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

BOOT: Final = Path(__file__).with_name("boot.sh")
BOOT_S_MAX: Final = 60.0
WAIT_S_MAX: Final = 60.0
POLL_S: Final = 0.05
_NAMESPACES: Final = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child")
_TRIAL: Final = """
mount --make-rprivate /
mount -t tmpfs trial /mnt
mkdir /mnt/changes /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/changes,workdir=/mnt/work trial /mnt/root
mount -t proc proc /mnt/root/proc
mount -t cgroup2 cgroup2 /mnt/root/sys
"""
_UNIFIED: Final = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


def reason_not_to() -> str:
    """Say why no box can be made here, or "" where it can: root, namespaces, mounts and cgroups it takes."""
    if os.geteuid() != 0:
        return "a box with a systemd needs root"
    trial = subprocess.run(
        ["unshare", *_NAMESPACES, "sh", "-ec", _TRIAL], capture_output=True, text=True, check=False
    )
    if trial.returncode:
        return f"a box with a systemd needs namespaces and mounts: {trial.stderr.strip()}"
    folder = _cgroup_root() / f"minuted-trial-{os.getpid()}"
    try:
        folder.mkdir()
        folder.rmdir()
    except OSError as error:
        return f"a box with a systemd needs to make control groups: {error}"
    return ""


class Box:
    """Seed it, start it, run commands in it. `folder` is gone afterwards, and everything with it."""

    def __init__(self, folder: Path, base: Path = Path("/")) -> None:
        self._folder = folder
        self._base = base
        self._binds: list[tuple[Path, str]] = []
        self._cgroup = _cgroup_root() / f"minuted-box-{os.getpid()}-{folder.parent.name}"
        self._unshare: subprocess.Popen[bytes] | None = None
        self.boot_s = 0.0
        for name in ("seed", "disk"):
            (folder / name).mkdir(parents=True)
            (folder / name).chmod(0o755)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def seed(self, path: str, content: str | Path, mode: int = 0o644) -> None:
        """Have a file there when it starts: a text, or a copy of a file."""
        target = self._folder / "seed" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        else:
            target.write_text(content, encoding="utf-8")
        target.chmod(mode)

    def bind(self, source: Path, target: str) -> None:
        """Have a folder of this machine there when it starts."""
        if (source, target) not in self._binds:
            self._binds.append((source, target))

    def start(self) -> None:
        began_s = time.monotonic()
        lines = "".join(f"{source} {target}\n" for source, target in self._binds)
        (self._folder / "binds").write_text(lines, encoding="utf-8")
        self._cgroup.mkdir()
        # The shell goes into the control group first, so that the group is the root the box sees.
        enter = f'echo $$ > {self._cgroup}/cgroup.procs; exec unshare "$@"'
        command = ["sh", "-c", enter, "sh", *_NAMESPACES, "sh", str(BOOT), str(self._folder), str(self._base)]
        with (self._folder / "log").open("wb") as log:
            self._unshare = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.wait_until(self._is_up, BOOT_S_MAX)
        except BaseException:
            self.stop()
            raise
        self.boot_s = time.monotonic() - began_s

    def stop(self) -> None:
        """End everything in it at once."""
        if self._unshare is not None:
            self._unshare.kill()
            self._unshare.wait()
            self._unshare = None
        until_s = time.monotonic() + WAIT_S_MAX
        while self._cgroup.is_dir() and time.monotonic() < until_s:
            with suppress(OSError):
                for folder, _, _ in os.walk(self._cgroup, topdown=False):
                    Path(folder).rmdir()
                return
            time.sleep(POLL_S)

    def entering(self, *command: str) -> list[str]:
        """Return the command of this machine that runs another one in it."""
        entered = ["nsenter", "--target", str(self._pid), "--all", "--wdns=/", "--", "env", "-i"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [*entered, path, "LANG=C.UTF-8", *command]

    def popen(self, *command: str, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(self.entering(*command), text=True, stdin=subprocess.DEVNULL, **options)

    def beside(self, *command: str) -> list[str]:
        """Return the command of this machine that runs another one of its own in the box's network."""
        return ["nsenter", "--target", str(self._pid), "--net", "--", *command]

    def run(self, *command: str, check: bool = True, timeout_s: float = WAIT_S_MAX) -> str:
        """Run a command in it; give what it wrote. Raises AssertionError for another status than 0."""
        done = self.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            output, _ = done.communicate(timeout=timeout_s)
        except BaseException:
            done.kill()
            done.communicate()
            raise
        assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.returncode}\n{output}"
        return output

    def wait_until(self, come: Callable[[], object], timeout_s: float = WAIT_S_MAX) -> None:
        """Wait until `come()` is true. Raises TimeoutError."""
        until_s = time.monotonic() + timeout_s
        while not come():
            if time.monotonic() > until_s:
                log = (self._folder / "log").read_text(errors="replace")
                raise TimeoutError(f"it does not come within {timeout_s:.0f} s\n{log}")
            time.sleep(POLL_S)

    @property
    def root(self) -> Path:
        """Its files, as this machine may read and write them."""
        return Path(f"/proc/{self._pid}/root")

    @property
    def _pid(self) -> int:
        """systemd's process id as this machine sees it; 0 before it is there."""
        assert self._unshare is not None, "the box is not started"
        pid = self._unshare.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def _is_up(self) -> bool:
        assert self._unshare is not None
        assert self._unshare.poll() is None, (self._folder / "log").read_text(errors="replace")
        if not self._pid or Path(f"/proc/{self._pid}/comm").read_text().strip() != "systemd":
            return False
        return self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded")


def _cgroup_root() -> Path:
    """Give where control groups of the second version are made, alone or beside those of the first."""
    return next((place for place in _UNIFIED if (place / "cgroup.controllers").exists()), _UNIFIED[1])
