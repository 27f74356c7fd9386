"""What the documents must name is found by itself; what they show is run."""

import argparse
import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

import sample_records
from minuted import Turn, Word, cli
from minuted.bus import ReplayServer, TurnsOut
from minuted.config import Settings, parse
from minuted.delivery import discovery
from minuted.journal.turns import TurnJournal
from minuted.messages import TOPICS, Gap
from minuted.options import docstrings, options
from minuted.session_settings import StreamingSession
from minuted.transcription.publisher import Publisher
from minuted.usage import parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    path
    for path in ROOT.glob("**/*.md")
    if not any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts)
]
SECTIONS = {
    field.name: type(getattr(Settings(), field.name))
    for field in fields(Settings)
    if is_dataclass(getattr(Settings(), field.name))
}
WAIT_S = 30


def names(text: str) -> set[str]:
    """Give what stands in `code` in a document, and the words in it."""
    quoted = re.findall(r"`([^`\n]+)`", text)
    return {*quoted, *(word for each in quoted for word in re.findall(r"[\w.-]+", each))}


NAMED = names(README)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> dict[str, argparse.ArgumentParser]:
    (subparsers,) = (
        action for action in parser("0")._actions if isinstance(action, argparse._SubParsersAction)
    )
    return dict(subparsers.choices)


# Names.


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_readme(command: str) -> None:
    assert command in NAMED


