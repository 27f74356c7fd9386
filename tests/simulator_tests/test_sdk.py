"""The vendor's own client against the simulator: what it sees is what it would see of the service."""

import json
import threading
from collections.abc import Iterator

import assemblyai.streaming.v3.client as sdk_client
import pytest
from assemblyai.streaming.v3 import (
    RealTimeEvents,
    RealTimeParameters,
    RealTimeSessionParameters,
    RealTimeTranscriber,
    RealTimeTranscriberOptions,
)

from simulator import MALFORMED, Fault, Service
from simulator.coded import compose

# The client uses websockets' connect() in a way that is being given up.
pytestmark = pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")

RECORDING = compose(3, speakers=2, seed=41)
WAIT_S_MAX = 10.0


class Listener:
    """An SDK client that keeps what it is told."""

    def __init__(self, service: Service, connect_s_max: float = WAIT_S_MAX) -> None:
        options = RealTimeTranscriberOptions(
            api_key="a-key",
            api_host=service.url,
            connect_timeout=connect_s_max,
            connection_retry_delay=0.05,
        )
        self.client = RealTimeTranscriber(options)
        self.events: list[tuple[RealTimeEvents, object]] = []
        self._heard = threading.Condition()
        for kind in RealTimeEvents:
            self.client.on(kind, lambda _, event, kind=kind: self._take(kind, event))

    def _take(self, kind: RealTimeEvents, event: object) -> None:
        with self._heard:
            self.events.append((kind, event))
            self._heard.notify_all()

    def of(self, kind: RealTimeEvents) -> list:
        return [event for heard, event in list(self.events) if heard is kind]

    def wait_for(self, kind: RealTimeEvents, count: int = 1) -> list:
        with self._heard:
            assert self._heard.wait_for(lambda: len(self.of(kind)) >= count, WAIT_S_MAX), self.events
        return self.of(kind)

    def connect(self, **parameters: object) -> None:
        given = {"speech_model": "u3-rt-pro", "sample_rate": 16_000} | parameters
        self.client.connect(RealTimeParameters(**given))

    def close(self) -> None:
        """End without a Terminate, and without the second its threads may sleep."""
        self.client._stop_event.set()
        self.client.keep_alive()
        self.client._close_websocket()
        self.client.disconnect()

    @property
    def finals(self) -> list:
        return [turn for turn in self.of(RealTimeEvents.Turn) if turn.end_of_turn]


@pytest.fixture(autouse=True)
def bare_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK as it is published: in the daemon it reads frames through a gate."""
    monkeypatch.setattr(sdk_client, "json", json)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(heartbeat_s=0.05) as service:
        yield service


def test_a_whole_session_with_everything_on(service):
    """Every kind of message is one the SDK's own models accept."""
    listener = Listener(service)
    listener.connect(
        session_heartbeat=True,
        acknowledge_silence=True,
        speaker_labels=True,
        language_detection=True,
        min_turn_silence=300,
        max_turn_silence=1500,
        keyterms_prompt=["Kubernetes", "Siobhan"],
        vad_threshold=0.4,
    )
    listener.client.stream(RECORDING.frames())
    listener.wait_for(RealTimeEvents.Heartbeat)
    listener.client.set_params(RealTimeSessionParameters(max_turn_silence=2000))
    listener.client.keep_alive()
    listener.client.force_endpoint()
    listener.client.disconnect(terminate=True)
    told = [(w.text, w.start, w.end, w.speaker) for turn in listener.finals for w in turn.words]
    assert told == [(w.text, w.start_ms, w.end_ms, "AB"[w.speaker]) for w in RECORDING.words]
    for kind in ("Begin", "SpeechStarted", "Silence", "SpeakerRevision", "Termination"):
        assert listener.of(RealTimeEvents[kind]), kind
    assert listener.of(RealTimeEvents.Error) == []
    (connection,) = service.sessions
    assert connection.parameters["keyterms_prompt"] == ["Kubernetes", "Siobhan"]
    assert connection.parameters["session_heartbeat"] is True
    assert connection.ignored == {}
    assert connection.asked("UpdateConfiguration") == [
        {"type": "UpdateConfiguration", "max_turn_silence": 2000}
    ]


