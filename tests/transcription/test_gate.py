"""What comes through the gate is within bounds, whatever the service says, and nothing legal is refused."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf, isfinite, nan
from typing import Any

import pytest
from assemblyai.streaming.v3 import BeginEvent, TurnEvent
from assemblyai.streaming.v3.client import StreamingClient
from hypothesis import given
from hypothesis import strategies as st

from minuted.messages import MESSAGE_BYTES_MAX, decode, encode
from minuted.transcription import gate
from minuted.transcription.clock import SessionClock
from minuted.transcription.echo import CHOICES, SWITCHES
from minuted.transcription.gate import (
    BEYOND_MS_MAX,
    INTEGER_MAX,
    TURN_BYTES_MAX,
    WORDS_MAX,
    MalformedMessageError,
    checked,
    cleaned,
    decoded,
)
from minuted.transcription.pauses import END_LATE_MS_MAX
from transcription.strange import LEGAL, SENT_MS, strange_messages
from transcription.test_turns import clock_of, turns_of

KEY = "0123456789abcdef"


def turn(**more: Any) -> dict[str, Any]:
    return {**LEGAL["Turn"], **more}


def word(**more: Any) -> dict[str, Any]:
    return {**LEGAL["Turn"]["words"][0], **more}


# What is legal goes through.


@pytest.mark.parametrize("kind", LEGAL)
def test_a_legal_message_goes_through_as_it_is(kind: str) -> None:
    """With the fields the SDK knows; the rest is nobody's."""
    said = checked(LEGAL[kind], SENT_MS)
    assert said is not None
    model = StreamingClient._parse_message(LEGAL[kind])
    assert StreamingClient._parse_message(said) == model
    assert checked({**LEGAL[kind], "a new field": {"x": [1]}}, SENT_MS) == said


@pytest.mark.parametrize(
    "message", [{"type": "Novelty", "words": 1}, {"type": ["Turn"]}, {"type": None}, {"value": 1}, {}]
)
def test_a_message_of_a_kind_nobody_knows_is_passed_over(message: dict[str, Any]) -> None:
    """The service will have new ones."""
    assert checked(message, SENT_MS) is None


@pytest.mark.parametrize(
    "more",
    [
        {"language_code": None, "speaker_label": None},
        {"speaker_label": "PENDING"},
        {"words": [word(start=2560, end=2560)]},
        {"words": [{"start": 0, "end": 90, "text": "bare."}]},
        {"words": None},
        {"transcript": "", "words": []},
        {"words": [word(end=SENT_MS + END_LATE_MS_MAX)]},
        {"words": [word()] * WORDS_MAX},
        {"words": [word(text="超" * 100)]},
        {"transcript": "naïve 😀 👩‍👩‍👧 שלום ไทย\u200b zero\u00adwidth"},
    ],
    ids=lambda more: str(more)[:40],
)
def test_what_a_turn_may_look_like_is_not_changed(more: dict[str, Any]) -> None:
    said = checked(turn(**more), SENT_MS)
    assert said is not None
    assert said["transcript"] == more.get("transcript", LEGAL["Turn"]["transcript"])
    asked = more.get("words", LEGAL["Turn"]["words"]) or []
    assert [(each["start"], each["end"], each["text"]) for each in said["words"]] == [
        (each["start"], each["end"], each["text"]) for each in asked
    ]


def test_a_begin_tells_all_that_is_compared_with_what_was_asked_for() -> None:
    said = checked(LEGAL["Begin"], 0)
    assert said is not None
    assert {*SWITCHES, *CHOICES, "model", "mode"} <= said["configuration"].keys()


# What a message can be understood without is put right.


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\ud83d", "\ufffd"),
        ("a\udc00b", "a\ufffdb"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x9b2Jcleared", "2Jcleared"),
        ("\x1b]0;never ended", "]0;never ended"),
        ("nul\x00bel\x07del\x7f", "nulbeldel"),
        ("two\r\nlines\u2028three\ttab", "two  lines three tab"),
        ("plain", "plain"),
        ("non\u00a0breaking　wide", "non\u00a0breaking　wide"),
    ],
)
def test_text_is_cleaned_and_no_more(text: str, clean: str) -> None:
    assert cleaned(text) == clean
    assert cleaned(cleaned(text)) == clean


