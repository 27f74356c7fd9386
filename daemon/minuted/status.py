"""What every process tells of itself, as one map for programs and one table for people."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from .config import Settings
from .control import is_served, status_of
from .runtime import rights, service
from .runtime.clock import wall_ms
from .runtime.durations import brief, duration
from .runtime.texts import clean

ASKED_AT_ONCE_MAX: Final = 16
ANSWER_S_MAX: Final = 1.0
BUSY_SHOWN_S: Final = 5.0
"""A sink that has been at work on one call for so long is worth a word."""
_DETAILS: Final = (
    ("source", "{}"),
    ("level_dbfs", "{:.0f} dBFS"),
    ("model", "model {}"),
    ("spent", "{}"),
    ("billed", "{} sessions at once, each billed"),
    ("meeting_title", "meeting “{}”"),
    ("backlog_s", "{} behind"),
    ("behind_s", "{} to catch up with"),
    ("saved_today_s", "session closed for {} today"),
    ("last_seq", "last turn {}"),
    ("seq", "at turn {}"),
    ("lag", "{} behind"),
    ("busy", "{}"),
    ("dead_letters", "{} dead letter{s}"),
    ("missed", "{} missed"),
    ("damaged", "{} damaged record{s}"),
    ("resets", "{} state value{s} begun anew"),
    ("put_back", "{}"),
    ("heard_again", "{} stretch{es} heard again"),
    ("dropped", "{} dropped"),
    ("retries", "{} retr{ies}"),
    ("cut_off", "{} connection{s} cut off"),
    ("reconnects", "{} reconnect{s}"),
    ("url", "{}"),
    ("without", "without {}"),
    ("kept_because", "{}"),
    ("warning", "warning: {}"),
)
"""What the table shows of a stage's own status, where it is there and not 0 or empty."""

_UNWELL: Final = ("starting", "backoff", "failed", "failed to load", "not answering")
"""The states in which what the supervisor heard last is worth a look."""


def gather(settings: Settings, stages: Iterable[str], timeout_s: float) -> dict[str, dict[str, Any]]:
    """Ask several stages at once; those that do not answer within `timeout_s` are left out."""
    asked = [stage for stage in stages if has_socket(settings, stage)]
    if not asked:
        return {}
    with ThreadPoolExecutor(min(len(asked), ASKED_AT_ONCE_MAX)) as pool:
        answers = pool.map(lambda stage: status_of(settings, stage, timeout_s), asked)
        return {stage: answer for stage, answer in zip(asked, answers, strict=True) if answer is not None}


def collect(settings: Settings, timeout_s: float = 1.0) -> dict[str, Any]:
    """Give `{"state": …, "stages": {NAME: {"pid", "state", "restarts", …}}}`; no stages: nothing runs.

    Without a supervisor, where each stage is a service of its own, the sockets that exist are asked.
    """
    own = gather(settings, ["supervisor", *stage_names(settings)], timeout_s)
    supervisor = own.pop("supervisor", None)
    if supervisor is None:
        stages = {stage: {"restarts": None, **status} for stage, status in own.items()}
        hangs = is_served(settings.control_endpoint("supervisor"))
        state = "running" if stages else "not answering" if hangs else "stopped"
        return {"state": state, "room": settings.room, "stages": with_true_lags(stages)}
    rows: Mapping[str, Mapping[str, Any]] = supervisor.pop("stages", {})
    late = gather(settings, [stage for stage in rows if stage not in own], timeout_s)
    order = {stage: place for place, stage in enumerate(stage_names(settings))}
    in_order = sorted(rows, key=lambda stage: order.get(stage, len(order)))
    stages = {stage: merged(rows[stage], own.get(stage) or late.get(stage)) for stage in in_order}
    return {**supervisor, "stages": with_true_lags(stages)}


def merged(row: Mapping[str, Any], own: Mapping[str, Any] | None) -> dict[str, Any]:
    """Join what the supervisor knows of a process with what it tells of itself.

    A ready process names its own state; what starts, fails or hangs cannot.
    """
    if own is None and row.get("state") == "ready":
        return {**row, "state": "not answering"}
    if own is None or own.get("pid") != row.get("pid"):
        return dict(row)
    state = own.get("state", "ready") if row.get("state") == "ready" else row.get("state")
    return {**own, **row, "state": state}


