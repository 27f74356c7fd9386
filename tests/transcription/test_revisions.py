"""Second thoughts about who spoke all become records: through kills, full disks and by the thousand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from assemblyai.streaming.v3 import SpeakerRevisionEvent, SpeakerRevisionItem

from minuted.bus import ReplayServer, TurnsIn, TurnsOut
from minuted.config import Settings
from minuted.journal.turns import TurnJournal, TurnJournalFullError
from minuted.messages import Record, Turn, Word, from_map
from minuted.transcription import revisions as revisions_module
from minuted.transcription.publisher import Publisher
from minuted.transcription.revisions import ASKED_MAX, STEP, Revisions
from minuted.transcription.speakers import Labels
from minuted.transcription.turns import labels_of
from waiting import until

WAIT_S = 10


class Journal(TurnJournal):
    """A turn journal that fails after some commits, as a disk that fills up or a process that is killed."""

    commits_left: float = float("inf")

    def commit_all(
        self,
        records: Sequence[Record],
        state: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Record]:
        if not self.commits_left:
            raise TurnJournalFullError("database or disk is full")
        self.commits_left -= 1
        return super().commit_all(records, state, labels)


class Session:
    """What is used of a session's Turns here: it knows which finals were its own."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.orders: set[int] = set()

    def relabelled(self, item: SpeakerRevisionItem) -> tuple[str, Labels] | None:
        if item.turn_order not in self.orders:
            return None
        return f"{self.session_id}:{item.turn_order}", labels_of(item.speaker_label, item.words)


class Room:
    """A journal and who writes it."""

    def __init__(self, journal: Journal, turns: TurnsOut, replay: ReplayServer) -> None:
        self.journal = journal
        self._sockets = (turns, replay)
        self.restart()

    def restart(self) -> None:
        """Begin as another process that has nothing but the journal."""
        self.publisher = Publisher(*self._sockets, self.journal)
        self.revisions = Revisions(self.publisher)

    def say(self, session: Session, label: str | None, order: int, meeting: str = "m1") -> Turn:
        session.orders.add(order)
        words = (Word(text="Yes.", start_ms=0, end_ms=400, confidence=0.9, speaker=label),)
        turn = Turn(
            id=f"{session.session_id}:{order}",
            room="boardroom",
            meeting_id=meeting,
            meeting_started_at_ms=5,
            session_id=session.session_id,
            turn_order=order,
            final=True,
            start_ms=0,
            end_ms=400,
            text="Yes.",
            words=words,
            speaker=label,
        )
        said = self.publisher.record(turn)
        assert isinstance(said, Turn)
        return said

    def hear(self, session: Session, revised: Mapping[int, str | None]) -> None:
        """Take the service's second thoughts: labels by turn_order."""
        word = {"start": 0, "end": 400, "text": "Yes.", "confidence": 0.0, "word_is_final": True}
        items = [
            {"turn_order": order, "speaker_label": label, "words": [{**word, "speaker": label}]}
            for order, label in revised.items()
        ]
        event = SpeakerRevisionEvent.model_validate({"type": "SpeakerRevision", "revisions": items})
        turns: Any = session
        self.revisions.hear(turns, event)

    def name(self, **names: str) -> None:
        self.revisions.ask({"names": names})

    def work(self) -> None:
        while self.revisions.left:
            self.revisions.work()

    @property
    def records(self) -> list[Turn]:
        found: list[Turn] = []
        while page := self.journal.page(len(found) + 1):
            found += [turn for each in page if isinstance(turn := from_map(each), Turn)]
        return found

    @property
    def newest(self) -> dict[str, str | None]:
        """Give who is said to speak in each turn, as it was last recorded; words agree."""
        latest = {turn.id: turn for turn in self.records}
        assert all(word.speaker == turn.speaker for turn in latest.values() for word in turn.words)
        return {key: turn.speaker for key, turn in latest.items()}


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def subscriber(settings: Settings) -> Iterator[TurnsIn]:
    with TurnsIn(settings.turns_endpoint) as subscriber:
        yield subscriber


@pytest.fixture
def room(settings: Settings, subscriber: TurnsIn) -> Iterator[Room]:
    journal = Journal(settings.state_dir / "turns.db")
    with TurnsOut(settings.turns_endpoint) as turns, ReplayServer(settings.replay_endpoint) as replay:
        until(turns.new_subscriptions)
        yield Room(journal, turns, replay)
    journal.close()


# The service thinks again.


