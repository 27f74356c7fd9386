"""Who speaks, in which language, and what is hidden: over reconnects, hand-overs, kills and backfill."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from minuted.messages import Session, Turn
from minuted.session_notes import UNWATCHED
from simulator import Fault, Service
from simulator.coded import compose

LABELS = "[session]\nspeaker_labels = true\n"


def by_session(turns: Iterable[Turn]) -> dict[str, set[str | None]]:
    """Give whom each session has named, in the order of the sessions."""
    found: dict[str, set[str | None]] = {}
    for turn in turns:
        named = {turn.speaker, *(word.speaker for word in turn.words)} - {None}
        found[turn.session_id] = found.get(turn.session_id, set()) | named
    return found


def newest(turns: Iterable[Turn]) -> dict[str, Turn]:
    return {turn.id: turn for turn in turns}


def texts(recording) -> list[str]:
    return [word.text for word in recording.words]


def words_of(room) -> list[str]:
    return [word.text for turn in newest(room.finals).values() for word in turn.words]


def warnings_of(room) -> list[str]:
    return [
        message.reason
        for message in room.messages
        if isinstance(message, Session) and message.event == "warning"
    ]


@pytest.fixture
def talk():
    """Two people in turn, each long enough to be told apart."""
    return compose(6, words=(4, 5), speakers=2, seed=3, turn_pause_ms=(600, 800))


def test_after_a_reconnect_labels_are_other_people_s(make_room: Callable, talk) -> None:
    """Each session letters whom it hears first; nobody knows whether its A is the other's."""
    with Service([Fault(name="reset", at_finals=3)], short_turn_label=None, bare_revisions=True) as service:
        room = make_room(service, LABELS)
        room.play(talk)
        room.end()
    named = list(by_session(room.finals).values())
    assert named == [{"A", "B"}, {"A2", "B2"}]
    assert words_of(room) == texts(talk)


@pytest.mark.usefixtures("short_sessions")
def test_each_session_of_a_hand_over_has_its_last_word_and_only_on_its_own_turns(
    make_room: Callable,
) -> None:
    """It thinks again when it ends, and by then the next one is live: both number their turns from 0."""
    talk = compose(5, words=(4, 5), word_ms=(200, 300), speakers=2, turn_pause_ms=(600, 800))
    with Service(session_s=6.0, mislabel_every=1, terminate_s=0.5, bare_revisions=True) as service:
        room = make_room(service, LABELS)
        room.play(talk, in_real_time=True)
        room.end()
        sessions = len(service.sessions)
    turns = newest(room.finals).values()
    assert sessions >= 2
    assert room.transcriber.status()["handovers"] == sessions - 1
    revised = [turn for turn in turns if turn.revision]
    assert len({turn.session_id for turn in revised}) >= 2, "sessions that were taken over from, too"
    speakers = {word.text: word.speaker for word in talk.words}
    for turn in turns:
        # In truth each turn has one speaker, and a session's labels tell the two apart.
        said_by = {speakers[word.text] for word in turn.words}
        assert len(said_by) == 1
        assert {word.speaker for word in turn.words} == {turn.speaker} != {None}
    for session_id in by_session(turns):
        pairs = {
            (turn.speaker, speakers[turn.words[0].text]) for turn in turns if turn.session_id == session_id
        }
        assert len({label for label, _ in pairs}) == len({person for _, person in pairs}) == len(pairs)
    assert words_of(room) == texts(talk)


@pytest.mark.usefixtures("short_sessions")
def test_the_last_word_of_a_session_is_waited_for_while_there_is_no_room(
    make_room: Callable,
) -> None:
    """A hand-over while another session catches up: the old one's second thoughts come after its end."""
    missed = compose(3, first_number=1, words=(4, 5), speakers=2, turn_pause_ms=(600, 800), tail_ms=1500)
    after = compose(3, first_number=100, words=(4, 5), speakers=2, seed=1, turn_pause_ms=(600, 800))
    service = Service(session_s=8.0, mislabel_every=1, terminate_s=1.0)
    room = make_room(service, LABELS)
    room.play(missed, paced=True)
    room.wait_for(lambda: "retrying" in room.session_events)
    service.start()
    room.wait_for(lambda: "started" in room.session_events)
    room.play(after, in_real_time=True)
    room.end()
    named = [session for session in service.sessions if session.messages("SpeakerRevision")]
    assert len(named) == len(service.sessions) >= 3, "none was cut off"
    assert room.transcriber.status()["handovers"] == 0, "there was no room for two to be live"
    service.close()
    turns = newest(room.finals)
    # Each turn was given a wrong label at first.
    assert all(turn.revision == 1 for turn in turns.values())
    assert sorted(words_of(room)) == sorted(texts(missed) + texts(after))


def test_a_killed_process_s_labels_stay_its_own(make_room: Callable, talk) -> None:
    """What its session would have said at its end is never said; the next one's A is another."""
    with Service(mislabel_every=2) as service:
        first = make_room(service, LABELS)
        first.play(talk, slice(0, 150))
        first.wait_for(lambda: len(first.finals) >= 2)
        first.transcriber._channels[0].lanes.halt("killed")  # no Terminate: nothing more is said
        first.stop()
        second = make_room(service, LABELS)
        second.play(talk, slice(150, None))
        second.end()
    before, after = by_session(first.finals), by_session(second.finals)
    assert set().union(*before.values()) <= {"A", "B"}
    assert set().union(*after.values()) == {"A2", "B2"}
    turns = newest([*first.finals, *second.finals])
    assert [word.text for turn in turns.values() for word in turn.words] == texts(talk)
    assert len({turn.meeting_id for turn in turns.values()}) == 1


