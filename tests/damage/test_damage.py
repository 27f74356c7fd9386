"""The damage loop as it runs with every change, and proof that it would notice."""

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from damage import round as rounds
from damage.base import Base
from damage.round import Outcome
from damage.spoil import BYTES, misshapen, spoil

ROUNDS = 40
TESTS = Path(__file__).parents[1]


@pytest.mark.timeout(600)
def test_forty_damaged_files_cost_themselves_alone() -> None:
    """`make damage` runs many more."""
    done = subprocess.run(
        [sys.executable, "-m", "damage.loop", "--rounds", str(ROUNDS), "--seed", "1", "--jobs", "2"],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
        timeout=590,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{ROUNDS} rounds" in done.stdout


# It would notice.


def word(number: int) -> dict[str, Any]:
    return {"text": f"word{number:04d}", "start_ms": number, "end_ms": number + 1}


def judged(folder: Path, kind: str, numbers: list[int], event: str = "") -> Outcome:
    """Return what the judge says where every output has these words, of five that were said."""
    base = Base(folder, said={1, 2, 3, 4, 5}, recorded={2, 3}, unheard={4, 5})
    (folder / "srt").mkdir()
    turn = {"type": "turn", "final": True, "seq": 1, "start_ms": 0, "end_ms": 9, "meeting_started_at_ms": 0}
    turn |= {"text": " ".join(f"word{number:04d}" for number in numbers), "words": list(map(word, numbers))}
    (folder / "turns.jsonl").write_text(json.dumps(turn) + "\n")
    said = f"1\n00:00:00,000 --> 00:00:09,000\n{turn['text']}\n"
    (folder / "srt" / "a.srt").write_text(said)
    (folder / "log.jsonl").write_text(json.dumps({"event": event}) + "\n")
    body = json.dumps({"data": turn}).encode()
    request = SimpleNamespace(was_taken=True, headers={"webhook-id": "a"}, body=body)
    receiver: Any = SimpleNamespace(requests=[request])
    outcome = Outcome(seed=0)
    rounds._judge(kind, base, receiver, outcome)
    return outcome


def test_where_all_is_there_nothing_is_wrong(tmp_path: Path) -> None:
    assert judged(tmp_path, "audio", [1, 2, 3, 4, 5]).wrong == []


@pytest.mark.parametrize(
    ("kind", "numbers", "event", "is_wrong"),
    [
        ("audio", [1, 2, 3, 4], "gap", False),
        ("audio", [1, 2, 3, 4], "", True),
        ("audio", [1, 2, 4, 5], "gap", True),
        ("turns", [1, 4, 5], "record_damaged", False),
        ("turns", [1, 2, 3, 4], "record_damaged", True),
        ("places", [1, 2, 3, 4], "place_damaged", True),
        ("places", [1, 1, 2, 3, 4, 5], "place_damaged", False),
        ("places", [1, 1, 2, 3, 4, 5], "", True),
        ("turns", [1, 2, 3, 4, 5, 77], "gap", True),
    ],
)
def test_words_may_be_lost_where_the_damage_was_and_where_it_is_told(
    tmp_path: Path, kind: str, numbers: list[int], event: str, is_wrong: bool
) -> None:
    assert bool(judged(tmp_path, kind, numbers, event).wrong) == is_wrong


@pytest.mark.parametrize("way", BYTES)
def test_every_way_changes_something_in_most_cases(way: Callable[[bytes, random.Random], bytes]) -> None:
    data = random.Random(1).randbytes(5000)
    assert sum(way(data, random.Random(seed)) != data for seed in range(20)) >= 10


def test_a_seed_damages_in_the_same_way_again(tmp_path: Path) -> None:
    for seed in range(30):
        found = []
        for name in ("one.json", "other.json"):
            file = tmp_path / name
            file.write_text('{"a": [1, 2], "b": "text"}')
            how = spoil(file, random.Random(seed))
            found.append((how, file.read_bytes() if file.exists() else None))
        assert found[0] == found[1]


def test_rows_are_changed_as_another_version_would(tmp_path: Path) -> None:
    hows = set()
    for seed in range(60):
        file = tmp_path / f"{seed}.db"
        with closing(sqlite3.connect(file)) as database:
            database.execute("CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            database.execute("INSERT INTO state VALUES ('a', '{\"x\": 1}')")
            database.commit()
        hows.add(spoil(file, random.Random(seed)))
    assert {"another value of state", "another key of state", "a row of state deleted"} <= hows


def test_a_misshapen_value_is_another_one() -> None:
    value = {"id": 1, "ranges": [{"start": 5, "tail": []}]}
    found = [misshapen(value, random.Random(seed)) for seed in range(100)]
    assert sum(each != value for each in found) > 90
    assert any(isinstance(each, dict) and "of a later version" in each for each in found)
