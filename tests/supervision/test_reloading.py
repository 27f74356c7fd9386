"""The configuration read again while a run goes on: with stages that do as a test tells them."""

import os
import signal
import socket
import time

import pytest

from minuted.cli import main
from minuted.control import ask, status_of
from supervision.run import WAIT_S, starting


@pytest.fixture
def config(runtime_dir):
    """Write the run's configuration, folders and all."""

    def write(text):
        folders = f'state_dir = "{runtime_dir}/state"\nruntime_dir = "{runtime_dir}/run"\nsink_dirs = []\n'
        (runtime_dir / "minuted.toml").write_text(f'room = "attic"\n{folders}stop_timeout_s = 5\n{text}')
        return runtime_dir / "minuted.toml"

    return write


@pytest.fixture
def run(runtime_dir):
    with starting(runtime_dir) as start:
        yield start


LOCAL = '[engine]\nservice = "local"\n'


def log_to(path):
    return f'[sinks.file_log]\npath = "{path}"\n'


def reloaded(room):
    """Reload by SIGHUP, as systemd does; give the result."""
    before = status_of(room.settings, "supervisor")["reload"]["number"]
    room.process.send_signal(signal.SIGHUP)
    give_up_s = time.monotonic() + WAIT_S
    while time.monotonic() < give_up_s:
        told = (status_of(room.settings, "supervisor") or {}).get("reload", {})
        if told.get("number", before) > before and told["state"] != "busy":
            return told
        time.sleep(0.03)
    raise AssertionError(room.log())


def pids(room):
    return {name: stage["pid"] for name, stage in room.stages().items()}


def test_sinks_come_go_and_change_while_the_rest_goes_on(run, config, runtime_dir):
    """A new subtitle folder must not cost a word of anybody else's."""
    config(LOCAL + log_to("/a") + f'[sinks.srt]\ndirectory = "{runtime_dir}"\n')
    room = run({})
    room.wait_until_ready()
    before = pids(room)
    config(LOCAL + log_to("/b") + '[sinks.webhook]\nurl = "http://127.0.0.1:9/"\n')

    result = reloaded(room)

    assert result == {
        "number": 1,
        "state": "done",
        "text": "file_log restarted, webhook added, srt removed",
    }
    after = pids(room)
    assert after.keys() == {"transcription", "delivery/file_log", "delivery/webhook", "capture"}
    assert {name for name in after if after[name] == before.get(name)} == {"transcription", "capture"}
    assert set(room.events("stop")) == {"delivery/file_log stop", "delivery/srt stop"}
    room.process.terminate()
    assert room.end() == {"status": 0, "reason": ""}


def test_a_session_s_parameters_restart_the_transcription_alone(run, config):
    config(LOCAL)
    room = run({})
    room.wait_until_ready()
    before = pids(room)
    config(f"{LOCAL}[session]\nmin_turn_silence = 400\n")

    assert reloaded(room)["text"] == "transcription restarted"
    after = pids(room)
    assert after["transcription"] != before["transcription"]
    assert after["capture"] == before["capture"]
    assert "transcription drain" not in room.events(), "it is not over: it only makes place"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("room = ", "not TOML"),
        (f"{LOCAL}[session]\nmin_turn_silense = 400\n", "did you mean 'min_turn_silence'"),
        (f"{LOCAL}[sinks.webhook]\n", "[sinks.webhook]"),
        (f'{LOCAL}[publish]\nturns = "ipc:///tmp/other.sock"\n', "publish cannot change"),
    ],
)
def test_a_bad_file_is_refused_and_the_old_one_kept(run, config, runtime_dir, text, reason):
    """A typing mistake must not be the end of a meeting's minutes."""
    file = config(LOCAL + log_to("/a"))
    accepted = file.read_text()
    room = run({})
    before = {name: stage["pid"] for name, stage in room.wait_until_ready().items()}
    config(text)

    result = reloaded(room)

    assert result["state"] == "refused"
    assert reason in result["text"]
    assert pids(room) == before
    status = status_of(room.settings, "supervisor")
    assert status["state"] == "running"
    assert f"reload refused: {result['text']}" in status["summary"]
    assert reason in room.logged("reload_refused")[0]["reason"]
    # What crashes now must come up all the same.
    assert (runtime_dir / "run/minuted.accepted.toml").read_text() == accepted

    file.write_text(accepted)
    assert reloaded(room) == {"number": 2, "state": "done", "text": "nothing has changed"}
    assert "refused" not in status_of(room.settings, "supervisor")["summary"]


SINK = """\
from minuted import Sink


class Mine(Sink):
    def write(self, turn): ...
"""


