"""`minuted speakers`: who speaks in a meeting, and names for their labels."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from minuted.commands import printing
from minuted.commands.wishing import STAGE, NotDoneError, asked
from minuted.config import Settings
from minuted.runtime.durations import duration
from minuted.runtime.texts import clean

DONE_S_MAX: Final = 60.0
"""How long the turns so far may take to be revised: thousands are done in seconds."""
LOOK_S: Final = 0.05


def run(settings: Settings, names: Mapping[str, str], meeting: str, *, as_json: bool) -> None:
    """Name speakers where names are given; print the meeting's speakers. Raises NotDoneError."""
    told = _named(settings, names, meeting) if names else asked(settings, STAGE, "speakers", meeting=meeting)
    if as_json:
        kept = {key: told[key] for key in ("meeting", "started_at_ms", "speakers")}
        printing.say_json(kept)
    else:
        printing.say_all(table(told).split("\n"))


def table(told: Mapping[str, Any]) -> str:
    """Show the speakers of a meeting as aligned lines."""
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(told["started_at_ms"] / 1000))
    head = clean(f"meeting {told['meeting']}, begun {began}")
    if not told["speakers"]:
        return f"{head}: nobody has been told apart (session.speaker_labels says whether they are to be)"
    rows = [("LABEL", "NAME", "TURNS", "SPOKEN")]
    for each in told["speakers"]:
        spoken = duration(round(each["seconds"]))
        rows.append((clean(each["label"]), clean(each["name"]), str(each["turns"]), spoken))
    return "\n".join([head, *aligned(rows)])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [f"  {line}".rstrip() for line in lines]


def _named(settings: Settings, names: Mapping[str, str], meeting: str) -> dict[str, Any]:
    """Name, and wait until every turn so far has the names."""
    wanted = asked(settings, STAGE, "name-speakers", names=dict(names), meeting=meeting)
    until_s = time.monotonic() + DONE_S_MAX
    while True:
        told = asked(settings, STAGE, "speakers", meeting=wanted["meeting"])
        now = {each["label"]: each["name"] for each in told["speakers"]}
        if not told["left"] and all(now.get(label, "") == name for label, name in wanted["names"].items()):
            return told
        if time.monotonic() > until_s:
            raise NotDoneError(
                f"not confirmed: {told['left']} revisions are still to be made; "
                "`minuted speakers` shows the names"
            )
        time.sleep(LOOK_S)
