"""What is changed reaches every session, once, whatever the session was doing."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minuted.config import RUN_NAME
from minuted.messages import Session
from simulator import Fault, Service
from simulator.coded import compose

PROFILES = """
[profiles.interview]
keyterms_prompt = ["metformin", "Siobhan"]
max_turn_silence = 3000
[profiles.plenary]
max_turn_silence = 800
"""
NEWER = '[session]\nspeech_model = "universal-3-6-pro"\n'
SHORT = compose(1, words=(2, 2), lead_in_ms=200, tail_ms=1500)
UPDATE = "UpdateConfiguration"


def wish(room: Any, op: str = "configure", **details: Any) -> dict[str, Any]:
    """Ask as the control socket does, and give the answer."""
    name = f"wish-{time.monotonic_ns()}"
    room.wait_for(lambda: room.has_taken_all)
    room.transcriber.wish({"op": op, "wish": name, "before_s": time.monotonic() + 60, **details})
    answer = room.transcriber.wishes.answer
    room.wait_for(lambda: answer({"wish": name})["state"] == "done")
    return dict(answer({"wish": name}))


def updates(connection: Any) -> list[dict[str, Any]]:
    """Give what a session was told, without the message's type."""
    return [{k: v for k, v in each.items() if k != "type"} for each in connection.asked(UPDATE)]


def told(room: Any, event: str) -> list[str]:
    return [
        message.reason for message in room.messages if isinstance(message, Session) and message.event == event
    ]


def begun(room: Any, service: Service, count: int = 1) -> None:
    room.wait_for(lambda: len(service.sessions) >= count and room.transcriber.status()["state"] == "live")


def test_a_change_reaches_the_open_session_and_survives_five_reconnects(make_room: Callable) -> None:
    """Somebody has set the room up for an interview: no fault of the network undoes it."""
    with Service() as service:
        room = make_room(service)
        room.play(SHORT)
        begun(room, service)
        wish(room, set={"max_turn_silence": 2000, "keyterms_prompt": ["metformin"]})
        service.wait_until(lambda: service.sessions[0].asked(UPDATE))
        for count in range(1, 6):
            service.fault("reset")
            room.play(SHORT)
            room.retry_now()
            room.wait_for(lambda count=count: len(service.sessions) > count or room.retry_now())
        room.end()
        first, *later = service.sessions
    assert updates(first) == [{"max_turn_silence": 2000, "keyterms_prompt": ["metformin"]}]
    assert len(later) == 5
    for session in later:
        assert session.parameters["max_turn_silence"] == 2000
        assert session.parameters["keyterms_prompt"] == ["metformin"]
        assert updates(session) == [], "what it was opened with need not be said again"


def test_a_change_while_a_session_is_connecting_reaches_it(make_room: Callable) -> None:
    """Its query was written before: it is told after Begin."""
    with Service([Fault(name="no_begin", session=0)]) as service:
        room = make_room(service)
        room.play(SHORT)
        room.wait_for(lambda: service.connections)
        wish(room, set={"max_turn_silence": 2000})
        service.fault("heal")
        service.wait_until(lambda: service.sessions and service.sessions[0].asked(UPDATE))
        room.end()
        assert service.sessions[0].parameters["max_turn_silence"] == 1200
        assert updates(service.sessions[0]) == [{"max_turn_silence": 2000}]


@pytest.mark.usefixtures("short_sessions")
def test_a_change_reaches_the_next_session_that_is_being_opened_ahead(make_room: Callable) -> None:
    """And the one after that is opened with it."""
    recording = compose(6, words=(2, 2), turn_pause_ms=(400, 500))
    with Service([Fault(name="no_begin", session=1)], session_s=6.0) as service:
        room = make_room(service)
        room.play(recording, slice(0, 20), in_real_time=True)
        begun(room, service)
        for frame in range(20, 200, 5):
            room.play(recording, slice(frame, frame + 5), in_real_time=True)
            if len(service.connections) > 1:
                break
        wish(room, set={"max_turn_silence": 900})
        service.fault("heal")
        room.play(recording, slice(frame + 5, None))
        room.wait_for(lambda: room.transcriber.status()["handovers"])
        room.end()
        sessions = list(service.sessions)
    assert updates(sessions[0]) == [{"max_turn_silence": 900}]
    assert updates(sessions[1]) == [{"max_turn_silence": 900}]
    assert all(session.parameters["max_turn_silence"] == 900 for session in sessions[2:])
    assert sorted(room.words) == [word.text for word in recording.words]


def test_a_change_with_no_session_open_is_the_next_one_s(make_room: Callable) -> None:
    with Service() as service:
        room = make_room(service)
        wish(room, set={"prompt": "A ward round."})
        room.play(SHORT)
        room.end()
        assert service.sessions[0].parameters["prompt"] == "A ward round."
        assert updates(service.sessions[0]) == []


