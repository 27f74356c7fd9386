"""Each fault as a client sees it, on real sockets."""

import socket
import time
from itertools import islice

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from simulator import Fault, Service
from simulator.client import Client
from simulator.coded import compose

RECORDING = compose(2, seed=31)
FRAME = bytes(1600)
UPGRADE = (
    b"GET /v3/ws?speech_model=u3-rt-pro HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: key\r\n\r\n"
)


@pytest.fixture
def service():
    with Service(heartbeat_s=0.05) as service:
        yield service


def opened(service: Service) -> Client:
    return Client(service.url, session_heartbeat="true")


def test_nobody_listens_while_refused_and_the_open_session_goes_on(service):
    with opened(service) as client:
        client.read_until("Heartbeat")
        service.fault("refuse")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port), timeout=5).close()
        client.read_until("Heartbeat")
        service.fault("heal")
        with opened(service) as second:
            assert second.read()["type"] == "Begin"


def test_a_refusal_can_end_by_itself(service):
    service.fault("refuse", for_s=0.2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", service.port), timeout=5).close()
    service.wait_until(lambda: [e["event"] for e in service.record.events].count("listening") == 2)
    with opened(service) as client:
        assert client.read()["type"] == "Begin"


def test_a_handshake_may_never_be_answered():
    with Service([Fault(name="unanswered")]) as service:
        client = opened(service)
        with socket.create_connection(("127.0.0.1", service.port), timeout=0.3) as raw:
            raw.sendall(UPGRADE)
            with pytest.raises(TimeoutError):
                raw.recv(1)
        assert service.connections[0].status is None
        with client:
            assert client.read()["type"] == "Begin"


@pytest.mark.parametrize("status", [401, 403, 407, 410, 429, 502, 503])
def test_the_upgrade_may_be_answered_by_a_status(status):
    with Service([Fault(name="http", status=status, headers={"Retry-After": "7"})]) as service:
        with pytest.raises(InvalidStatus) as refused, opened(service):
            pass
        assert refused.value.response.status_code == status
        assert refused.value.response.headers["Retry-After"] == "7"
        assert service.connections[0].status == status
        with opened(service) as client:
            assert client.read()["type"] == "Begin"


def test_a_reset_is_a_reset(service):
    with opened(service) as client:
        client.read_until("Heartbeat")
        service.fault("reset")
        with pytest.raises(ConnectionClosedError) as lost:
            client.read_until("never")
        assert isinstance(lost.value.__cause__, ConnectionResetError)
        service.wait_until(lambda: service.connections[0].ended_at_s)
    assert service.connections[0].closed_by == "nobody"
    assert [name for _, name in service.connections[0].faults] == ["reset"]


def test_a_script_can_close_the_listener_as_well():
    """An outage: the session breaks, and nobody answers for a while."""
    script = [Fault(name="refuse", at_messages=2, for_s=0.3), Fault(name="reset", at_messages=2)]
    with Service(script) as service, opened(service) as client:
        client.read()
        client.send([FRAME] * 2)
        client.read_to_the_end()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port), timeout=5).close()
        service.wait_until(lambda: [e["event"] for e in service.record.events].count("listening") == 2)


def test_what_was_said_before_a_reset_still_arrives():
    """A test that wants a final to arrive and the connection to break right after it needs this."""
    ends_ms = max(word.end_ms for word in RECORDING.words if word.turn == 0) + 100
    with Service([Fault(name="reset", at_finals=1)]) as service, Client(service.url) as client:
        client.send(islice(RECORDING.frames(), ends_ms // 50 + 1))
        with pytest.raises(ConnectionClosedError):
            client.read_until("never")
        assert len(client.finals) == 1


def test_a_drop_is_an_end_without_a_close_frame(service):
    with opened(service) as client:
        client.read_until("Heartbeat")
        service.fault("drop")
        client.read_to_the_end()
        assert client.close_code == 1006


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1013, 3005, 3008, 3009])
def test_a_close_comes_with_any_code_and_without_an_error(service, code):
    with opened(service) as client:
        client.read()
        service.fault("close", code=code, text="why")
        client.read_to_the_end()
        assert (client.close_code, client.close_reason) == (code, "why")
        assert client.of("Error") == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1008, "Unauthorized Connection: Insufficient account balance"),
        (1008, "Unauthorized connection: Too many concurrent sessions"),
        (1011, ""),
        (3005, ""),
        (3008, ""),
        (3009, ""),
        (4029, "an old one"),
    ],
)
def test_an_error_comes_before_its_close(service, code, text):
    with opened(service) as client:
        client.read()
        service.fault("error", code=code, text=text)
        client.read_to_the_end()
        (error,) = client.of("Error")
        assert error["error_code"] == client.close_code == code
        assert error["error"] == text if text else error["error"]
        assert client.close_reason == "See Error message for details"


