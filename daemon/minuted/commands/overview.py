"""A status as a terminal of any width shows it: no line is longer, and nothing is left out."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len, set_cell_size

from minuted.status import headline, in_force, rows, table

from . import printing, styles

DETAILS_COLUMNS_MIN: Final = 40
"""Where less is left beside the columns, what else is worth knowing stands in lines of its own."""
COLUMNS_MIN: Final = 20
"""A terminal that claims fewer is shown as many."""
_GAP: Final = "  "


def show(status: Mapping[str, Any], now_ms: int) -> None:
    """Print a status: fitted to a terminal, else with each stage in one line."""
    console = styles.console()
    if console.is_terminal:
        printing.say_all(fitted(status, now_ms, console.width))
    else:
        printing.say_all(table(status, now_ms).split("\n"))


def fitted(status: Mapping[str, Any], now_ms: int, columns: int) -> list[str]:
    """Return a status as lines of at most so many columns."""
    columns = max(columns, COLUMNS_MIN)
    shown = rows(status, now_ms)
    widths = [max(cell_len(row[column]) for row in shown) for column in range(5)]
    taken = sum(len(_GAP) + width for width in widths)
    lines = _wrapped(headline(status), columns, "", _GAP)
    for index, row in enumerate(shown):
        cells = "".join(_GAP + set_cell_size(cell, width) for cell, width in zip(row, widths, strict=False))
        if columns >= taken + len(_GAP) + DETAILS_COLUMNS_MIN:
            lines += _wrapped(row[5], columns, cells + _GAP, " " * (taken + len(_GAP)))
        elif columns >= taken:
            lines += [cells.rstrip(), *(_wrapped(row[5], columns, " " * 6, " " * 6) if row[5] else [])]
        elif index:
            indent = _GAP + " " * (len(row[0]) - len(row[0].lstrip()))
            lines += _wrapped(_sentence(row), columns, indent, indent + _GAP)
    if changed := in_force(status):
        lines += _wrapped(changed, columns, _GAP, " " * 4)
    return lines


def _sentence(row: Sequence[str]) -> str:
    """Return a stage's row as running text, for a terminal that has no room for columns."""
    stage, state, pid, lasting, restarts, more = row
    named = (("pid", pid), ("for", lasting), ("restarts", restarts))
    told = [f"{name} {value}" for name, value in named if value not in ("", "-", "0")]
    return ", ".join([f"{stage.strip()}: {state}", *told, *([more] if more else [])])


def _wrapped(text: str, columns: int, first: str, others: str) -> list[str]:
    """Return a text broken at words behind two beginnings as wide as each other, or nearly so."""
    room = columns - max(cell_len(first), cell_len(others))
    parts = styles.styled(text).wrap(styles.console(), room) or [styles.styled("")]
    beginnings = [first, *[others] * (len(parts) - 1)]
    return [(head + part.plain.rstrip()).rstrip() for head, part in zip(beginnings, parts, strict=True)]
