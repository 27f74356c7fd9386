"""A status as metrics in Prometheus' data model. Pure.

Labels are names from the configuration and states; never what is said, what a meeting is called, or a key.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from minuted.runtime.texts import clean

Row = tuple[str, str, str]
"""A key of the status, its metric's name and help; what ends in _total is a counter, the rest are gauges."""

_STAGE: Final[tuple[Row, ...]] = (
    ("restarts", "minuted_stage_restarts_total", "How often the supervisor has started it again."),
    ("uptime_s", "minuted_stage_uptime_seconds", "For how long the process has been there."),
    ("loop_age_s", "minuted_stage_loop_age_seconds", "Time since its main loop last came round."),
    ("cut_off", "minuted_stage_connections_cut_total", "Connections to its sockets that were cut off."),
)
_CAPTURE: Final[tuple[Row, ...]] = (
    ("frames", "minuted_capture_frames_total", "Frames of 50 ms sent on."),
    ("queued", "minuted_capture_queued_frames", "Frames that wait to be sent on."),
    ("dropped", "minuted_capture_dropped_frames_total", "Frames thrown away because too many waited."),
    ("overflows", "minuted_capture_overflows_total", "How often the device lost sound before it was read."),
    ("level_dbfs", "minuted_capture_level_dbfs", "How loud it is, in dB of full scale."),
    ("paused", "minuted_capture_paused", "1 while `minuted pause` keeps the source closed."),
    ("silent_s", "minuted_capture_zeros_seconds", "For how long there has been nothing but digital silence."),
    ("silent", "minuted_capture_silent", "1 when that is so long that the microphone is muted, or dead."),
    ("drift_ms", "minuted_capture_drift_seconds", "How far the count of samples is behind the clock."),
    ("drifted_ms", "minuted_capture_drift_corrected_seconds", "By how much it was put right so far."),
)
_CHANNEL: Final[tuple[Row, ...]] = (
    ("sessions", "minuted_sessions_open", "Sessions that are open now."),
    ("reconnects", "minuted_reconnects_total", "Sessions opened in place of one that was lost."),
    ("handovers", "minuted_handovers_total", "Sessions that handed over to the next before they expired."),
    ("backlog_s", "minuted_backlog_seconds", "Sound that the live session has still to be sent."),
    ("behind_s", "minuted_behind_seconds", "Sound of a break that is still to be worked off."),
    ("held_s", "minuted_unheard_seconds", "Sound that is kept because its words are not safe yet."),
    ("dropped_s", "minuted_lost_sound_seconds_total", "Sound that will never be heard."),
    ("finals", "minuted_final_turns_total", "Final turns committed."),
    ("gaps", "minuted_gaps_total", "Gaps recorded."),
    ("heard_again", "minuted_heard_again_total", "Stretches heard again for want of words."),
    ("is_idle", "minuted_idle", "1 while the session is closed because nobody speaks."),
    ("saved_today_s", "minuted_idle_today_seconds", "For how long it was closed so today."),
    ("wakes", "minuted_wakes_total", "How often speech opened it again."),
    ("is_paused", "minuted_paused", "1 while it hears nothing because of `minuted pause`."),
)
_TRANSCRIPTION: Final[tuple[Row, ...]] = (
    ("last_seq", "minuted_last_seq", "Number of the last record in the turn journal."),
    ("damaged", "minuted_damaged_records", "Records of the turn journal that cannot be read."),
    ("resets", "minuted_state_resets", "Stored values that could not be read and were begun anew."),
    ("session_s_today", "minuted_session_today_seconds", "Billed time today: sessions' sockets open."),
    ("session_s_month", "minuted_session_month_seconds", "Billed time this month."),
    ("cost_today", "minuted_cost_today", "What it costs today, in the money of cost.per_hour."),
    ("cost_month", "minuted_cost_month", "What it costs this month, in the money of cost.per_hour."),
    (
        "cut_today",
        "minuted_sessions_cut_today",
        "Sessions cut off today, which may cost more than counted.",
    ),
    ("daily_limit", "minuted_cost_daily_limit", "cost.daily_limit; not there when there is none."),
    ("limit_reached", "minuted_cost_limit_reached", "1 when the day's money is spent: no session is open."),
)
_SINK: Final[tuple[Row, ...]] = (
    ("seq", "minuted_sink_seq", "Number of the last record that is done with."),
    ("lag", "minuted_sink_lag_records", "Records still to be delivered."),
    ("busy_s", "minuted_sink_busy_seconds", "For how long it has been at work on one call."),
    ("timeout_s", "minuted_sink_timeout_seconds", "How long that call may take before it is cut off."),
    ("delivered", "minuted_sink_delivered_records_total", "Records delivered."),
    ("retries", "minuted_sink_retries_total", "Deliveries that had to be tried again."),
    (
        "missed",
        "minuted_sink_missed_records_total",
        "Records that were pruned or damaged before it had them.",
    ),
    ("dead_letters", "minuted_sink_dead_letters", "Records refused for good, which wait for a person."),
)
_ENGINE: Final[tuple[Row, ...]] = (
    ("sessions", "minuted_engine_sessions_open", "Sessions of the engine on this machine that are open now."),
    ("audio_s", "minuted_engine_audio_seconds_total", "Sound the engine was sent."),
    ("behind_s", "minuted_engine_behind_seconds", "Sound the engine has still to listen to."),
)