def test_an_error_and_its_close_are_one_error(service):
    listener = Listener(service)
    listener.connect()
    listener.wait_for(RealTimeEvents.Begin)
    service.fault("error", code=3005, text="Session Cancelled: An error occurred")
    (error,) = listener.wait_for(RealTimeEvents.Error)
    assert (error.code, str(error)) == (3005, "Session Cancelled: An error occurred")
    listener.close()
    assert len(listener.of(RealTimeEvents.Error)) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"name": "reset"}, 1006),
        ({"name": "drop"}, 1006),
        ({"name": "close", "code": 1011, "text": "bye"}, 1011),
        ({"name": "close", "code": 3009}, 3009),
    ],
)
def test_a_broken_session_is_an_error_with_its_code(service, fault, code):
    listener = Listener(service)
    listener.connect()
    listener.wait_for(RealTimeEvents.Begin)
    service.fault(**fault)
    assert listener.wait_for(RealTimeEvents.Error)[0].code == code
    listener.close()


def test_a_close_with_1000_is_no_event_at_all(service):
    """The trap of the SDK: the session is over and nobody is told."""
    listener = Listener(service)
    listener.connect()
    listener.wait_for(RealTimeEvents.Begin)
    service.fault("close", code=1000)
    assert listener.client._stop_event.wait(WAIT_S_MAX)
    listener.close()
    assert [kind.name for kind, _ in listener.events] == ["Begin"]


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_status_is_an_error_and_not_tried_again(status):
    with Service([Fault(name="http", status=status, times=None)]) as service:
        listener = Listener(service)
        listener.connect()
        assert [error.code for error in listener.of(RealTimeEvents.Error)] == [status]
        assert len(service.connections) == 1


def test_a_refused_key_is_an_error_after_the_upgrade():
    with Service(keys=("another",)) as service:
        listener = Listener(service)
        listener.connect()
        (error,) = listener.wait_for(RealTimeEvents.Error)
        assert (error.code, str(error)) == (1008, "Unauthorized Connection: Invalid API key")
        listener.close()


def test_a_handshake_without_an_answer_is_tried_three_times():
    with Service([Fault(name="unanswered", times=3)]) as service:
        listener = Listener(service, connect_s_max=0.5)
        listener.connect()
        assert len(listener.of(RealTimeEvents.Error)) == 1
        assert len(service.connections) == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "name",
    ["revision_without_confidence", "warning_without_code", "turn_without_words", "not_an_object"],
)
def test_a_frame_its_models_refuse_kills_the_reader_without_a_word(service, name):
    """The trap of the SDK that transcription must notice."""
    listener = Listener(service)
    listener.connect()
    listener.wait_for(RealTimeEvents.Begin)
    service.fault("say", message=name)
    listener.client._read_thread.join(WAIT_S_MAX)
    assert not listener.client._read_thread.is_alive()
    assert [kind.name for kind, _ in listener.events] == ["Begin"]
    assert not listener.client._stop_event.is_set()
    listener.close()


@pytest.mark.parametrize("name", ["bad_json", "unknown_type", "no_type"])
def test_a_frame_it_can_pass_over_is_passed_over(service, name):
    listener = Listener(service)
    listener.connect()
    listener.wait_for(RealTimeEvents.Begin)
    service.fault("say", message=name)
    service.fault("warning", code=1001, text="after it")
    assert listener.wait_for(RealTimeEvents.Warning)[0].warning == "after it"
    listener.close()
    assert set(MALFORMED) >= {name}


def test_a_stalled_session_shows_by_missing_heartbeats_only(service):
    listener = Listener(service)
    listener.connect(session_heartbeat=True)
    listener.wait_for(RealTimeEvents.Heartbeat, 2)
    service.fault("stall")
    listener.client.stream(RECORDING.frames())
    service.wait_until(lambda: service.sessions[0].audio_ms >= RECORDING.duration_ms)
    assert listener.of(RealTimeEvents.Turn) == []
    assert listener.of(RealTimeEvents.Error) == []
    service.fault("heal")
    listener.wait_for(RealTimeEvents.Turn)
    listener.client.disconnect(terminate=True)
    assert len(listener.finals) == 3