def test_what_an_outage_left_behind_is_heard_with_the_change_too(make_room: Callable) -> None:
    """The backfill session is a session like any other."""
    missed = compose(1, words=(2, 2), tail_ms=1500)
    service = Service()
    room = make_room(service, "live_first_s = 1")
    room.play(missed, paced=True)
    room.wait_for(lambda: "retrying" in room.session_events)
    wish(room, set={"keyterms_prompt": ["metformin"]})
    service.start()
    room.wait_for(lambda: "started" in room.session_events)
    room.play(SHORT, paced=True)
    room.end()
    assert [turn for turn in room.finals if turn.backfilled]
    assert [session.parameters["keyterms_prompt"] for session in service.sessions] == [["metformin"]] * 2
    service.close()


def test_what_a_model_does_not_take_is_refused_as_a_whole_with_the_reason(make_room: Callable) -> None:
    """The service would overlook it, and somebody would believe that it holds."""
    with Service() as service:
        room = make_room(service)
        room.play(SHORT)
        begun(room, service)
        answer = wish(
            room, set={"max_turn_silence": 2000, "vad_threshold": 0.5, "speaker_labels": True, "promt": "x"}
        )
        assert "u3-rt-pro takes no change of it" in answer["error"]
        assert "speaker_labels is set when a session begins" in answer["error"]
        assert "did you mean 'prompt'" in answer["error"]
        room.end()
        assert updates(service.sessions[0]) == []
        assert room.transcriber.status()["settings"]["changed"] == {}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"keyterms_prompt": [f"term {n}" for n in range(101)]}, "101 terms; the service takes 100"),
        ({"keyterms_prompt": ["x" * 51]}, "over 50 characters"),
        ({"prompt": "x" * 1751}, "longer than 1750 characters"),
        ({"max_turn_silence": 20}, "max_turn_silence = 20 is not between 50 and 10000"),
        ({"max_turn_silence": "long"}, "max_turn_silence is a whole number"),
    ],
    ids=["too many", "too long", "prompt", "range", "type"],
)
def test_what_the_service_ends_a_session_for_never_reaches_it(
    make_room: Callable, given: dict[str, Any], reason: str
) -> None:
    """It answers an over-limit value with the end of the session."""
    with Service() as service:
        room = make_room(service)
        room.play(SHORT)
        begun(room, service)
        assert reason in wish(room, set=given)["error"]
        room.end()
        assert [session.messages("Error") for session in service.sessions] == [[]]


def test_a_newer_model_takes_what_the_sdk_s_own_message_lacks(make_room: Callable) -> None:
    """`mode` and `continuous_partials` are on the wire, and a later session is asked for with them."""
    asked = {"mode": "max_accuracy", "continuous_partials": False, "vad_threshold": 0.4}
    with Service() as service:
        room = make_room(service, NEWER)
        room.play(SHORT)
        begun(room, service)
        wish(room, set=asked)
        service.wait_until(lambda: service.sessions[0].asked(UPDATE))
        service.fault("reset")
        room.play(SHORT)
        room.retry_now()
        room.end()
        assert updates(service.sessions[0]) == [asked]
        assert asked.items() <= service.sessions[-1].parameters.items()


def test_a_profile_is_one_message_and_what_it_lacks_goes_back(make_room: Callable) -> None:
    """Switching from one stage to the next leaves nothing of the one before."""
    with Service() as service:
        room = make_room(service, PROFILES)
        room.play(SHORT)
        begun(room, service)
        for name in ("interview", "plenary", "none"):
            wish(room, profile=name)
        room.end()
        assert updates(service.sessions[0]) == [
            {"keyterms_prompt": ["metformin", "Siobhan"], "max_turn_silence": 3000},
            {"keyterms_prompt": [], "max_turn_silence": 800},
            {"max_turn_silence": 1200},
        ]
        assert "no [profiles.intervew]" in wish(room, profile="intervew")["error"]


def test_a_number_that_goes_back_to_unset_comes_with_a_session_that_takes_over(make_room: Callable) -> None:
    """The service takes no "unset": the next session is opened at once, and no word is lost for it."""
    with Service() as service:
        room = make_room(service, NEWER)
        room.play(SHORT)
        begun(room, service)
        wish(room, set={"vad_threshold": 0.9})
        wish(room, reset=[])
        room.wait_for(lambda: room.transcriber.status()["handovers"] == 1)
        room.play(compose(1, first_number=50))
        room.end()
        assert "vad_threshold" not in service.sessions[1].parameters
    assert room.words == [word.text for word in (*SHORT.words, *compose(1, first_number=50).words)]


