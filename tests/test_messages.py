import dataclasses
import math
import types
import typing
from contextlib import suppress
from typing import Any, Literal

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted import messages
from minuted.messages import (
    MESSAGE_BYTES_MAX,
    MESSAGES,
    TOPICS,
    Gap,
    Heartbeat,
    MalformedMessageError,
    Message,
    Turn,
    Word,
    decode,
    encode,
    from_map,
    pack,
    topic_of,
    unpack,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
PLAIN = {
    int: INT64,
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=20),
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
}


def message_classes() -> list[type[Message]]:
    """Find every message there is, however deep below Message."""
    found, todo = [], [Message]
    while todo:
        below = todo.pop().__subclasses__()
        # dataclass(slots=True) makes a second class; the first is not the module's own.
        found += [cls for cls in below if getattr(messages, cls.__name__, None) is cls]
        todo += below
    return sorted(found, key=lambda cls: cls.__name__)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Give values of a field's type, as they stand in a message."""
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values_of(member) for member in members))
    if hint is types.NoneType:
        return st.none()
    if origin is Literal:
        return st.sampled_from(members)
    if origin is tuple:
        return st.lists(values_of(members[0]), max_size=3).map(tuple)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return instances_of(hint)
    return PLAIN[hint]


def instances_of(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    fields = [field.name for field in dataclasses.fields(cls) if field.name != "v"]
    return st.builds(cls, **{name: values_of(hints[name]) for name in fields})


def wrong_for(hint: Any) -> list[Any]:
    """Give values a field of this type must refuse."""
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return [value for value in wrong_for(members[0]) if value is not None]
    if origin is Literal:
        return ["no such type", 1, None, [], {}]
    if origin is tuple:
        return ["text", None, {"a": 1}, 3, [1], [None], ["word"], [[]], [{}], [{"text": 1}]]
    wrong = {"text": str, b"bytes": bytes, 7: int, 2.5: float}
    refused = [value for value, kind in wrong.items() if kind is not hint and (hint, kind) != (float, int)]
    return [*refused, None, [], {}, *([True] if hint is not bool else [])]


def full_map(cls: type[Message]) -> dict[str, Any]:
    """Give a message's map with every field in it."""
    words = [{"text": "yes", "start_ms": 1, "end_ms": 2, "confidence": 0.5, "speaker": "A"}]
    samples: dict[Any, Any] = {int: 5, float: 1.5, str: "s", bool: True, bytes: b"b"}
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        origin, members = typing.get_origin(hint), typing.get_args(hint)
        if origin is types.UnionType:
            hint = members[0]
        values[field.name] = (
            members[0] if origin is Literal else words if origin is tuple else samples.get(hint)
        )
    return {**values, "v": messages.VERSION}


CLASSES = message_classes()
NAMES = [cls.__name__ for cls in CLASSES]


def test_every_message_can_be_decoded() -> None:
    """A message that is not in the table would be sent and never understood."""
    assert set(CLASSES) == set(MESSAGES.values())
    for kind, cls in MESSAGES.items():
        assert kind in typing.get_args(typing.get_type_hints(cls)["type"]), kind
    kinds = [kind for cls in CLASSES for kind in typing.get_args(typing.get_type_hints(cls)["type"])]
    assert sorted(kinds) == sorted(MESSAGES)


@pytest.mark.parametrize("cls", CLASSES, ids=NAMES)
@given(data=st.data())
def test_every_message_comes_back_as_it_was(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(instances_of(cls))

    assert decode(encode(message)) == message


@pytest.mark.parametrize("cls", CLASSES, ids=NAMES)
def test_unknown_fields_are_ignored(cls: type[Message]) -> None:
    """A newer minuted may talk to an older one."""
    values = full_map(cls)

    assert from_map({**values, "invented_later": [1, {"a": None}]}) == from_map(values)


def test_unknown_fields_of_a_word_are_ignored() -> None:
    values = full_map(Turn)
    values["words"][0]["phonemes"] = ["j", "e"]

    turn = from_map(values)

    assert isinstance(turn, Turn)
    assert turn.words == (Word(text="yes", start_ms=1, end_ms=2, confidence=0.5, speaker="A"),)


@pytest.mark.parametrize("cls", CLASSES, ids=NAMES)
def test_optional_fields_may_be_left_out_and_others_not(cls: type[Message]) -> None:
    for field in dataclasses.fields(cls):
        values = full_map(cls)
        del values[field.name]
        if field.default is dataclasses.MISSING or field.name in ("v", "type"):
            with pytest.raises(MalformedMessageError):
                from_map(values)
        else:
            assert getattr(from_map(values), field.name) == field.default


@pytest.mark.parametrize("cls", CLASSES, ids=NAMES)
def test_every_wrong_type_is_refused(cls: type[Message]) -> None:
    """What passes here is believed everywhere."""
    for name, hint in typing.get_type_hints(cls).items():
        if typing.get_origin(hint) is typing.ClassVar:
            continue
        for value in wrong_for(hint):
            with pytest.raises(MalformedMessageError):
                decode(pack({**full_map(cls), name: value}))
                pytest.fail(f"{cls.__name__}.{name} took {value!r}")


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Word)])
def test_every_wrong_type_in_a_word_is_refused(name: str) -> None:
    for value in wrong_for(typing.get_type_hints(Word)[name]):
        values = full_map(Turn)
        values["words"][0][name] = value
        with pytest.raises(MalformedMessageError):
            from_map(values)
            pytest.fail(f"Word.{name} took {value!r}")


