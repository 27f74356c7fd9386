"""The loop between real sockets and the simulated service: words out once, in order, at their true time."""

from collections.abc import Callable

import pytest

from minuted.bus import ReplayClient
from minuted.config import ConfigError
from minuted.messages import AudioEnd, Session
from simulator import Fault, Service
from simulator.coded import compose

FIRST_MS = 1_000_000 * 50 + 7
"""Epoch milliseconds of the first frame a Room is given."""
RECORDING = compose(4)
WORDS = [word.text for word in RECORDING.words]


def errors_ms(room, recording=RECORDING, first_ms: int = FIRST_MS) -> set[int]:
    """Give how far words' times of day are from the truth."""
    spoken = {word.text: word for word in recording.words}
    return {
        abs(turn.meeting_started_at_ms + said_ms - first_ms - true_ms)
        for turn in room.finals
        for word in turn.words
        for said_ms, true_ms in (
            (word.start_ms, spoken[word.text].start_ms),
            (word.end_ms, spoken[word.text].end_ms),
        )
    }


def test_words_come_once_in_order_at_their_true_time(make_room: Callable) -> None:
    """The plain case, to the millisecond."""
    with Service() as service:
        room = make_room(service)
        room.play(RECORDING)
        room.end()
    assert room.words == WORDS
    assert errors_ms(room) == {0}
    assert [turn.seq for turn in room.finals] == [1, 2, 3, 4]
    assert room.session_events == ["started", "ended", "drained"]


def test_partials_precede_their_final_under_the_same_id_and_have_no_number(make_room: Callable) -> None:
    """A captioner replaces a turn by its id."""
    with Service() as service:
        room = make_room(service)
        room.play(RECORDING)
        room.end()
    assert room.partials
    assert {turn.seq for turn in room.partials} == {None}
    for final in room.finals:
        growing = [turn.text for turn in room.partials if turn.id == final.id]
        assert [len(text) for text in growing] == sorted(len(text) for text in growing)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(name="reset", at_audio_ms=4000),
        Fault(name="drop", at_audio_ms=9000),
        Fault(name="close", code=1000, at_audio_ms=5000),
        Fault(name="close", code=1011, at_audio_ms=5000),
        Fault(name="error", code=3005, at_audio_ms=5000),
        Fault(name="error", code=3008, at_finals=2),
        Fault(name="say", message="turn_without_words", at_audio_ms=6000),
        Fault(name="say", message="not_an_object", at_audio_ms=6000),
        Fault(name="http", status=503),
    ],
    ids=lambda fault: f"{fault.name}-{fault.code or fault.message or fault.status}",
)
def test_after_a_break_every_word_is_heard_once(make_room: Callable, fault: Fault) -> None:
    """What was sent and not yet final is sent again, and nothing else is."""
    with Service([fault]) as service:
        room = make_room(service)
        room.play(RECORDING)
        room.end()
    assert room.words == WORDS
    assert errors_ms(room) == {0}
    assert "retrying" in room.session_events


def test_what_came_before_somebody_asked_for_the_end_is_heard_in_the_same_session(
    make_room: Callable,
) -> None:
    """On a busy machine sound, its end and the question may all come in the middle of one round."""
    first, last = compose(1), compose(1, first_number=100, seed=1)
    with Service() as service:
        room = make_room(service)
        room.play(first)
        room.wait_for(lambda: room.finals)
        (channel,) = room.transcriber._channels
        take_in = channel.take_in

        def starved(now_s: float) -> bool:
            came = take_in(now_s)
            channel.take_in = take_in
            channel._last_sound_s = float("-inf")
            room.play(last)
            room._send(AudioEnd(next_number=room._next_number, reason="drained"))
            room.transcriber.drain()
            return came

        channel.take_in = starved
        room.wait_for(lambda: "drained" in room.session_events and len(room.finals) == 2)
        assert len(service.sessions) == 1
    assert room.words == [word.text for recording in (first, last) for word in recording.words]
    assert room.session_events == ["started", "ended", "drained"]


