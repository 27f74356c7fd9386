"""Every figure of a status under its name, its labels and its unit."""

import re
from pathlib import Path
from typing import Any

import pytest

from hostile_texts import HOSTILE, MARKER, controls
from minuted.metrics import families
from minuted.metrics.families import text
from scraped import Samples, samples

README = Path(__file__).parents[2] / "README.md"
SUPERVISED = {"pid": 7, "state": "ready", "restarts": 2, "uptime_s": 9.5}
SECRETS = {
    "meeting_title": "The merger",
    "meeting": {"id": "m", "title": "The merger"},
    "last_error": "401 for the-secret-key",
    "reason": "the-secret-key",
    "status": "the-secret-key",
    "in_force": "keyterms_prompt: metformin",
    "session_id": "a-session",
}


def of(stages: dict[str, dict[str, Any]], configured: tuple[str, ...] = ()) -> Samples:
    return samples(text({"state": "running", "room": "attic", "stages": stages}, configured))


def test_all_that_is_told_of_a_stage_is_there_once() -> None:
    found = of({"capture": SUPERVISED, "delivery/srt": {**SUPERVISED, "state": "waiting", "restarts": 0}})

    assert found["minuted_up"] == 1
    assert found["minuted_stage_up stage=capture"] == 1
    assert found["minuted_stage_state stage=capture state=ready"] == 1
    assert found["minuted_stage_state stage=delivery/srt state=waiting"] == 1
    assert found["minuted_stage_restarts_total stage=capture"] == 2
    assert found["minuted_stage_uptime_seconds stage=delivery/srt"] == 9.5


def test_money_has_its_figures_and_its_limit() -> None:
    cost = {"session_s_today": 7200.0, "session_s_month": 9000.5, "cost_today": 0.9, "cost_month": 1.1251}
    own = {**SUPERVISED, **cost, "cut_today": 1, "daily_limit": 6.0, "limit_reached": False, "last_seq": 41}

    found = of({"transcription": own})

    assert found["minuted_session_today_seconds"] == 7200
    assert found["minuted_session_month_seconds"] == 9000.5
    assert found["minuted_cost_today"] == 0.9
    assert found["minuted_cost_month"] == 1.1251
    assert found["minuted_sessions_cut_today"] == 1
    assert (found["minuted_cost_daily_limit"], found["minuted_cost_limit_reached"]) == (6, 0)
    assert found["minuted_last_seq"] == 41


def test_a_label_drives_no_terminal() -> None:
    """The format has escapes for quotes and line breaks alone."""
    told = text({"state": "running", "stages": {"capture": {**SUPERVISED, "state": HOSTILE}}})
    assert f'state="{MARKER}' in told
    assert controls(told) == []


def test_no_limit_is_none_and_not_0() -> None:
    """A share of it would be endless, and wake somebody."""
    found = of({"transcription": {**SUPERVISED, "daily_limit": 0.0, "limit_reached": False}})

    assert "minuted_cost_daily_limit" not in found
    assert found["minuted_cost_limit_reached"] == 0


def test_each_channel_has_its_sessions_and_the_money_is_of_all() -> None:
    table = {"state": "live", "sessions": 1, "backlog_s": 0.25, "reconnects": 3, "idle_since_ms": None}
    far = {"state": "idle", "sessions": 0, "backlog_s": 0.0, "reconnects": 0, "idle_since_ms": 1}
    both = {**SUPERVISED, "state": "live", "sessions": 1, "cost_today": 0.5}

    found = of({"transcription": {**both, "channels": {"table": table, "far": far}}})

    assert found["minuted_sessions_open channel=table"] == 1
    assert found["minuted_backlog_seconds channel=table"] == 0.25
    assert found["minuted_reconnects_total channel=table"] == 3
    assert (found["minuted_idle channel=table"], found["minuted_idle channel=far"]) == (0, 1)
    assert "minuted_sessions_open" not in found, "their sum would be counted with them"
    assert found["minuted_cost_today"] == 0.5


def test_a_single_source_needs_no_label() -> None:
    found = of(
        {
            "transcription": {**SUPERVISED, "state": "paused", "sessions": 0, "held_s": 1.5},
            "capture": {**SUPERVISED, "paused": True, "drift_ms": -120, "frames": 40, "level_dbfs": -61.5},
        }
    )

    assert (found["minuted_paused"], found["minuted_capture_paused"]) == (1, 1)
    assert found["minuted_unheard_seconds"] == 1.5
    assert found["minuted_capture_drift_seconds"] == -0.12
    assert found["minuted_capture_frames_total"] == 40
    assert found["minuted_capture_level_dbfs"] == -61.5


