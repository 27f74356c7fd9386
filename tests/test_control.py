import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from minuted.bus import FramesIn, ReplayServer, TurnsOut
from minuted.config import Settings
from minuted.control import ControlServer, ask, done, status_of
from minuted.messages import pack, unpack
from rights import as_user, needs_root

WAIT_S = 10
STAGE = "delivery/webhook"

Serve = Callable[..., ControlServer]


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def serve(settings: Settings) -> Iterator[Serve]:
    """Start control servers that are closed after the test."""
    servers = []

    def start(**handlers: Callable[[dict[str, Any]], Any]) -> ControlServer:
        servers.append(ControlServer(settings.control_endpoint(STAGE), handlers))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def raising(error: Exception) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def handle(_question: dict[str, Any]) -> dict[str, Any]:
        raise error

    return handle


def test_a_request_reaches_its_handler_with_its_details(settings: Settings, serve: Serve) -> None:
    serve(configure=lambda question: {"took": question["min_turn_silence"]})

    answer = ask(settings, STAGE, "configure", WAIT_S, min_turn_silence=560)

    assert answer == {"ok": True, "took": 560}


CONNECT = """
import errno, socket, sys

for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as trial:
        print(errno.errorcode.get(trial.connect_ex(path), "connected"))
"""
ASK = """
import sys
from pathlib import Path
from minuted.config import Settings
from minuted.control import ask, status_of

settings = Settings(runtime_dir=Path(sys.argv[1]))
print(status_of(settings, sys.argv[2], 10))
try:
    print(ask(settings, sys.argv[2], "stop", 10))
except (ValueError, TimeoutError) as error:
    print(error)
"""
GROUP = 54321


@pytest.fixture
def shared(settings: Settings) -> Settings:
    """The runtime folder as the service's group has it: sockets made in it are the group's."""
    os.chown(settings.runtime_dir, -1, GROUP)
    settings.runtime_dir.chmod(0o2750)
    return settings


@needs_root
@pytest.mark.parametrize("folder_mode", [0o2750, 0o2755], ids=oct)
def test_who_is_not_in_the_group_is_refused_by_the_kernel(
    shared: Settings, serve: Serve, folder_mode: int
) -> None:
    """By the folder, and by each socket's own mode where the folder lets people pass."""
    serve(status=lambda _: {"state": "live"})
    shared.runtime_dir.chmod(folder_mode)
    with (
        TurnsOut(shared.turns_endpoint),
        ReplayServer(shared.replay_endpoint),
        FramesIn(shared.frames_endpoint),
    ):
        endpoints = (shared.turns_endpoint, shared.replay_endpoint, shared.control_endpoint(STAGE))
        paths = [endpoint.removeprefix("ipc://") for endpoint in (*endpoints, shared.frames_endpoint)]
        for path in paths:
            os.chown(path, -1, GROUP)

        assert as_user(CONNECT, *paths).split() == ["EACCES"] * 4
        # A member hears turns and asks how things are; frames are the service's own.
        assert as_user(CONNECT, *paths, groups=[GROUP]).split() == ["connected"] * 3 + ["EACCES"]


@needs_root
def test_a_member_of_the_group_may_ask_and_not_command(shared: Settings, serve: Serve) -> None:
    """Who may read the minutes is not thereby who may stop them."""
    stopped = threading.Event()
    serve(status=lambda _: {"state": "live"}, stop=done(stopped.set))
    os.chown(shared.control_endpoint(STAGE).removeprefix("ipc://"), -1, GROUP)

    said = as_user(ASK, str(shared.runtime_dir), STAGE, groups=[GROUP])

    assert "'state': 'live'" in said
    assert "only root and the service's own user may ask for 'stop'" in said
    assert not stopped.is_set()
    ask(shared, STAGE, "stop", WAIT_S)
    assert stopped.is_set()