def test_a_service_that_goes_silent_is_left_for_a_new_session(make_room: Callable) -> None:
    """It takes the sound, answers pings and says nothing: only its missing heartbeat tells."""
    recording = compose(4, first_number=50)
    with Service([Fault(name="stall", at_audio_ms=9000)], heartbeat_s=0.5) as service:
        room = make_room(service)
        room.play(compose(1))
        room.wait_for(lambda: service.sessions and service.sessions[0].messages("Heartbeat"))
        room.play(recording)
        room.end()
    assert room.words == [word.text for word in (*compose(1).words, *recording.words)]
    assert room.session_events.count("retrying") == 1


def test_a_jump_in_the_sound_stays_in_the_words_times(make_room: Callable) -> None:
    """Capture was away for a minute: words after it are a minute later, not where the session puts them."""
    first, second = compose(1), compose(1, first_number=100, seed=1)
    with Service() as service:
        room = make_room(service)
        room.play(first)
        room.wait_for(lambda: room.finals)
        away = 1200
        room.skip(away)
        room.play(second)
        room.end()
    length_ms = len(list(first.frames())) * 50 + away * 50
    assert room.words == [word.text for word in (*first.words, *second.words)]
    last = room.finals[-1]
    said_ms = last.meeting_started_at_ms + last.words[0].start_ms - FIRST_MS
    assert said_ms == length_ms + second.words[0].start_ms
    assert len({turn.meeting_id for turn in room.finals}) == 1
    (gap,) = room.gaps
    assert (gap.reason, gap.seq, gap.meeting_id) == ("not-captured", 2, last.meeting_id)
    assert gap.end_ms - gap.start_ms == away * 50
    assert gap.meeting_started_at_ms + gap.end_ms - FIRST_MS == length_ms


@pytest.mark.parametrize("audio", ["disk", "memory"])
def test_a_pause_ends_the_session_and_is_told_of_when_it_is_over(make_room: Callable, audio: str) -> None:
    """An open session costs money; what was said before the pause is heard to its end."""
    first, second = compose(1), compose(1, first_number=100, seed=1)
    with Service() as service:
        room = make_room(service, f"[journal]\naudio = '{audio}'")
        room.play(first)
        room.pause()
        room.wait_for(lambda: room.transcriber.status()["state"] == "paused")
        # What is told and what the service sees come by other ways than the state.
        room.wait_for(lambda: service.close_codes() == [1000])
        room.wait_for(lambda: "paused" in room.session_events)
        room.wait_for(lambda: room.words == [word.text for word in first.words])
        assert room.gaps == []
        away = 1200
        room.skip(away)
        room.play(second)
        room.wait_for(lambda: room.gaps)
        room.end()
        assert len(service.sessions) == 2
    assert room.words == [word.text for word in (*first.words, *second.words)]
    (gap,) = room.gaps
    assert (gap.reason, gap.end_ms - gap.start_ms) == ("paused", away * 50)
    assert room.session_events.index("resumed") > room.session_events.index("paused")


def test_a_pause_in_which_the_device_is_lost_leaves_no_session_open(make_room: Callable) -> None:
    """A hole that has no end yet must not be waited for as if it were sound."""
    recording = compose(1)
    with Service() as service:
        room = make_room(service)
        room.play(recording)
        room.pause()
        room.wait_for(lambda: room.transcriber.status()["state"] == "paused")
        room.miss(1200, "paused")
        room.wait_for(lambda: room.gaps)
        room.end()
        assert len(service.sessions) == 1
    assert [gap.reason for gap in room.gaps] == ["paused"]


def test_what_is_thrown_away_while_the_service_is_away_is_declared(make_room: Callable) -> None:
    """Sound that nobody will ever hear is told of, not hidden."""
    service = Service()  # nobody listens
    room = make_room(service, "[journal]\naudio = 'memory'\nmemory_s_max = 10")
    room.play(compose(1, tail_ms=20_000))
    room.wait_for(lambda: room.gaps)
    with service:
        room.end()
    (gap,) = room.gaps
    lost_s = room.transcriber.status()["dropped_s"]
    assert gap.reason == "overflow"
    assert (gap.end_ms - gap.start_ms) / 1000 == lost_s > 5


