"""Who may do what under a real systemd, by real users; and what becomes of a reload, and of root's files."""

import subprocess
from collections.abc import Iterator

import pytest

from simulator.coded import compose
from systemd.conftest import made_box
from systemd.room import CONFIG, TURNS, Room, seed_program, seed_world, setpriv
from systemd.who_may import BAD, ask_all, prepare_users, seed_asking, wrong

MINUTED = "/opt/minuted/current/bin/minuted"
SHORT = compose(1, words=(3, 3), tail_ms=800)


@pytest.fixture(scope="module")
def machine() -> Iterator[Room]:
    with made_box() as box:
        seed_world(box)
        seed_program(box)
        seed_asking(box)
        box.start()
        room = Room(box)
        room.make_user()
        room.prepare()
        prepare_users(room)
        yield room


def systemctl(room: Room, *words: str) -> subprocess.CompletedProcess[str]:
    done = room.box.popen("systemctl", *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = done.communicate(timeout=100)
    return subprocess.CompletedProcess(words, done.returncode, said, "")


def test_what_each_command_does_for_everybody_up_and_down(room: Room) -> None:
    """Whoever may not is told who may; nothing waits for what will not come."""
    room.start()
    room.box.wait_until(room.are_ready)
    assert room.hears(SHORT)
    found = wrong(ask_all(room, "up"), "up")
    assert found == [], "\n".join(found)
    room.systemctl("stop", "minuted")
    found = wrong(ask_all(room, "down"), "down")
    assert found == [], "\n".join(found)


def test_a_reload_of_a_bad_file_fails_with_its_reason_and_the_room_can_still_be_paused(room: Room) -> None:
    room.start()
    pid = room.stages()["capture"]["pid"]
    room.configure(CONFIG + BAD)
    done = systemctl(room, "reload", "minuted")
    assert done.returncode != 0
    assert "refused: /etc/minuted/minuted.toml: unknown key 'capture_'" in room.journal()
    assert "unknown key 'capture_'" in room.property("StatusText")
    assert room.property("ActiveState") == "active"

    # What runs goes by what it has accepted, and is found all the same.
    said = room.box.run(MINUTED, "pause", "--for", "1m")
    assert "unknown key 'capture_'" in said
    assert "paused until" in said
    assert "paused" in room.box.run(*setpriv("mia"), MINUTED, "status")
    assert "resumed" in room.box.run(MINUTED, "resume")

    # Not a word of it is TOML.
    room.configure("[capture]\n[capture]\n")
    assert systemctl(room, "reload", "minuted").returncode != 0
    room.configure(CONFIG + f'[sinks.more]\nuse = "file_log"\npath = "{TURNS}.more"\n')
    assert systemctl(room, "reload", "minuted").returncode == 0
    assert room.stages()["delivery/more"]["state"] == "delivering"
    assert room.stages()["capture"]["pid"] == pid


def test_root_s_files_after_a_run_by_hand_are_named_with_the_line_that_mends_them(room: Room) -> None:
    """An older version has let root do so; the service then tried for ever."""
    room.start()
    assert room.hears(SHORT)
    room.systemctl("stop", "minuted")
    room.box.run(
        "sh",
        "-c",
        "umask 077; touch /var/lib/minuted/audio/00000000000000000000.root /var/lib/minuted/playing.json",
    )
    systemctl(room, "start", "minuted")
    assert room.property("ExecMainStatus") == "78"
    said = room.journal()
    assert "cannot be used, as root made them; run: sudo chown -R minuted: /var/lib/minuted" in said
    room.box.run("chown", "-R", "minuted:", "/var/lib/minuted")
    room.box.run("rm", "/var/lib/minuted/audio/00000000000000000000.root", "/var/lib/minuted/playing.json")
    room.start()
    assert room.property("ActiveState") == "active"


def test_the_service_s_user_is_served_in_a_folder_that_is_closed_to_it(room: Room) -> None:
    """`sudo -u minuted minuted status`, as root types it at home."""
    room.start()
    room.box.run("chmod", "700", "/root")
    asked = ["env", "--chdir=/root", *setpriv("minuted"), MINUTED, "status"]
    assert "boardroom: " in room.box.run(*asked)