@pytest.mark.parametrize("character", [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))])
def test_a_message_full_of_one_control_is_cleaned_while_nobody_waits(character: str) -> None:
    """A frame may be a megabyte, and is cleaned on the thread that reads."""
    assert not cleaned(character * (1 << 20)).strip()


@pytest.mark.parametrize(
    ("told", "year"),
    [
        (1_790_221_526, 2026),
        ("2026-09-24T00:00:00Z", 2026),
        ("2026-09-24T00:00:00", 2026),
        (1_790_221_526_000, 2026),
        (-62_135_596_800, 1970),
        ("0001-01-01T00:00:00", 1970),
        ("9999-12-31T23:59:59-14:00", 2100),
        (10**400, 1970),
        (2**53, 1970),
        (nan, 1970),
        (inf, 1970),
        (None, 1970),
        (True, 1970),
        ([], 1970),
        ("never", 1970),
    ],
)
def test_a_session_may_say_to_expire_whenever_it_likes(told: Any, year: int) -> None:
    """Nobody believes a moment that is far away; the session itself is well."""
    said = checked({**LEGAL["Begin"], "expires_at": told}, 0)
    assert said is not None
    moment = said["expires_at"]
    assert (moment.year, moment.tzinfo) == (year, UTC)
    assert StreamingClient._parse_message(said).expires_at == moment  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("confidence", "kept"),
    [(0.5, 0.5), (1e308, 1.0), (-1, 0.0), (nan, 0.0), (inf, 0.0), ("?", 0.0), (10**400, 0.0)],
)
def test_a_confidence_that_is_none_costs_no_word(confidence: Any, kept: float) -> None:
    said = checked(turn(words=[word(confidence=confidence)]), SENT_MS)
    assert said is not None
    assert said["words"][0]["confidence"] == kept


def test_words_begin_in_order_and_end_after_they_begin() -> None:
    said = checked(
        turn(words=[word(start=500, end=100), word(start=200, end=900), word(start=-5, end=-1)]), SENT_MS
    )
    assert said is not None
    assert [(each["start"], each["end"]) for each in said["words"]] == [(500, 500), (500, 900), (500, 500)]


def test_an_end_that_is_late_is_put_back_to_what_was_measured() -> None:
    said = checked(turn(words=[word(end=SENT_MS + BEYOND_MS_MAX)]), SENT_MS)
    assert said is not None
    assert said["words"][0]["end"] == SENT_MS + END_LATE_MS_MAX


def test_a_revision_of_one_turn_that_cannot_be_read_costs_that_one() -> None:
    good = LEGAL["SpeakerRevision"]["revisions"][0]
    strange = [
        None,
        5,
        {},
        {"turn_order": -1},
        {**good, "words": 7},
        {**good, "words": [5]},
        {**good, "turn_order": 2**70},
    ]
    said = checked({"type": "SpeakerRevision", "revisions": [*strange, good]}, SENT_MS)
    assert said is not None
    assert [each["turn_order"] for each in said["revisions"]] == [good["turn_order"]]


