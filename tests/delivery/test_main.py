"""`minuted delivery NAME` as a process: started, killed, stopped and asked."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.room import WAIT_S, Room, ended
from minuted.delivery import dead_letters
from minuted.delivery.deadline import CUT_OFF
from waiting import until

TEXT_LOG = '''\
"""Append every final turn to a text file."""

from pathlib import Path

from minuted import Sink, Turn


class TextLog(Sink):
    path: Path = Path("/var/lib/minuted/meeting.txt")

    def write(self, turn: Turn) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(f"{turn.speaker or '?'}: {turn.text}\\n")
'''

FRAGILE = '''\
"""A file with a line a turn, whose writer dies now and then between the line and the cursor."""

import os
import signal
from pathlib import Path

from minuted import Reject, Sink, Turn


class Fragile(Sink):
    path: Path
    token: str = ""
    dies_at: tuple[int, ...] = ()
    exactly_once: bool = False
    rejects: int = 0
    hangs_at: int = 0
    opens: bool = True

    def open(self) -> None:
        if not self.opens:
            raise OSError(f"{self.path} refused with {self.token}")
        self.path.touch()
        if self.exactly_once:
            os.truncate(self.path, self.checkpoint.get("bytes", 0))

    def write(self, turn: Turn) -> None:
        if turn.seq == self.rejects and not self.path.with_suffix(".mended").exists():
            raise Reject("no")
        with self.path.open("a") as file:
            file.write(f"{turn.seq}\\n")
        self.checkpoint["bytes"] = self.path.stat().st_size
        if turn.seq == self.hangs_at:
            signal.pause()
        mark = self.path.with_suffix(f".{turn.seq}")
        if turn.seq in self.dies_at and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
'''


@pytest.fixture
def room(runtime_dir: Path) -> Iterator[Room]:
    room = Room(runtime_dir)
    room.save("text_log", TEXT_LOG)
    room.save("fragile", FRAGILE)
    yield room
    room.close()


def test_the_smallest_sink_works_as_soon_as_it_is_saved_and_named(room: Room) -> None:
    """Thirteen lines in a file and a table: nothing else to touch."""
    room.configure(f'[sinks.text_log]\npath = "{room.out}"\n')
    publisher = room.publish_from_here()
    process = room.start("text_log")
    until(lambda: room.status("text_log").get("state") == "delivering")
    publisher.publish(3)
    until(lambda: room.status("text_log")["seq"] == 3)
    process.terminate()
    assert ended(process)[0] == 0
    assert room.lines() == [f"?: This is turn {seq}." for seq in (1, 2, 3)]


def test_a_status_tells_all_there_is_to_know(room: Room) -> None:
    """For `minuted status`, and for whoever is called at night."""
    room.configure(f'[sinks.second]\nuse = "text_log"\npath = "{room.out}"\n')
    publisher = room.publish_from_here(records=7)
    room.start("second")
    until(lambda: room.status("second").get("state") == "delivering")
    publisher.publish()
    status = until(lambda: (told := room.status("second")).get("delivered") == 1 and told)
    assert status.pop("pid") > 0
    assert status.pop("uptime_s") >= 0
    assert status.pop("loop_age_s", 0.0) >= 0
    assert status == {
        "state": "delivering",
        "reason": "",
        "module": "text_log",
        "path": str(room.sinks / "text_log.py"),
        "epoch": "one",
        "seq": 8,
        "last_seq": 8,
        "lag": 0,
        "delivered": 1,
        "retries": 0,
        "last_error": "",
        "dead_letters": 0,
        "missed": 0,
        "partial_failures": 0,
        "malformed": 0,
        "busy_s": 0.0,
        "busy_in": "",
        "timeout_s": 600.0,
    }


@pytest.mark.parametrize("exactly_once", [False, True])
def test_a_kill_between_writing_and_noting_it_loses_nothing(room: Room, exactly_once: bool) -> None:
    """A turn may come twice to a sink that keeps no checkpoint; with one, a file has each once."""
    once = "true" if exactly_once else "false"
    room.configure(f'[sinks.fragile]\npath = "{room.out}"\ndies_at = [2, 5]\nexactly_once = {once}\n')
    publisher = room.publish_from_here()
    process = room.start("fragile")
    until(lambda: room.status("fragile").get("state") == "delivering")
    publisher.publish(6)
    for _ in range(2):
        assert ended(process)[0] == -signal.SIGKILL
        process = room.start("fragile")
    until(lambda: room.status("fragile").get("seq") == 6)
    process.terminate()
    assert ended(process)[0] == 0
    twice = [] if exactly_once else ["2", "5"]
    assert room.lines() == sorted(["1", "2", "3", "4", "5", "6", *twice])


def test_a_new_sink_begins_now_and_goes_on_from_there_after_a_pause(room: Room) -> None:
    """Not with last month's meetings; but with all of what was said while it was down."""
    room.configure(f'[sinks.fragile]\npath = "{room.out}"\n')
    publisher = room.publish_from_here(records=40)
    process = room.start("fragile")
    until(lambda: room.status("fragile").get("state") == "delivering")
    publisher.publish()
    until(lambda: room.status("fragile").get("seq") == 41)
    process.terminate()
    assert ended(process)[0] == 0
    publisher.publish(2)
    process = room.start("fragile")
    until(lambda: room.status("fragile").get("seq") == 43)
    process.terminate()
    assert ended(process)[0] == 0
    assert room.lines() == ["41", "42", "43"]


