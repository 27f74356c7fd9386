"""What the README tells a sink's author is true."""

import re
from pathlib import Path

import pytest

from minuted.delivery import discovery
from sinks.samples import FOLDER, turn

README = (FOLDER / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
OF_THE_FRONT_PAGE = re.findall(
    r"```python\n(.*?)```", (FOLDER.parent / "README.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize(
    "example", [each for each in (*OF_THE_FRONT_PAGE, *EXAMPLES) if "class TextLog" in each]
)
def test_an_example_works_when_it_is_saved_as_it_stands(tmp_path, example):
    """That is the first thing a reader does with it."""
    file = tmp_path / "text_log.py"
    file.write_text(example)
    sink = discovery.load(discovery.SinkFile("text_log", file))(path=tmp_path / "meeting.txt")
    sink.checkpoint = {}
    sink.open()
    sink.write(turn(1, "Good morning.", speaker="A"))
    sink.write(turn(2, "Yes.", speaker=None))
    sink.close()
    assert sink.path.read_text() == "A: Good morning.\n?: Yes.\n"


def test_the_example_that_says_exactly_once_is(tmp_path):
    """A kill leaves a line, whole or torn, that nobody has noted."""
    file = tmp_path / "text_log.py"
    file.write_text(EXAMPLES[1])
    sink = discovery.load(discovery.SinkFile("text_log", file))(path=tmp_path / "meeting.txt")
    sink.checkpoint = {}
    sink.write(turn(1, "One.", speaker="A"))
    committed = sink.checkpoint
    sink.write(turn(2, "Two.", speaker="A"))
    sink.checkpoint = committed
    sink.write(turn(2, "Two.", speaker="A"))
    assert sink.path.read_text() == "A: One.\nA: Two.\n"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.stem)
def test_every_bundled_sink_and_option_is_told_of(file: Path):
    """An option nobody knows of is not there."""
    section = README.partition(f"\n## {file.stem}\n")[2].partition("\n## ")[0]
    for option in discovery.describe(file).options:
        assert f"| `{option.name}` |" in section, option.name
        assert option.doc, option.name
