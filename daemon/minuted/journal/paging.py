"""Records of a turn journal by their numbers, one for each: what cannot be read has a marker in its place."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from minuted.journal.database import is_damage
from minuted.journal.stored import marker, unpack_record

PAGE_BYTES_MAX: Final = 8 << 20
"""A page ends with the record that reaches it."""
_BETWEEN: Final = "SELECT seq, record FROM records WHERE seq BETWEEN ? AND ? ORDER BY seq"


def page(database: sqlite3.Connection, first: int, last: int) -> list[dict[str, Any]]:
    """Return the records `first` to `last` as maps, or fewer of the first ones where they are large."""
    found: list[dict[str, Any]] = []
    size_bytes = 0
    for seq, stored in _between(database, first, last):
        found += (marker(each) for each in range(first + len(found), seq))
        found.append(unpack_record(seq, stored))
        size_bytes += len(stored) if isinstance(stored, bytes) else 0
        if size_bytes > PAGE_BYTES_MAX:
            return found
    return found + [marker(each) for each in range(first + len(found), last + 1)]


def _between(database: sqlite3.Connection, first: int, last: int) -> Iterator[tuple[int, Any]]:
    """Return the stored records of these numbers that SQLite can read."""
    try:
        for seq, stored in database.execute(_BETWEEN, (first, last)):
            if seq < first:  # a damaged tree has no order
                continue
            yield seq, stored
            first = seq + 1
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        # Those behind it may be well.
        for each in range(first, last + 1):
            with suppress(sqlite3.DatabaseError):
                yield from database.execute(_BETWEEN, (each, each)).fetchall()[:1]
