"""The sections' own limits: their defaults keep them, and every number has one."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from minuted.config import Settings, parse
from minuted.options import ConfigError
from minuted.sections import NAME_CHARACTERS_MAX, SOURCES_MAX, check_ranges


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


# Several sources.


def sources(*tables: str) -> str:
    return "".join(f"[[capture.sources]]\n{table}\n" for table in tables)


TABLE, FAR = 'name = "table"\ndevice = "Jabra"', 'name = "far"\ndevice = "HDMI"'


def test_without_tables_there_is_one_source_and_its_places_are_as_ever() -> None:
    settings = parse('state_dir = "/s"\nruntime_dir = "/r"\n[capture]\ndevice = "Jabra"\nchannel = 2')
    (source,) = settings.sources
    assert (source.name, source.device, source.channel, source.stage) == ("", "Jabra", 2, "capture")
    assert settings.frames_of("") == settings.frames_endpoint == "ipc:///r/frames.sock"
    assert str(settings.audio_dir("")) == "/s/audio"


def test_each_source_has_a_process_a_socket_and_a_folder_of_its_own() -> None:
    settings = parse(f'state_dir = "/s"\nruntime_dir = "/r"\n{sources(TABLE, FAR)}')
    assert [source.stage for source in settings.sources] == ["capture/table", "capture/far"]
    assert settings.source("far").device == "HDMI"
    assert settings.frames_of("far") == "ipc:///r/frames-far.sock"
    assert str(settings.audio_dir("far")) == "/s/audio-far"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (sources(*(f'name = "s{n}"\nchannel = {n}' for n in range(SOURCES_MAX + 1))), "are more than"),
        (f'[capture]\ndevice = "USB"\n{sources(TABLE)}', "capture.device: .* belongs into one of those"),
        (sources('name = "../x"'), r"sources\[0\].name: '../x' is not a name of letters"),
        (sources(f'name = "{"a" * (NAME_CHARACTERS_MAX + 1)}"'), "characters at most"),
        (sources('device = "USB"'), r"'name' is missing"),
        (sources(TABLE, 'name = "Table"'), "another source called 'Table'"),
        (sources(TABLE, 'name = "far"\ndevice = "Jabra"'), "the same sound, to be paid for twice"),
        (sources(TABLE, 'name = "far"\nsource = "a.wav"'), "all are microphones, or all are recordings"),
        (sources('name = "far"\nchannel = -1'), r"sources\[0\].channel counts from 1"),
        (sources('name = "far"\ndevise = "x"'), "did you mean 'device'"),
    ],
)
def test_sources_that_cannot_be_heard_side_by_side_are_refused(text: str, said: str) -> None:
    """Before a session is paid for."""
    with pytest.raises(ConfigError, match=said):
        parse(text)


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (sources(TABLE, FAR), "", "name the source, one of table, far"),
        (sources(TABLE, FAR), "desk", "none is 'desk'"),
        ("", "desk", "there is no .* table, so none is called 'desk'"),
    ],
)
def test_a_capture_of_a_source_that_there_is_not_says_which_there_are(
    text: str, name: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(text).source(name)


def test_a_recording_named_by_the_command_takes_the_place_of_all_sources(tmp_path: Path) -> None:
    settings = parse(sources(TABLE, FAR)).with_recording(tmp_path / "talk.wav", "fast")
    (source,) = settings.sources
    assert (source.name, source.source, settings.capture.pace) == ("", str(tmp_path / "talk.wav"), "fast")
