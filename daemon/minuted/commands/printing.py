"""Standard output and error: whatever a command prints goes through here, and drives no terminal."""

import sys
import threading
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import IO, Any

from minuted.runtime.texts import clean, json_line


def say(text: str = "", *, flush: bool = False) -> None:
    """Print one line: a newline in `text` is a blank in it."""
    _print(sys.stdout, clean(text), flush=flush)


def say_all(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        say(line)


def complain(reason: str) -> None:
    """Print one line to standard error."""
    _print(sys.stderr, clean(reason), flush=True)


def is_seen() -> bool:
    """Return whether somebody sees what is printed, on the one output or the other."""
    return any(out is not None and out.isatty() for out in (sys.stdout, sys.stderr))


def tell(text: str) -> None:
    """Print one line for a person, where one sees it, and where it is in no program's way."""
    if sys.stdout is not None and sys.stdout.isatty():
        say(text, flush=True)
    elif sys.stderr is not None and sys.stderr.isatty():
        complain(text)


def has_person() -> bool:
    """Return whether somebody can be asked: input and output are a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def ask(question: str) -> str:
    """Return a person's answer to a question, without the blanks around it. Raises EOFError."""
    shown = clean(question).encode(encoding(), "replace").decode(encoding())
    return input(shown).strip()


def say_json(value: Any) -> None:
    """Print a value as one line of JSON; where its letters cannot be printed, they are escaped."""
    line = json_line(value)
    try:
        line.encode(encoding())
    except UnicodeEncodeError:
        line = json_line(value, ascii_only=True)
    _print(sys.stdout, line)


def give(data: bytes) -> None:
    """Write a document to standard output; a terminal gets it line by line, like all else that is printed."""
    if sys.stdout.isatty():
        say_all(data.decode(errors="replace").removesuffix("\n").split("\n"))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)


def flush() -> None:
    """Hand on what was printed."""
    sys.stdout.flush()
    sys.stdout.buffer.flush()


def encoding() -> str:
    """Return standard output's encoding."""
    return sys.stdout.encoding or "utf-8"


def show_errors_clean() -> None:
    """Let tracebacks of errors that nobody expected be printed through here as well."""
    sys.excepthook = _print_error
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda args: _print_error(args.exc_type, args.exc_value, args.exc_traceback)


def _print_error(kind: type[BaseException], error: BaseException | None, at: TracebackType | None) -> None:
    for line in "".join(traceback.format_exception(kind, error, at)).split("\n"):
        if line:
            _print(sys.stderr, clean(line), flush=True)


def _print(out: IO[str] | None, line: str, *, flush: bool = False) -> None:
    if out is None:
        return
    encoding = getattr(out, "encoding", None) or "utf-8"
    print(line.encode(encoding, "replace").decode(encoding), file=out, flush=flush)
