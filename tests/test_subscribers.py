"""The subscribers in deploy/ are run as they are: beside the daemon, and over TCP with a key."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minuted import keys
from minuted.config import Settings
from test_doors import Open, free_ports
from waiting import until

FOLDER = Path(__file__).parents[1] / "deploy" / "subscribers"
LINES_MAX = 60


@pytest.mark.parametrize("name", ["local.py", "network.py"])
def test_the_subscriber_prints_what_is_said(
    name: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(f'[publish]\nturns = "tcp://127.0.0.1:{free_ports()}"')
    file = keys.new(settings, "tablet", tmp_path)
    opened = Open(settings)
    argument = settings.turns_endpoint if name == "local.py" else str(file)
    command = [sys.executable, str(FOLDER / name), argument]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            opened.say("Before.")
            until(lambda: opened.publisher.journal.last_seq == 1, "a turn")
            until(opened.subscribed, "its subscription")
            opened.say("Hel\x1b[2Jlo.\n")
            assert process.stdout
            said = [process.stdout.readline() for _ in range(2 if name == "network.py" else 1)]
        finally:
            process.kill()
            opened.close()
    assert said[-1] == "2 ? Hel [2Jlo. \n"
    assert said[:-1] == (["1 ? Before.\n"] if name == "network.py" else [])


def test_they_are_short_and_know_nothing_of_minuted() -> None:
    for file in FOLDER.iterdir():
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LINES_MAX, file
        assert "import minuted" not in text
        assert "from minuted" not in text