def test_what_the_service_refuses_by_name_is_taken_back(make_room: Callable) -> None:
    """A language that only the service knows to be wrong must not shut the room out for good."""
    error = "User Input Validation Error: Invalid 'language_codes': 'xx' is not supported"
    with Service([Fault(name="error", code=3006, text=error, at_control=UPDATE)]) as service:
        room = make_room(service, NEWER)
        room.play(SHORT)
        begun(room, service)
        wish(room, set={"language_codes": ["xx"], "max_turn_silence": 2000})
        room.wait_for(lambda: told(room, "warning"))
        room.play(compose(1, first_number=50))
        room.end()
        assert "language_codes" in told(room, "warning")[0]
        assert "language_codes" not in service.sessions[1].parameters
        assert service.sessions[1].parameters["max_turn_silence"] == 2000
    assert room.words == [word.text for word in (*SHORT.words, *compose(1, first_number=50).words)]


def test_a_new_process_goes_by_what_was_changed(make_room: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same run all of it, in the next run of the daemon what was to be kept."""
    monkeypatch.setenv(RUN_NAME, "first")
    with Service() as service:
        room = make_room(service)
        wish(room, set={"max_turn_silence": 2000})
        wish(room, set={"max_turn_silence": 3000, "prompt": "A ward round."}, until_restart=True)
        for run, expected in (("first", (3000, "A ward round.")), ("second", (2000, None))):
            room.stop()
            monkeypatch.setenv(RUN_NAME, run)
            room = make_room(service)
            room.play(SHORT)
            room.end()
            parameters = service.sessions[-1].parameters
            assert (parameters["max_turn_silence"], parameters.get("prompt")) == expected


def test_a_reload_s_new_values_hold_beside_what_was_changed(make_room: Callable) -> None:
    """A reload ends the process for another one, which has another configuration."""
    with Service() as service:
        room = make_room(service)
        wish(room, set={"max_turn_silence": 2000})
        room.stop()
        room = make_room(service, "[session]\nmin_turn_silence = 300\nmax_turn_silence = 700\n")
        room.play(SHORT)
        room.end()
        parameters = service.sessions[-1].parameters
        assert (parameters["min_turn_silence"], parameters["max_turn_silence"]) == (300, 2000)
        wish(room, reset=[])
        assert room.transcriber.status()["settings"]["values"]["max_turn_silence"] == 700


def test_the_file_of_key_terms_is_taken_in_when_it_changes(make_room: Callable, tmp_path: Path) -> None:
    """A bad one is told and leaves the old terms; a later good one is taken in."""
    file = tmp_path / "terms.txt"
    file.write_text("# names\nmetformin\n")
    with Service() as service:
        room = make_room(service, f'[session]\nkeyterms_prompt = ["Siobhan"]\nkeyterms_file = "{file}"\n')
        room.play(SHORT)
        begun(room, service)
        assert service.sessions[0].parameters["keyterms_prompt"] == ["Siobhan", "metformin"]

        file.write_text("metformin\nstatins\n")
        service.wait_until(lambda: service.sessions[0].asked(UPDATE))
        assert updates(service.sessions[0]) == [{"keyterms_prompt": ["Siobhan", "metformin", "statins"]}]

        file.write_text("x" * 51)
        room.wait_for(lambda: told(room, "warning"))
        assert "line 1" in told(room, "warning")[0]
        status = room.transcriber.status()
        assert "over 50 characters" in status["settings"]["problem"]
        assert "over 50 characters" in status["changes"]
        assert status["settings"]["values"]["keyterms_prompt"] == ["Siobhan", "metformin", "statins"]

        file.write_text("statins\n")
        service.wait_until(lambda: len(service.sessions[0].asked(UPDATE)) == 2)
        assert updates(service.sessions[0])[-1] == {"keyterms_prompt": ["Siobhan", "statins"]}
        room.end()


def test_status_says_what_is_in_force_and_what_of_it_is_changed(make_room: Callable) -> None:
    with Service() as service:
        room = make_room(service, PROFILES)
        wish(room, profile="interview")
        answer = wish(room, set={"min_turn_silence": 300}, until_restart=True)["configured"]
    status = room.transcriber.status()
    assert status["settings"] == answer
    assert answer["profile"] == "interview"
    assert answer["changed"] == {
        "keyterms_prompt": "profile interview",
        "max_turn_silence": "profile interview",
        "min_turn_silence": "until the next restart",
    }
    assert answer["values"]["max_turn_silence"] == 3000
    assert answer["configured"]["max_turn_silence"] == 1200
    assert status["changes"] == "profile interview, min_turn_silence 300"
