"""The states of the service that take minutes to try; `make test-systemd` runs them."""

import pytest

from simulator.coded import compose
from systemd.room import CONFIG, Room
from systemd.test_who_may import BAD, ask_all, machine, wrong

__all__ = ["machine"]

pytestmark = pytest.mark.timeout(300)

SHORT = compose(1, words=(3, 3), tail_ms=800)
UNITS = ("minuted-capture", "minuted-transcription", "minuted-sink@file_log", "minuted-sink@srt")
HOLD = """
import sqlite3, time
held = sqlite3.connect("/var/lib/minuted/turns.db", isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(600)
"""


def test_while_it_starts(room: Room) -> None:
    """Somebody has the journal open, and minuted waits for them."""
    room.start()
    room.box.wait_until(room.are_ready)
    room.systemctl("stop", "minuted")
    hold = ["systemd-run", "--unit=holder", "--quiet", "--uid=minuted", "python3", "-c", HOLD]
    room.box.run(*hold)
    try:
        room.box.wait_until(lambda: "held" in room.journal(unit="holder"))
        room.systemctl("start", "--no-block", "minuted")
        room.box.wait_until(lambda: "starting transcription" in room.property("StatusText"))
        room.box.wait_until(lambda: room.stages().get("delivery/file_log", {}).get("state") == "delivering")
        found = wrong(ask_all(room, "starting"), "starting")
        assert found == [], "\n".join(found)
    finally:
        room.systemctl("kill", "--signal=KILL", "holder")


def test_while_it_hangs(room: Room) -> None:
    room.drop_in("watchdog", "WatchdogSec=0")
    room.start()
    room.box.wait_until(room.are_ready)
    room.systemctl("kill", "--signal=STOP", "minuted")
    found = wrong(ask_all(room, "hung"), "hung")
    assert found == [], "\n".join(found)


def test_after_it_has_failed(room: Room) -> None:
    """A bad file, 78, and nobody starts it again."""
    room.configure(CONFIG + BAD)
    room.systemctl("start", "minuted", check=False)
    assert room.property("ActiveState") == "failed"
    found = wrong(ask_all(room, "failed"), "failed")
    assert found == [], "\n".join(found)


def test_where_each_stage_is_a_service_of_its_own(room: Room) -> None:
    room.systemctl("enable", "--quiet", *UNITS, "minuted.target")
    try:
        room.start("minuted.target")
        room.box.wait_until(room.are_ready)
        assert room.hears(SHORT)
        found = wrong(ask_all(room, "split"), "split")
        assert found == [], "\n".join(found)
        before = {row["pid"] for row in room.stages().values()}
        # What `minuted reload` says there.
        room.systemctl("restart", "minuted.target")
        room.box.wait_until(room.are_ready)
        assert before.isdisjoint(row["pid"] for row in room.stages().values())
    finally:
        room.systemctl("disable", "--quiet", *UNITS, "minuted.target")