def test_without_a_known_user_nothing_is_commanded(
    settings: Settings, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ZeroMQ that does not tell who asks must not open the door to everybody."""
    server = serve(status=lambda _: {}, stop=done(lambda: None))
    real = server._replier.receive

    def receive(timeout_s: float) -> Any:
        asked = real(timeout_s)
        server._replier.asker = None
        return asked

    monkeypatch.setattr(server._replier, "receive", receive)
    status_of(settings, STAGE, WAIT_S)  # one round with the old method may be under way
    with pytest.raises(ValueError, match="only root and the service's own user"):
        ask(settings, STAGE, "stop", WAIT_S)


def test_done_answers_once_the_action_is_done(settings: Settings, serve: Serve) -> None:
    drained = threading.Event()
    serve(drain=done(drained.set))

    assert ask(settings, STAGE, "drain", WAIT_S) == {"ok": True}
    assert drained.is_set()


def test_a_status_is_completed_with_the_process_it_is_of(settings: Settings, serve: Serve) -> None:
    serve(status=lambda _: {"state": "live", "lag": 3})

    status = status_of(settings, STAGE, WAIT_S)

    assert status is not None
    assert 0 <= status.pop("uptime_s") < 60
    status.pop("loop_age_s", None)  # only where a main loop has begun in this process
    status.pop("cut_off", None)  # and this where another test has flooded it
    assert status == {"pid": os.getpid(), "state": "live", "lag": 3}


@pytest.mark.parametrize("op", ["unheard-of", "", None, 7, ["status"], {"op": "status"}, True])
def test_an_unknown_request_is_refused_and_told_what_there_is(
    settings: Settings, serve: Serve, op: Any
) -> None:
    serve(status=lambda _: {}, pause=lambda _: {})

    with pytest.raises(ValueError, match=r"unknown request .*known: status, pause"):
        ask(settings, STAGE, op, WAIT_S)


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (raising(RuntimeError("the device is gone")), "the device is gone"),
        (raising(KeyError()), "KeyError"),
        (lambda _: {"path": Path("/somewhere")}, "Path"),
        (lambda _: {"number": 2**70}, "Overflow|Integer|int"),
        (lambda _: {"text": "\ud800"}, "surrogate"),
        (lambda _: None, "NoneType"),
    ],
    ids=["raises", "raises without words", "no plain value", "too big", "not text", "no map"],
)
def test_a_failing_handler_is_an_answer_and_no_end(
    settings: Settings, serve: Serve, handler: Callable[[dict[str, Any]], dict[str, Any]], error: str
) -> None:
    """A request must not end the process it asks, nor its answering."""
    serve(fail=handler, status=lambda _: {"state": "live"})

    for _ in range(2):
        with pytest.raises(ValueError, match=error):
            ask(settings, STAGE, "fail", WAIT_S)
    assert ask(settings, STAGE, "status", WAIT_S)["state"] == "live"


@pytest.mark.parametrize("data", [b"", b"\xc1", pack([1]), pack({"v": 1})])
def test_a_malformed_request_is_answered(settings: Settings, serve: Serve, data: bytes) -> None:
    serve(status=lambda _: {})
    with zmq.Context() as context, context.socket(zmq.REQ) as asker:
        asker.set(zmq.LINGER, 0)
        asker.connect(settings.control_endpoint(STAGE))
        asker.send(data)
        assert asker.poll(WAIT_S * 1000)
        answer = unpack(asker.recv())

    assert answer["ok"] is False
    assert "unknown request" in answer["error"]


def test_a_busy_process_still_tells_its_state(settings: Settings, serve: Serve) -> None:
    """Just when it hangs, people ask."""
    state = {"state": "busy"}
    serve(status=lambda _: state)
    until_s = time.monotonic() + WAIT_S
    answers: list[dict[str, Any] | None] = []
    asking = threading.Thread(target=lambda: answers.append(status_of(settings, STAGE, WAIT_S)))
    asking.start()
    while not answers and time.monotonic() < until_s:
        sum(range(10_000))  # this thread, the process's own, never looks at a socket
    asking.join()

    assert answers[0] is not None
    assert answers[0]["state"] == "busy"


def test_many_askers_get_their_own_answers(settings: Settings, serve: Serve) -> None:
    serve(echo=lambda question: {"number": question["number"]})
    answers: dict[int, int] = {}

    def one(number: int) -> None:
        answers[number] = ask(settings, STAGE, "echo", WAIT_S, number=number)["number"]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == {number: number for number in range(20)}


def test_nobody_there_is_a_timeout_and_no_status(settings: Settings) -> None:
    with pytest.raises(TimeoutError, match=r"nothing answers at .*control-delivery-webhook"):
        ask(settings, STAGE, "status", timeout_s=0.05)
    assert status_of(settings, STAGE, timeout_s=0.05) is None


def test_a_handler_that_hangs_is_a_timeout_for_who_asks(settings: Settings, serve: Serve) -> None:
    release = threading.Event()
    serve(hang=lambda _: {"done": release.wait(WAIT_S)})
    with pytest.raises(TimeoutError):
        ask(settings, STAGE, "hang", timeout_s=0.05)
    release.set()


def test_a_refused_status_is_none(settings: Settings, serve: Serve) -> None:
    serve(other=lambda _: {})

    assert status_of(settings, STAGE, WAIT_S) is None


def test_a_closed_server_frees_its_socket(settings: Settings) -> None:
    for _ in range(3):
        server = ControlServer(settings.control_endpoint(STAGE), {"status": lambda _: {}})
        assert status_of(settings, STAGE, WAIT_S) is not None
        server.close()
    assert status_of(settings, STAGE, timeout_s=0.05) is None
