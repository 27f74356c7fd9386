"""The table of named faults of a session: whatever befalls it, every word once, at its true time."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from simulator import MALFORMED, Fault, Service
from simulator.coded import compose
from simulator.oracle import HEADING, from_turns, judge
from simulator.proxy import Proxy

FIRST_MS = 1_000_000 * 50 + 7
"""Epoch milliseconds of the first frame a Room is given."""
RECORDING = compose(4)
AT_MS = 6000
"""In the middle of the second turn's words."""
TOO_MANY = "Unauthorized connection: Too many concurrent sessions"
FAILURES = ("retrying", "refused")
NAME = "service.example"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault by its name, and how many failures of a session it has to cost."""

    name: str
    script: tuple[Fault, ...] = ()
    failures: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def broken(name: str, kind: str = "error", failures: int = 1, **details: Any) -> Case:
    fault = Fault(name=kind, **{"at_audio_ms": AT_MS, **details})
    return Case(name=name, script=(fault,), failures=failures)


def before(name: str, kind: str, times: int = 1, **details: Any) -> Case:
    """Make a case of attempts that fail before there is a session."""
    return Case(name=name, script=(Fault(name=kind, times=times, **details),), failures=times)


CASES = [
    broken("reset between two turns", "reset", at_finals=1, at_audio_ms=None),
    broken("reset in the last turn", "reset", at_finals=3, at_audio_ms=None),
    Case(
        name="three resets",
        script=tuple(Fault(name="reset", session=n, at_audio_ms=3000) for n in range(3)),
        failures=3,
    ),
    broken("error 1011", code=1011),
    broken("error 1013", code=1013),
    broken("close 1001", "close", code=1001),
    broken("close 1012", "close", code=1012),
    broken("close 1013", "close", code=1013),
    broken("close 3005", "close", code=3005),
    broken("error 3007, too fast", code=3007),
    broken("close 3008, expired", "close", code=3008),
    broken("error 3009, too many sessions", code=3009),
    before("error 3009 twice at the door", "error", times=2, code=3009),
    before("error 1008, too many sessions", "error", times=2, code=1008, text=TOO_MANY),
    before("error 1008, a key refused for a while", "error", times=3, code=1008),
    before("error 1008, a token too old", "error", code=1008, text="Unauthorized: Signature has expired"),
    broken("error 3006, inactivity", code=3006, text="Session terminated due to inactivity"),
    before("http 429", "http", status=429),
    before("http 500", "http", status=500),
    before("http 502 for a while", "http", times=3, status=502),
    before("http 403, somebody's proxy", "http", status=403),
    before("upgrade never answered", "unanswered"),
    before("no Begin", "no_begin"),
    broken("the service reads no more", "black_hole"),
    broken("malformed: bad_json", "say", message="bad_json"),
    *(
        broken(f"malformed: {name}", "say", failures=0, message=name)
        for name in MALFORMED
        if name not in ("turn_without_words", "not_an_object", "bad_json")
    ),
]


def check(case: str, room: Any, failures: int | None) -> None:
    """Print the fault's row of the table; fail on anything that is not perfect, or did not happen."""
    turns = [turn.to_map() for turn in (*room.finals, *room.gaps)]
    verdict = judge(RECORDING.words, from_turns(turns, origin_ms=FIRST_MS))
    count = failed(room)
    print(HEADING, verdict.row(case), f"{count} failures", sep="\n")
    assert verdict.is_perfect(time_error_ms_max=50), verdict
    if failures is not None:
        assert count == failures


def failed(room: Any) -> int:
    return sum(room.session_events.count(event) for event in FAILURES)


def has_failed(room: Any, count: int) -> bool:
    return failed(room) >= count


def endure(room: Any, failures: int) -> None:
    """Wait for each failure, and spare the test the pause after it."""
    for count in range(1, failures + 1):
        room.wait_for(partial(has_failed, room, count))
        room.retry_now()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_whatever_befalls_a_session_every_word_comes_once_at_its_time(
    make_room: Callable, case: Case
) -> None:
    """A row of the table each."""
    with Service(case.script, **case.options) as service:
        room = make_room(service)
        room.play(RECORDING)
        endure(room, case.failures)
        room.end()
        struck = [name for connection in service.connections for _, name in connection.faults]
        answered = [connection.status for connection in service.connections if connection.status != 101]
    assert len(struck) + len(answered) >= max(1, case.failures), "the fault did not happen"
    check(case.name, room, case.failures)


def test_a_black_hole_in_the_network_costs_no_word(make_room: Callable) -> None:
    """Packets vanish and nothing is closed: only what does not come tells."""
    with Service() as service, Proxy(service.port) as proxy:
        room = make_room(proxy)
        room.play(RECORDING)
        room.wait_for(lambda: room.finals)
        proxy.black_hole()
        began_s = time.monotonic()
        # What was in flight may come to its end without the network.
        room.play(compose(1, words=(1, 1), first_number=900))
        endure(room, 1)
        noticed_s = time.monotonic() - began_s
        proxy.heal()
        room.wait_for(lambda: len(service.sessions) > 1)
        room.end()
    words = [word for word in room.words if word not in ("word0900.", "word0900?", "word0900!")]
    assert words == [word.text for word in RECORDING.words]
    assert len(room.words) == len(words) + 1
    print(f"noticed after {noticed_s:.1f} s")


def test_a_service_that_stalls_from_the_start_is_noticed(make_room: Callable) -> None:
    """It says Begin and nothing more, though people speak."""
    with Service([Fault(name="stall", at_audio_ms=100)]) as service:
        room = make_room(service)
        room.play(RECORDING)
        room.wait_for(lambda: has_failed(room, 1))
        room.end()
    check("stall from the start", room, 1)


def test_a_closed_port_costs_no_word(make_room: Callable) -> None:
    """The network is there, and for a while nobody listens; it is tried again by itself."""
    service = Service()  # bound, not listening
    room = make_room(service)
    room.play(RECORDING)
    room.wait_for(lambda: room.session_events.count("retrying") >= 3)
    with service:
        room.end()
    check("port closed for a while", room, None)


def test_a_name_that_does_not_resolve_for_a_while_costs_no_word(
    make_room: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router restarts: names come back before anybody looks at the room."""
    resolve, asked = socket.getaddrinfo, []

    def resolver(host: Any, *rest: Any, **named: Any) -> Any:
        if host != NAME:
            return resolve(host, *rest, **named)
        asked.append(host)
        if len(asked) <= 3:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve("127.0.0.1", *rest, **named)

    for name in ("http_proxy", "https_proxy", "all_proxy", "socks_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with Service() as service:

        class Named:
            url = f"ws://{NAME}:{service.port}"

        room = make_room(Named)
        room.play(RECORDING)
        room.wait_for(lambda: len(service.sessions) == 1)
        room.end()
    assert len(asked) > 3
    check("name not resolved for a while", room, 3)
