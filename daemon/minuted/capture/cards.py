"""Sound cards by the id that ALSA knows them by: it stays when their numbers change."""

import re
from pathlib import Path
from typing import Final

CARDS: Final = Path("/sys/class/sound")
"""A folder `card0`, `card1` … for each; a sandbox that hides /proc/asound leaves it."""
_NAMED: Final = re.compile(r"(?:plug)?hw:(?:CARD=)?([^,=]+)(?:,(?:DEV=)?(\d+))?", re.IGNORECASE)


def listed_as(wanted: str, cards: Path = CARDS) -> str | None:
    """Give how PortAudio lists `hw:CARD=Box,DEV=0` or `plughw:Box`: "(hw:1,0)"; None for any other name.

    "" where no card has that id.
    """
    named = _NAMED.fullmatch(wanted.strip())
    if named is None:
        return None
    card, device = named[1], named[2] or "0"
    number = card if card.isdigit() else _number_of(card, cards)
    return f"(hw:{number},{device})" if number else ""


def _number_of(card: str, cards: Path) -> str:
    for folder in sorted(cards.glob("card[0-9]*")):
        try:
            found = (folder / "id").read_text(encoding="utf-8").strip()
        except OSError:  # it was unplugged just now
            continue
        if found == card:
            return folder.name.removeprefix("card")
    return ""
