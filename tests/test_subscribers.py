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
LINES_MAX = 70


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


@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("local.py", "Does minuted run? Are you in its group?"),
        ("network.py", "Does minuted listen there? Is the key on its list?"),
    ],
)
def test_a_subscriber_with_a_wrong_path_or_key_says_so(
    name: str, asks: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    """To a socket either is as quiet as a room in which nobody speaks."""
    settings = make_settings(f'[publish]\nturns = "tcp://127.0.0.1:{free_ports()}"')
    file = keys.new(settings, "tablet", tmp_path)
    keys.revoke(settings, "tablet")
    text = (FOLDER / name).read_text(encoding="utf-8")
    impatient = tmp_path / name
    impatient.write_text(text.replace("SILENT_MS = 5000", "SILENT_MS = 1500"), encoding="utf-8")
    opened = Open(settings)
    argument = f"{settings.turns_endpoint}.wrong" if name == "local.py" else str(file)
    with subprocess.Popen(
        [sys.executable, impatient, argument], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr
            said = process.stderr.readline()
        finally:
            process.kill()
            opened.close()
    address = argument if name == "local.py" else settings.publish.turns
    assert said == f"{address}: nothing heard. {asks}\n"


def test_they_are_short_and_know_nothing_of_minuted() -> None:
    for file in FOLDER.iterdir():
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LINES_MAX, file
        assert "import minuted" not in text
        assert "from minuted" not in text
