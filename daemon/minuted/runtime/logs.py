"""Logs on stderr: pretty on a terminal, one JSON object a line otherwise; to journald with their fields.

Never a transcript or a key.
"""

import logging
import os
import sys
import traceback
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from . import journald
from .texts import clean, json_line


def set_up(stage: str, room: str = "", *, least: str = "info") -> None:
    """Send our own and other libraries' log lines to stderr, each marked with its stage and room.

    Lines below `least` are left out; MINUTED_LOG in the environment (debug, info …) says otherwise.
    Where stderr is the journal's, each goes there as an event with fields.
    """
    pretty = sys.stderr.isatty()
    level = logging.getLevelNamesMapping().get(os.environ.get("MINUTED_LOG", least).upper(), logging.INFO)

    def mark(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        # Not by context variables: those do not reach a thread.
        event["stage"] = stage
        if room and not pretty:
            event["room"] = room
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if pretty else "iso", utc=not pretty),
        mark,
    ]
    journal = journald.Journal() if journald.is_stderr(os.environ) else None
    as_json: list[Processor] = [structlog.processors.format_exc_info, _line_of]
    if journal:
        as_json.insert(1, _through(journal))
    render: list[Processor] = (
        [_cleaned, structlog.dev.ConsoleRenderer(pad_event_to=24, exception_formatter=_traceback)]
        if pretty
        else as_json
    )
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Stderr())),
    )
    handler = _Handler(cast("TextIO", _Stderr()))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    for chatty in ("assemblyai", "httpx", "httpcore", "websockets"):
        # Their lines hold addresses, headers or words; what matters of them we log ourselves.
        logging.getLogger(chatty).setLevel(logging.CRITICAL + 1)


def _line_of(_: WrappedLogger, __: str, event: EventDict) -> str:
    return json_line(event, ascii_only=True)


def _cleaned(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take out of an event what a terminal would obey; `_traceback` does so for an exception."""
    return {name: value if name == "exc_info" else _seen(value) for name, value in event.items()}


def _seen(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return clean(value if isinstance(value, str) else repr(value))


def _traceback(out: TextIO, error: ExcInfo) -> None:
    """Write a traceback, set in below its event.

    structlog's own shows local variables, keys and words among them.
    """
    lines = "".join(traceback.format_exception(*error)).rstrip("\n").split("\n")
    out.writelines(f"\n  {clean(line)}" for line in lines)


def _through(journal: journald.Journal) -> Processor:
    """Make the last step of an event that the journal takes; one that it cannot take becomes a line."""

    def send(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        if journal.send(event):
            raise structlog.DropEvent
        return event

    return send


class _Handler(logging.StreamHandler[TextIO]):
    """For other libraries' lines."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(structlog.DropEvent):
            super().emit(record)


class _Stderr:
    """stderr as it is at the moment; a line that cannot be written must not end what it tells of."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
