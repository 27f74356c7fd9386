"""The sink contract: what a file in `sinks/` must have."""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import Field, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, dataclass_transform

from .messages import Gap, Turn


class Retry(Exception):  # noqa: N818  # a sink author raises it as a word: Retry
    """Not now: offer the same turn again, after `after_s` seconds where the far end said so."""

    def __init__(self, reason: str = "", after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Reject(Exception):  # noqa: N818
    """Never: this turn cannot be delivered; put it aside as a dead letter and go on."""


def _make_default(cls: type, name: str, value: Any) -> None:
    """Let each sink have a list, dict or set of its own as the default. Raises TypeError for pydantic's."""
    if type(value).__module__.startswith("pydantic"):
        raise TypeError(
            f"{cls.__name__}.{name} is a pydantic field, and a sink is no pydantic model: "
            f"write `{name}: int = 3` with its own type and default, and check values in __post_init__"
        )
    if not isinstance(value, Field) and type(value).__hash__ is None:
        setattr(cls, name, field(default_factory=partial(copy.deepcopy, value)))


@dataclass_transform(kw_only_default=True)
class Sink(ABC):
    """Somewhere turns go. Its annotated attributes are its options.

    The runner promises: `open` once before anything else; then one call at a time, in the order of
    the turns, each repeated with growing pauses until it returns; `close` once, after the last.
    A sink has its own process, so it needs no locks, and keeps nothing back: what `write` returned
    from is delivered. Any exception means "again"; `Retry` may say when, `Reject` means "never".
    """

    name: str = ""
    """The sink's name in the configuration."""
    room: str = ""
    """The room's name."""
    epoch: str = ""
    """The journal in which the record at hand has its number: numbers begin again in a new one."""
    prepared: str = ""
    """What `prepare` gave for the record at hand, before the first try."""
    checkpoint: dict[str, Any]
    """What `write`, `revise` and `gap` leave here (numbers, strings, lists) is stored together with
    the turn's being delivered, and is here again at the next `open`: how far a file was written, say.
    Empty on the first start. A try that fails leaves no trace in it."""

    makes_folders: ClassVar[bool] = False
    """Whether it makes the folder of its `path`, or its `directory`, where that is missing."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, annotation in inspect.get_annotations(cls).items():
            if name in vars(cls) and "ClassVar" not in str(annotation):
                _make_default(cls, name, vars(cls)[name])
        dataclass(kw_only=True, repr=False, eq=False)(cls)

    def open(self) -> None:
        """Get ready. Called once before any turn, and again should it fail."""

    def check(self) -> str:
        """Return in a few words where turns go; raise, with the reason, where they could not get there.

        Called by `minuted check` alone, before anything else, as the user and in the sandbox in which the
        sink will run. Nothing is sent, and nothing is left behind. As it stands here, it tries whether a file
        could be written at the option `path`, or in the folder `directory`, where a sink has one of these.
        """
        from .runtime import places  # noqa: PLC0415  # the sink itself has no use for it

        path, directory = (getattr(self, option, None) for option in ("path", "directory"))
        if isinstance(path, Path):
            places.try_file(path, makes_folder=self.makes_folders)
        if isinstance(directory, Path):
            places.try_folder(directory, makes_folder=self.makes_folders)
        return ", ".join(f"to {place}" for place in (path, directory) if isinstance(place, Path))

    @abstractmethod
    def write(self, turn: Turn) -> None:
        """Deliver one final turn now; don't buffer."""

    def prepare(self, record: Turn | Gap) -> str:  # noqa: ARG002
        """Give what every try of a record is to have in common, also after a restart."""
        return ""

    def revise(self, turn: Turn) -> None:
        """Take a revision of a turn delivered before; `turn.id` tells which."""

    def revise_all(self, turns: Sequence[Turn]) -> None:
        """Take several revisions that follow on each other, in the place of as many `revise`: all or none.

        Called only where a sink has it, for those that are there already; after an exception the
        first comes alone to `revise`, and then the rest.
        """
        for turn in turns:
            self.revise(turn)

    def partial(self, turn: Turn) -> None:
        """Show a turn that may still change. Called at most once per change, never repeated."""

    def gap(self, gap: Gap) -> None:
        """Note a stretch of the meeting of which there are no words."""

    def close(self) -> None:
        """Finish. Called once, after the last turn, also when the service stops."""
