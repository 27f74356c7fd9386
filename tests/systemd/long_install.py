"""deploy/install.sh on a machine that never had minuted, up to captions from its microphone.

The box has no network: pip takes what was downloaded before, by the same hashes.
"""

import os
import subprocess
from pathlib import Path

import pytest

from delivery.test_discovery import TEXT_LOG, wheel_of
from simulator.coded import compose
from systemd.room import CONFIG, KEY, ROOT, Room, setpriv

INSTALL = ["env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv/wheels", "/srv/source/deploy/install.sh"]
INSTALL_S_MAX = 400
SPEECH = compose(1, words=(3, 3), tail_ms=800)
LATER = compose(1, words=(3, 3), tail_ms=800, first_number=101)

pytestmark = pytest.mark.timeout(900)


def install(room: Room, *options: str, check: bool = True, umask: str = "022") -> str:
    under = ["sh", "-c", f'umask {umask}; exec "$@"', "sh"]
    return room.box.run(*under, *INSTALL, *options, check=check, timeout_s=INSTALL_S_MAX)


def writable_by_others(room: Room) -> str:
    """What of an installation others than root may write to: whoever may, runs what root runs."""
    places = ("/opt/minuted", "/usr/local/lib/systemd", "/usr/local/share/doc/minuted", "/etc/minuted")
    return room.box.run("find", *places, "!", "-type", "l", "-perm", "/022")


def releases(room: Room) -> list[str]:
    return room.box.run("ls", "/opt/minuted/releases").split()


def test_installed_upgraded_and_removed(bare_machine: Room) -> None:
    """One story, in its order: each step takes what the one before left."""
    room = bare_machine
    (room.box.root / "srv/key").write_text(KEY + "\n")

    # From nothing to a running service.
    said = install(
        room, "--room", 'board "A|B&C"', "--device", "table", "--key-file", "/srv/key", umask="000"
    )
    assert writable_by_others(room) == ""
    assert "Stored the key, encrypted" in said
    assert "minuted is running" in said
    assert KEY not in said + room.file("/etc/credstore.encrypted/assemblyai.key")
    assert 'room = "board \\"A|B&C\\""' in room.file("/etc/minuted/minuted.toml")
    assert room.property("ActiveState") == "active"
    assert room.property("UnitFileState") == "enabled"
    assert room.box.run("sh", "-c", SHARED).splitlines() == [
        "man/man1/minuted.1",
        "zsh/site-functions/_minuted",
    ]
    assert (
        room.box.run("stat", "--format=%U:%G %a", "/etc/minuted/minuted.toml").strip() == "root:minuted 640"
    )

    # The simulated service instead of the real one; then captions, with the key that was stored.
    room.configure(CONFIG)
    room.systemctl("restart", "minuted")
    room.box.wait_until(room.are_ready)
    assert room.hears(SPEECH)
    status = [*setpriv("minuted"), "minuted", "status"]
    assert "capture" in room.box.run(*status)

    # A sink of one's own, and the package that it imports.
    sinks = room.box.root / "usr/local/lib/minuted/sinks"
    sinks.mkdir(parents=True, exist_ok=True)
    (sinks / "needy.py").write_text(f"import minuted_test_wheel\n{TEXT_LOG}", encoding="utf-8")
    (room.box.root / "srv/needy.toml").write_text(f"{CONFIG}[sinks.needy]\n", encoding="utf-8")
    needy = [*setpriv("minuted"), "minuted", "sinks", "needy", "--config", "/srv/needy.toml"]
    assert "needs the module 'minuted_test_wheel'" in room.box.run(*needy, check=False)
    wheel = wheel_of(room.box.root / "srv", "minuted_test_wheel")
    pip = ["/opt/minuted/current/bin/pip", "install", "--no-index"]
    room.box.run(*pip, "--target", "/usr/local/lib/minuted/sinks/packages", f"/srv/{wheel.name}")
    assert "needy  enabled" in room.box.run(*needy)

    # Again: an upgrade in place, that keeps the configuration, the key, the words and that package.
    assert "minuted is running" in install(room, umask="077")
    assert "needy  enabled" in room.box.run(*needy)
    assert len(releases(room)) == 2
    assert room.file("/etc/minuted/minuted.toml") == CONFIG
    room.box.wait_until(room.are_ready)
    assert room.hears(LATER)
    assert [word.text for word in SPEECH.words] == room.words()[: len(SPEECH.words)]

    # An upgrade whose check finds something wrong: the release that runs goes on as it is.
    before, pid = room.box.run("readlink", "/opt/minuted/current"), room.main_pid()
    room.configure(CONFIG + "[capture_]\n")
    said = install(room, check=False)
    assert "unknown key 'capture_'" in said
    assert "the release before goes on running" in said
    assert (room.box.run("readlink", "/opt/minuted/current"), room.main_pid()) == (before, pid)
    assert len(releases(room)) == 2
    room.configure(CONFIG)

    # The documents, whose links lead somewhere.
    for link in ("sinks/README.md", "deploy/audio.md", "deploy/subscribers/network.py", "daemon/README.md"):
        assert room.file(f"/usr/local/share/doc/minuted/{link}"), link

    # An upgrade that does not start: the release before is back.
    before = room.box.run("readlink", "/opt/minuted/current")
    room.box.run(
        "sh",
        "-c",
        "cp -a /srv/source /srv/broken && echo 'raise SystemExit(1)' > "
        "/srv/broken/daemon/minuted/supervision/supervisor.py",
    )
    broken = [*INSTALL[:-1], "/srv/broken/deploy/install.sh"]
    assert "the one before is back" in room.box.run(*broken, check=False, timeout_s=INSTALL_S_MAX)
    assert room.box.run("readlink", "/opt/minuted/current") == before
    assert room.property("ActiveState") == "active"

    # Removed, and all that was recorded is there; then nothing is. What somebody made by hand stays.
    room.box.run("touch", "/opt/minuted/pyvenv.cfg")
    assert "still there" in install(room, "--uninstall")
    assert room.words()
    left = room.box.run(
        "sh", "-c", "ls -d /opt/minuted/* /usr/local/lib/systemd/*/minuted* 2>/dev/null || true"
    )
    assert left == "/opt/minuted/pyvenv.cfg\n"
    room.box.run("rm", "/opt/minuted/pyvenv.cfg")
    assert room.box.run("sh", "-c", SHARED) == ""
    assert room.systemctl("is-active", "minuted", check=False) == "inactive"
    install(room, "--uninstall", "--purge")
    assert room.box.run("sh", "-c", "ls -d /var/lib/minuted /etc/minuted 2>/dev/null || true") == ""
    assert room.box.run("getent", "passwd", "minuted", check=False) == ""


