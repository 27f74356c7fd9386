"""Ways to damage a stored file: a function of the chance it is given.

Bytes are changed for what a disk or a hand may do to any file; values are changed in the ways of another
version, a downgrade, or somebody who edits what is not meant to be edited.
"""

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgpack

BLOCK: Final = 512


def flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(changed) * 8)
        changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def zero(data: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(data))
    size = min(chance.choice((1, 16, BLOCK, 4096, 20_000)), len(data) - begin)
    return data[:begin] + bytes(size) + data[begin + size :]


def scribble(data: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(data))
    size = min(chance.choice((1, 16, BLOCK, 4096)), len(data) - begin)
    return data[:begin] + chance.randbytes(size) + data[begin + size :]


def swap(data: bytes, chance: random.Random) -> bytes:
    size = min(BLOCK, max(1, len(data) // 2))
    blocks = [data[place : place + size] for place in range(0, len(data), size)]
    one, other = chance.randrange(len(blocks)), chance.randrange(len(blocks))
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return b"".join(blocks)


def grow(data: bytes, chance: random.Random) -> bytes:
    return data + chance.randbytes(chance.choice((1, 100, 5000)))


def empty(_: bytes, __: random.Random) -> bytes:
    return b""


BYTES: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (
    *(flip, flip, flip, truncate, zero, scribble, swap, grow, empty),
)
SHAPES: Final[tuple[Any, ...]] = (
    *(None, True, 0, -1, 1 << 70, 1.5, "", "x", "\ud83d", [], [1], [[]], {}, {"later": 1}),
)


def misshapen(value: Any, chance: random.Random) -> Any:
    """Return a plain value of which one piece has another shape, or an unknown field more."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        what = chance.choice(("deeper", "deeper", "gone", "more"))
        if what == "gone":
            return {name: each for name, each in value.items() if name != key}
        if what == "more":
            return {**value, "of a later version": {"field": 1}}
        return {**value, key: misshapen(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], misshapen(value[place], chance), *value[place + 1 :]]
    return chance.choice(SHAPES)


def spoil(file: Path, chance: random.Random) -> str:
    """Damage a file; return what was done."""
    if chance.random() < 0.04:
        file.unlink()
        return "deleted"
    if file.suffix == ".db" and chance.random() < 0.5:
        return _spoil_rows(file, chance)
    if file.suffix in (".json", ".passages") and chance.random() < 0.4:
        return _spoil_json(file, chance)
    data = file.read_bytes()
    way = chance.choice(BYTES)
    file.write_bytes(way(data, chance) if data else chance.randbytes(100))
    return way.__name__


def _spoil_json(file: Path, chance: random.Random) -> str:
    lines = file.read_text(encoding="utf-8").split("\n")
    place = chance.randrange(max(1, len(lines) - 1))
    lines[place] = json.dumps(misshapen(json.loads(lines[place]), chance))
    file.write_text("\n".join(lines), encoding="utf-8")
    return f"another shape in line {place + 1}"


def _spoil_rows(file: Path, chance: random.Random) -> str:
    """Change a row as another version might have left it, or somebody with sqlite3 at hand."""
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows: list[tuple[str, str, Any]] = []
        for table in tables:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            key = columns[0]
            rows += [
                (table, column, row[0])
                for row in database.execute(f"SELECT {key} FROM {table}")
                for column in columns
            ]
        table, column, key = chance.choice(rows)
        name = next(row[1] for row in database.execute(f"PRAGMA table_info({table})"))
        (value,) = database.execute(f"SELECT {column} FROM {table} WHERE {name} = ?", (key,)).fetchone()
        if chance.random() < 0.15:
            database.execute(f"DELETE FROM {table} WHERE {name} = ?", (key,))
            return f"a row of {table} deleted"
        try:
            database.execute(
                f"UPDATE {table} SET {column} = ? WHERE {name} = ?", (_another(value, chance), key)
            )
        except (sqlite3.Error, OverflowError, UnicodeEncodeError):
            database.execute(f"DELETE FROM {table} WHERE {name} = ?", (key,))
            return f"a row of {table} deleted"
        return f"another {column} of {table}"


def _another(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bytes):
        found = misshapen(msgpack.unpackb(value), chance)
        try:
            return msgpack.packb(found)
        except (ValueError, OverflowError, UnicodeEncodeError):
            return b"\xc1"
    if isinstance(value, str):
        try:
            return json.dumps(misshapen(json.loads(value), chance))
        except ValueError:
            return chance.choice(("", "x", 5, b"\xff", None))
    return chance.choice((0, -1, value + 1 if isinstance(value, int) else 1, "x", b"\xff", None, 2**62))
