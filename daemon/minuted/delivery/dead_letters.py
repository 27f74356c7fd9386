"""Records a sink refused for good: listed, offered once more, or dropped.

They lie in the sink's own file, which belongs to the sink's process while it runs: then it is asked,
else the file is opened.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from minuted.config import Settings
from minuted.control import Handler, ask
from minuted.journal.cursor import Cursor, DeadLetter, path_of
from minuted.runtime import files

LISTED_MAX: Final = 500
"""Dead letters in one answer; the oldest come first."""
TEXT_CHARACTERS_MAX: Final = 200


def listed(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Give a sink's dead letters as maps of seq, epoch, type, at_ms, reason, wanted, meeting_id and text."""
    return list(_on(settings, name, "dead_letters", None, _list).get("letters", []))


def retry(settings: Settings, name: str, seqs: Sequence[int] | None = None) -> list[int]:
    """Have dead letters (None: all) offered once more, at the next quiet moment and out of order.

    Gives the numbers that were found. One that fails again stays a dead letter.
    """
    return list(_on(settings, name, "retry", seqs, _retry).get("seqs", []))


def drop(settings: Settings, name: str, seqs: Sequence[int] | None = None) -> list[int]:
    """Throw dead letters away (None: all); give the numbers that were found."""
    return list(_on(settings, name, "drop", seqs, _drop).get("seqs", []))


def handlers(cursor: Cursor, on_change: Callable[[], None]) -> dict[str, Handler]:
    """Give what the sink's process answers; `on_change` is called after each retry and drop."""

    def handler(action: "_Action") -> Handler:
        def handle(question: dict[str, Any]) -> dict[str, Any]:
            answer = action(cursor, _checked(question.get("seqs")))
            on_change()
            return answer

        return handle

    return {"dead_letters": handler(_list), "retry": handler(_retry), "drop": handler(_drop)}


def cursor_path(settings: Settings, name: str) -> Path:
    """Name the file of a sink's cursor."""
    return path_of(settings.state_dir, name)


_Action = Callable[[Cursor, Sequence[int] | None], dict[str, Any]]


def _list(cursor: Cursor, _: Sequence[int] | None) -> dict[str, Any]:
    return {"letters": [_shown(letter) for letter in cursor.dead_letters(limit=LISTED_MAX)]}


def _retry(cursor: Cursor, seqs: Sequence[int] | None) -> dict[str, Any]:
    return {"seqs": cursor.want(seqs)}


def _drop(cursor: Cursor, seqs: Sequence[int] | None) -> dict[str, Any]:
    return {"seqs": cursor.drop(seqs)}


def _on(
    settings: Settings, name: str, op: str, seqs: Sequence[int] | None, action: _Action
) -> dict[str, Any]:
    details: dict[str, Any] = {} if seqs is None else {"seqs": list(seqs)}
    path = cursor_path(settings, name)
    if Path(settings.control_endpoint(f"delivery/{name}").removeprefix("ipc://")).exists():
        try:
            return ask(settings, f"delivery/{name}", op, **details)
        except TimeoutError:
            pass  # the socket of a process that is gone
    with files.acting_for(path.parent):
        if not path.exists():
            return {}
        cursor = Cursor(path)
        try:
            return action(cursor, seqs)
        finally:
            cursor.close()


def _checked(seqs: Any) -> Sequence[int] | None:
    if seqs is None:
        return None
    if not isinstance(seqs, list) or not all(isinstance(seq, int) for seq in seqs):
        raise ValueError("seqs is a list of numbers")
    return seqs


def _shown(letter: DeadLetter) -> dict[str, Any]:
    return {
        "seq": letter.seq,
        "epoch": letter.epoch,
        "type": letter.record.get("type"),
        "at_ms": letter.at_ms,
        "reason": letter.reason,
        "wanted": letter.wanted,
        "meeting_id": letter.record.get("meeting_id"),
        "text": str(letter.record.get("text", ""))[:TEXT_CHARACTERS_MAX],
    }
