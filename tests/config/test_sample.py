"""The sample configuration: true, whole and harmless."""

import re
import subprocess
import sys
import tomllib
from dataclasses import is_dataclass, replace
from pathlib import Path

import pytest

from config.samples import SECTIONS, keys_of
from minuted.config import (
    ConfigError,
    Settings,
    parse,
    sample,
)

pytestmark = pytest.mark.usefixtures("no_key")


ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "deploy/minuted.toml"
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
WHOLE = [text for text in SHOWN if re.search(r"^room = ", text, re.MULTILINE)]
"""Those that are a whole file, with keys that no table may stand before."""
TABLES = [text for text in SHOWN if text not in WHOLE]


def test_the_deployed_sample_is_not_stale() -> None:
    """`python -m minuted.config > deploy/minuted.toml` writes it anew."""
    assert DEPLOYED.read_text(encoding="utf-8") == sample()


def test_the_module_prints_the_sample() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "minuted.config"], check=True, capture_output=True, text=True
    )

    assert printed.stdout == sample()


def test_the_sample_as_it_is_changes_nothing_but_the_sinks() -> None:
    assert replace(parse(sample()), sinks={}) == Settings()


def test_the_sample_uncommented_says_the_defaults() -> None:
    """What the file calls a default must be it."""
    lines = [re.sub(r"^#(?=\[|\w+ = )", "", line) for line in sample().splitlines()]
    said = tomllib.loads("\n".join(lines))

    assert replace(parse("\n".join(lines)), sinks={}, profiles={}) == Settings()
    for section in ("", *SECTIONS):
        values = getattr(Settings(), section) if section else Settings()
        for key in keys_of(type(values)):
            value = getattr(values, key)
            if value is not None and not is_dataclass(value):
                assert key in (said[section] if section else said), f"{section}.{key} is not in the sample"


def test_the_sample_explains_every_key() -> None:
    lines = sample().splitlines()
    for section in ("", *SECTIONS):
        for key in keys_of(type(getattr(Settings(), section)) if section else Settings):
            if key in SECTIONS:
                continue
            at = next(index for index, line in enumerate(lines) if re.match(rf"#{key} =", line))
            assert lines[at - 1].startswith("# "), key


@pytest.mark.parametrize("text", TABLES, ids=lambda text: re.search(r"\[+[\w.]+", text)[0])
def test_what_readme_shows_can_be_pasted_anywhere(text: str) -> None:
    """After the next restart the room would be deaf."""
    lines = sample().splitlines(keepends=True)
    headers = [at for at, line in enumerate(lines) if re.match(r"#?\[", line)]
    for at in (0, *headers, *(header + 1 for header in headers[:-1]), len(lines)):
        if lines[at - 1 : at] != ["[sinks.file_log]\n"]:
            parse("".join([*lines[:at], text, *lines[at:]]))


@pytest.mark.parametrize("text", WHOLE)
def test_a_whole_file_pasted_below_is_refused_with_the_lines(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[sinks.file_log\] stands twice, in lines \d+ and \d+: put"):
        parse(f"{sample()}\n{text}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('device = "Jabra"\n', "device belongs into [capture]: does that line stand above it"),
        ("[capture]\nidle_after_s = 0\n", "capture.idle_after_s belongs into [engine]: does that line"),
        ('[capture]\nroom = "attic"\n', "capture.room belongs to the top of the file, above every"),
        ("[cost]\n[engine]\n[cost]\n", "[cost] stands twice, in lines 1 and 3: put the keys of both"),
        ("[sinks.txt]\n[sinks.txt]\n", "[sinks.txt] stands twice, in lines 1 and 2"),
        ('room = "a"\nroom = "b"\n', "room is set a second time in line 2: keep one of the two"),
        ("[cost]\ndaily = 1\n", "[cost]: unknown key 'daily'; did you mean 'daily_limit'?"),
        ("room\n", "not TOML: "),
    ],
)
def test_what_uncommenting_goes_wrong_by_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}"):
        parse(text)