SHARED = "cd /usr/local/share; ls man/man1/minuted.1 zsh/site-functions/_minuted 2>/dev/null || true"
"""Two of what shells and man look for."""


def test_the_debian_package_does_the_same_without_a_network(bare_machine: Room, wheels: Path) -> None:
    """For fleets: whatever manages them installs one file, and may have put the configuration there."""
    room = bare_machine
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    subprocess.run([ROOT / "deploy/build_deb.sh", wheels], check=True, env={**os.environ, **offline})
    (package,) = wheels.glob("minuted_*.deb")

    said = room.box.run("dpkg", "--install", f"/srv/wheels/{package.name}", timeout_s=INSTALL_S_MAX)
    assert "does not start" not in said
    assert (room.property("ActiveState"), room.property("UnitFileState")) == ("active", "enabled")
    assert room.file("/etc/minuted/minuted.toml").startswith("# minuted.toml: every key")
    # Without a key it is the engine on this machine that listens.
    assert "delivery/file_log" in room.box.run(*setpriv("minuted"), "minuted", "status")

    room.configure(CONFIG)
    room.box.run("sh", "-c", f"umask 077; echo {KEY} > /etc/credstore/assemblyai.key")
    # The same again is an upgrade: it restarts what runs and leaves the configuration alone.
    room.box.run("dpkg", "--install", f"/srv/wheels/{package.name}", timeout_s=INSTALL_S_MAX)
    assert room.file("/etc/minuted/minuted.toml") == CONFIG
    room.box.wait_until(room.are_ready)
    assert room.hears(SPEECH)
    room.box.run("dpkg", "--remove", "minuted")
    assert room.words()
    assert room.systemctl("is-active", "minuted", check=False) == "inactive"
    room.box.run("dpkg", "--purge", "minuted")
    left = "ls -d /opt/minuted /etc/minuted /var/lib/minuted 2>/dev/null || true"
    assert room.box.run("sh", "-c", left) == ""
