"""Sinks loaded by path, as the service does it, and turns to give them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from minuted import Gap, Sink, Turn, Word

FOLDER = Path(__file__).parents[2] / "sinks"
NINE_THIRTY_MS = 1_795_339_800_000
"""2026-11-22T09:30 in UTC."""


def load(name: str) -> ModuleType:
    module_name = f"minuted_sink_{name}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, FOLDER / f"{name}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    return sys.modules[module_name]


def opened(name: str, checkpoint: dict[str, Any] | None = None, **options: Any) -> Any:
    """Make a sink as the runner does: options, then name, room and checkpoint, then open."""
    module = load(name)
    (sink_class,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Sink) and value.__module__ == module.__name__
    )
    sink = sink_class(**options)
    sink.name = name
    sink.room = "boardroom"
    sink.checkpoint = dict(checkpoint or {})
    sink.open()
    return sink


def turn(seq: int = 1, text: str = "Good morning.", **changes: Any) -> Turn:
    """Make a final turn; ten seconds apart and 300 ms a word unless told otherwise."""
    start_ms = changes.pop("start_ms", seq * 10_000)
    end_ms = changes.pop("end_ms", start_ms + 300 * max(1, len(text.split())))
    values: dict[str, Any] = {
        "seq": seq,
        "id": f"session-{seq}",
        "room": "boardroom",
        "meeting_id": "meeting-1",
        "meeting_started_at_ms": NINE_THIRTY_MS,
        "session_id": "session",
        "turn_order": seq,
        "final": True,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "text": text,
        "words": evenly(text, start_ms, end_ms),
    }
    return Turn(**values | changes)


def evenly(text: str, start_ms: int, end_ms: int) -> tuple[Word, ...]:
    words = text.split()
    step_ms = (end_ms - start_ms) / max(1, len(words))
    return tuple(
        Word(text=word, start_ms=start_ms + int(n * step_ms), end_ms=start_ms + int((n + 1) * step_ms))
        for n, word in enumerate(words)
    )


def gap(seq: int = 1, start_ms: int = 0, end_ms: int = 4200, **changes: Any) -> Gap:
    values: dict[str, Any] = {
        "seq": seq,
        "room": "boardroom",
        "meeting_id": "meeting-1",
        "meeting_started_at_ms": NINE_THIRTY_MS,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "reason": "device-lost",
    }
    return Gap(**values | changes)
