"""What a changed configuration asks for: a table of changes."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from minuted.config import (
    Capture,
    ConfigError,
    Cost,
    Engine,
    Journal,
    Meeting,
    Publish,
    Settings,
    SinkTable,
    TokenServer,
)
from minuted.session_settings import StreamingSession
from minuted.supervision.plans import EFFECTS, Plan, changed, plan
from minuted.supervision.stages import commands

OLD = Settings(
    engine=Engine(service="assemblyai"),
    sinks={
        "file_log": SinkTable(options={"path": "/a"}),
        "webhook": SinkTable(),
        "srt": SinkTable(enabled=False),
    },
)


def planned(old, new, again=()):
    return plan(old, new, commands(old), commands(new), again)


def sinks(**changes):
    return replace(OLD, sinks={**OLD.sinks, **changes})


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (OLD, Plan()),
        (replace(OLD, session=StreamingSession(min_turn_silence=400)), Plan(restarted=("transcription",))),
        (replace(OLD, meeting=Meeting(gap_min=5)), Plan(restarted=("transcription",))),
        (replace(OLD, cost=Cost(daily_limit=5)), Plan(restarted=("transcription",))),
        (replace(OLD, token_server=TokenServer(per_minute=5)), Plan()),
        (replace(OLD, profiles={"interview": {"prompt": "x"}}), Plan(restarted=("transcription",))),
        (
            replace(OLD, engine=Engine(service="assemblyai", sessions_max=1)),
            Plan(restarted=("transcription",)),
        ),
        (replace(OLD, capture=Capture(device="Jabra")), Plan(restarted=("capture",))),
        (replace(OLD, journal=Journal(turns_days=30)), Plan(restarted=("transcription",))),
        (replace(OLD, journal=Journal(audio_hours_max=1)), Plan(restarted=("capture",))),
        (replace(OLD, stop_timeout_s=60), Plan()),
        (replace(OLD, path=Path("/etc/other.toml")), Plan()),
        (
            replace(OLD, sink_dirs=(Path("/opt/sinks"),)),
            Plan(restarted=("delivery/file_log", "delivery/webhook")),
        ),
        (sinks(file_log=SinkTable(options={"path": "/b"})), Plan(restarted=("delivery/file_log",))),
        (sinks(srt=SinkTable()), Plan(added=("delivery/srt",))),
        (sinks(file_log=SinkTable(enabled=False)), Plan(removed=("delivery/file_log",))),
        (
            replace(OLD, sinks={"webhook": SinkTable(), "mail": SinkTable(use="webhook")}),
            Plan(added=("delivery/mail",), removed=("delivery/file_log",)),
        ),
        (
            replace(OLD, engine=Engine(service="local")),
            Plan(added=("engine",), restarted=("transcription",)),
        ),
    ],
)
def test_only_what_a_change_concerns_is_touched(new, expected):
    """Every restart costs a little; captions must not flicker because of a subtitle's folder."""
    assert planned(OLD, new) == expected


@pytest.mark.parametrize(
    ("new", "key"),
    [
        (replace(OLD, room="attic"), "room"),
        (replace(OLD, state_dir=Path("/tmp/x")), "state_dir"),
        (replace(OLD, runtime_dir=Path("/tmp/x")), "runtime_dir"),
        (replace(OLD, publish=Publish(turns="ipc:///tmp/x/turns.sock")), "publish"),
        (replace(OLD, journal=Journal(audio="memory")), "journal.audio"),
    ],
)
def test_what_everything_hangs_on_cannot_change(new, key):
    with pytest.raises(ConfigError, match=f"^{key} cannot change while minuted runs"):
        planned(OLD, new)


def test_every_key_is_thought_of():
    """One that is forgotten is refused; here it is noticed."""
    fixed = {"room", "state_dir", "runtime_dir", "publish", "sinks", "journal", "capture"}
    assert {field.name for field in fields(Settings)} == {key for key in EFFECTS if "." not in key} | fixed
    assert {f"journal.{field.name}" for field in fields(Journal)} - EFFECTS.keys() == {"journal.audio"}
    of_sources = {"capture.source", "capture.device", "capture.channel", "capture.sources"}
    assert {f"capture.{field.name}" for field in fields(Capture)} - EFFECTS.keys() == of_sources


def test_what_is_held_in_memory_is_not_thrown_away_for_a_parameter():
    old = replace(OLD, journal=Journal(audio="memory"))
    with pytest.raises(ConfigError, match="would lose sound"):
        planned(old, replace(old, session=StreamingSession(min_turn_silence=400)))
    assert planned(old, old, again={"transcription"}) == Plan()
    assert planned(old, replace(old, sinks={})).removed == ("delivery/file_log", "delivery/webhook")


def test_a_recording_plays_on_as_it_began():
    old = replace(OLD, capture=Capture(source="talk.wav"))
    with pytest.raises(ConfigError, match="while a recording is played"):
        planned(old, replace(old, capture=Capture(source="other.wav")))
    assert planned(old, replace(old, meeting=Meeting(gap_min=5))).restarted == ("transcription",)


def test_what_is_unwell_is_tried_again():
    """What was wrong may have been put right outside of the file: a package, a folder, a key."""
    assert planned(OLD, OLD, again={"delivery/webhook", "transcription"}).restarted == (
        "transcription",
        "delivery/webhook",
    )


def test_changed_names_the_keys():
    assert changed(OLD, replace(OLD, room="x", journal=Journal(turns_days=1))) == [
        "room",
        "journal.turns_days",
    ]


def test_a_plan_reads_well():
    assert Plan().describe() == "nothing has changed"
    shown = Plan(added=("delivery/srt",), restarted=("transcription", "delivery/webhook")).describe()
    assert shown == "transcription and webhook restarted, srt added"
