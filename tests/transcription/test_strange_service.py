"""A service that says strange things: the loop goes on, and every word comes once."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from minuted.messages import MESSAGE_BYTES_MAX, encode
from minuted.transcription.transcriber import EVENTS_MAX
from simulator import Fault, Service
from simulator.coded import compose
from transcription.strange import strange_messages

RECORDING = compose(4)
WORDS = [word.text for word in RECORDING.words]
DAY_MS = 86_400_000


def final(
    text: str, start_ms: float = 0, end_ms: float = 90, order: int = 900, **more: Any
) -> dict[str, Any]:
    """Make a final of one word, of the sound before the first true one."""
    word = {"start": start_ms, "end": end_ms, "text": text}
    said = {"type": "Turn", "turn_order": order, "end_of_turn": True, "transcript": text, "words": [word]}
    return {**said, **more}


def play(make_room: Callable, *script: Fault, failures: int = 0) -> Any:
    """Play a recording to a service that does this; return the room, with the words that were said."""
    with Service(script) as service:
        room = make_room(service)
        room.play(RECORDING)
        for count in range(1, failures + 1):
            room.wait_for(lambda count=count: room.session_events.count("retrying") >= count)
            room.retry_now()
        room.end()
    heard = [word.text for turn in room.finals if turn.type == "turn" for word in turn.words]
    assert [word for word in heard if word.startswith("word")] == WORDS
    assert not room.gaps
    assert room.session_events.count("retrying") == failures
    assert all(len(encode(turn)) < MESSAGE_BYTES_MAX // 2 for turn in room.finals)
    return room


@pytest.mark.parametrize(
    "message",
    [
        final("\ud83d"),
        final("x", speaker_label="\ud83d"),
        final("x", language_code="\udc00"),
        final("x", words=[{"start": 0, "end": 90, "text": "\ud83d", "speaker": "\ud83d"}]),
        final("\ud83d", end_of_turn=False),
        {"type": "Warning", "warning_code": 1, "warning": "\ud83d"},
        {"type": "SpeakerRevision", "revisions": [{"turn_order": 0, "speaker_label": "\ud83d", "words": []}]},
        final("x", words=[{"start": 0, "end": 90, "text": "x", "confidence": float("nan")}]),
        {"type": "Heartbeat", "total_audio_received_ms": 2**70},
        {"type": "Silence", "start_ms": 0, "end_ms": DAY_MS},
        {"type": "SpeechStarted", "timestamp": 2**63},
    ],
    ids=lambda message: json.dumps(message)[:60],
)
def test_what_is_put_right_costs_nothing(make_room: Callable, message: dict[str, Any]) -> None:
    """Half a character alone once ended the process, five times over, and with it the daemon."""
    room = play(make_room, Fault(name="say", message=json.dumps(message), at_finals=1))
    for turn in room.finals:
        json.dumps(turn.to_map()).encode()


@pytest.mark.parametrize(
    "message",
    [
        final("x", order=2**63),
        final("x", end_ms=2**63),
        final("x", end_ms=DAY_MS),
        final("x", start_ms=3e14, end_ms=3e14),
        final("x", words=[{"start": 0, "end": 90, "text": "x"}] * 18_500),
        final("x" * 600_000),
    ],
    ids=lambda message: json.dumps(message)[:60],
)
def test_a_final_that_cannot_be_recorded_costs_its_session_and_no_word(
    make_room: Callable, message: dict[str, Any]
) -> None:
    """Recorded, some would be read by nobody, and some be a meeting that never ends."""
    room = play(make_room, Fault(name="say", message=message, at_finals=1), failures=1)
    assert room.words == WORDS
    assert len({turn.meeting_id for turn in room.finals}) == 1


@pytest.mark.parametrize("expires_at", [-62_135_596_800, 10**18, "0001-01-01T00:00:00", "NaN", None])
def test_a_session_may_say_to_expire_in_any_year(make_room: Callable, expires_at: Any) -> None:
    begin = {"type": "Begin", "id": "a-session", "expires_at": expires_at}
    text = json.dumps(begin).replace('"NaN"', "NaN")
    room = play(make_room, Fault(name="say", message=text))
    assert room.words == WORDS


def test_a_begin_with_each_field_out_of_each_range_is_a_begin_or_costs_its_session(
    make_room: Callable,
) -> None:
    """Every tenth of the table: each is a session."""
    frames = [frame for _, frame in strange_messages("Begin", "Error")][::10]
    script = [Fault(name="say", message=frame, session=number) for number, frame in enumerate(frames)]
    script += [
        Fault(
            name="close", code=1011, session=number, at_finals=1 if number % 4 == 0 else None, at_audio_ms=500
        )
        for number in range(len(frames))
    ]
    with Service(script) as service:
        room = make_room(service)
        room.play(RECORDING)
        room.wait_for(lambda: room.retry_now() or len(service.sessions) > len(frames))
        room.end()
    assert room.words == WORDS
    assert not room.gaps


def test_a_turn_with_the_number_of_an_earlier_one_is_recorded_too(make_room: Callable) -> None:
    """Its sound is let go of: nobody would hear its words again."""
    message = final("extra", order=0, start_ms=100, end_ms=200)
    room = play(make_room, Fault(name="say", message=message, at_finals=2))
    assert room.words.count("extra") == 1
    assert len({turn.id for turn in room.finals}) == len(room.finals)


def test_a_turn_that_is_final_twice_is_recorded_once(make_room: Callable) -> None:
    room = play(make_room, Fault(name="duplicate_final"))
    assert room.words == WORDS


@pytest.mark.parametrize("is_final", [True, False], ids=["finals", "partials"])
def test_a_service_that_floods_is_left_for_a_new_session(make_room: Callable, *, is_final: bool) -> None:
    """Sound went unsent for 21 s, and the process was killed as hung."""
    message = final("again", end_of_turn=is_final)
    script = [Fault(name="say", message=message, session=0, at_finals=1) for _ in range(3000)]
    room = play(make_room, *script, failures=1)
    assert room.words.count("again") <= 1


def test_each_time_round_a_bounded_number_of_events_is_taken(make_room: Callable) -> None:
    """However many there are, sound is sent in between."""
    with Service() as service:
        room = make_room(service)
        room.stop()
        other: Any = type("Other", (), {"taken": lambda self, event: taken.append(event)})()
        taken: list[Any] = []
        for number in range(3 * EVENTS_MAX):
            room.transcriber._events.put((other, number))
        room.transcriber._take_events(0.0)
        assert taken == [*range(EVENTS_MAX)]
        room.transcriber._take_events(0.0)
        assert len(taken) == 2 * EVENTS_MAX
