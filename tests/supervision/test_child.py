"""What a process is told and what it tells."""

import os
import socket
import sys
from pathlib import Path

import pytest

from minuted.runtime import notify
from minuted.supervision.child import Child, Notices, describe_end, environment, parse_notice
from minuted.supervision.restarts import Kind

BASE = {
    "PATH": "/bin",
    "ASSEMBLYAI_API_KEY": "secret",
    "MINUTED_ENGINE_KEY": "outer",
    "NOTIFY_SOCKET": "/run/systemd/notify",
    "WATCHDOG_USEC": "1",
}


def environment_of(stage):
    return environment(
        BASE,
        stage,
        supervisor_pid=7,
        notices="@ours",
        service="assemblyai",
        engine_key="inner",
        run="5e6f",
        accepted=Path("/run/minuted/minuted.accepted.toml"),
    )


@pytest.mark.parametrize(
    ("stage", "has_key", "engine_key"),
    [
        ("transcription", True, "inner"),
        ("engine", False, "inner"),
        ("capture", False, None),
        ("delivery/webhook", False, None),
    ],
)
def test_only_those_who_need_a_key_get_one(stage, has_key, engine_key):
    """A sink is someone else's code."""
    told = environment_of(stage)
    assert ("ASSEMBLYAI_API_KEY" in told) == has_key
    assert told.get("MINUTED_ENGINE_KEY") == engine_key


def test_a_process_learns_what_was_decided_and_whom_it_belongs_to():
    """Without the key it could not tell which service was meant."""
    told = environment_of("capture")
    assert told["MINUTED_SERVICE"] == "assemblyai"
    assert told["MINUTED_SUPERVISOR_PID"] == "7"
    assert told["MINUTED_RUN"] == "5e6f"
    assert told["MINUTED_ACCEPTED"] == "/run/minuted/minuted.accepted.toml"
    assert told["NOTIFY_SOCKET"] == "@ours"
    assert told["PATH"] == "/bin"
    assert "WATCHDOG_USEC" not in told


def test_notices_come_with_their_sender_s_pid(monkeypatch):
    """The socket's name is open to everyone on the machine; the kernel says who spoke."""
    notices = Notices()
    monkeypatch.setenv("NOTIFY_SOCKET", notices.address)
    notify.ready("listening")
    notify.status("two\nlines")
    assert list(notices.receive()) == [
        (os.getpid(), {"READY": "1", "STATUS": "listening"}),
        (os.getpid(), {"STATUS": "two lines"}),
    ]
    assert list(notices.receive()) == []
    notices.close()


@pytest.mark.parametrize(
    ("data", "notice"),
    [
        (b"", {}),
        (b"READY=1", {"READY": "1"}),
        (b"STATUS=a=b\nnonsense\nREADY=1\n", {"STATUS": "a=b", "READY": "1"}),
        (b"\xff\xfe", {}),
    ],
)
def test_what_is_no_notice_is_ignored(data, notice):
    assert parse_notice(data) == notice


def test_a_long_notice_does_not_block_those_after_it(monkeypatch):
    notices = Notices()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(b"STATUS=" + b"x" * 100_000, "\0" + notices.address[1:])
    monkeypatch.setenv("NOTIFY_SOCKET", notices.address)
    notify.ready()
    assert [notice.get("READY") for _, notice in notices.receive()] == [None, "1"]
    notices.close()


@pytest.mark.parametrize(
    ("exit_status", "text"),
    [(0, "exit status 0"), (3, "exit status 3"), (-9, "killed by SIGKILL"), (-70, "killed by signal 70")],
)
def test_an_end_is_put_into_words(exit_status, text):
    assert describe_end(exit_status) == text


def test_what_a_process_said_last_is_the_reason_of_its_end_unless_it_was_killed():
    child = Child("capture", Kind.CORE, ["true"])
    child.take({"STATUS": "device lost"})
    child.end(1)
    assert child.status == "device lost"
    child.end(-9)
    assert child.status == "killed by SIGKILL"


def test_a_program_that_is_not_there_is_an_error_of_its_start():
    with pytest.raises(FileNotFoundError):
        Child("capture", Kind.CORE, ["/nowhere/at/all"]).start(dict(os.environ))


def test_a_key_is_handed_down_and_not_in_the_environment(capfd):
    """What stands in a process's environment can be read there for as long as it runs."""
    script = "from os import *; e = environ; print(KEY in e, pread(int(e['MINUTED_KEY_FD']), 9, 0))"
    script = script.replace("KEY", "'ASSEMBLYAI_API_KEY'", 1)
    child = Child("transcription", Kind.CORE, [sys.executable, "-S", "-c", script])
    child.start({**os.environ, "ASSEMBLYAI_API_KEY": "a-key"})
    while child.poll() is None:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert capfd.readouterr().err == "False b'a-key'\n"


def test_a_token_server_s_secret_is_handed_down_as_the_key_is(capfd):
    script = "from os import *; e = environ; print(NAME in e, pread(int(e[NAME + '_FD']), 9, 0))"
    script = script.replace("NAME", "'MINUTED_TOKEN_SECRET'")
    child = Child("transcription", Kind.CORE, [sys.executable, "-S", "-c", script])
    child.start({**os.environ, "MINUTED_TOKEN_SECRET": "a-secret", "ASSEMBLYAI_API_KEY": "a-key"})
    while child.poll() is None:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert capfd.readouterr().err == "False b'a-secret'\n"


def test_what_a_process_prints_goes_to_the_log(capfd):
    """Standard output is for captions."""
    child = Child("delivery/x", Kind.SINK, [sys.executable, "-S", "-c", "print('hello')"])
    child.start(dict(os.environ))
    while child.poll() is None:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "hello\n")