def test_names_are_given_while_people_speak_and_outlast_the_process(make_room: Callable, talk) -> None:
    with Service(short_turn_label=None) as service:
        first = make_room(service, LABELS)
        first.play(talk, slice(0, 150))
        first.wait_for(lambda: {"A", "B"} <= {turn.speaker for turn in first.finals})
        first.transcriber.revisions.ask({"names": {"A": "chair", "B": "Anna"}})
        first.wait_for(lambda: not first.transcriber.status()["revising"])
        many = len([turn for turn in first.finals if turn.type == "turn"])
        first.wait_for(lambda: sum(turn.type == "revision" for turn in first.finals) >= many)
        first.stop()
        second = make_room(service, LABELS)
        second.play(talk, slice(150, None))
        second.wait_for(lambda: second.finals)
        new = second.finals[0].speaker
        second.transcriber.revisions.ask({"names": {new: "chair"}})
        second.end()
        told = second.transcriber.revisions.tell({})
    assert new in ("A2", "B2")
    named = {turn.speaker for turn in newest([*first.finals, *second.finals]).values()}
    assert named == {"chair", "Anna", {"A2": "B2", "B2": "A2"}[new]}
    assert {each["label"]: each["name"] for each in told["speakers"]}[new] == "chair"
    assert sum(each["turns"] for each in told["speakers"]) == 6


def test_backfilled_turns_have_speakers_and_languages_too(make_room: Callable) -> None:
    """They are another session's: its labels are its own, the language is everybody's."""
    missed = compose(3, first_number=1, words=(4, 5), speakers=2, turn_pause_ms=(1300, 1500), tail_ms=2000)
    after = compose(3, first_number=100, words=(4, 5), speakers=2, seed=1)
    service = Service(languages=("en", "de"), short_turn_label=None)
    room = make_room(service, f"{LABELS}language_detection = true\n")
    room.play(missed, paced=True)
    room.wait_for(lambda: "retrying" in room.session_events)
    service.start()
    room.wait_for(lambda: "started" in room.session_events)
    room.play(after, paced=True)
    room.end()
    service.close()

    behind = [turn for turn in room.finals if turn.backfilled]
    live = [turn for turn in room.finals if not turn.backfilled]
    named = [{turn.speaker for turn in turns} for turns in (live, behind)]
    assert sorted(named, key=sorted) == [{"A", "B"}, {"A2", "B2"}]
    for turn in room.finals:
        first = int(turn.words[0].text[4:8])
        assert turn.language == ("en", "de")[first % 2]


def test_what_is_hidden_is_hidden_in_every_word(make_room: Callable, talk) -> None:
    """Without partials nothing is shown before it is redacted; the status says what that switches off."""
    settings = "[session]\nredact_pii = true\nredact_pii_sub = 'entity_name'\nfilter_profanity = true\n"
    with Service(personal_every=5, profane_every=7) as service:
        room = make_room(service, settings)
        room.play(talk)
        room.end()
    assert room.partials == []
    for turn in room.finals:
        assert [word.text for word in turn.words] == turn.text.split()
    plain = [word for word in texts(talk) if int(word[4:8]) % 5 and int(word[4:8]) % 7]
    assert [word for word in room.words if word.startswith("word")] == plain
    assert any(word.startswith("[PERSON_NAME]") for word in room.words)
    assert room.transcriber.status()["without"] == UNWATCHED


def test_what_a_session_has_not_is_told_once_and_shown_as_long_as_it_is_so(make_room: Callable, talk) -> None:
    """The service ignores what it does not know; each reconnect would say it again."""
    faults = [Fault(name="reset", at_finals=finals) for finals in (1, 2)]
    with Service(faults, echo={"speaker_labels": False, "voice_focus": None}) as service:
        room = make_room(service, f"{LABELS}voice_focus = 'far-field'\n")
        room.play(talk)
        room.end()
        assert len(service.sessions) >= 3
    assert warnings_of(room) == [
        "asked for speaker_labels = true, the session has false",
        "asked for voice_focus = far-field, the session has none",
    ]
    assert room.transcriber.status()["warning"] == "; ".join(warnings_of(room))


def test_a_service_s_warning_is_told_once(make_room: Callable, talk) -> None:
    """As the local engine's, of what it does not have, in each of its sessions."""
    said: dict[str, Any] = {"type": "Warning", "warning_code": 1001, "warning": "no effect: speaker_labels"}
    faults = [Fault(name="say", message=said, at_audio_ms=200, times=None), Fault(name="reset", at_finals=2)]
    with Service(faults) as service:
        room = make_room(service)
        room.play(talk)
        room.end()
        assert len(service.sessions) >= 2
    assert warnings_of(room) == ["no effect: speaker_labels"]
    assert room.transcriber.status()["warning"] == "no effect: speaker_labels"
