"""What a change of the configuration asks for, and what cannot change while everything runs."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Final

from minuted.config import ConfigError, Settings

from .stages import is_capture, is_recording

EFFECTS: Final[Mapping[str, tuple[str, ...]]] = {
    # Which processes a changed key of the configuration concerns; "sinks" and "capture" are all of them.
    "sink_dirs": ("sinks",),
    "stop_timeout_s": (),
    "capture.pace": ("capture",),
    "engine": ("engine", "transcription"),
    "session": ("transcription",),
    "profiles": ("transcription",),
    "meeting": ("transcription",),
    "cost": ("transcription",),
    "token_server": (),  # a process of its own, which no run has
    "journal.audio_hours_max": ("capture",),
    "journal.memory_s_max": ("capture", "transcription"),
    "journal.turns_days": ("transcription",),
    "path": (),
}
"""What is not among them, in `sinks` or among the sources cannot change while minuted runs."""

_BY_KEY: Final[Mapping[str, tuple[str, ...]]] = {
    "journal": (),
    "capture": ("source", "device", "channel", "sources"),
}
"""Sections of which each key has its own effect, but these: they make the sources."""
_KINDS: Final[Mapping[str, Callable[[str], bool]]] = {
    "sinks": lambda stage: stage.startswith("delivery/"),
    "capture": is_capture,
}


@dataclass(frozen=True)
class Plan:
    """What a new configuration asks for, by the processes' names."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()

    @property
    def touched(self) -> tuple[str, ...]:
        return (*self.restarted, *self.added, *self.removed)

    def describe(self) -> str:
        parts = (("restarted", self.restarted), ("added", self.added), ("removed", self.removed))
        said = [f"{names(stages)} {what}" for what, stages in parts if stages]
        return ", ".join(said) or "nothing has changed"


def plan(
    old: Settings, new: Settings, before: Collection[str], after: Collection[str], again: Collection[str] = ()
) -> Plan:
    """Say what follows from a change; `before` and `after` are the stages, `again` those to be tried anew.

    Raises ConfigError for what cannot change while minuted runs.
    """
    concerned = {f"delivery/{name}" for name in new.sinks if new.sinks[name] != old.sinks.get(name)}
    for key in changed(old, new):
        if key not in EFFECTS:
            raise ConfigError(f"{key} cannot change while minuted runs: restart it")
        for effect in EFFECTS[key]:
            kind = _KINDS.get(effect)
            concerned |= {name for name in after if kind(name)} if kind else {effect}
    concerned |= _concerned_by_sources(old, new)
    if is_recording(old) and any(is_capture(stage) for stage in concerned):
        raise ConfigError("[capture] cannot change while a recording is played")
    if "engine" in {*before} ^ {*after}:
        concerned.add("transcription")
    in_memory = old.journal.audio == "memory"
    if in_memory and "transcription" in concerned:
        raise ConfigError(
            'with journal.audio = "memory" a change of the session or of the sources would lose sound: '
            "restart minuted"
        )
    concerned |= {stage for stage in again if not (in_memory and stage == "transcription")}
    return Plan(
        added=tuple(stage for stage in after if stage not in before),
        removed=tuple(stage for stage in before if stage not in after),
        restarted=tuple(stage for stage in after if stage in before and stage in concerned),
    )


def _concerned_by_sources(old: Settings, new: Settings) -> set[str]:
    """Name the processes of changed sources, and transcription where there are others than before."""
    before = {source.stage: source for source in old.sources}
    after = {source.stage: source for source in new.sources}
    concerned = {stage for stage in {*before, *after} if before.get(stage) != after.get(stage)}
    return concerned | ({"transcription"} if before.keys() != after.keys() else set())


def changed(old: Settings, new: Settings) -> list[str]:
    """Name the keys of the configuration that differ; of sources and sinks none, of some sections each."""
    found = [
        name
        for name in (field.name for field in fields(Settings))
        if name not in ("sinks", *_BY_KEY) and getattr(old, name) != getattr(new, name)
    ]
    for section, ignored in _BY_KEY.items():
        one, other = getattr(old, section), getattr(new, section)
        keys = [field.name for field in fields(one) if field.name not in ignored]
        found += [f"{section}.{key}" for key in keys if getattr(one, key) != getattr(other, key)]
    return found


def names(stages: Collection[str]) -> str:
    """Name processes to a person."""
    return " and ".join(stage.removeprefix("delivery/") for stage in stages)
