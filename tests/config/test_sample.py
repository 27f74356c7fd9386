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
    Settings,
    parse,
    sample,
)

pytestmark = pytest.mark.usefixtures("no_key")


DEPLOYED = Path(__file__).parents[2] / "deploy/minuted.toml"


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
