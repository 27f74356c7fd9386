"""A file sink whose disk is full: it waits, says so, loses and doubles nothing, and goes on.

A limit to the size of the process's files stands for the disk: like it, it cuts a write off in the middle.
"""

import json
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from delivery.room import Room
from fake_publisher import turn
from minuted.messages import Turn, Word
from waiting import until

WORDS = 2000
TURNS = 8
ROOM_BYTES = 60_000
"""Less than the last six turns, more than the cursor's own file needs meanwhile."""


@pytest.fixture
def room(runtime_dir: Path) -> Iterator[Room]:
    room = Room(runtime_dir)
    yield room
    room.close()


def long(seq: int) -> Turn:
    words = tuple(
        Word(
            text=f"w{seq}x{number}",
            start_ms=seq * 200_000 + 300 * number,
            end_ms=seq * 200_000 + 300 * number + 250,
        )
        for number in range(WORDS)
    )
    text = " ".join(word.text for word in words)
    return turn(seq, text, start_ms=words[0].start_ms, end_ms=words[-1].end_ms, words=words)


def log_of(folder: Path) -> list[str]:
    """Give the words of a log, every line of which must be whole."""
    text = (folder / "out" / "turns.jsonl").read_text()
    assert text.endswith("\n")
    return [word for line in text.splitlines() for word in json.loads(line)["text"].split()]


def subtitles_of(folder: Path) -> list[str]:
    """Give the words of subtitles, every cue of which must be whole."""
    (file,) = folder.glob("out/*.srt")
    text = file.read_text()
    assert text.endswith("\n\n")
    cues = [cue.split("\n") for cue in text[:-2].split("\n\n")]
    assert [int(cue[0]) for cue in cues] == list(range(1, len(cues) + 1))
    return [word for cue in cues for word in " ".join(cue[2:]).split()]


@pytest.mark.parametrize(
    ("name", "option", "words_of"),
    [("file_log", 'path = "{}/out/turns.jsonl"', log_of), ("srt", 'directory = "{}/out"', subtitles_of)],
)
def test_a_full_disk_is_waited_out(
    room: Room, name: str, option: str, words_of: Callable[[Path], list[str]]
) -> None:
    """An hour without room costs no word and needs nobody's hand."""
    room.configure(f"[sinks.{name}]\n{option.format(room.folder)}\n")
    publisher = room.publish_from_here()
    process = room.start(name)
    until(lambda: room.status(name).get("state") == "delivering")
    publisher.publish(2, make=long)
    until(lambda: room.status(name).get("seq") == 2)

    cursor = room.folder / "state" / "sinks" / f"{name}.db-wal"
    files = [cursor, *(path for path in (room.folder / "out").rglob("*") if path.is_file())]
    limit(process, max(file.stat().st_size for file in files) + ROOM_BYTES)
    publisher.publish(TURNS - 2, make=long)
    waiting = until(lambda: (told := room.status(name)).get("state") == "waiting" and told)
    assert any(words in waiting["last_error"] for words in ("no room", "File too large")), waiting
    expected = [word.text for seq in range(1, TURNS + 1) for word in long(seq).words]
    until(lambda: room.status(name).get("retries", 0) >= 4)
    assert words_of(room.folder) == expected[: WORDS * waiting["seq"]]

    limit(process, resource.RLIM_INFINITY)
    until(lambda: room.status(name).get("seq") == TURNS)
    status = room.status(name)
    assert (status["state"], status["last_error"], status["delivered"]) == ("delivering", "", TURNS)
    assert words_of(room.folder) == expected
    process.terminate()
    assert process.wait() == 0


def limit(process: "subprocess.Popen[str]", size_bytes: int) -> None:
    """Let a process's files grow no larger."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))
