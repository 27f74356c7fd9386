"""The sinks as processes, killed at random moments: what is in the file, and what a receiver got."""

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from delivery.room import Room
from fake_publisher import turn
from minuted.messages import Turn, Word
from simulator.receiver import Receiver
from waiting import until

SEED = 20_261_122
ROUNDS = 4
BURST = 60
"""Records published in each round; every sink is killed somewhere among them."""
SINKS = ("file_log", "srt", "webhook")


@pytest.fixture
def room(runtime_dir: Path) -> Iterator[Room]:
    room = Room(runtime_dir)
    yield room
    room.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def spoken(seq: int) -> Turn:
    """A turn of three words that no other turn has; not every one comes in time."""
    start_ms = (seq - (20 if seq % 7 == 0 else 0)) * 1000
    words = tuple(
        Word(text=f"w{seq}x{number}", start_ms=start_ms + 250 * number, end_ms=start_ms + 250 * number + 200)
        for number in range(3)
    )
    text = " ".join(word.text for word in words)
    return turn(seq, text, start_ms=start_ms, end_ms=words[-1].end_ms, words=words)


def test_random_kills_lose_and_double_nothing_and_leave_nothing_torn(room: Room, receiver: Receiver) -> None:
    """Files have every record once; a receiver that remembers ids does too, and in order."""
    log, srt = room.folder / "turns.jsonl", room.folder / "srt"
    room.configure(
        f'[sinks.file_log]\npath = "{log}"\n[sinks.srt]\ndirectory = "{srt}"\n'
        f'[sinks.webhook]\nurl = "{receiver.url}"\n'
    )
    publisher = room.publish_from_here()
    chance = random.Random(SEED)

    def lines_of_log() -> int:
        return log.read_bytes().count(b"\n") if log.exists() else 0

    def cues() -> int:
        return sum(file.read_bytes().count(b" --> ") for file in srt.glob("*.srt"))

    done: dict[str, Callable[[], int]] = {
        "file_log": lines_of_log,
        "srt": cues,
        "webhook": lambda: len(receiver.requests),
    }
    killed_at_work = 0
    for _ in range(ROUNDS):
        processes = {name: room.start(name) for name in SINKS}
        for name in SINKS:
            until(lambda name=name: room.status(name).get("state") == "delivering")
        goals = {name: done[name]() + chance.randrange(1, BURST) for name in SINKS}
        publisher.publish(BURST, make=spoken)
        end_s = time.monotonic() + 60
        while processes:
            assert time.monotonic() < end_s, f"{list(processes)} did not get to {goals}"
            for name in [name for name in processes if done[name]() >= goals[name]]:
                time.sleep(chance.uniform(0, 0.003))  # anywhere between two records
                process = processes.pop(name)
                process.kill()
                assert process.wait() == -signal.SIGKILL
                killed_at_work += done[name]() < publisher.last_seq
    assert killed_at_work >= ROUNDS, "hardly any kill fell into the work"

    processes = {name: room.start(name) for name in SINKS}
    for name in SINKS:
        until(lambda name=name: room.status(name).get("seq") == publisher.last_seq)
    for process in processes.values():
        process.terminate()
        assert process.wait() == 0

    seqs = list(range(1, publisher.last_seq + 1))
    assert [json.loads(line)["seq"] for line in log.read_text().splitlines()] == seqs
    (file,) = srt.glob("*.srt")
    said = [word for word in file.read_text().split() if word.startswith("w")]
    assert sorted(said) == sorted(word.text for seq in seqs for word in spoken(seq).words)
    assert cues() == len([line for line in file.read_text().splitlines() if line.isdecimal()])
    assert file.read_bytes().endswith(b"\n\n")
    bodies: dict[str, bytes] = {}
    for request in receiver.taken:
        assert bodies.setdefault(request.headers["webhook-id"], request.body) == request.body
    assert [json.loads(body)["data"]["seq"] for body in bodies.values()] == seqs
    assert len(receiver.taken) <= len(seqs) + ROUNDS


def test_what_was_posted_before_a_kill_is_posted_again_byte_for_byte(room: Room, receiver: Receiver) -> None:
    """Though `words` was switched on in between: to the receiver one id is one text."""
    receiver.then("hang")
    table = f'[sinks.webhook]\nurl = "{receiver.url}"\n'
    room.configure(table)
    publisher = room.publish_from_here()
    process = room.start("webhook")
    until(lambda: room.status("webhook").get("state") == "delivering")
    publisher.publish(make=spoken)
    receiver.wait_until(lambda: len(receiver.requests) == 1)
    process.kill()
    assert process.wait() == -signal.SIGKILL

    room.configure(f"{table}words = true\n")
    room.start("webhook")
    publisher.publish(make=spoken)
    receiver.wait_until(lambda: len(receiver.requests) == 3)
    first, again, second = receiver.requests
    assert (first.body, first.headers["webhook-id"]) == (again.body, again.headers["webhook-id"])
    assert "words" not in again.json()["data"]
    assert len(second.json()["data"]["words"]) == 3, "the next one is as configured"
    assert second.headers["webhook-id"] == "minuted_boardroom_one_2"