def test_a_stop_is_given_up_when_the_service_stays_away(make_room: Callable) -> None:
    """Who supervises this process alone must not wait for a network."""
    service = Service()
    room = make_room(service)
    room.play(compose(1))
    room.wait_for(lambda: "retrying" in room.session_events)
    room.transcriber.drain()
    room.close()
    service.close()
    assert room.drained is False


def test_a_long_silence_begins_a_new_meeting(make_room: Callable) -> None:
    """Ten minutes without a word, by default; here one."""
    with Service() as service:
        room = make_room(service, "[meeting]\ngap_min = 1")
        room.play(compose(1))
        room.skip(1300)
        room.play(compose(1, first_number=100, seed=1))
        room.end()
    meetings = [turn.meeting_id for turn in room.finals]
    assert len(meetings) == len(set(meetings)) == 2
    assert room.finals[1].meeting_started_at_ms > room.finals[0].meeting_started_at_ms + 60_000


def test_a_recording_is_one_meeting_from_its_first_sample(make_room: Callable) -> None:
    """Subtitles must fit the recording, so its times count from its beginning, break or no break."""
    with Service([Fault(name="reset", at_audio_ms=4000)]) as service:
        room = make_room(service)
        room.play(RECORDING, source="talk.wav")
        room.end()
    assert {turn.meeting_started_at_ms for turn in room.finals} == {FIRST_MS}
    starts_ms = [word.start_ms for turn in room.finals for word in turn.words]
    assert starts_ms == [word.start_ms for word in RECORDING.words]