def test_a_revision_is_a_record_of_its_own(room: Room, subscriber: TurnsIn) -> None:
    """A subscriber that has the turn learns who said it, and nothing else of it has changed."""
    session = Session("s1")
    final = room.say(session, "B", 0)
    room.hear(session, {0: "A"})

    _, revised = room.records
    assert (revised.type, revised.seq, revised.revision, revised.speaker) == ("revision", 2, 1, "A")
    assert revised.words[0].confidence == 0.9, "the revision's own are no news"
    same = replace(final.words[0], speaker="A")
    assert revised == replace(final, type="revision", seq=2, revision=1, speaker="A", words=(same,))
    assert [subscriber.receive(WAIT_S), subscriber.receive(WAIT_S)] == [final, revised]


def test_revisions_count_and_the_last_one_wins(room: Room) -> None:
    session = Session("s1")
    room.say(session, "B", 0)
    for label in ("A", "C", "UNKNOWN", "B"):
        room.hear(session, {0: label})

    found = [(turn.revision, turn.speaker) for turn in room.records]
    assert found == [(0, "B"), (1, "A"), (2, "C"), (3, None), (4, "B")]


def test_what_changes_nothing_is_no_record(room: Room) -> None:
    session = Session("s1")
    room.say(session, "B", 0)
    room.hear(session, {0: "B", 99: "A"})
    room.hear(Session("s2"), {0: "A"})

    assert len(room.records) == 1
    assert room.revisions.left == 0


def test_an_old_session_never_touches_turns_of_the_new_one(room: Room) -> None:
    """Both number their turns from 0, and after a hand-over the old one's last words come late."""
    old, new = Session("old"), Session("new")
    room.say(old, "A", 0)
    room.say(new, "A", 0)
    room.say(new, "B", 1)
    room.hear(old, {0: "B", 1: "A"})

    assert room.newest == {"old:0": "B", "new:0": "A2", "new:1": "B2"}


def test_a_turn_that_was_heard_and_not_committed_is_not_revised(room: Room) -> None:
    """As where all its words were known before, or another session has said them."""
    session = Session("s1")
    session.orders.add(0)
    room.hear(session, {0: "A"})

    assert room.records == []


def test_thousands_of_turns_are_revised_in_steps(room: Room) -> None:
    """A session of three hours thinks again once, at its end; nothing else may wait for all of that."""
    session, many = Session("s1"), 2 * STEP + 7
    for order in range(many):
        room.say(session, "A", order)
    room.hear(session, dict.fromkeys(range(many), "B"))
    assert len(room.records) == many + STEP
    assert room.revisions.left == STEP + 7
    room.work()

    assert set(room.newest.values()) == {"B"}
    assert [turn.seq for turn in room.records] == list(range(1, 2 * many + 1))


@pytest.mark.parametrize("commits", [0, 1, 2])
def test_a_kill_between_the_steps_leaves_nothing_out(room: Room, commits: int) -> None:
    """The session is gone, and nobody tells of it again: from the first commit on all of it is safe."""
    session, many = Session("s1"), 3 * STEP
    for order in range(many):
        room.say(session, "A", order)
    room.hear(session, dict.fromkeys(range(many), "B"))
    for _ in range(commits):
        room.revisions.work()
    room.restart()
    assert len(room.records) == many + (commits + 1) * STEP
    room.work()

    assert set(room.newest.values()) == {"B"}
    assert [turn.seq for turn in room.records] == list(range(1, 2 * many + 1)), "none of them twice"
    room.restart()
    assert room.revisions.left == 0


def test_a_full_disk_is_waited_out(room: Room) -> None:
    session = Session("s1")
    for order in range(2 * STEP):
        room.say(session, "A", order)
    room.journal.commits_left = 1
    room.hear(session, dict.fromkeys(range(2 * STEP), "B"))
    with pytest.raises(TurnJournalFullError):
        room.revisions.work()
    assert len(room.records) == 3 * STEP
    room.journal.commits_left = float("inf")
    room.work()

    assert set(room.newest.values()) == {"B"}


def test_what_waits_has_a_bound(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions_module, "WAITING_MAX", STEP)
    session = Session("s1")
    for order in range(STEP + 3):
        room.say(session, "A", order)
    room.hear(session, dict.fromkeys(range(STEP + 3), "B"))

    assert room.revisions.dropped == 3
    assert len(room.records) == 2 * STEP + 3


# People name the labels.


