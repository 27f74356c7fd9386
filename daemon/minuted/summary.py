"""How a room is, in one line that a person understands."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .runtime.durations import rough
from .status import busy, with_true_lags

Stages = Mapping[str, Mapping[str, Any]]

LAG_SHOWN: Final = 10
"""A sink that is well may be a few turns behind; from so many on it is worth a word."""
BEHIND_SHOWN_S: Final = 5.0
UNREACHABLE: Final = "unreachable"
NO_MICROPHONE: Final = "no microphone"
UNPLUGGED: Final = "unplugged"
PAUSED: Final = "paused"
SILENT: Final = "silent"
HEARD: Final = "heard"
"""The microphone was there at some time."""

_DOWN: Final = ("backoff", "failed", "failed to load", "not answering", "stopping", "stopped")
_NOT_YET: Final = ("waiting", "starting")
"""States of a process that has not begun; one that answers for itself means something else by these words."""


def summary(
    room: str,
    state: str,
    stages: Stages,
    now_ms: int,
    since_ms: Mapping[str, int] | None = None,
    note: str = "",
) -> str:
    """Say in one line how the room is: `state` is the run's, `stages` what all tell of themselves.

    `since_ms` says since when what `lasting` names has been so; `note` is put at the end.
    """
    if state in ("stopping", "stopped"):
        left = [name for name, values in stages.items() if values.get("pid")]
        return f"{room}: stopping" + (f", waiting for {', '.join(left)}" if left else "")
    if state == "starting":
        left = [name for name, values in stages.items() if _is_down(values)]
        return f"{room}: starting {', '.join(left)}".rstrip()
    since_ms, stages = since_ms or {}, with_true_lags(stages)
    said = [_sound(stages, since_ms), *_words(stages, now_ms, since_ms), _count(_sinks(stages))]
    troubles = _damage(stages.get("transcription", {}))
    troubles += [trouble for name in _sinks(stages) if (trouble := _sink(name, stages[name]))]
    return f"{room}: " + "; ".join([", ".join(filter(None, said)), *troubles, *([note] if note else [])])


def lasting(stages: Stages, before: Iterable[str] = ()) -> set[str]:
    """Name what is so now and worth a time; `before` is what was so at the last look.

    A microphone that is gone for longer than this knows of was perhaps never there.
    """
    found = set()
    for name in _captures(stages):
        state = stages[name].get("state")
        unplugged, missing, heard = (_of(what, name) for what in (UNPLUGGED, NO_MICROPHONE, HEARD))
        if state == "no-device":
            found.add(unplugged if unplugged in before or heard in before else missing)
        elif state in (PAUSED, SILENT):
            found.add(_of(state, name))
        if heard in before or state in ("hearing", SILENT):
            found.add(heard)
    if _is_unreachable(stages.get("transcription", {})):
        found.add(UNREACHABLE)
    return found


def note_since(since_ms: Mapping[str, int], stages: Stages, now_ms: int) -> dict[str, int]:
    """Keep since when each thing has been so."""
    return {what: since_ms.get(what, now_ms) for what in lasting(stages, since_ms)}


def _sound(stages: Stages, since_ms: Mapping[str, int]) -> str:
    """Say how it is with the sound: of several sources once where they are alike, else of each."""
    said = {name: _sound_of(name, stages[name], since_ms) for name in _captures(stages)}
    if not said:
        return "capture does not run"
    if len(set(said.values())) == 1:
        (text,) = set(said.values())
        return text if len(said) == 1 else f"{text} ({' and '.join(map(_source, said))})"
    return ", ".join(f"{_source(name)}: {text}" for name, text in said.items())


def _captures(stages: Stages) -> list[str]:
    return [name for name in stages if name.partition("/")[0] == "capture"]


def _source(stage: str) -> str:
    return stage.partition("/")[2]


def _of(what: str, stage: str) -> str:
    """Name what lasts, of which source."""
    return f"{what} {_source(stage)}".rstrip()


def _sound_of(name: str, capture: Mapping[str, Any], since_ms: Mapping[str, int]) -> str:
    unplugged, missing = _of(UNPLUGGED, name), _of(NO_MICROPHONE, name)
    state, reason = str(capture.get("state", "")), str(capture.get("reason") or capture.get("status") or "")
    if state == "no-device":
        if unplugged in since_ms:
            return f"no microphone (unplugged since {_clock(since_ms[unplugged])})"
        return "no microphone" + (f" since {_clock(since_ms[missing])}" if missing in since_ms else "")
    if state == PAUSED:
        return reason or "paused"
    if state == SILENT:
        silent = _of(SILENT, name)
        since = f" since {_clock(since_ms[silent])}" if silent in since_ms else ""
        return f"the microphone is silent{since} (is it muted?)"
    if state == "stopped" and capture.get("exit_status") == 0:  # others play on
        return "played to its end"
    if state == "disk-full":
        return f"not recording ({reason})"
    if _is_down(capture):
        return f"not recording ({_down(name, capture)})"
    if state == "ready":  # it has only just said so, and how it is
        return reason or "recording"
    if state == "starting":
        return "no sound yet"
    source = str(capture.get("source", "microphone"))
    return "recording" if source == "microphone" else f"playing {source}"


def _words(stages: Stages, now_ms: int, since_ms: Mapping[str, int]) -> list[str]:
    engine, transcription = stages.get("engine"), stages.get("transcription")
    if engine is not None and _is_down(engine):
        return [_down("engine", engine)]
    if transcription is None:
        return ["transcription does not run"]
    state, held = str(transcription.get("state", "")), _kept(transcription)
    reason = str(transcription.get("reason") or "")
    if _is_down(transcription):
        return [_down("transcription", transcription)]
    if _is_unreachable(transcription):
        for_s = (now_ms - since_ms.get(UNREACHABLE, now_ms)) / 1000
        return ["service unreachable" + (f" for {rough(for_s)}" if for_s >= 1 else ""), *held]
    if state == "refused":
        return [f"service refuses ({reason})", *held]
    if state == "limit":
        return ["daily limit reached, no words until tomorrow", *held]
    if state == "halted":
        return [f"no room for turns ({reason})", *held]
    behind_s = max(transcription.get("behind_s") or 0.0, transcription.get("backlog_s") or 0.0)
    if behind_s >= BEHIND_SHOWN_S and state != "idle":
        return [f"catching up {rough(behind_s)}"]
    if state == "idle" and transcription.get("idle_since_ms"):
        return [f"session closed (nobody speaks since {_clock(transcription['idle_since_ms'])})"]
    # Between two sessions, and before it was asked, there is nothing to say of it.
    return [state] if state in ("connecting", "live") else []


def _damage(transcription: Mapping[str, Any]) -> list[str]:
    """Return what of the turn journal could not be read."""
    records, values = transcription.get("damaged") or 0, transcription.get("resets") or 0
    said = [str(transcription["put_back"])] if transcription.get("put_back") else []
    said += [f"{records} {'record is' if records == 1 else 'records are'} damaged"] if records else []
    return [*said, f"{values} {'value' if values == 1 else 'values'} begun anew"] if values else said


def _sink(stage: str, values: Mapping[str, Any]) -> str:
    name, state = stage.removeprefix("delivery/"), values.get("state")
    if _is_down(values):
        return _down(name, values)
    lag = values.get("lag") or 0
    said = [f"{lag} behind"] if lag >= LAG_SHOWN or (lag and state == "waiting") else []
    if waits := busy(values):
        said.append(waits)
    if letters := values.get("dead_letters"):
        said.append(f"{letters} dead {'letter' if letters == 1 else 'letters'}")
    if missed := values.get("missed"):
        said.append(f"{missed} missed")
    if error := values.get("last_error"):
        said.append(f"({error})")
    return f"{name} {' '.join(said)}" if said else ""


def _is_down(values: Mapping[str, Any]) -> bool:
    state = values.get("state")
    return state in _DOWN or (state in _NOT_YET and "uptime_s" not in values)


def _down(name: str, values: Mapping[str, Any]) -> str:
    reason = str(values.get("trouble") or values.get("status") or "")
    if values.get("state") == "not answering":
        return f"{name} does not answer"
    if values.get("state") in ("waiting", "starting") and not reason:
        return f"{name} is starting"
    return f"{name} is down: {reason}" if reason else f"{name} is down"


def _is_unreachable(transcription: Mapping[str, Any]) -> bool:
    return transcription.get("state") in ("retrying", "connecting") and bool(transcription.get("reason"))


def _kept(transcription: Mapping[str, Any]) -> list[str]:
    held_s = transcription.get("held_s") or 0.0
    return [f"{rough(held_s)} of sound kept"] if held_s >= BEHIND_SHOWN_S else []


def _sinks(stages: Stages) -> list[str]:
    return [name for name in stages if name.startswith("delivery/")]


def _count(sinks: list[str]) -> str:
    return f"{len(sinks) or 'no'} {'sink' if len(sinks) == 1 else 'sinks'}"


def _clock(epoch_ms: float) -> str:
    return time.strftime("%H:%M", time.localtime(epoch_ms / 1000))