def with_true_lags(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the stages with each sink's lag counted from the journal: one at work looks at nothing else."""
    journal = stages.get("transcription", {})
    counted = {stage: dict(values) for stage, values in stages.items()}
    for stage, values in counted.items():
        is_told = stage.startswith("delivery/") and {"lag", "seq"} <= values.keys() and "last_seq" in journal
        if is_told and values.get("epoch") == journal.get("epoch"):
            values["last_seq"] = max(values.get("last_seq") or 0, journal["last_seq"])
            values["lag"] = max(values["lag"], journal["last_seq"] - values["seq"])
    return counted


def stage_names(settings: Settings) -> list[str]:
    """Name every stage this configuration may run, in the order in which words pass them."""
    sinks = [f"delivery/{name}" for name, sink in settings.sinks.items() if sink.enabled]
    return [*(source.stage for source in settings.sources), "transcription", *sinks, "engine"]


def headline(status: Mapping[str, Any]) -> str:
    """Return how everything is in one line."""
    told = status.get("summary") or f"{status.get('room', '')}: {status['state']}".removeprefix(": ")
    return clean(str(told))


def rows(status: Mapping[str, Any], now_ms: int) -> list[tuple[str, ...]]:
    """Return the heading and what every stage is like: five cells, and what else is worth knowing of it."""
    found = [("", "STATE", "PID", "FOR", "RESTARTS", "")]
    for stage, values in status["stages"].items():
        since_ms = values.get("since_ms")
        seconds = (now_ms - since_ms) / 1000 if since_ms is not None else values.get("uptime_s", 0)
        seconds = values.get("for_s", seconds)  # an older supervisor has none
        restarts = values.get("restarts")
        found.append(
            (
                stage,
                str(values.get("state", "?")),
                str(values.get("pid") or "-"),
                duration(seconds),
                "-" if restarts is None else str(restarts),
                details(values),
            )
        )
        found += [
            (f"  {name}", str(channel.get("state", "?")), "", "", "", details(channel))
            for name, channel in values.get("channels", {}).items()
        ]
    return [tuple(clean(cell) for cell in row) for row in found]


def in_force(status: Mapping[str, Any]) -> str:
    """Return which settings of the session are in force, where any was changed; "" where none was."""
    told = status["stages"].get("transcription", {}).get("in_force")
    return clean(f"in force: {told}") if told else ""


def table(status: Mapping[str, Any], now_ms: int) -> str:
    """Return a status as aligned lines, however long."""
    shown = rows(status, now_ms)
    widths = [max(len(row[column]) for row in shown) for column in range(5)]
    lines = [headline(status)]
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join(["", *cells, row[5]]).rstrip())
    if changed := in_force(status):
        lines.append(f"  {changed}")
    return "\n".join(lines)


def details(values: Mapping[str, Any]) -> str:
    """Say what is worth knowing of a stage in one line."""
    # A sink has a place of its own in the journal; where that ends, transcription tells.
    hidden = "last_seq" if "seq" in values else ""
    saved_s = values.get("saved_today_s") or 0
    spoken = {
        **values,
        "saved_today_s": saved_s and duration(saved_s),
        **{key: (left_s := values.get(key) or 0) and brief(left_s) for key in ("backlog_s", "behind_s")},
        "busy": busy(values),
    }
    shown = [_counted(form, spoken[key]) for key, form in _DETAILS if spoken.get(key) and key != hidden]
    trouble = values.get("last_error") or values.get("reason") or ""
    if not trouble and values.get("state") in _UNWELL:
        trouble = values.get("status") or ""
    return ", ".join([*shown, trouble] if trouble else shown)


def _counted(form: str, value: Any) -> str:
    """Fill in a value, and the ending that goes with it where it is a number of things."""
    s, es, ies = ("", "", "y") if value == 1 else ("s", "es", "ies")
    return form.format(value, s=s, es=es, ies=ies)


def busy(values: Mapping[str, Any]) -> str:
    """Return that a sink has been at work on one call for long; "" where it has not."""
    busy_s = values.get("busy_s") or 0.0
    # A sink of an older version does not say in which.
    return (
        f"in {values.get('busy_in') or 'one call'} for {duration(busy_s)}" if busy_s >= BUSY_SHOWN_S else ""
    )


def absence(settings: Settings, stage: str = "") -> str:
    """Return why nothing answered: it is not for this user, not up yet, hanging, or not there."""
    folder = settings.runtime_dir
    if refusal := closed(settings):
        return refusal
    answers = is_served(settings.control_endpoint("supervisor"))
    if supervisor := status_of(settings, "supervisor") if answers else None:
        how = supervisor.get("summary") or supervisor.get("state") or "starting"
        return f"{stage or 'minuted'} does not answer now ({how}); see `minuted status`"
    if not answers and gather(settings, stage_names(settings), ANSWER_S_MAX):
        return f"{stage or 'minuted'} does not run, though others of its stages do; see `minuted status`"
    own = service.unit() if settings.path == service.CONFIG else ""
    if any(is_served(f"ipc://{path}") for path in folder.glob("control-*.sock")):
        remedy = f": `{service.command('restart', own)}`" if own else "; end it, and start it again"
        return f"minuted does not answer, though it runs (runtime_dir {folder}){remedy}"
    how = f"; start it: `{service.command('start', own)}`" if own else ""
    return f"minuted is not running here (runtime_dir {folder}){how}"


def closed(settings: Settings) -> str:
    """Return why this user may not connect to the sockets; "" where they may, or where there are none."""
    folder = settings.runtime_dir
    if refusal := rights.refusal(folder, os.X_OK):
        return refusal
    sockets = sorted(folder.glob("control-*.sock"))
    return rights.refusal(sockets[0], os.W_OK) if sockets else ""


def now_ms() -> int:
    return wall_ms()


def has_socket(settings: Settings, stage: str) -> bool:
    """Whether a stage has, or had, a socket to be asked on."""
    # Path.exists raises where the folder is closed to us.
    return os.access(settings.control_endpoint(stage).removeprefix("ipc://"), os.F_OK)