def test_a_sink_that_cannot_be_loaded_says_why_and_has_its_place_kept(room: Room) -> None:
    """Its library was not installed: what was said until it was is delivered then."""
    room.save("fragile", "import nosuchmodule\n" + FRAGILE)
    room.configure(f'[sinks.fragile]\npath = "{room.out}"\n')
    publisher = room.publish_from_here(records=3)
    with _notices(room.folder) as (address, notices):
        status, log = ended(room.start("fragile", NOTIFY_SOCKET=address))
        assert status == 1
        reason = (
            "needs the module 'nosuchmodule'; install the package that has it: "
            f"{sys.executable} -m pip install --target {room.sinks}/packages nosuchmodule (fragile.py:1)"
        )
        assert f"STATUS=failed to load: {reason}" in _received(notices)
    assert "sink_failed_to_load" in log
    publisher.publish(2)
    room.save("fragile", FRAGILE)
    process = room.start("fragile")
    until(lambda: room.status("fragile").get("seq") == 5)
    process.terminate()
    assert ended(process)[0] == 0
    assert room.lines() == ["4", "5"]


def test_it_is_ready_though_its_sink_does_not_open_and_tells_no_option(room: Room) -> None:
    """A web server that is down does not keep the room from being recorded."""
    room.configure(f'[sinks.fragile]\npath = "{room.out}"\ntoken = "very-secret"\nopens = false\n')
    room.publish_from_here()
    with _notices(room.folder) as (address, notices):
        process = room.start("fragile", NOTIFY_SOCKET=address)
        status = until(lambda: (told := room.status("fragile")).get("state") == "waiting" and told)
        received = _received(notices)
    assert "READY=1" in received
    assert "very-secret" not in f"{status} {received}"
    assert status["last_error"].startswith("OSError: <path> refused with <token> (fragile.py:")
    process.terminate()
    code, log = ended(process)
    assert code == 0
    assert "delivery_failed" in log
    assert "very-secret" not in log


def test_a_sink_that_hangs_still_answers(room: Room) -> None:
    """The thread that answers is not the one that writes."""
    room.configure(f'[sinks.fragile]\npath = "{room.out}"\nhangs_at = 1\n')
    publisher = room.publish_from_here()
    room.start("fragile")
    until(lambda: room.status("fragile").get("state") == "delivering")
    publisher.publish()
    status = until(lambda: (told := room.status("fragile")).get("busy_s") and told)
    assert (status["state"], status["seq"], status["busy_in"]) == ("delivering", 0, "write")