class _Fixed:
    """What has been collected, for a library that wants to collect."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def text(status: Mapping[str, Any], configured: Iterable[str] = ()) -> str:
    """Give a status in Prometheus' text format; `configured` as in `families`."""
    return generate_latest(_Fixed(families(status, configured))).decode()


def families(status: Mapping[str, Any], configured: Iterable[str] = ()) -> list[Metric]:
    """Give a status as families of samples.

    `configured` names the stages there should be: without a supervisor nobody else knows of one that is down.
    """
    told: Mapping[str, Mapping[str, Any]] = status["stages"]
    has_supervisor = any(values.get("restarts") is not None for values in told.values())
    silent = [] if has_supervisor else [stage for stage in configured if stage not in told]
    found = _Families()
    found.add("minuted_up", "1 when minuted answers.", bool(told))
    for stage in (*told, *silent):
        answers = "uptime_s" in told.get(stage, ())
        found.add("minuted_stage_up", "1 when the process answers.", answers, stage=stage)
    for stage, values in told.items():
        state = str(values.get("state", "unknown"))
        found.add("minuted_stage_state", "1 for the state the stage is in.", 1, stage=stage, state=state)
    for stage, values in told.items():
        found.add_rows(_STAGE, values, stage=stage)
    for stage, values in told.items():
        _add_own(found, stage, values)
    return found.all


def _add_own(found: "_Families", stage: str, values: Mapping[str, Any]) -> None:
    """Add what only this kind of stage tells."""
    kind, _, name = stage.partition("/")
    if kind == "capture":
        found.add_rows(_CAPTURE, values, channel=name)
    elif kind == "transcription":
        for channel, own in (values.get("channels") or {"": values}).items():
            if "sessions" in own:
                found.add_rows(_CHANNEL, {**own, **_state(own)}, channel=channel)
        # A share of no limit would be endless, and alarming.
        found.add_rows(_TRANSCRIPTION, {**values, "daily_limit": values.get("daily_limit") or None})
    elif kind == "delivery":
        found.add_rows(_SINK, values, sink=name)
    elif kind == "engine":
        found.add_rows(_ENGINE, values)


def _state(channel: Mapping[str, Any]) -> dict[str, bool]:
    state = channel.get("state")
    return {"is_idle": channel.get("idle_since_ms") is not None, "is_paused": state == "paused"}


class _Families:
    """Families by their names, in the order in which they were first met."""

    def __init__(self) -> None:
        self._made: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}

    @property
    def all(self) -> list[Metric]:
        return list(self._made.values())

    def add_rows(self, rows: Iterable[Row], values: Mapping[str, Any], **labels: str) -> None:
        """Add what is there of `rows`; another version's process may tell less."""
        for key, name, told in rows:
            value = values.get(key)
            if isinstance(value, int | float) and math.isfinite(value):
                self.add(name, told, value / 1000 if key.endswith("_ms") else value, **labels)

    def add(self, name: str, told: str, value: float, **labels: str) -> None:
        if name not in self._made:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            self._made[name] = kind(name, told, labels=list(labels))
        # The format has no escapes for controls.
        self._made[name].add_metric([clean(str(label)) for label in labels.values()], value)
