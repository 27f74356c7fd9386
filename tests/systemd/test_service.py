"""The service under a real systemd, in a box: what an unattended machine relies on."""

import json
import socket
import subprocess

import pytest

from scraped import Samples, samples
from simulator.coded import compose
from systemd.room import CONFIG, KEY, SOCKETS, STAGES, TURNS, Room, setpriv

MINUTED = "/opt/minuted/current/bin/minuted"

SHORT = compose(1, words=(3, 3), tail_ms=800)
CONNECT = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])"


def test_it_says_when_it_is_ready_and_every_word_arrives(room: Room) -> None:
    """The whole of it in the sandbox: a sound server, a socket to the service, two sinks, a stop."""
    room.start()
    assert room.property("ActiveState") == "active"
    assert room.property("StatusText").startswith("boardroom: ")
    assert room.are_ready()
    assert room.hears(SHORT)
    assert "word0001" in room.box.run("sh", "-c", "cat /var/lib/minuted/srt/*.srt")
    room.systemctl("stop", "minuted")
    assert (room.property("Result"), room.property("ExecMainStatus")) == ("success", "0")
    entries = [json.loads(line) for line in room.journal("--output=json").splitlines()]
    assert {"supervisor", "capture", "transcription"} <= {entry.get("MINUTED_STAGE") for entry in entries}
    assert not [entry for entry in entries if int(entry["PRIORITY"]) <= 3], "errors in a run without any"


def test_a_killed_service_is_back_without_its_old_processes(room: Room) -> None:
    """Whatever is killed, and by whom: the room goes on, and nobody is there twice."""
    room.start()
    old = {str(row["pid"]) for row in room.stages().values()} | {room.property("MainPID")}
    folder = (room.box.root / SOCKETS.lstrip("/")).stat().st_ino
    began = len(room.journal())
    room.systemctl("kill", "--signal=KILL", "--kill-who=main", "minuted")
    room.box.wait_until(lambda: room.property("NRestarts") == "1")
    room.box.wait_until(lambda: room.property("ActiveState") == "active")
    room.box.wait_until(room.are_ready)
    control_group = room.property("ControlGroup")
    assert not old & set(room.file(f"/sys/fs/cgroup{control_group}/cgroup.procs").split())
    assert (room.box.root / SOCKETS.lstrip("/")).stat().st_ino == folder
    assert room.hears(SHORT), room.journal()[began:]


def test_the_key_reaches_the_service_and_nobody_else(room: Room) -> None:
    """The simulated service takes no other key; who may become another user may not read it."""
    room.start()
    room.box.wait_until(lambda: room.stages()["transcription"]["state"] == "live")
    kept = "/run/credentials/minuted.service/assemblyai.key"
    assert room.box.run("cat", kept).strip() == KEY
    assert "Permission denied" in room.as_user("nobody", "cat", kept)
    pids = [str(row["pid"]) for row in room.stages().values()] + [room.property("MainPID")]
    for pid in pids:
        shown = room.file(f"/proc/{pid}/environ") + room.file(f"/proc/{pid}/cmdline")
        assert "MINUTED_SUPERVISOR_PID" in shown or pid == pids[-1]
        assert KEY not in shown
    assert KEY not in room.systemctl("show", "minuted") + room.systemctl("status", "minuted")
    assert KEY not in room.journal() + json.dumps(room.stages())


PRYING = """
import os
from pathlib import Path

from minuted import Sink


def read(path):
    try:
        return Path(path).read_text(errors="replace")
    except OSError as error:
        return type(error).__name__


class Prying(Sink):
    def write(self, turn):
        found = [read("/run/credentials/minuted.service/assemblyai.key")]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            found.append(read(f"/proc/{pid}/environ") if int(pid) != os.getpid() else "")
            try:
                found += [read(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")[:40]]
            except OSError:
                pass
        known = [read("/etc/passwd")[:4], read("/etc/minuted/minuted.toml")[:1]]
        secret = Path(os.environ["CREDENTIALS_DIRECTORY"], "webhook.secret").read_text()
        Path("/var/lib/minuted/found").write_text(repr((found, known, secret, turn.text)))
"""


def test_a_sink_s_code_finds_the_key_nowhere(room: Room) -> None:
    """It is one user's code with all the rest, in one sandbox, and may read all else that it needs."""
    sinks = room.box.root / "usr/local/lib/minuted/sinks"
    sinks.mkdir(parents=True, exist_ok=True)
    (sinks / "prying.py").write_text(PRYING)
    secret = room.box.root / "etc/credstore/webhook.secret"
    secret.write_text("of-a-sink")
    try:
        room.configure(CONFIG + "[sinks.prying]\n")
        room.start()
        room.box.wait_until(room.are_ready)
        assert room.hears(SHORT)
        room.box.wait_until(lambda: "word" in room.file("/var/lib/minuted/found"))
    finally:
        (sinks / "prying.py").unlink()
        secret.unlink()
    found = room.file("/var/lib/minuted/found")
    assert KEY not in found
    assert found.startswith("(['PermissionError', ")
    assert "['root', '\\n'], 'of-a-sink'" in found


