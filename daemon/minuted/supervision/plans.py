"""What a change of the configuration asks for, and what cannot change while everything runs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Final

from minuted.config import ConfigError, Settings

from .stages import is_recording

EFFECTS: Final[Mapping[str, tuple[str, ...]]] = {
    # Which processes a changed key of the configuration concerns; "sinks" are all of them.
    "sink_dirs": ("sinks",),
    "stop_timeout_s": (),
    "capture": ("capture",),
    "engine": ("engine", "transcription"),
    "session": ("transcription",),
    "meeting": ("transcription",),
    "cost": ("transcription",),
    "token_server": (),  # a process of its own, which no run has
    "journal.audio_hours_max": ("capture",),
    "journal.memory_s_max": ("capture", "transcription"),
    "journal.turns_days": ("transcription",),
    "path": (),
}
"""What is not among them, or in `sinks`, cannot change while minuted runs."""


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
        for stage in EFFECTS[key]:
            concerned |= (
                {name for name in after if name.startswith("delivery/")} if stage == "sinks" else {stage}
            )
    if is_recording(old) and "capture" in concerned:
        raise ConfigError("[capture] cannot change while a recording is played")
    if "engine" in {*before} ^ {*after}:
        concerned.add("transcription")
    in_memory = old.journal.audio == "memory"
    if in_memory and "transcription" in concerned:
        raise ConfigError(
            'with journal.audio = "memory" a change of the session would lose sound: restart minuted'
        )
    concerned |= {stage for stage in again if not (in_memory and stage == "transcription")}
    return Plan(
        added=tuple(stage for stage in after if stage not in before),
        removed=tuple(stage for stage in before if stage not in after),
        restarted=tuple(stage for stage in after if stage in before and stage in concerned),
    )


def changed(old: Settings, new: Settings) -> list[str]:
    """Name the keys of the configuration that differ; of the sinks' tables none, of `journal` each."""
    found = [
        name
        for name in (field.name for field in fields(Settings))
        if name != "sinks" and getattr(old, name) != getattr(new, name)
    ]
    if "journal" in found:
        found.remove("journal")
        keys = [field.name for field in fields(old.journal)]
        found += [f"journal.{key}" for key in keys if getattr(old.journal, key) != getattr(new.journal, key)]
    return found


def names(stages: Collection[str]) -> str:
    """Name processes to a person."""
    return " and ".join(stage.removeprefix("delivery/") for stage in stages)
