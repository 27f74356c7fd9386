"""One session with the real SDK and the simulated service: every end is noticed, nothing blocks."""

import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from minuted.config import StreamingSession
from minuted.transcription.gate import decoded
from minuted.transcription.reconnect import Failure, Verdict, judge
from minuted.transcription.session import Closed, Opened, Session, harmless, parameters_of
from minuted.transcription.session import Service as Where
from simulator import MALFORMED, Fault, Service
from simulator.coded import compose
from transcription.strange import LEGAL, strange_messages
from waiting import until

WAIT_S_MAX = 30.0
RECORDING = compose(2)


def final(text: str, end_ms: float) -> str:
    """Make a final of one word."""
    word = {"start": 0, "end": end_ms, "text": text}
    said = {"type": "Turn", "turn_order": 0, "end_of_turn": True, "transcript": text, "words": [word]}
    return json.dumps(said)


def said_by(messages: Sequence[Any]) -> list[Fault]:
    """Start a service that says these, in its first session."""
    return [Fault(name="say", message=message, at_audio_ms=500) for message in messages]


@contextmanager
def saying(*frames: str | bytes) -> Iterator[str]:
    """Start a service that says these as text, as fast as they are taken; return its address."""

    def say(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            connection.recv()
            connection.send(json.dumps(LEGAL["Begin"]))
            for frame in frames:
                connection.send(frame, text=True)
            while True:
                connection.recv()

    with serve(say, "127.0.0.1", 0, close_timeout=0.5, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join(WAIT_S_MAX)


PARTIAL = ('"end_of_turn": true', '"end_of_turn": false')


class Heard:
    """A session and what it posted."""

    def __init__(self, find_service: Callable[[], Where], **settings: Any) -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        parameters = parameters_of(StreamingSession(**settings), local=False)
        self.session = Session(find_service, parameters, lambda _, event: self.events.put(event))
        self.takes = False
        """Events are told to be taken, as the loop does it."""

    def next(self, kind: str) -> Any:
        """Give the next event of one type; meanwhile the session is watched as the loop does it."""
        until_s = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < until_s:
            self.session.watch(self.session.last_heard_s)
            try:
                event = self.events.get(timeout=0.05)
            except queue.Empty:
                continue
            if self.takes:
                self.session.taken(event)
            if type(event).__name__ == kind or getattr(event, "type", None) == kind:
                return event
        raise AssertionError(f"no {kind} came")

    def next_any(self) -> Any:
        """Give the next event of the service's."""
        while isinstance(event := self.events.get(timeout=WAIT_S_MAX), Opened):
            pass
        return event

    def play(self) -> None:
        for pcm in RECORDING.frames():
            self.session.send(pcm)


@pytest.fixture
def hear() -> Iterator[Callable[..., Heard]]:
    """Open sessions that are abandoned at the test's end."""
    made: list[Heard] = []

    def open_(service: Service, **settings: Any) -> Heard:
        made.append(Heard(lambda: Where(service.url, "a-key"), **settings))
        return made[-1]

    yield open_
    for heard in made:
        heard.session.abandon()
    for thread in threading.enumerate():
        if thread.name in ("abandon", "terminate", "connect"):
            until(lambda thread=thread: thread.ident)
            thread.join(WAIT_S_MAX)


def test_a_session_runs_from_begin_to_termination(hear: Callable[..., Heard]) -> None:
    """The order of a good session, with the words in it."""
    with Service() as service:
        heard = hear(service)
        begin = heard.next("Begin")
        assert heard.session.session_id == begin.id
        heard.play()
        heard.session.terminate()
        finals = []
        while (event := heard.next_any()) and event.type != "Termination":
            if event.type == "Turn" and event.end_of_turn:
                finals.append(event.transcript)
        assert " ".join(finals).split() == [word.text for word in RECORDING.words]
        service.wait_until(lambda: service.sessions[0].close_code == 1000)


def test_all_session_settings_arrive_under_their_own_names(hear: Callable[..., Heard]) -> None:
    """`[session]` speaks the vendor's language."""
    with Service() as service:
        heard = hear(
            service, keyterms_prompt=("Kubernetes", "Siobhan"), max_turn_silence=2000, prompt="a meeting"
        )
        heard.next("Begin")
        given = service.sessions[0].parameters
        assert given["keyterms_prompt"] == ["Kubernetes", "Siobhan"]
        assert (given["max_turn_silence"], given["min_turn_silence"], given["prompt"]) == (
            2000,
            100,
            "a meeting",
        )
        assert service.sessions[0].query["speech_model"] == ["u3-rt-pro"]
        assert given["session_heartbeat"] is True
        assert not service.sessions[0].ignored
        assert service.sessions[0].headers["Authorization"] == "a-key"


SETTINGS: dict[str, Any] = {
    "speech_model": "universal-3-6-pro",
    "mode": "max_accuracy",
    "domain": "medical-v1",
    "min_turn_silence": 300,
    "max_turn_silence": 2000,
    "vad_threshold": 0.5,
    "end_of_turn_confidence_threshold": 0.6,
    "format_turns": True,
    "keyterms_prompt": ("Kubernetes", "Siobhan"),
    "prompt": "a meeting",
    "agent_context": "the agent asked",
    "previous_context_n_turns": 7,
    "language_codes": ("en", "de"),
    "language_detection": True,
    "speaker_labels": True,
    "max_speakers": 4,
    "speaker_labels_revision_interval_ms": 300_000,
    "voice_focus": "far-field",
    "voice_focus_threshold": 0.7,
    "continuous_partials": False,
    "interruption_delay": 250,
    "turn_left_pad_ms": 1024,
    "include_partial_turns": False,
    "filter_profanity": True,
    "redact_pii": True,
    "redact_pii_policies": ("person_name", "location"),
    "redact_pii_sub": "entity_name",
    "session_heartbeat": True,
    "acknowledge_silence": True,
    "inactivity_timeout": 60,
    "webhook_url": "https://example.org/turns",
    "webhook_auth_header_name": "X-Secret",
    "webhook_auth_header_value": "another",
    "customer_support_audio_capture": False,
}


def test_every_setting_there_is_reaches_the_service_as_it_was_written(hear: Callable[..., Heard]) -> None:
    """The service overlooks what it does not know: a name that is wrong on the wire would not be noticed."""
    assert {*SETTINGS, "keyterms_file"} == {field.name for field in fields(StreamingSession)}
    with Service() as service:
        hear(service, **SETTINGS).next("Begin")
        (session,) = service.sessions
        assert not session.ignored
        given = {**session.parameters, "speech_model": session.query["speech_model"][0]}
    asked = {name: list(value) if isinstance(value, tuple) else value for name, value in SETTINGS.items()}
    assert {name: given.get(name) for name in asked} == asked


def test_a_model_the_sdk_does_not_know_is_asked_for_all_the_same() -> None:
    """A new model must not wait for a release of the SDK."""
    parameters = parameters_of(StreamingSession(speech_model="universal-9"), local=False)
    assert parameters.model_dump(exclude_none=True)["speech_model"] == "universal-9"
    assert "speech_model" not in parameters_of(StreamingSession(), local=True).model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("fault", "code", "phase", "verdict"),
    [
        (Fault(name="reset", at_audio_ms=1000), 1006, "open", Verdict.UNREACHABLE),
        (Fault(name="drop", at_audio_ms=1000), 1006, "open", Verdict.UNREACHABLE),
        (Fault(name="close", code=1000, at_audio_ms=1000), 1000, "open", Verdict.REFUSED),
        (Fault(name="close", code=1001, at_audio_ms=1000), 1001, "open", Verdict.REFUSED),
        (Fault(name="close", code=1011, at_audio_ms=1000), 1011, "open", Verdict.REFUSED),
        (Fault(name="error", code=3005, at_audio_ms=1000), 3005, "open", Verdict.REFUSED),
        (Fault(name="error", code=3008, at_audio_ms=1000), 3008, "open", Verdict.EXPIRED),
        (Fault(name="error", code=3009), 3009, "opening", Verdict.BUSY),
        (Fault(name="error", code=1008), 1008, "opening", Verdict.FATAL),
        (Fault(name="error", code=3006), 3006, "opening", Verdict.FATAL),
        (Fault(name="http", status=401), 401, "connecting", Verdict.FATAL),
        (Fault(name="http", status=503), 503, "connecting", Verdict.REFUSED),
        (Fault(name="http", status=429), 429, "connecting", Verdict.BUSY),
    ],
    ids=lambda value: f"{value.name}-{value.code or value.status}" if isinstance(value, Fault) else "",
)
def test_every_end_is_told_with_its_code(
    hear: Callable[..., Heard], fault: Fault, code: int, phase: str, verdict: Verdict
) -> None:
    """The SDK reports some ends to handlers, some not at all: all of them become one event."""
    with Service([fault]) as service:
        heard = hear(service)
        if phase == "open":
            heard.next("Begin")
            heard.play()
        closed = heard.next("Closed")
        assert isinstance(closed, Closed)
        assert (closed.failure.code, closed.failure.phase) == (code, phase)
        assert judge(closed.failure) is verdict


def test_a_refused_connection_and_an_unknown_host_are_told(hear: Callable[..., Heard]) -> None:
    """Both are retried often: they cost the service nothing."""
    service = Service()
    for find in (lambda: Where(service.url, "a-key"), lambda: Where("ws://nowhere.invalid", "a-key")):
        closed = Heard(find).next("Closed")
        assert closed.failure.phase == "connecting"
        assert judge(closed.failure) is Verdict.UNREACHABLE
    service.close()


@pytest.mark.parametrize(
    "name", ["revision_without_confidence", "warning_without_code", "unknown_type", "no_type"]
)
def test_a_malformed_frame_that_holds_no_words_is_survived(hear: Callable[..., Heard], name: str) -> None:
    """The SDK's reader dies of some of these without a word."""
    assert name in MALFORMED
    with Service([Fault(name="say", message=name, at_audio_ms=500)]) as service:
        heard = hear(service)
        heard.next("Begin")
        heard.play()
        heard.session.terminate()
        heard.next("Termination")


@pytest.mark.parametrize(
    "message",
    [
        *("turn_without_words", "not_an_object", "bad_json"),
        '{"type":"Turn","words":' + "[" * 50_000,
        '{"type":"Turn","turn_order":' + "9" * 5000 + "}",
        "[" + " " * (1 << 20) + "]",
        final("late", 86_400_000),
        final("a" * 600_000, 0),
    ],
    ids=lambda message: message[:40],
)
def test_a_malformed_frame_that_may_hold_words_ends_the_session(
    hear: Callable[..., Heard], message: str
) -> None:
    """Its words are heard again in the next session; going on would lose them."""
    with Service([Fault(name="say", message=message, at_audio_ms=500)]) as service:
        heard = hear(service)
        heard.next("Begin")
        heard.play()
        failure = heard.next("Closed").failure
        assert "malformed" in failure.text
        assert failure.is_unreadable
        assert judge(failure) is Verdict.UNREACHABLE, "the next session is opened at once"


def test_a_frame_that_is_no_text_ends_the_session_like_any_malformed_one(hear: Callable[..., Heard]) -> None:
    """The SDK's reader would die of it without a word, and the same sound would be heard for ever."""

    with saying(b'"Turn" \xff') as url:
        heard = Heard(lambda: Where(url, "a-key"))
        heard.next("Opened")
        heard.play()
        failure = heard.next("Closed").failure
    assert failure.is_unreadable
    assert judge(failure) is Verdict.UNREACHABLE


@pytest.mark.parametrize(
    "kinds", [("SpeechStarted", "Heartbeat", "Silence"), ("SpeakerRevision", "Warning"), ("Turn",)]
)
def test_what_is_strange_and_holds_no_words_is_survived(
    hear: Callable[..., Heard], kinds: tuple[str, ...]
) -> None:
    """Every field out of every range; of turns, those that may still change and can be seen to."""
    frames = [frame.replace(*PARTIAL) for _, frame in strange_messages(*kinds)]
    frames = [
        frame
        for frame in frames
        if '"Turn"' not in frame or (PARTIAL[1] in frame and decoded(frame) != {"type": "Turn"})
    ]
    with Service(said_by(frames)) as service:
        heard = hear(service)
        heard.next("Begin")
        heard.play()
        heard.session.terminate()
        heard.next("Termination")
        service.wait_until(lambda: len(service.sessions[0].faults) == len(frames))
        assert len(frames) > 80


def test_the_key_is_neither_id_nor_model_nor_reason(hear: Callable[..., Heard]) -> None:
    """A service, or a proxy that shows what it was sent, may give it back: it goes to logs and records."""
    begin = {"type": "Begin", "id": "a-key", "expires_at": 0, "configuration": {"model": "a-key"}}
    script = [
        Fault(name="say", message=begin),
        Fault(name="warning", text="for a-key"),
        Fault(name="close", code=1011, text="Goodbye a\x00-key\x1b[2J", at_audio_ms=500),
    ]
    with Service(script) as service:
        heard = hear(service)
        begun = heard.next("Begin")
        assert (begun.id, begun.configuration.model, begun.told) == ("<key>", "<key>", {"model": "<key>"})
        assert heard.next("Warning").warning == "for <key>"
        heard.play()
        assert heard.next("Closed").failure.text == "Goodbye <key>[2J"
        assert heard.session.session_id == "<key>"


def test_no_two_sessions_have_one_id(hear: Callable[..., Heard]) -> None:
    """Turns are told apart by it."""
    begin = {"type": "Begin", "id": "always-the-same", "expires_at": 0}
    with Service([Fault(name="say", message=begin, times=3)]) as service:
        sessions = [hear(service) for _ in range(3)]
        ids = [each.next("Begin").id for each in sessions]
        assert [each.session.session_id for each in sessions] == ids
        assert len(set(ids)) == 3
        assert all(each.startswith("always-the-same") for each in ids)


def test_a_session_begins_once(hear: Callable[..., Heard]) -> None:
    begin = {"type": "Begin", "id": "another", "expires_at": 0}
    with Service([Fault(name="say", message=begin, at_audio_ms=500)]) as service:
        heard = hear(service)
        first = heard.next("Begin")
        heard.play()
        heard.session.terminate()
        while (event := heard.next_any()).type != "Termination":
            assert event.type != "Begin"
        assert heard.session.session_id == first.id


@pytest.mark.parametrize(
    "frame", [final("word", 0), json.dumps(LEGAL["SpeechStarted"])], ids=["finals", "signs"]
)
def test_a_service_that_says_more_than_anybody_speaks_fails(frame: str) -> None:
    """What waits to be taken is memory, and what is taken is time."""
    with saying(*[frame] * 5_000) as url:
        heard = Heard(lambda: Where(url, "a-key"))
        heard.next("Opened")
        heard.play()
        failure = heard.next("Closed").failure
    assert "floods" in failure.text
    assert heard.session.failed
    assert not failure.is_unreadable


LONG = {**json.loads(final("word", 0)), "words": [{"start": 0, "end": 0, "text": "word"}] * 3000}


def test_a_service_whose_words_wait_for_too_long_fails() -> None:
    """Long messages wait in memory as well as many do."""
    with saying(*[json.dumps(LONG)] * 20) as url:
        heard = Heard(lambda: Where(url, "a-key"))
        heard.next("Opened")
        heard.play()
        until(lambda: heard.session.failed)
        assert heard.events.qsize() < 10
        assert "floods" in heard.next("Closed").failure.text


def test_words_that_are_taken_do_not_wait(hear: Callable[..., Heard]) -> None:
    with Service(said_by([LONG] * 20)) as service:
        heard = hear(service)
        heard.takes = True
        heard.next("Begin")
        heard.play()
        for _ in range(20):
            heard.next("Turn")
        heard.session.terminate()
        heard.next("Termination")


def test_one_message_may_be_long(hear: Callable[..., Heard]) -> None:
    """All that three hours' turns are revised in comes at once."""
    revision = {"turn_order": 0, "speaker_label": "A", "words": [{"speaker": "A"}] * 3000}
    long = {"type": "SpeakerRevision", "revisions": [revision] * 10}
    with Service([Fault(name="say", message=long, at_audio_ms=500)]) as service:
        heard = hear(service)
        heard.next("Begin")
        heard.play()
        assert len(heard.next("SpeakerRevision").revisions) == 10


def test_a_black_hole_is_noticed_by_our_own_pings(hear: Callable[..., Heard]) -> None:
    """The SDK alone takes 30 to 50 s."""
    with Service([Fault(name="black_hole", at_audio_ms=500)]) as service:
        heard = hear(service)
        heard.next("Begin")
        heard.play()
        assert judge(heard.next("Closed").failure) is Verdict.UNREACHABLE


def test_an_end_nobody_asked_for_is_a_break(hear: Callable[..., Heard]) -> None:
    """A Termination out of the blue says nothing of what was heard: counting it as heard would lose words."""
    unasked = '{"type":"Termination","audio_duration_seconds":1,"session_duration_seconds":1}'
    with Service([Fault(name="say", message=unasked, at_audio_ms=500)]) as service:
        heard = hear(service)
        heard.next("Begin")
        heard.play()
        assert heard.next("Closed").failure.code == 1000


def test_a_turn_that_leaves_out_what_says_nothing_is_heard(hear: Callable[..., Heard]) -> None:
    """The same words would be heard, and refused, again in every session to come."""
    bare = (
        '{"type":"Turn","turn_order":7,"end_of_turn":true,"transcript":"bare.",'
        '"words":[{"start":0,"end":90,"text":"bare."}]}'
    )
    with Service([Fault(name="say", message=bare)]) as service:
        heard = hear(service)
        assert heard.next("Turn").transcript == "bare."


def test_a_proxy_is_not_asked_the_way_to_this_machine(
    hear: Callable[..., Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many rooms reach the world through a proxy, and none of them reaches its own engine so."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Service() as service:
        hear(service).next("Begin")


def test_an_errors_text_tells_no_password_and_no_query() -> None:
    """It goes to the log, to the status and to whoever subscribes."""
    text = "http://user:pw@proxy:1 isn't valid; wss://host/v3/ws?token=abc&x=1 isn't either"
    assert harmless(text) == "http://proxy:1 isn't valid; wss://host/v3/ws isn't either"


def test_nothing_is_posted_after_the_end(hear: Callable[..., Heard]) -> None:
    """Who has buried a session must not hear of it again."""
    with Service() as service:
        heard = hear(service)
        heard.next("Begin")
        heard.session.abandon()
        service.wait_until(lambda: service.sessions and service.sessions[0].ended_at_s)
    assert heard.events.empty() or isinstance(heard.events.get(), Opened)


def test_a_failure_before_the_first_connection_is_told() -> None:
    """Looking for the local engine may fail, and must not end the thread in silence."""

    def find() -> Where:
        raise ConnectionRefusedError("the local engine is not up yet")

    closed = Heard(find).next("Closed")
    assert closed.failure == Failure(
        "ConnectionRefusedError: the local engine is not up yet", None, "connecting"
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_says_where_it_leads(status: int) -> None:
    """Sound for a service in one country does not go to another because an answer says so."""
    with (
        socket.create_server(("127.0.0.1", 0)) as named,
        socket.create_server(("127.0.0.2", 0)) as other,
    ):
        place = other.getsockname()[1]
        answer = f"HTTP/1.1 {status} Moved\r\nLocation: ws://127.0.0.2:{place}/\r\nContent-Length: 0\r\n\r\n"

        def redirect() -> None:
            with named.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(answer.encode())

        thread = threading.Thread(target=redirect)
        thread.start()
        heard = Heard(lambda: Where(f"ws://127.0.0.1:{named.getsockname()[1]}", "a-key"))
        closed = heard.next("Closed")
        thread.join()
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()
    assert "redirects to 127.0.0.2; redirects are not followed" in closed.failure.text