@pytest.mark.parametrize(("unit", "host"), [("minuted.service", "0.0.0.0"), ("minuted.target", "127.0.0.1")])
def test_turns_are_published_over_the_network_to_who_has_a_key(room: Room, unit: str, host: str) -> None:
    """ZeroMQ asks for the network's interfaces, and aborts where it may not; CURVE at both ends."""
    room.configure(f'{CONFIG}[publish]\nturns = "tcp://{host}:5555"\n')
    file = "/var/lib/minuted/signage.json"
    room.box.run(*setpriv("minuted"), MINUTED, "keys", "new", "signage", "--output", file)
    told = json.loads(room.file(file))
    here = {name: value.replace(socket.gethostname(), "127.0.0.1") for name, value in told.items()}
    (room.box.root / file.lstrip("/")).write_text(json.dumps(here))
    room.start(unit)
    room.box.wait_until(room.are_ready)
    command = ["/srv/interpreter", "/srv/source/deploy/subscribers/network.py", file]
    with room.box.popen(*command, stdout=subprocess.PIPE) as subscriber:
        try:
            assert room.hears(SHORT)
            assert subscriber.stdout is not None
            heard = [subscriber.stdout.readline() for _ in room.file(TURNS).splitlines()]
        finally:
            subscriber.kill()
    assert [word for line in heard for word in line.split()[2:]] == room.words()
    assert [room.property("NRestarts", each) for each in ("minuted", "minuted-transcription")] == ["0", "0"]


def test_the_target_starts_every_stage_there_is(room: Room) -> None:
    """`systemctl start minuted.target` stops the one service; it must not leave the room deaf."""
    room.start()
    room.start("minuted.target")
    units = ["minuted-capture", "minuted-transcription", "minuted-sink@file_log", "minuted-sink@srt"]
    room.box.wait_until(lambda: all(room.property("ActiveState", unit) == "active" for unit in units))
    assert room.property("ActiveState") == "inactive"
    room.box.wait_until(room.are_ready)
    assert room.hears(SHORT)
    # And back: one form is gone before the other takes its folders.
    room.start()
    room.box.wait_until(room.are_ready)
    assert {room.property("ActiveState", unit) for unit in units} == {"inactive"}


def test_who_is_not_in_the_group_may_not_connect(room: Room) -> None:
    """The words of a room are for those who were let in."""
    room.start()
    python = ["/usr/bin/python3", "-c", CONNECT]
    for name in ("turns", "replay", "control-supervisor"):
        path = f"{SOCKETS}/{name}.sock"
        assert "PermissionError" in room.as_user("nobody", *python, path)
        room.box.run(*setpriv("minuted"), *python, path)


def test_a_sink_that_writes_elsewhere_fails_and_says_so(room: Room) -> None:
    """The sandbox holds, the reason is told, and the other sink goes on."""
    room.box.run("install", "-d", "-m", "777", "/srv/open")
    room.configure(CONFIG.replace("/var/lib/minuted/srt", "/srv/open"))
    room.start()
    assert room.hears(SHORT)
    room.box.wait_until(lambda: "Read-only file system" in json.dumps(room.stages()["delivery/srt"]))
    assert room.box.run("ls", "/srv/open") == ""
    assert room.property("ActiveState") == "active"


def test_a_bad_configuration_is_not_tried_again(room: Room) -> None:
    """Exit status 78: someone has to change the file first; the journal says what is wrong in it."""
    room.configure(CONFIG + "\n[capture_]\n")
    assert "failed" in room.systemctl("start", "minuted", check=False)
    assert room.property("ActiveState") == "failed"
    assert (room.property("ExecMainStatus"), room.property("NRestarts")) == ("78", "0")
    assert "unknown key 'capture_'" in room.journal()


SCRAPE = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9464/metrics').read().decode())"


def scraped(room: Room) -> Samples:
    return samples(room.box.run("python3", "-c", SCRAPE))


def test_the_metrics_are_served_by_one_who_may_do_nothing_else(room: Room) -> None:
    """Of the group, and of nobody: it finds the sockets again after every restart, and may only look."""
    room.start("minuted-metrics")
    down = scraped(room)
    room.start()
    stages = {f"minuted_stage_up stage={stage}": 1.0 for stage in STAGES}
    room.box.wait_until(lambda: stages.items() <= scraped(room).items())
    room.box.wait_until(lambda: "minuted_session_today_seconds" in scraped(room))
    user = room.box.run("ps", "-o", "user=", "-p", room.property("MainPID", "minuted-metrics")).strip()
    status = room.property("StatusText", "minuted-metrics")
    room.systemctl("stop", "minuted-metrics")

    assert down["minuted_up"] == 0
    assert user not in ("root", "minuted")
    assert room.property("Result", "minuted-metrics") == "success"
    assert status == "ready, listening on 127.0.0.1:9464"
