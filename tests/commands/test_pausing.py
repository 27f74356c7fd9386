"""The two commands, and that they never claim what is not so."""

import threading
import time
from typing import Any

import pytest

from minuted import cli
from minuted.commands import pausing
from minuted.control import ControlServer
from waiting import until


@pytest.fixture
def settings(make_settings):
    return make_settings()


def serve(settings, **handlers: Any) -> ControlServer:
    return ControlServer(settings.control_endpoint("capture"), handlers)


def test_where_nothing_runs_it_says_so(settings):
    with pytest.raises(pausing.NotDoneError, match=r"not running here .*; nothing was changed"):
        pausing.begin(settings, None)


def test_the_command_fails_where_nothing_runs(settings, runtime_dir, capsys):
    file = runtime_dir / "minuted.toml"
    file.write_text(f'state_dir = "{settings.state_dir}"\nruntime_dir = "{runtime_dir}"\n')
    for command in ("pause", "resume"):
        assert cli.main([command, "--config", str(file)]) == 1
        assert "nothing was changed" in capsys.readouterr().err


def test_a_capture_that_does_not_answer_has_changed_nothing(settings, monkeypatch):
    """A request that it finds later is older than it may be."""
    monkeypatch.setattr(pausing, "VALID_S", 0.0)
    monkeypatch.setattr(pausing, "ANSWER_S_MAX", 0.05)
    found: list[dict[str, Any]] = []
    given_up = threading.Event()

    def hang(question: dict[str, Any]) -> dict[str, Any]:
        given_up.wait(30)
        found.append(question)
        return {}

    capture = serve(settings, pause=hang)
    try:
        with pytest.raises(pausing.NotDoneError, match="does not answer; nothing was changed"):
            pausing.begin(settings, None)
        given_up.set()
        until(lambda: found)
    finally:
        given_up.set()
        capture.close()
    assert found[0]["before_s"] < time.monotonic()


def test_what_capture_refuses_is_told(settings):
    capture = serve(settings, pause=lambda _: {"ok": False, "error": "a recording is being played"})
    try:
        with pytest.raises(pausing.NotDoneError, match="not done: a recording is being played"):
            pausing.begin(settings, None)
    finally:
        capture.close()


def test_it_returns_only_when_the_microphone_is_closed(settings):
    """Who has read "paused" begins to speak."""
    asked: list[dict[str, Any]] = []
    looks: list[bool] = []

    def pause(question: dict[str, Any]) -> dict[str, Any]:
        asked.append(question)
        return {"text": "paused until 14:30"}

    def status(_: dict[str, Any]) -> dict[str, Any]:
        looks.append(len(looks) > 3)
        return {"paused": looks[-1]}

    capture = serve(settings, pause=pause, status=status)
    try:
        assert pausing.begin(settings, 90.0) == "paused until 14:30"
    finally:
        capture.close()
    assert looks[-1]
    assert asked[0]["for_s"] == 90.0


def test_a_microphone_that_does_not_close_is_no_success(settings, monkeypatch):
    monkeypatch.setattr(pausing, "CLOSED_S_MAX", 0.1)
    capture = serve(settings, pause=lambda _: {"text": "paused"}, status=lambda _: {"paused": False})
    try:
        with pytest.raises(pausing.NotDoneError, match="has not confirmed"):
            pausing.begin(settings, None)
    finally:
        capture.close()


@pytest.mark.parametrize(("was_paused", "said"), [(True, "resumed"), (False, "there was no pause")])
def test_an_end_says_whether_there_was_a_pause(settings, was_paused, said):
    capture = serve(settings, resume=lambda _: {"was_paused": was_paused})
    try:
        assert pausing.end(settings) == said
    finally:
        capture.close()


# Several sources.

TWO = "[[capture.sources]]\nname = 'table'\n[[capture.sources]]\nname = 'far'\ndevice = 'HDMI'\n"


def serve_each(settings, pause_far):
    looks: dict[str, list[bool]] = {"table": [], "far": []}

    def handlers(name, pause):
        def status(_):
            looks[name].append(len(looks[name]) > 2)
            return {"paused": looks[name][-1]}

        return {"pause": pause, "resume": pause, "status": status}

    servers = [
        ControlServer(settings.control_endpoint(f"capture/{name}"), handlers(name, pause))
        for name, pause in (("table", lambda _: {"text": "paused", "was_paused": True}), ("far", pause_far))
    ]
    return servers, looks


def test_all_microphones_are_closed_when_it_returns(make_settings):
    settings = make_settings(TWO)
    servers, looks = serve_each(settings, lambda _: {"text": "paused", "was_paused": True})
    try:
        assert pausing.begin(settings, 60.0) == "paused"
        assert looks["table"][-1]
        assert looks["far"][-1]
        assert pausing.end(settings) == "resumed"
    finally:
        for server in servers:
            server.close()


def test_a_pause_that_only_one_of_them_has_heeded_is_none(make_settings):
    """The far end would hear on while everybody at the table believes in privacy."""
    settings = make_settings(TWO)
    servers, _ = serve_each(settings, lambda _: {"ok": False, "error": "no room on the disk"})
    try:
        with pytest.raises(pausing.NotDoneError, match="no room on the disk; only capture/table did so"):
            pausing.begin(settings, None)
    finally:
        for server in servers:
            server.close()