def test_sound_is_gone_from_the_disk_when_its_words_are_safe(make_room: Callable, make_settings) -> None:
    """What was said in a room is not kept longer than it takes to write it down."""
    recording = compose(35)
    folder = make_settings().state_dir / "audio"
    with Service(heartbeat_s=0.2) as service:
        room = make_room(service)
        seen = set()
        for place in range(0, recording.duration_ms // 50, 200):
            room.play(recording, slice(place, place + 200))
            seen |= {file.name for file in folder.iterdir()}
        room.wait_for(lambda: len(room.words) == len(recording.words))
        room.wait_for(lambda: len({file.name for file in folder.iterdir()}) == 1)
        room.end()
    assert len(seen) > 2, "the sound was never in several files"


def test_a_second_final_for_a_turn_is_not_published(make_room: Callable) -> None:
    """Twice the same turn would be twice the same words in every sink."""
    with Service([Fault(name="duplicate_final", times=None)], empty_final=True) as service:
        room = make_room(service)
        room.play(RECORDING)
        room.end()
    assert room.words == WORDS


def test_universal_streaming_is_asked_to_format_and_a_turn_that_ends_twice_is_one(
    make_room: Callable,
) -> None:
    """Older models end each turn plain and then formatted; both have the same words."""
    settings = '[session]\nspeech_model = "universal-streaming-english"\nformat_turns = true\n'
    with Service(second_formatted_final=True) as service:
        room = make_room(service, settings)
        room.play(RECORDING)
        room.end()
        (session,) = service.sessions
        assert session.parameters["format_turns"] is True
    assert [word.rstrip(".?!") for word in room.words] == [word.rstrip(".?!") for word in WORDS]


def test_speakers_named_anew_become_revisions_with_numbers_of_their_own(make_room: Callable) -> None:
    """A subscriber that has the turn learns who said it."""
    recording = compose(4, speakers=2)
    with Service(mislabel_every=2, short_turn_label=None) as service:
        room = make_room(service, "[session]\nspeaker_labels = true")
        room.play(recording)
        room.end()
    revisions = [turn for turn in room.finals if turn.type == "revision"]
    assert revisions
    for revision in revisions:
        (before,) = [turn for turn in room.finals if turn.id == revision.id and turn.type == "turn"]
        assert revision.revision == before.revision + 1
        assert revision.text == before.text
        assert revision.speaker != before.speaker
    seqs = [turn.seq for turn in room.finals]
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_model_other_than_the_one_asked_for_is_a_warning(make_room: Callable) -> None:
    """Unknown parameters are ignored by the service without a word: Begin must be looked at."""
    with Service([Fault(name="wrong_model", text="another-model")]) as service:
        room = make_room(service)
        room.play(RECORDING)
        room.end()
    (warning,) = [
        message for message in room.messages if isinstance(message, Session) and message.event == "warning"
    ]
    assert "another-model" in warning.reason
    assert "u3-rt-pro" in warning.reason


def test_a_refused_key_keeps_the_microphones_sound_and_tries_again(make_room: Callable) -> None:
    """Somebody will mend it; until then nothing is thrown away."""
    with Service([Fault(name="error", code=1008)]) as service:
        room = make_room(service)
        room.play(RECORDING)
        room.wait_for(lambda: "refused" in room.session_events)
        status = room.transcriber.status()
        assert status["state"] == "refused"
        assert "Invalid API key" in status["reason"]
        room.wait_for(lambda: room.transcriber.status()["held_s"] > 10)
        room.retry_now()
        room.end()
    assert room.words == WORDS


def test_a_refused_key_ends_the_run_of_a_recording(make_room: Callable) -> None:
    """There is nobody to wait for: the command says what is wrong and ends."""
    with Service([Fault(name="error", code=1008, times=None)]) as service:
        room = make_room(service)
        room.play(RECORDING, source="talk.wav")
        with pytest.raises(ConfigError, match="Invalid API key"):
            room.end()


def test_confirmed_silence_is_not_kept(make_room: Callable) -> None:
    """Otherwise a quiet night would be sent again after a break in the morning."""
    quiet = compose(1, words=(1, 1), lead_in_ms=20_000, tail_ms=1000)
    with Service() as service:
        room = make_room(service)
        room.play(quiet)
        room.wait_for(lambda: room.finals and room.transcriber.status()["held_s"] <= 3)
        room.end()
    assert room.words == [word.text for word in quiet.words]


def test_silence_that_nobody_confirms_is_not_kept_for_ever(make_room: Callable) -> None:
    """Not every model confirms silence; what had no words in half a minute has none."""
    quiet = compose(1, words=(1, 1), lead_in_ms=44_000, tail_ms=1000)
    with Service(signals=False) as service:
        room = make_room(service, "[journal]\naudio = 'memory'\nmemory_s_max = 40")
        room.play(quiet, source="talk.wav", paced=False)
        room.end()
    assert room.words == [word.text for word in quiet.words]
    assert room.transcriber.status()["dropped_s"] == 0


def test_audio_is_never_sent_faster_than_the_service_allows(make_room: Callable) -> None:
    """After a break the backlog goes out at 1.2 times real time: the service ends faster sessions."""
    recording = compose(2)
    with Service(pace_rate=1.2, pace_slack_s=0.6) as service:
        room = make_room(service)
        room.play(recording, paced=True)
        room.end()
        assert set(service.close_codes()) == {1000}
    assert sorted(room.words) == [word.text for word in recording.words]


def test_what_was_missed_can_be_asked_for_again(make_room: Callable) -> None:
    """A subscriber that comes late has everything all the same."""
    with Service() as service:
        room = make_room(service)
        room.play(RECORDING)
        room.end()
        with ReplayClient(room.settings.replay_endpoint) as client:
            client.ask({"from_seq": 2})
            answers = []
            while not answers or answers[-1]["type"] != "end":
                answer = client.receive(timeout_s=5)
                assert answer is not None
                answers.append(answer)
    assert [answer.get("seq") for answer in answers[:-1]] == [2, 3, 4]
    assert answers[-1]["next_seq"] == 5
    assert answers[-1]["last_seq"] == 4
    assert answers[0] == {**room.finals[1].to_map(), "words": [dict(w) for w in answers[0]["words"]]}


def test_an_endpoint_asked_for_ends_the_turn(make_room: Callable) -> None:
    """`minuted endpoint`: the words so far are final now."""
    recording = compose(1, words=(4, 4), sentences=False, tail_ms=100)
    with Service() as service:
        room = make_room(service)
        room.play(recording)
        room.wait_for(lambda: room.partials and len(room.partials[-1].words) == 4)
        room.transcriber.force_endpoint()
        room.wait_for(lambda: room.finals)
        room.end()
    assert room.words == [word.text for word in recording.words]