def test_a_name_goes_into_every_turn_so_far_and_all_that_follow(room: Room, subscriber: TurnsIn) -> None:
    session = Session("s1")
    room.say(session, "A", 0)
    room.say(session, "B", 1)
    room.say(session, "A", 2, meeting="m0")
    answer = room.revisions.ask({"names": {"A": "chair"}, "meeting": "m1"})
    assert answer == {"meeting": "m1", "names": {"A": "chair"}}
    assert room.revisions.left
    room.work()
    room.say(session, "A", 3)

    assert room.newest == {"s1:0": "chair", "s1:1": "B", "s1:2": "A", "s1:3": "chair"}
    revised = [turn for turn in room.records if turn.type == "revision"]
    assert [(turn.id, turn.revision, turn.seq) for turn in revised] == [("s1:0", 1, 4)]


def test_a_name_outlasts_a_restart_and_holds_for_later_revisions(room: Room) -> None:
    session = Session("s1")
    room.say(session, "A", 0)
    room.say(session, "B", 1)
    room.name(A="chair")
    room.work()
    room.restart()
    room.hear(session, {1: "A", 0: "B"})
    room.say(session, "A", 2)

    assert room.newest == {"s1:0": "B", "s1:1": "chair", "s1:2": "chair"}


def test_a_name_can_be_taken_away_and_changed(room: Room) -> None:
    """The label is not forgotten, also where two had the same name."""
    session = Session("s1")
    room.say(session, "A", 0)
    room.say(session, "B", 1)
    for names in ({"A": "Anna", "B": "Anna"}, {"A": "Berta"}, {"B": ""}):
        room.name(**names)
        room.work()

    assert room.newest == {"s1:0": "Berta", "s1:1": "B"}
    assert [turn.revision for turn in room.records] == [0, 0, 1, 1, 2, 2]


def test_a_revision_between_two_of_one_name_is_not_shown_but_kept(room: Room) -> None:
    session = Session("s1")
    room.say(session, "A", 0)
    room.say(session, "B", 1)
    room.name(A="Anna", B="Anna")
    room.work()
    many = len(room.records)
    room.hear(session, {0: "B"})
    assert len(room.records) == many
    room.name(B="")
    room.work()

    assert room.newest == {"s1:0": "B", "s1:1": "B"}


@pytest.mark.parametrize("steps", [1, 2])
def test_a_kill_while_names_are_given_leaves_nothing_out(room: Room, steps: int) -> None:
    session, many = Session("s1"), 2 * STEP + 5
    for order in range(many):
        room.say(session, "A", order)
    room.name(A="chair")
    for _ in range(steps):
        room.revisions.work()
    room.restart()
    assert room.revisions.left > 0
    room.work()

    assert set(room.newest.values()) == {"chair"}
    assert len(room.records) == 2 * many


def test_a_change_of_mind_while_names_are_given_begins_again(room: Room) -> None:
    session, many = Session("s1"), 2 * STEP
    for order in range(many):
        room.say(session, "A", order)
    room.name(A="chair")
    room.revisions.work()
    room.name(A="Anna")
    room.work()

    assert set(room.newest.values()) == {"Anna"}


def test_who_speaks_is_told_by_label(room: Room) -> None:
    session, other = Session("s1"), Session("s2")
    room.say(session, "A", 0)
    room.say(session, "A", 1)
    room.say(other, "A", 0)
    room.name(A2="Anna")
    room.work()

    told = room.revisions.tell({})
    assert told["meeting"] == "m1"
    assert told["speakers"] == [
        {"label": "A", "name": "", "turns": 2, "seconds": 0.8},
        {"label": "A2", "name": "Anna", "turns": 1, "seconds": 0.4},
    ]


def test_what_cannot_be_done_is_refused_at_once(room: Room) -> None:
    with pytest.raises(ValueError, match="no meeting yet"):
        room.name(A="chair")
    room.say(Session("s1"), "A", 0)
    for names in ({}, [], None):
        with pytest.raises(ValueError, match="names has to be a map"):
            room.revisions.ask({"names": names})
    with pytest.raises(ValueError, match="no speaker B has been heard in this meeting, but A"):
        room.name(B="chair")
    with pytest.raises(ValueError, match="no meeting is known any more as m9"):
        room.revisions.ask({"names": {"A": "chair"}, "meeting": "m9"})
    for number in range(ASKED_MAX):
        room.name(A=f"chair {number}")
    with pytest.raises(ValueError, match="too many changes at once"):
        room.name(A="chair")


def test_turns_that_were_pruned_are_left_as_they_are(room: Room) -> None:
    """They are no longer there to be revised."""
    session = Session("s1")
    for order in range(3):
        room.say(session, "A", order)
    assert room.journal.prune(2**62, 2) == 1
    room.name(A="chair")
    room.work()
    room.hear(session, {0: "B"})

    first_seq = room.journal.first_seq
    assert [each["id"] for each in room.journal.page(first_seq) if each["type"] == "revision"] == [
        "s1:1",
        "s1:2",
    ]
