"""Who speaks, asked for and named from the command line: what is shown, and that it tells the truth."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minuted import cli
from minuted.commands import speakers
from minuted.config import Settings
from minuted.control import ControlServer, refusing

TOLD = {
    "meeting": "m1",
    "started_at_ms": 1_700_000_000_000,
    "left": 0,
    "speakers": [
        {"label": "A", "name": "chair", "turns": 12, "seconds": 200.4},
        {"label": "A2", "name": "", "turns": 1, "seconds": 0.4},
    ],
}


class Transcription:
    """Answers as the process does: names are given step by step."""

    def __init__(self, settings: Settings) -> None:
        self.steps_left = 0
        self.names: dict[str, str] = {}
        handlers = {"speakers": refusing(self.tell), "name-speakers": refusing(self.ask)}
        self._server = ControlServer(settings.control_endpoint("transcription"), handlers)

    def tell(self, question: dict[str, Any]) -> dict[str, Any]:
        if question["meeting"] not in ("", "m1"):
            raise ValueError("no meeting m9 is known any more")
        self.steps_left = max(0, self.steps_left - 1)
        named = [{**each, "name": self.names.get(str(each["label"]), "")} for each in TOLD["speakers"]]  # type: ignore[attr-defined]
        return {**TOLD, "speakers": named, "left": self.steps_left}

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        if "D" in question["names"]:
            raise ValueError("no speaker D has been heard")
        self.names |= question["names"]
        self.steps_left = 4
        return {"meeting": "m1", "names": question["names"]}

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def file(runtime_dir: Path, make_settings: Callable[..., Settings]) -> Path:
    settings = make_settings()
    file = runtime_dir / "minuted.toml"
    file.write_text(f'state_dir = "{settings.state_dir}"\nruntime_dir = "{runtime_dir}"\n')
    return file


@pytest.fixture
def transcription(make_settings: Callable[..., Settings]) -> Iterator[Transcription]:
    made = Transcription(make_settings())
    yield made
    made.close()


def test_the_list_is_for_people() -> None:
    head, *lines = speakers.table(TOLD).splitlines()

    assert head.startswith("meeting m1, begun 20")
    assert lines == [
        "  LABEL  NAME   TURNS  SPOKEN",
        "  A      chair  12     3 min 20 s",
        "  A2            1      0 s",
    ]


def test_a_meeting_in_which_nobody_was_told_apart_says_why() -> None:
    assert "session.speaker_labels" in speakers.table({**TOLD, "speakers": []})


def test_names_are_given_and_waited_for(
    file: Path, transcription: Transcription, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the command is over, every turn so far has the name."""
    assert cli.main(["speakers", "A=the chair", "A2=Anna", "--config", str(file)]) == 0
    assert transcription.names == {"A": "the chair", "A2": "Anna"}
    assert transcription.steps_left == 0
    assert "the chair" in capsys.readouterr().out
    assert cli.main(["speakers", "A=", "--json", "--config", str(file)]) == 0
    (first, _) = json.loads(capsys.readouterr().out)["speakers"]
    assert (first["label"], first["name"]) == ("A", "")


def test_what_is_not_confirmed_is_not_claimed(
    file: Path,
    transcription: Transcription,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speakers, "DONE_S_MAX", 0.0)
    assert cli.main(["speakers", "A=chair", "--config", str(file)]) == 1
    assert "not confirmed: 3 revisions" in capsys.readouterr().err


def test_what_cannot_be_done_is_told(
    file: Path, transcription: Transcription, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["speakers", "D=Dora", "--config", str(file)]) == 1
    assert "no speaker D has been heard" in capsys.readouterr().err
    assert cli.main(["speakers", "--meeting", "m9", "--config", str(file)]) == 1
    assert "no meeting m9" in capsys.readouterr().err


def test_where_nothing_runs_it_says_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["speakers", "--config", str(file)]) == 1
    assert "not running here" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["A", "=Anna", " = "])
def test_what_is_no_name_is_wrong_usage(file: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert cli.main(["speakers", text, "--config", str(file)]) == 2
    assert "is no LABEL=NAME" in capsys.readouterr().err
