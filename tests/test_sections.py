"""The sections' own limits: their defaults keep them, and every number has one."""

from dataclasses import fields, replace

import pytest

from minuted.config import Settings
from minuted.options import ConfigError
from minuted.sections import check_ranges


def check(settings: Settings) -> None:
    check_ranges(settings.capture, settings.engine, settings.meeting, settings.journal)


def test_the_defaults_keep_the_limits() -> None:
    check(Settings())


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (section, option.name)
        for section in ("capture", "engine", "meeting", "journal")
        for option in fields(getattr(Settings(), section))
        if option.type in (int, float)
    ],
)
def test_every_number_has_a_limit(section: str, key: str) -> None:
    """What is never sensible is said at the start, not found out in a month."""
    settings = Settings()
    wrong = replace(settings, **{section: replace(getattr(settings, section), **{key: -1})})

    with pytest.raises(ConfigError, match=rf"{section}\.{key}"):
        check(wrong)