@pytest.mark.parametrize("command", commands())
def test_every_command_s_help_reads_well(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--help"]) == 0
    shown = capsys.readouterr().out

    assert shown.startswith(f"usage: minuted {command}")
    assert "for example:" in shown
    assert max(len(line) for line in shown.splitlines()) <= 110


def test_no_command_is_in_the_readme_that_is_not_there() -> None:
    table = README.partition("| command |")[2].partition("\n\n")[0]
    shown = {re.split(r"(?<!\\)\|", line)[1] for line in table.splitlines()[2:] if "|" in line}
    first_words = [
        quoted.removeprefix("minuted ").split()[0]
        for cell in shown
        for quoted in re.findall(r"`([^`]+)`", cell)
    ]

    assert set(first_words) == set(commands())


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_is_in_the_readme(topic: str) -> None:
    assert topic in NAMED


@pytest.mark.parametrize("cls", [Turn, Word, Gap], ids=lambda cls: cls.__name__)
def test_every_field_is_in_the_readme(cls: type) -> None:
    assert {field.name for field in fields(cls)} <= NAMED


def test_the_heartbeat_and_the_replay_are_in_the_readme() -> None:
    assert {"epoch", "last_seq", "from_seq", "next_seq", "replay.sock"} <= NAMED


@pytest.mark.parametrize("section", ["", *SECTIONS])
def test_every_configuration_key_is_explained(section: str) -> None:
    """The sample file is made of these lines."""
    cls = SECTIONS.get(section, Settings)
    own = {option.name for option in options(cls)} - {*SECTIONS, "profiles", "sinks", "path"}

    assert own <= docstrings(cls).keys()
    for name, text in docstrings(cls).items():
        assert re.search(r"[.!?)]$", text), f"{section}.{name} is no sentence: {text}"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_is_in_the_readme(section: str) -> None:
    assert f"[{section}]" in NAMED


def test_every_key_is_in_the_readme_but_the_vendor_s() -> None:
    """Those stand in deploy/minuted.toml, which another test holds against the code."""
    for section, cls in {"": Settings, **SECTIONS}.items():
        if section != "session":
            assert {option.name for option in options(cls)} - {
                "profiles",
                "sinks",
                "path",
                *SECTIONS,
            } <= NAMED, section
    assert "deploy/minuted.toml" in README


def test_every_bundled_sink_is_in_the_readme() -> None:
    sinks = {path.stem for path in (ROOT / "sinks").glob("*.py")}

    assert sinks
    assert sinks <= NAMED


@pytest.mark.parametrize("status", [cli.DONE, cli.FAILED, cli.WRONG_USAGE, cli.BAD_CONFIGURATION])
def test_every_exit_status_is_in_the_readme(status: int) -> None:
    assert re.search(rf"Exit status:.*\b{status} \w", README)


def test_every_variable_of_the_environment_is_in_the_readme() -> None:
    """What a person may set; not what our processes set for each other."""
    ours = {
        "MINUTED_SUPERVISOR_PID",
        "MINUTED_ENGINE_KEY",
        "MINUTED_HIDDEN_CREDENTIALS",
        "MINUTED_KEY_FD",
        "MINUTED_TOKEN_SECRET_FD",
        "MINUTED_SERVICE",
        "MINUTED_RUN",
        "MINUTED_ACCEPTED",
        "MINUTED_CRASH_AT",
        "MINUTED_BOOT_ID",
        "MINUTED_CHECK_UNIT",
        "MINUTED_CHECK_PART",
    }
    found = {
        name
        for path in (ROOT / "daemon/minuted").rglob("*.py")
        for name in re.findall(r"\"((?:MINUTED|ASSEMBLYAI)_[A-Z_]+)\"", path.read_text(encoding="utf-8"))
    }

    assert found >= {"ASSEMBLYAI_API_KEY", "MINUTED_LOG"}
    assert found - ours <= {*NAMED, *(name.partition("=")[0] for name in NAMED)}


# Form.


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_blanks_are_left(path: Path) -> None:
    assert not re.findall(r"@@\w+@@|\bTODO\b|\bFIXME\b", path.read_text(encoding="utf-8"))


# What is shown, works.


def test_every_configuration_shown_parses() -> None:
    assert blocks("toml")
    for text in blocks("toml"):
        parse(text)


def test_every_python_shown_compiles() -> None:
    assert len(blocks("python")) >= 3
    for text in blocks("python"):
        ast.parse(text)


@contextmanager
def running(text: str, settings: Settings) -> Iterator["subprocess.Popen[str]"]:
    """Run what the README shows, with its sockets in another folder."""
    moved = text.replace("/run/minuted", str(settings.runtime_dir))
    with subprocess.Popen([sys.executable, "-c", moved], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def publisher(make_settings) -> Iterator[Publisher]:
    settings = make_settings()
    journal = TurnJournal(settings.state_dir / "turns.db")
    with TurnsOut(settings.turns_endpoint) as turns, ReplayServer(settings.replay_endpoint) as replay:
        yield Publisher(turns, replay, journal)
    journal.close()


TURN = replace(
    sample_records.TURN, room="boardroom", start_ms=61_500, end_ms=63_000, text="Grüß Gott.", speaker="A"
)


def test_the_subscriber_shown_hears_turns(publisher: Publisher, make_settings) -> None:
    """A program of a dozen lines, without minuted."""
    (text,) = (block for block in blocks("python") if "zmq.SUB" in block)
    assert len(text.splitlines()) <= 12
    assert "minuted" not in text.replace("/run/minuted", "")
    with running(text, make_settings()) as process:
        until_s = time.monotonic() + WAIT_S
        while not publisher.turns.new_subscriptions() and time.monotonic() < until_s:
            publisher.turns.pollable().poll(100)
        publisher.record(Gap(room="r", meeting_id="m", start_ms=0, end_ms=1, reason="paused"))
        publisher.record(TURN)

        assert process.stdout is not None
        assert process.stdout.readline() == "2 61.5 s A Grüß Gott.\n"


def test_the_subscription_shown_misses_nothing(publisher: Publisher, make_settings) -> None:
    (text,) = (block for block in blocks("python") if "Subscription" in block)
    for _ in range(3):
        publisher.record(TURN)
    flushed = text.replace("record.type)", "record.type, flush=True)")
    with running(flushed, make_settings()) as process:
        until_s = time.monotonic() + WAIT_S
        while not publisher.replayed and time.monotonic() < until_s:
            publisher.tick(time.monotonic(), 0)
            publisher.replay.pollable().poll(20)
        publisher.record(Gap(room="r", meeting_id="m", start_ms=0, end_ms=1, reason="paused"))

        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(4)]

    assert said == ["1 turn\n", "2 turn\n", "3 turn\n", "4 gap\n"]


def test_the_sink_shown_is_loaded(tmp_path: Path) -> None:
    """Saved, named in the configuration: nothing else to touch."""
    (text,) = (block for block in blocks("python") if "class TextLog(Sink)" in block)
    (tmp_path / "text_log.py").write_text(text, encoding="utf-8")
    found = parse(f"sink_dirs = ['{tmp_path}']\n[sinks.text_log]\npath = '{tmp_path}/meeting.txt'\n")

    row = next(row for row in discovery.survey(found, load_modules=True) if row.name == "text_log")

    assert (row.state, row.doc) == ("enabled", "Append every final turn to a text file.")


def rows_with_tests(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ") and "`tests/" in line]


def missing_tests(row: str) -> list[str]:
    """Name the tests of a row that are not there."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    return [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text()]


def test_every_promise_names_tests_that_are_there() -> None:
    """A promise that nothing holds is a hope."""
    text = (ROOT / "daemon/README.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ") and not row.startswith("| promise")]
    assert len(rows) > 12
    for row in rows:
        assert row in rows_with_tests(text) or "`make kills`" in row, row
        assert missing_tests(row) == []


def test_every_parameter_of_the_api_has_its_row_and_each_row_its_test() -> None:
    """Whoever knows the vendor's pages finds here what became of each thing."""
    section = README.partition("row by row")[2].partition("\n## ")[0]
    rows = rows_with_tests(section)
    assert len(rows) >= 20
    assert [missing for row in rows for missing in missing_tests(row)] == []
    parameters = {option.name for option in options(StreamingSession)} - {"keyterms_file"}
    assert parameters <= names(section)