SLOW = """\
import time
from pathlib import Path

from minuted import Sink


class Slow(Sink):
    path: Path
    tries: int = 0

    def write(self, turn):
        with self.path.with_suffix(".tries").open("a") as file:
            file.write(f"{turn.seq}\\n")
        if turn.seq == 2 and not self.path.with_suffix(".mended").exists():
            time.sleep(3600)
        with self.path.open("a") as file:
            file.write(f"{turn.seq}\\n")
"""


def test_a_call_that_takes_longer_than_it_may_is_cut_off_and_tried_again(room: Room) -> None:
    """A mount that hangs, a server without a timeout: the process ends, nothing is lost, and it is said."""
    room.save("slow", SLOW)
    room.configure(f'[sinks.slow]\npath = "{room.out}"\ntimeout_s = 1\n')
    publisher = room.publish_from_here()
    with _notices(room.folder) as (address, notices):
        process = room.start("slow", NOTIFY_SOCKET=address)
        until(lambda: room.status("slow").get("state") == "delivering")
        publisher.publish(3)
        status, log = ended(process)
        assert status == CUT_OFF
        assert "STATUS=write took longer than 1 s; it is tried again" in _received(notices)
    assert '"event": "call_cut_off"' in log
    assert room.lines() == ["1"], "the cursor has not moved"

    process = room.start("slow")
    told = until(lambda: (told := room.status("slow")).get("busy_in") == "write" and told)
    assert (told["seq"], told["timeout_s"]) == (1, 1.0)
    assert told["last_error"] == "write took longer than 1 s; tried again"
    assert ended(process)[0] == CUT_OFF

    room.out.with_suffix(".mended").touch()
    process = room.start("slow")
    told = until(lambda: (told := room.status("slow")).get("seq") == 3 and told)
    assert told["last_error"] == ""
    process.terminate()
    assert ended(process)[0] == 0
    assert room.lines() == ["1", "2", "3"]
    assert room.out.with_suffix(".tries").read_text().split() == ["1", "2", "2", "2", "3"]


def test_systemd_s_watchdog_leaves_a_call_its_time(room: Room) -> None:
    """In the split form systemd would otherwise end each call after WatchdogSec=."""
    room.save("slow", SLOW)
    room.configure(f'[sinks.slow]\npath = "{room.out}"\n')
    publisher = room.publish_from_here()
    with _notices(room.folder) as (address, notices):
        room.start("slow", NOTIFY_SOCKET=address, WATCHDOG_USEC="30000000")
        until(lambda: room.status("slow").get("state") == "delivering")
        publisher.publish(2)
        until(lambda: room.status("slow").get("busy_s", 0) >= 0.5)
        _received(notices)
        until(lambda: "WATCHDOG=1" in _received(notices))


STRANGE = """\
import sys
import threading
import time

from minuted import Sink


class Strange(Sink):
    path: str
    threads: bool = False

    def open(self):
        if self.threads:
            threading.Thread(target=time.sleep, args=(3600,)).start()

    def write(self, turn):
        if not self.threads:
            sys.exit(78)
"""


def test_a_sink_that_calls_sys_exit_is_tried_again(room: Room) -> None:
    """78 would say that the configuration must change first, and 0 that all is done."""
    room.save("strange", STRANGE)
    room.configure(f'[sinks.strange]\npath = "{room.out}"\n')
    publisher = room.publish_from_here()
    room.start("strange")
    until(lambda: room.status("strange").get("state") == "delivering")
    publisher.publish()
    told = until(lambda: (told := room.status("strange")).get("state") == "waiting" and told)
    assert told["last_error"].startswith("RuntimeError: write called sys.exit(78): raise an exception")


def test_a_sink_s_threads_do_not_hold_up_the_end(room: Room) -> None:
    room.save("strange", STRANGE)
    room.configure(f'[sinks.strange]\npath = "{room.out}"\nthreads = true\n')
    publisher = room.publish_from_here()
    process = room.start("strange")
    until(lambda: room.status("strange").get("state") == "delivering")
    publisher.publish()
    until(lambda: room.status("strange").get("seq") == 1)
    process.terminate()
    status, log = ended(process)
    assert status == 0
    assert "sink_threads_left" in log