def test_a_sink_s_edited_file_restarts_that_sink_alone_and_a_broken_one_is_refused(run, config, runtime_dir):
    """Whoever mends a sink reloads; and a slip of the finger must not end the one that works."""
    folder = runtime_dir / "own"
    folder.mkdir(mode=0o755)
    file = folder / "mine.py"
    file.write_text(SINK)
    path = config(f"{LOCAL}{log_to('/a')}[sinks.mine]\n")
    path.write_text(path.read_text().replace("sink_dirs = []", f'sink_dirs = ["{folder}"]'))
    room = run({})
    room.wait_until_ready()
    before = pids(room)

    file.write_text(f"{SINK}# edited\n")
    assert reloaded(room)["text"] == "mine restarted"
    edited = pids(room)
    assert {name for name in edited if edited[name] != before[name]} == {"delivery/mine"}

    file.write_text("def torn(:")
    assert reloaded(room)["text"] == (
        "[sinks.mine]: SyntaxError: invalid syntax (mine.py:1); everything goes on as it was"
    )
    file.unlink()
    told = reloaded(room)
    assert told["state"] == "refused"
    assert told["text"].startswith("[sinks.mine]: there is no sink 'mine'; ")
    assert main(["reload", "--config", str(path)]) == 1
    assert pids(room) == edited

    file.write_text(f"{SINK}# edited\n")
    assert reloaded(room)["text"] == "nothing has changed", "it is what runs"


def test_processes_read_what_was_accepted(run, config, runtime_dir):
    config(LOCAL)
    room = run({})
    room.wait_until_ready()
    told = (runtime_dir / "environment-capture").read_text()
    assert str(runtime_dir / "run/minuted.accepted.toml") in told
    room.process.terminate()
    room.end()
    assert not (runtime_dir / "run/minuted.accepted.toml").exists(), "it may hold secrets"


def test_a_sink_that_does_not_end_is_ended(run, config):
    """It has its time to deliver what it has; the new one waits for it."""
    config(LOCAL + log_to("/a"))
    room = run({"delivery/file_log": {"deaf": True}})
    room.wait_until_ready()
    config(LOCAL + log_to("/b"))

    assert reloaded(room)["text"] == "file_log restarted"
    assert [line["child"] for line in room.logged("retired_late")] == ["delivery/file_log"]


def test_a_process_that_does_not_come_back_is_told(run, config):
    config(LOCAL)
    room = run({"delivery/file_log": {"exits": [1] * 50, "status": "no such folder"}})
    room.wait_until_ready()
    config(LOCAL + log_to("/a"))

    assert reloaded(room)["text"] == "file_log added; file_log is down: no such folder"
    assert status_of(room.settings, "supervisor")["state"] == "degraded"


def test_systemd_hears_of_a_reload_and_of_its_end(run, config, runtime_dir):
    """Type=notify-reload waits for both."""
    config(LOCAL)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(runtime_dir / "notify"))
        systemd.settimeout(WAIT_S)
        room = run({}, env={"NOTIFY_SOCKET": str(runtime_dir / "notify")})
        while not (told := systemd.recv(4096)).startswith(b"READY=1"):
            pass
        room.process.send_signal(signal.SIGHUP)
        heard = []
        while not told.startswith(b"READY=1") or not heard:
            told = systemd.recv(4096)
            heard.append(told.split(b"=")[0])
        room.process.terminate()
        room.end()
    assert heard.index(b"RELOADING") < heard.index(b"READY")


def test_the_command_answers_what_happened(run, config, capsys):
    file = config(LOCAL)
    room = run({})
    room.wait_until_ready()
    assert main(["reload", "--config", str(file)]) == 0
    assert capsys.readouterr().out == "nothing has changed\n"
    config(LOCAL.replace("[engine]", '[publish]\nturns = "ipc:///tmp/other.sock"\n[engine]'))
    assert main(["reload", "--config", str(file)]) == 1
    assert capsys.readouterr().out.startswith("refused: publish cannot change while minuted runs")
    room.process.terminate()
    room.end()
    assert main(["reload", "--config", str(file)]) == 1
    assert "not running here" in capsys.readouterr().err


def test_a_reload_that_is_asked_for_twice_is_done_twice(run, config):
    """The second may be for another file than the first has read."""
    config(LOCAL)
    room = run({})
    room.wait_until_ready()
    numbers = [ask(room.settings, "supervisor", "reload")["number"] for _ in range(2)]
    give_up_s = time.monotonic() + WAIT_S
    while status_of(room.settings, "supervisor")["reload"] != {
        "number": max(numbers),
        "state": "done",
        "text": "nothing has changed",
    }:
        assert time.monotonic() < give_up_s
        time.sleep(0.03)


def test_a_stop_during_a_reload_is_a_stop(run, config):
    config(LOCAL + log_to("/a"))
    room = run({"delivery/file_log": {"deaf": True}})
    stages = room.wait_until_ready()
    config(LOCAL + log_to("/b"))
    room.process.send_signal(signal.SIGHUP)
    room.wait_for(lambda stages: stages["delivery/file_log"]["state"] == "stopping")
    room.process.terminate()
    room.end()
    assert not any(_is_alive(stage["pid"]) for stage in stages.values())


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