@pytest.mark.parametrize("version", [0, 2, None, "1", 1.0, True])
def test_another_wire_version_is_refused(version: object) -> None:
    with pytest.raises(MalformedMessageError):
        from_map({**full_map(Heartbeat), "v": version})


def is_malformed_or_ours(data: bytes) -> None:
    with suppress(MalformedMessageError):
        assert isinstance(decode(data), Message)


@given(st.binary(max_size=200))
def test_garbage_is_malformed_and_nothing_else(data: bytes) -> None:
    """Anybody in the group may connect; nothing they send may stop a process."""
    is_malformed_or_ours(data)


MSGPACK_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | INT64
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=5))
    | st.builds(msgpack.Timestamp, st.integers(0, 2**34), st.integers(0, 10**9 - 1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELD_NAMES = st.sampled_from(
    sorted({field.name for cls in (*CLASSES, Word) for field in dataclasses.fields(cls)})
)


@given(MSGPACK_VALUES)
def test_any_msgpack_value_is_malformed_or_ours(value: object) -> None:
    is_malformed_or_ours(pack(value))


@given(st.sampled_from(sorted(MESSAGES)), st.dictionaries(FIELD_NAMES, MSGPACK_VALUES, max_size=4))
def test_a_message_with_strange_fields_is_malformed_or_ours(kind: str, strange: dict[str, Any]) -> None:
    is_malformed_or_ours(pack({**full_map(MESSAGES[kind]), "type": kind, **strange}))


@given(st.sampled_from(CLASSES), st.integers(0, 300), st.integers(0, 255))
def test_a_damaged_message_is_malformed_or_ours(cls: type[Message], at: int, byte: int) -> None:
    data = bytearray(pack(full_map(cls)))
    data[at % len(data)] = byte

    is_malformed_or_ours(bytes(data))
    is_malformed_or_ours(bytes(data[: at % len(data)]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x80",
        b"\x91" * 2000 + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x81\xc4\x01v\x01",
        b"\x81\x01\x01",
        b"\x81\xa1v\xd9\x01\xff",
        b"\x81\xa1v\xd6\xff\xff\xff\xff",
        b"\x81\xa1v\xc7\x0c\xff" + b"\xff" * 12,
    ],
    ids=[
        "nothing",
        "two maps",
        "deeply nested",
        "a list said to be huge",
        "a map said to be huge",
        "bytes said to be many",
        "a key of bytes",
        "a key that is a number",
        "not UTF-8",
        "a broken timestamp",
        "an impossible timestamp",
    ],
)
def test_nasty_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode(data)
    with pytest.raises(MalformedMessageError):
        unpack(data)


def test_a_message_over_the_bound_is_malformed() -> None:
    frame = {**full_map(messages.AudioFrame), "pcm": bytes(MESSAGE_BYTES_MAX)}

    with pytest.raises(MalformedMessageError, match=str(MESSAGE_BYTES_MAX)):
        decode(pack(frame))


def test_a_refusal_does_not_repeat_what_was_said() -> None:
    """Errors are logged; transcripts never are."""
    values = full_map(Turn)
    values["words"][0]["confidence"] = "secret words"
    with pytest.raises(MalformedMessageError) as refused:
        from_map({**values, "text": "secret words"})

    assert "secret" not in str(refused.value)
    assert "Word.confidence" in str(refused.value)


def test_a_turn_has_the_contract_s_fields() -> None:
    """Outside programs read these names; design section 3 has the table."""
    turn = from_map(full_map(Turn))

    assert list(turn.to_map()) == [
        *("v", "type", "seq", "id", "revision", "room", "meeting_id", "meeting_started_at_ms"),
        *("session_id", "turn_order", "final", "backfilled", "start_ms", "end_ms", "text", "words"),
        *("speaker", "language", "confidence", "channel", "meeting_title"),
    ]
    assert list(turn.to_map()["words"][0]) == ["text", "start_ms", "end_ms", "confidence", "speaker"]
    nil = {name for name in turn.to_map() if _takes(Turn, name, None)}
    assert nil == {"seq", "speaker", "language", "confidence", "channel", "meeting_title"}


def test_a_gap_and_a_heartbeat_have_the_contract_s_fields() -> None:
    assert {"v", "type", "seq", "room", "meeting_id", "start_ms", "end_ms", "reason"} <= full_map(Gap).keys()
    assert {"v", "type", "epoch", "last_seq"} <= full_map(Heartbeat).keys()
    assert from_map(full_map(Gap)).type == "gap"
    assert from_map(full_map(Heartbeat)).type == "heartbeat"


def _takes(cls: type[Message], name: str, value: object) -> bool:
    try:
        from_map({**full_map(cls), name: value})
    except MalformedMessageError:
        return False
    return True


def test_topics_are_the_contract_s() -> None:
    assert set(TOPICS) == {"turn.partial", "turn.final", "turn.revised", "session", "gap", "heartbeat"}
    turn = from_map(full_map(Turn))
    assert isinstance(turn, Turn)
    assert topic_of(dataclasses.replace(turn, final=False)) == "turn.partial"
    assert topic_of(dataclasses.replace(turn, final=True)) == "turn.final"
    assert topic_of(dataclasses.replace(turn, final=True, type="revision")) == "turn.revised"
    for cls in CLASSES:
        if cls.topic:
            assert topic_of(from_map(full_map(cls))) == cls.topic
            assert cls.topic in TOPICS


def test_a_number_that_is_whole_may_stand_for_a_float() -> None:
    """Other languages' msgpack writes 1.0 as 1."""
    turn = from_map({**full_map(Turn), "confidence": 1})

    assert isinstance(turn, Turn)
    assert turn.confidence == 1.0
    assert type(turn.confidence) is float


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    """JSON, into which records go, has none of these."""
    with pytest.raises(MalformedMessageError):
        decode(pack({**full_map(Turn), "confidence": value}))


def test_sound_is_in_frames_of_50_ms() -> None:
    assert math.prod((messages.FRAME_SAMPLES, 2)) == messages.FRAME_BYTES == 1600
    assert messages.FRAME_MS == 50