def test_loading_has_a_bound(room: Room) -> None:
    """A sink that connects while it is imported, to a machine that is off."""
    room.save("slow", "import time\ntime.sleep(3600)\n")
    room.configure(f'[sinks.slow]\npath = "{room.out}"\n')
    with _notices(room.folder) as (address, notices):
        command = (
            "import sys; from minuted.delivery import discovery; discovery.LOAD_S_MAX = 0.5;"
            "from minuted.cli import main; sys.exit(main(sys.argv[1:]))"
        )
        arguments = ["delivery", "slow", "--config", str(room.folder / "minuted.toml")]
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments],
            env={**os.environ, "NOTIFY_SOCKET": address},
            check=False,
            timeout=WAIT_S,
        )
        assert done.returncode == 1
        assert "STATUS=failed to load: loading slow.py takes longer than 0.5 s" in _received(notices)


def test_sigterm_brings_what_is_left(room: Room) -> None:
    """Also what the turn socket lost."""
    room.configure(f'[sinks.fragile]\npath = "{room.out}"\n')
    publisher = room.publish_from_here()
    process = room.start("fragile")
    until(lambda: room.status("fragile").get("state") == "delivering")
    publisher.silent = True
    publisher.publish(20)
    process.terminate()
    assert ended(process)[0] == 0
    assert room.lines() == [str(seq) for seq in range(1, 21)]


def test_sigterm_ends_it_when_no_publisher_was_ever_there(room: Room) -> None:
    """Nothing to deliver is no failure."""
    room.configure(f'[sinks.fragile]\npath = "{room.out}"\n')
    process = room.start("fragile")
    until(lambda: room.status("fragile").get("state"))
    process.terminate()
    assert ended(process)[0] == 0


def test_dead_letters_are_listed_and_offered_again_while_it_runs(room: Room) -> None:
    """Nobody has to stop a sink to mend what it could not deliver."""
    room.configure(f'[sinks.fragile]\npath = "{room.out}"\nrejects = 2\n')
    publisher = room.publish_from_here()
    room.start("fragile")
    until(lambda: room.status("fragile").get("state") == "delivering")
    publisher.publish(3)
    until(lambda: room.status("fragile").get("seq") == 3)
    settings = room.settings
    (letter,) = dead_letters.listed(settings, "fragile")
    assert (letter["seq"], letter["text"], letter["wanted"]) == (2, "This is turn 2.", False)
    room.out.with_suffix(".mended").touch()
    assert dead_letters.retry(settings, "fragile", [2, 7]) == [2]
    until(lambda: room.status("fragile").get("dead_letters") == 0)
    assert room.lines() == ["1", "3", "2"]


@pytest.mark.parametrize(
    ("name", "tables", "message"),
    [
        ("webhook2", "[sinks.text_log]\n", "there is no table [sinks.webhook2]; configured: text_log"),
        ("text_log", "[sinks.text_log]\npaht = 'x'\n", "unknown key 'paht'; did you mean 'path'?"),
    ],
)
def test_a_wrong_configuration_is_said_in_a_line(room: Room, name: str, tables: str, message: str) -> None:
    """Exit status 78: starting it again would not help."""
    room.configure(tables)
    status, log = ended(room.start(name))
    assert status == 78
    assert message in log
    assert len(log.splitlines()) == 1


def test_a_second_process_for_the_same_sink_is_refused(room: Room) -> None:
    """Every turn would come twice."""
    room.configure(f'[sinks.fragile]\npath = "{room.out}"\n')
    room.publish_from_here()
    room.start("fragile")
    until(lambda: room.status("fragile").get("state") == "delivering")
    status, log = ended(room.start("fragile"))
    assert status not in (0, None)
    assert "in use by another" in log


class _notices:  # noqa: N801  # a context manager
    """A NOTIFY_SOCKET."""

    def __init__(self, folder: Path) -> None:
        self._address = str(folder / "notify.sock")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> tuple[str, socket.socket]:
        self._socket.bind(self._address)
        self._socket.setblocking(False)
        return self._address, self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _received(notices: socket.socket) -> str:
    received = []
    while True:
        try:
            received.append(notices.recv(4096).decode())
        except BlockingIOError:
            return "\n".join(received)
