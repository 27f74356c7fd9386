"""What the service hides and what it says of languages, as the reference has it."""

from typing import Any

import pytest

from simulator.actions import Say
from simulator.coded import compose
from simulator.faults import Script
from simulator.options import Options
from simulator.parameters import from_query
from simulator.session import Session

RECORDING = compose(3, words=(4, 4), seed=11)


def messages(
    query: str, model: str = "u3-rt-pro", recording=RECORDING, **options: Any
) -> list[dict[str, Any]]:
    """Give what a session says to a recording and a Terminate."""
    parameters = from_query(f"speech_model={model}&{query}", "universal-3-6-pro")
    session = Session(parameters, Options(**options), Script(()), number=0, attempt=0, now_s=0.0)
    session.open(0.0, 1_790_000_000)
    actions, now_s = session.due(0.0), 0.0
    for frame in recording.frames():
        now_s += 0.05
        session.take(frame, now_s)
        actions += session.due(now_s)
    session.take('{"type":"Terminate"}', now_s)
    actions += session.due(now_s)
    return [each.message for each in actions if isinstance(each, Say) and isinstance(each.message, dict)]


def turns(said: list[dict[str, Any]], *, final: bool) -> list[dict[str, Any]]:
    return [message for message in said if message["type"] == "Turn" and message["end_of_turn"] == final]


def test_profanity_is_asterisks_in_partials_and_finals() -> None:
    said = messages("filter_profanity=true", profane_every=2)
    (first, *_) = turns(said, final=True)

    assert first["transcript"] == "word0001 ******** word0003 ********?"
    assert [word["text"] for word in first["words"]] == first["transcript"].split()
    assert all("word0002" not in turn["transcript"] for turn in turns(said, final=False))
    assert "word0002" in turns(messages("", profane_every=2), final=True)[0]["transcript"]


@pytest.mark.parametrize(
    ("query", "second"),
    [
        ("", "########"),
        ("&redact_pii_sub=entity_name", "[PERSON_NAME]"),
        ('&redact_pii_policies=["person_name"]', "########"),
        ('&redact_pii_policies=["date"]', "word0002"),
    ],
)
def test_personal_words_are_a_tag_each_and_there_are_no_partials(query: str, second: str) -> None:
    said = messages(f"redact_pii=true{query}", personal_every=2)
    (first, *_) = turns(said, final=True)

    assert first["transcript"].split()[:3] == ["word0001", second, "word0003"]
    assert len(first["words"]) == 4
    assert turns(said, final=False) == []


def test_a_final_tells_its_language_where_the_model_can() -> None:
    query, languages = "language_detection=true", ("en", "de")
    said = messages(query, languages=languages)

    # Their first words are the 1st, 5th and 9th.
    assert [turn["language_code"] for turn in turns(said, final=True)] == ["de", "de", "de"]
    assert all("language_code" not in turn for turn in turns(said, final=False))
    for model, tells in (("universal-streaming-multilingual", True), ("universal-streaming-english", False)):
        finals = turns(messages(query, model), final=True)
        assert all(("language_code" in turn) == tells for turn in finals)


def test_a_revision_may_leave_out_what_says_nothing() -> None:
    query = "speaker_labels=true"
    for bare in (False, True):
        said = messages(
            query, recording=compose(4, speakers=2, seed=5), mislabel_every=2, bare_revisions=bare
        )
        (revision,) = [message for message in said if message["type"] == "SpeakerRevision"]
        words = [word for each in revision["revisions"] for word in each["words"]]
        assert words
        assert all(("confidence" in word) != bare for word in words)
        assert all("speaker" in word for word in words)


def test_begin_may_say_something_else_than_was_asked_for() -> None:
    (begin, *_) = messages("speaker_labels=true", echo={"speaker_labels": False})

    assert begin["configuration"]["speaker_labels"] is False