def test_signs_of_life_never_speak_of_more_sound_than_there_was() -> None:
    """What they say moves marks and the pace."""
    heartbeat = checked({**LEGAL["Heartbeat"], "total_audio_received_ms": 2**60 // 1024}, 1000)
    silence = checked({"type": "Silence", "start_ms": 0, "end_ms": 1000 + END_LATE_MS_MAX}, 1000)
    started = checked({"type": "SpeechStarted", "timestamp": 2**50}, 1000)
    assert heartbeat
    assert silence
    assert started
    assert heartbeat["total_audio_received_ms"] == silence["end_ms"] == started["timestamp"] == 1000


@pytest.mark.parametrize("key", [KEY, "a.key+with*signs"])
def test_the_key_is_given_back_nowhere(key: str) -> None:
    """A proxy that shows what it was sent would have it in logs, in status and in every record."""
    for kind, fields in LEGAL.items():
        if kind in ("Turn", "SpeakerRevision"):
            continue
        for name, value in fields.items():
            if isinstance(value, str) and name != "type":
                said = checked({**fields, name: f"a {key[:5]}\x00{key[5:]} of ours"}, SENT_MS, key)
                assert said is not None
                assert key not in str(said)
                assert name == "expires_at" or "<key>" in str(said)
    echoed = {**LEGAL["Begin"], "configuration": {"model": key, "mode": key, "other": key}}
    assert key not in str(checked(echoed, 0, key))
    said = checked(turn(speaker_label=key, language_code=key, words=[word(speaker=key)]), SENT_MS, key)
    assert key not in str(said)


def test_words_are_words_though_they_be_the_key() -> None:
    """It may be a common one: that of an engine without a key."""
    said = checked(turn(transcript="a local key", words=[word(text="local")]), SENT_MS, "local")
    assert said is not None
    assert (said["transcript"], said["words"][0]["text"]) == ("a local key", "local")


# What cannot be put right is malformed.


FAR_MS = SENT_MS + BEYOND_MS_MAX + 1


@pytest.mark.parametrize(
    "more",
    [
        {"words": [word(start=FAR_MS, end=FAR_MS)]},
        {"words": [word(end=FAR_MS)]},
        {"words": [word(end=86_400_000)]},
        {"words": [word(end=3e14)]},
        {"words": [word(end=2**63)]},
        {"words": [word(start=-(2**70))]},
        {"words": [word(end=nan)]},
        {"words": [word(start=None)]},
        {"words": [word(start=True)]},
        {"words": [word(start="100")]},
        {"words": [word(text=None)]},
        {"words": [["Hello", 0, 100]]},
        {"words": {"0": word()}},
        {"words": [word()] * (WORDS_MAX + 1)},
        {"words": [word(text="x" * 1000)] * 1000},
        {"turn_order": -1},
        {"turn_order": 2**63},
        {"turn_order": 1.5},
        {"turn_order": None},
        {"transcript": None},
        {"transcript": "x" * (TURN_BYTES_MAX + 1)},
        {"transcript": "超" * (TURN_BYTES_MAX // 3 + 1)},
        {"end_of_turn": "true"},
        {"end_of_turn": None},
    ],
    ids=lambda more: str(more)[:40],
)
def test_a_final_that_cannot_be_understood_costs_its_session(more: dict[str, Any]) -> None:
    """It has words, which are heard again; what may still change has none."""
    with pytest.raises(MalformedMessageError, match=r"^malformed Turn from the service$") as raised:
        checked(turn(**more), SENT_MS)
    assert raised.value.costs_session
    if "end_of_turn" not in more:
        with pytest.raises(MalformedMessageError) as raised:
            checked(turn(**more, end_of_turn=False), SENT_MS)
        assert not raised.value.costs_session


@pytest.mark.parametrize(
    "message",
    [
        {"type": "Silence", "start_ms": 0, "end_ms": SENT_MS + BEYOND_MS_MAX + 1},
        {"type": "Silence", "start_ms": 900, "end_ms": 100},
        {"type": "Silence"},
        {"type": "SpeechStarted", "timestamp": "now"},
        {"type": "Heartbeat", "total_audio_received_ms": nan},
        {"type": "SpeakerRevision", "revisions": 7},
        {"type": "Warning", "warning": {"text": "?"}},
    ],
    ids=str,
)
def test_a_message_without_words_costs_nothing(message: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessageError) as raised:
        checked(message, SENT_MS)
    assert not raised.value.costs_session


@pytest.mark.parametrize("message", [None, [1, 2], "Turn", 5, [{"type": "Turn"}]])
def test_what_is_no_object_may_hold_words(message: Any) -> None:
    with pytest.raises(MalformedMessageError) as raised:
        checked(message, SENT_MS)
    assert raised.value.costs_session


@pytest.mark.parametrize(
    ("frame", "may_hold_words"),
    [
        ('{"type":"Turn","turn_order":', True),
        ('{"type":"Turn","turn_order":' + "9" * 5000 + "}", True),
        ('{"type":"Turn","words":' + "[" * 100_000, True),
        (b'{"type":"Turn","transcript":"\xff"}', True),
        ("[" * 100_000, False),
        ("ping", False),
        ("", False),
        (b"\xff\xfe\x00", False),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_frame_that_is_no_json_is_passed_over_unless_it_speaks_of_a_turn(
    frame: str | bytes, *, may_hold_words: bool
) -> None:
    """The SDK's reader would die of some."""
    if may_hold_words:
        with pytest.raises(MalformedMessageError) as raised:
            checked(decoded(frame), SENT_MS)
        assert raised.value.costs_session
    else:
        assert checked(decoded(frame), SENT_MS) is None


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    assert decoded('{"type":"Warning","type":"Novelty"}') == {"type": "Novelty"}


def test_the_largest_turn_there_may_be_fits_into_a_message() -> None:
    """A record that is larger than a message can be read by nobody."""
    text = "\U0001f600" * 25  # 100 bytes
    speaker = "s" * 20
    count = TURN_BYTES_MAX // (100 + len(speaker) + gate.WORD_BYTES)
    said = checked(turn(transcript="x", words=[word(text=text, speaker=speaker)] * count), SENT_MS)
    assert said is not None
    taken = turns_of(clock_of((0, SENT_MS))).take(TurnEvent.model_validate(said))
    assert taken is not None
    assert MESSAGE_BYTES_MAX // 4 < len(encode(taken.turn)) < MESSAGE_BYTES_MAX * 3 // 4
    assert decode(encode(taken.turn)) == taken.turn


# Whatever is said.

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def said_by_a_service(draw: st.DrawFn) -> dict[str, Any]:
    """Make a message with some of its fields as they should not be."""
    message: dict[str, Any] = json.loads(json.dumps(LEGAL[draw(st.sampled_from(sorted(LEGAL)))]))
    places: list[tuple[Any, Any]] = list(_places(message))
    for holder, name in draw(st.lists(st.sampled_from(places), max_size=4)):
        holder[name] = draw(JSON)
    return message


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Return every place in a message, but its type."""
    for name in value if isinstance(value, dict) else range(len(value)):
        if name != "type":
            yield value, name
        if isinstance(value[name], dict | list):
            yield from _places(value[name])


@given(said_by_a_service(), st.integers(0, 10_000_000))
def test_whatever_comes_through_is_within_bounds_and_of_use_to_the_sdk(
    message: dict[str, Any], sent_ms: int
) -> None:
    try:
        said = checked(decoded(json.dumps(message)), sent_ms, KEY)
    except MalformedMessageError:
        return
    assert said is not None
    _check_bounds(said)
    event: Any = StreamingClient._parse_message(said)
    assert event.type == message["type"]
    if isinstance(event, BeginEvent):
        assert event.expires_at.timestamp() < datetime(2101, 1, 1, tzinfo=UTC).timestamp()
    if isinstance(event, TurnEvent):
        assert all(0 <= word.start <= word.end <= sent_ms + END_LATE_MS_MAX for word in event.words)
        clock = SessionClock() if not sent_ms else clock_of((0, 5000))
        taken = turns_of(clock).take(event) if sent_ms else None
        if taken:
            assert decode(encode(taken.turn)) == taken.turn
            assert taken.turn.start_ms <= taken.turn.end_ms


def _check_bounds(value: Any) -> None:
    """Every number is one, every text is clean."""
    if isinstance(value, dict):
        for each in value.values():
            _check_bounds(each)
    elif isinstance(value, list):
        for each in value:
            _check_bounds(each)
    elif isinstance(value, str):
        assert value.encode().decode() == value == cleaned(value)
        assert len(value.encode()) <= TURN_BYTES_MAX
    elif isinstance(value, int | float) and not isinstance(value, bool):
        assert isfinite(value)
        assert 0 <= value <= INTEGER_MAX


@given(JSON)
def test_any_json_is_a_message_or_malformed(value: Any) -> None:
    for message in (
        value,
        {"type": "Turn", "end_of_turn": True, "words": value},
        {"type": value, "error": value},
    ):
        try:
            said = checked(message, SENT_MS)
        except MalformedMessageError:
            continue
        assert said is None or StreamingClient._parse_message(said)


def test_each_field_out_of_each_range_is_put_right_or_malformed() -> None:
    """The table that a daemon is tried with, too."""
    table = dict(strange_messages())
    assert len(table) > 800
    for name, frame in table.items():
        try:
            said = checked(decoded(frame), SENT_MS)
        except MalformedMessageError:
            continue
        if said is not None:
            _check_bounds(said)
            assert StreamingClient._parse_message(said), name