def test_a_stalled_session_answers_pings_and_takes_sound_and_is_silent(service):
    with opened(service) as client:
        client.read_until("Heartbeat")
        service.fault("stall")
        while True:
            try:
                client.read(timeout_s=0.3)
            except TimeoutError:
                break
        client.send([FRAME] * 20)
        assert client.socket.ping().wait(5)
        service.wait_until(lambda: service.connections[0].audio_bytes == 32_000)
        service.fault("heal")
        assert client.read()["type"] == "Heartbeat"


def test_a_black_hole_answers_nothing_and_closes_nothing(service):
    with opened(service) as client:
        client.read_until("Heartbeat")
        service.fault("black_hole")
        while True:
            try:
                client.read(timeout_s=0.3)
            except TimeoutError:
                break
        client.send([FRAME] * 50)
        assert not client.socket.ping().wait(0.3)
        heard = service.connections[0].audio_bytes
        assert heard == 0
        service.fault("heal")
        service.wait_until(lambda: service.connections[0].audio_bytes == 50 * 1600)
        client.read_until("Heartbeat")


def test_a_black_hole_fills_up():
    """Sound goes nowhere, and in the end sending blocks: what a client's own timeout is for."""
    with Service() as service, Client(service.url) as client:
        client.read()
        service.fault("black_hole")
        client.socket.socket.settimeout(0.5)
        with pytest.raises((TimeoutError, ConnectionClosedError)):
            for _ in range(2000):
                client.socket.send(bytes(32_000))
        assert service.connections[0].audio_bytes < 64_000


def test_a_black_hole_can_end_by_itself(service):
    with opened(service) as client:
        client.read_until("Heartbeat")
        service.fault("black_hole", for_s=0.3)
        client.send([FRAME] * 10)
        service.wait_until(lambda: service.connections[0].audio_bytes == 16_000)
        at_s = [at_s for at_s, name in service.connections[0].faults if name == "black_hole"]
        assert service.connections[0].audio[0][0] - at_s[0] >= 0.3


def test_late_messages_are_late(service):
    service.fault("latency", for_s=0.3, at_s=0)
    with opened(service) as client:
        asked_s = time.monotonic()
        client.read_until("Heartbeat")
        assert time.monotonic() - asked_s >= 0.3


def test_only_the_named_session_is_struck(service):
    with opened(service) as first, opened(service) as second:
        first.read()
        second.read()
        service.fault("close", code=1011, session=1)
        second.read_to_the_end()
        assert second.close_code == 1011
        assert first.read()["type"] == "Heartbeat"


def test_a_fault_called_with_a_moment_waits_for_it(service):
    with opened(service) as client:
        client.read()
        service.fault("close", code=3005, at_audio_ms=200)
        client.send([FRAME] * 3)
        client.read_until("Heartbeat")
        client.send([FRAME])
        client.read_to_the_end()
        assert client.close_code == 3005
        assert service.connections[0].audio_ms == 200


def test_a_script_goes_on_over_several_sessions():
    script = [
        Fault(name="http", status=503, times=2),
        Fault(name="close", code=1011, session=0, at_messages=3),
        Fault(name="error", code=1008, session=1),
    ]
    with Service(script) as service:
        for _ in range(2):
            with pytest.raises(InvalidStatus), opened(service):
                pass
        with opened(service) as client:
            client.send([FRAME] * 3)
            client.read_to_the_end()
            assert client.close_code == 1011
        with opened(service) as client:
            assert client.read()["error_code"] == 1008
        with opened(service) as client:
            assert client.read()["type"] == "Begin"
        assert [connection.status for connection in service.connections] == [503, 503, 101, 101, 101]
        assert [connection.attempt for connection in service.sessions] == [2, 4]


def test_a_service_starts_again_on_its_port(service):
    with opened(service) as client:
        client.read()
        service.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port), timeout=5).close()
        client.read_to_the_end()
        assert client.close_code == 1006
    service.start()
    with opened(service) as client:
        assert client.read()["type"] == "Begin"
    assert len(service.sessions) == 2


def test_a_port_in_use_is_said_so(service):
    with pytest.raises(OSError, match="in use"):
        Service(port=service.port)


def test_a_client_that_leaves_at_once_is_a_session_that_ended(service):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port), timeout=5) as raw:
            raw.sendall(UPGRADE)
    service.wait_until(lambda: sum(c.ended_at_s is not None for c in service.connections) == 20)
    assert not service._links


def test_a_service_stops_whatever_is_going_on():
    """With a session in a black hole, an unanswered handshake and a connection that says nothing."""
    with Service() as service, Client(service.url) as client:
        client.read()
        service.fault("black_hole")
        service.fault("unanswered")
        with (
            socket.create_connection(("127.0.0.1", service.port)) as mute,
            socket.create_connection(("127.0.0.1", service.port)) as asking,
        ):
            asking.sendall(UPGRADE)
            service.wait_until(lambda: len(service.connections) == 2)
            service.stop()
            assert mute.recv(1) == b""
