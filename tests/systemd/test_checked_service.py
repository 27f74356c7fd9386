"""`minuted check` of an installed service that is broken in many ways, by root and by other users."""

import re

from systemd.breaks import BREAKS, Bench
from systemd.room import CONFIG, Room, setpriv

PROGRAM = "/opt/minuted/current/bin/minuted"


def test_whatever_would_fail_is_said_beforehand_and_nothing_else(room: Room) -> None:
    """What goes together is broken at once, the rest after each other; each alone is in long_check.py."""
    bench = Bench(room)
    together = [each for each in BREAKS if not each.alone]
    for breaks in (together, *([each] for each in BREAKS if each.alone)):
        bench.make(*breaks)
        try:
            status, said = bench.check()
        finally:
            bench.mend(*breaks)
        wrong = [line for line in said.splitlines() if line.startswith("✗")]
        assert status == 78, said
        for each in breaks:
            assert re.search(each.says, said), f"{each.name}\n{said}"
        named = [line for line in wrong if any(re.search(each.says, line) for each in breaks)]
        also = [line for line in wrong if any(re.search(each.also, line) for each in breaks)]
        assert len(named) == len(breaks), said
        assert set(wrong) == {*named, *also}, said
    status, said = bench.check()
    assert status == 0, said
    assert "✗" not in said
    assert not re.search("minuted-check", room.box.run("ls", "/run", "/run/systemd/system"))
    assert "minuted-check" not in room.systemctl("list-units", "--all", "--plain", "--no-legend")


def test_a_service_that_runs_is_looked_at_as_it_is_by_whoever_asks(room: Room) -> None:
    """Its folders are not for a member of the group to write to, and that is no fault of theirs."""
    room.box.run("sh", "-c", "id member 2>/dev/null || useradd --groups minuted member")
    room.start()
    room.box.wait_until(room.are_ready)
    status, said = Bench(room).check()
    assert status == 0, said
    assert "✓ unit             minuted.service runs; this is what it finds in its sandbox, as minuted" in said
    assert re.search(r"✓ running +\w+ as process \d+", said)
    for user in ("member", "minuted"):
        ask = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        said = room.box.run(*ask, "sh", "-c", f"cd /; {PROGRAM} check; echo status $?")
        assert said.endswith("status 0\n"), said
        assert "✗" not in said
        assert re.search(r"✓ running +\w+ as process \d+", said), said
        assert "are not looked at as another user; run: sudo minuted check" in said
    assert room.are_ready()
    room.box.run("test", "-d", "/run/minuted")


def test_a_bad_file_under_a_running_service_is_told_with_what_it_will_do(room: Room) -> None:
    """The next restart would leave the room deaf, and nothing shows it before."""
    room.start()
    room.configure(f"{CONFIG}\n[engine]\n")
    status, said = Bench(room).check()
    assert status == 78
    assert re.search(
        r"✗ configuration .*minuted\.toml: .*; what runs goes on as it was, and would not be there",
        said,
    )
    for user in ("root", "minuted"):
        ask = setpriv("minuted") if user == "minuted" else []
        told = room.box.run(*ask, "sh", "-c", f"cd /; {PROGRAM} status; echo status $?")
        assert "[engine] stands twice" in told


def test_checking_while_it_is_down_leaves_it_as_it_was(room: Room) -> None:
    room.box.run("sh", "-c", "install -d -o minuted -g minuted -m 750 /var/lib/minuted")
    before = room.box.run("find", "/var/lib/minuted", "/etc/minuted", "/srv/sound")
    status, said = Bench(room).check()
    assert status == 0, said
    assert room.box.run("find", "/var/lib/minuted", "/etc/minuted", "/srv/sound") == before
    status, told = Bench(room).check("--json")
    assert status == 0
    assert '{"what": "sink srt", "state": "well", "text": "to /var/lib/minuted/srt (' in told
