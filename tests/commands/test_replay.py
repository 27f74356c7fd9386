"""`minuted replay` gives what is asked for, as the file log has it, and says what it cannot give."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import msgpack
import pytest

from fake_publisher import FakePublisher, gap, turn
from minuted.cli import main
from minuted.commands.replay import line_of
from minuted.config import Settings
from minuted.journal.turns import TurnJournal
from minuted.messages import from_map
from sinks.samples import load
from waiting import until

WAIT_S = 60
GONE = "records 1 to 2 are no longer kept: the first one is 3"


@pytest.fixture
def settings(make_settings, runtime_dir) -> Settings:
    found = make_settings()
    (runtime_dir / "minuted.toml").write_text(
        f'state_dir = "{found.state_dir}"\nruntime_dir = "{runtime_dir}"\nsink_dirs = []\n'
    )
    return found


@pytest.fixture
def replay(settings, runtime_dir, capfdbinary) -> Callable[..., tuple[int, bytes, str]]:
    def ask(*options: str) -> tuple[int, bytes, str]:
        capfdbinary.readouterr()
        status = main(["replay", "--config", str(runtime_dir / "minuted.toml"), *options])
        out, err = capfdbinary.readouterr()
        return status, out, err.decode()

    return ask


@pytest.fixture
def publisher(settings) -> Iterator[FakePublisher]:
    with FakePublisher(settings.turns_endpoint, settings.replay_endpoint, records=6) as made:
        made.publish(make=gap)
        yield made


def seqs(out: bytes) -> list[int]:
    return [json.loads(line)["seq"] for line in out.splitlines()]


def test_a_line_is_the_file_log_s_line(replay, publisher) -> None:
    """A program that reads the one reads the other."""
    status, out, err = replay()

    assert (status, err) == (0, "")
    assert out == b"".join(load("file_log").line_of(record) for record in publisher.records)
    assert line_of(turn(1, "Grüß Gott")).decode().count("Grüß Gott") == 2


def test_numbers_choose(replay, publisher) -> None:
    assert seqs(replay("--from-seq", "3", "--to-seq", "5")[1]) == [3, 4, 5]
    assert seqs(replay("--to-seq", "2", "--json")[1]) == [1, 2]


def test_msgpack_is_one_map_after_the_other(replay, publisher) -> None:
    unpacker = msgpack.Unpacker()
    unpacker.feed(replay("--msgpack")[1])
    assert [from_map(values) for values in unpacker] == publisher.records


@pytest.mark.parametrize(
    ("options", "given", "said"),
    [
        (("--from-seq", "8"), [], "there is no record 8: the last one is 7"),
        (("--to-seq", "9"), [3, 4, 5, 6, 7], "there are no records 8 to 9: the last one is 7"),
        (
            ("--from-seq", "1", "--to-seq", "4"),
            [3, 4],
            GONE,
        ),
        (("--from-seq", "1", "--to-seq", "2"), [], GONE),
    ],
)
def test_what_is_not_there_is_said_and_makes_it_1(replay, publisher, options, given, said) -> None:
    """A script must see that it did not get all it asked for."""
    publisher.first_seq = 3
    status, out, err = replay(*options)
    assert (status, seqs(out), err) == (1, given, f"minuted: {said}\n")


def test_wrong_numbers_are_2(replay, capfdbinary) -> None:
    assert replay("--from-seq", "5", "--to-seq", "4")[0] == 2
    assert replay("--from-seq", "0")[0] == 2


def test_without_a_daemon_the_file_gives_the_same(replay, settings) -> None:
    journal = TurnJournal(settings.state_dir / "turns.db")
    kept = [journal.commit(turn(None, id=f"t{n}")) for n in range(4)]
    journal.close()

    status, out, _ = replay("--from-seq", "2")

    assert status == 0
    assert out == b"".join(line_of(record) for record in kept[1:])
    assert replay("--from-seq", "5")[0] == 1


def test_following_goes_on_with_those_to_come(settings, runtime_dir, publisher) -> None:
    """Each once and in order, those among them that the turn socket has lost."""
    command = [sys.executable, "-m", "minuted", "replay", "--config", str(runtime_dir / "minuted.toml")]
    with subprocess.Popen(
        [*command, "--from-seq", "6", "--to-seq", "11", "--follow"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline())["seq"] for _ in range(2)] == [6, 7]
        until(lambda: publisher.subscriptions)
        publisher.publish(2, lost=True)
        publisher.publish(3)
        assert seqs(process.stdout.read()) == [8, 9, 10, 11]
        assert process.wait(WAIT_S) == 0