def test_a_sink_has_its_name_and_how_far_it_is() -> None:
    own = {**SUPERVISED, "seq": 5, "lag": 12, "dead_letters": 1, "retries": 4, "delivered": 5}
    own |= {"missed": 2, "busy_s": 7.5, "timeout_s": 600.0, "cut_off": 6}

    found = of({"delivery/webhook": own})

    assert found["minuted_sink_missed_records_total sink=webhook"] == 2
    assert found["minuted_sink_busy_seconds sink=webhook"] == 7.5
    assert found["minuted_sink_timeout_seconds sink=webhook"] == 600.0
    assert found["minuted_stage_connections_cut_total stage=delivery/webhook"] == 6

    assert found["minuted_sink_lag_records sink=webhook"] == 12
    assert found["minuted_sink_dead_letters sink=webhook"] == 1
    assert found["minuted_sink_seq sink=webhook"] == 5
    assert found["minuted_sink_retries_total sink=webhook"] == 4
    assert found["minuted_sink_delivered_records_total sink=webhook"] == 5


def test_a_process_that_does_not_answer_is_down_whatever_was_last_heard_of_it() -> None:
    found = of({"capture": SUPERVISED, "transcription": {"state": "not answering", "restarts": 1}})

    assert found["minuted_stage_up stage=transcription"] == 0
    assert found["minuted_stage_state stage=transcription state=not answering"] == 1
    assert not [name for name in found if name.startswith("minuted_cost")]


def test_without_a_supervisor_the_configuration_says_who_is_missing() -> None:
    """A service that was never started has nobody else to tell of it."""
    alone = {"pid": 7, "state": "live", "restarts": None, "uptime_s": 3.0}

    found = of({"transcription": alone}, ("capture", "transcription", "delivery/srt"))

    up = {name: value for name, value in found.items() if name.startswith("minuted_stage_up ")}
    assert up == {
        "minuted_stage_up stage=transcription": 1,
        "minuted_stage_up stage=capture": 0,
        "minuted_stage_up stage=delivery/srt": 0,
    }
    assert not [name for name in found if "restarts" in name], "nobody counts them"


def test_a_supervisor_knows_itself_who_should_be_there() -> None:
    """It may play a recording that the configuration does not name."""
    found = of({"capture": SUPERVISED}, ("capture/table", "capture/far"))

    assert [name for name in found if name.startswith("minuted_stage_up ")] == [
        "minuted_stage_up stage=capture"
    ]


def test_where_nothing_answers_that_is_what_is_told() -> None:
    found = of({}, ("capture", "transcription"))

    assert found == {
        "minuted_up": 0,
        "minuted_stage_up stage=capture": 0,
        "minuted_stage_up stage=transcription": 0,
    }


@pytest.mark.parametrize("stage", ["capture", "transcription", "delivery/webhook", "engine"])
def test_nothing_is_told_that_is_not_for_everybody(stage: str) -> None:
    """Whoever watches machines is not meant to read along."""
    told = text({"stages": {stage: {**SUPERVISED, **SECRETS, "sessions": 1}}, "summary": "the-secret-key"})

    assert not [
        word for word in ("merger", "secret", "metformin", "a-session") if word.lower() in told.lower()
    ]


@pytest.mark.parametrize("value", ["12", None, float("nan"), float("inf"), [1]])
def test_what_is_no_number_is_left_out(value: object) -> None:
    """A process of another version may have another idea of a key."""
    assert "minuted_last_seq" not in of({"transcription": {**SUPERVISED, "last_seq": value}})


def test_names_follow_the_custom() -> None:
    """Prometheus' own linter wants base units, the same name nowhere twice, and _total on counters alone."""
    groups = (families._STAGE, families._CAPTURE, families._CHANNEL, families._TRANSCRIPTION)
    rows = [row for group in (*groups, families._SINK, families._ENGINE) for row in group]
    names = [name for _, name, _ in rows]

    assert len(set(names)) == len(names)
    for key, name, told in rows:
        assert re.fullmatch(r"minuted_[a-z]+(_[a-z]+)*", name), name
        assert told.endswith("."), name
        if re.search(r"_m?s(_|$)", key):
            assert re.search(r"_seconds(_total)?$", name), f"{name} is made of {key}"


def test_the_readme_shows_metrics_that_are_there() -> None:
    """Alerts are written from it."""
    section = README.read_text(encoding="utf-8").partition("### Metrics")[2].partition("\n## ")[0]
    shown = set(re.findall(r"\bminuted_\w+", section))
    own = {"lag": 1, "cost_today": 1, "session_s_today": 1, "daily_limit": 1, "limit_reached": 1}
    told = of({stage: {**SUPERVISED, **own} for stage in ("transcription", "delivery/webhook")})

    assert len(shown) > 5
    assert not shown - {name.split()[0] for name in told}
