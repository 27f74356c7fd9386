import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.samples import DESIGN, SECTIONS, keys_of, toml
from minuted import config
from minuted.config import (
    ConfigError,
    Settings,
    load,
    parse,
)

pytestmark = pytest.mark.usefixtures("no_key")


def test_the_design_s_sample_parses_as_it_is(no_key: Path) -> None:
    """It is the contract; it must parse where no key is, too."""
    settings = parse(DESIGN)

    assert settings.room == "boardroom"
    assert settings.sink_dirs == (Path("/usr/local/lib/minuted/sinks"),)
    assert settings.service == "assemblyai"
    assert settings.service_url == "wss://streaming.assemblyai.com"
    assert settings.session.max_turn_silence == 1200
    assert settings.turns_endpoint == "ipc:///run/minuted/turns.sock"
    assert settings.replay_endpoint == "ipc:///run/minuted/replay.sock"
    assert list(settings.sinks) == ["file_log", "webhook", "srt"]
    assert settings.sinks["webhook"].options == {"url": "https://example.org/turns", "secret": "whsec_…"}


def test_the_design_s_values_are_the_defaults() -> None:
    """An empty file means the same."""
    design = parse(DESIGN)

    assert parse("") == Settings()
    assert replace(design, room="room", sinks={}, engine=config.Engine(), publish=config.Publish()) == parse(
        ""
    )
    assert parse("").turns_endpoint == design.turns_endpoint
    assert replace(parse(""), engine=config.Engine(service="assemblyai")).service_url == design.service_url


def test_a_sink_s_table_is_its_own_but_for_two_keys() -> None:
    sinks = parse('[sinks.second]\nuse = "webhook"\nenabled = false\nurl = "x"\ntimeout_s = 3').sinks

    assert (sinks["second"].use, sinks["second"].enabled) == ("webhook", False)
    assert sinks["second"].options == {"url": "x", "timeout_s": 3}


# Each wrong line, and what is said of it.
WRONG = [
    ("rom = 1", "unknown key 'rom'; did you mean 'room'?"),
    ("[captur]", "unknown key 'captur'; did you mean 'capture'?"),
    ("[zzz]", "unknown key 'zzz'; it has room, state_dir, runtime_dir, .*"),
    ('[capture]\nsorce = ""', "[capture]: unknown key 'sorce'; did you mean 'source'?"),
    ('[engine]\nservise = "local"', "[engine]: unknown key 'servise'; did you mean 'service'?"),
    (
        "[session]\nmin_turn_silense = 1",
        "[session]: unknown key 'min_turn_silense'; did you mean 'min_turn_silence'?",
    ),
    ("[meeting]\ngap = 1", "[meeting]: unknown key 'gap'; .*gap_min.*"),
    ("[journal]\nmemory_max = 1", "[journal]: unknown key 'memory_max'; did you mean 'memory_s_max'?"),
    ('[publish]\nturn = "x"', "[publish]: unknown key 'turn'; did you mean 'turns'?"),
    ("path = 1", "unknown key 'path'.*"),
    ("[session]\nlanguage_code = 'de'", "session.language_code is deprecated; use language_codes"),
    ("[session]\nsample_rate = 8000", "session.sample_rate is always 16000; minuted resamples"),
    ("[engine]\napi_key = 'abc'", "engine.api_key does not belong in this file: .*"),
    ("room = 3", "room is a string, not 3"),
    ('room = " "', "room is empty"),
    ("sink_dirs = '/x'", 'sink_dirs is a list, not "/x"'),
    ("sink_dirs = ['/x', 3]", "sink_dirs[1] is a path, not 3"),
    ('state_dir = "/x\\u0000y"', "state_dir cannot be .*: no path has a zero in it"),
    ("state_dir = 1979-05-27", 'state_dir is a path, not "1979-05-27"'),
    ("state_dir = '~nobody-of-that-name/x'", "state_dir cannot be .*: Could not determine home directory."),
    ("stop_timeout_s = true", "stop_timeout_s is a number, not true"),
    ("stop_timeout_s = 0", "stop_timeout_s = 0.0 is not between 1 and 3600"),
    ("stop_timeout_s = nan", "stop_timeout_s = nan is not between 1 and 3600"),
    (f"stop_timeout_s = 1{'0' * 400}", "stop_timeout_s cannot be 1000.*: int too large .*"),
    ("capture = 1", "capture is a table, not 1"),
    ("[[capture]]", "capture is a table, not [{}]"),
    ("[capture]\nchannel = 1.0", "capture.channel is a whole number, not 1.0"),
    ("[capture]\nchannel = -1", "capture.channel counts from 1; 0 mixes all channels"),
    ("[capture]\npace = 'slow'", 'capture.pace is "real-time" or "fast", not "slow"'),
    ("[engine]\nservice = 'azure'", 'engine.service is "assemblyai" or "local", not "azure"'),
    ("[engine]\nurl = 'http://x'", "engine.url: 'http://x' is not a ws:// or wss:// address"),
    ("[engine]\nurl = 'ws://'", "engine.url: 'ws://' is not a ws:// or wss:// address"),
    ("[engine]\nurl = 'ws://x:99999'", "engine.url: 'ws://x:99999' is no address: Port out of range 0-65535"),
    ("[engine]\nurl = 'ws://[::1'", "engine.url: 'ws://[::1' is no address: Invalid IPv6 URL"),
    (
        "[engine]\nservice = 'local'\nurl = 'wss://example.org'",
        "engine.url: the local engine listens on \"ws://127.0.0.1:PORT\", not 'wss://example.org'",
    ),
    ("[engine]\nupdate_interval_s = 0.01", "engine.update_interval_s = 0.01 is not between 0.1 and 5"),
    ("[session]\nmin_turn_silence = '100'", 'session.min_turn_silence is a whole number, not "100"'),
    ("[session]\nmax_turn_silence = 5", "session.max_turn_silence = 5 is not between 50 and 10000"),
    ("[session]\nvad_threshold = nan", "session.vad_threshold = nan is not between 0 and 1"),
    ("[session]\nmode = 'quick'", 'session.mode is "min_latency" or "balanced" or .*, not "quick"'),
    ("[session]\nkeyterms_prompt = 'x'", 'session.keyterms_prompt is a list, not "x"'),
    (f"[session]\nkeyterms_prompt = ['{'x' * 51}']", "session.keyterms_prompt: .* is over 50 characters"),
    (f"[session]\nkeyterms_prompt = {['x'] * 101}", "session.keyterms_prompt has 101 terms; .* takes 100"),
    (f"[session]\nprompt = '{'x' * 1751}'", "session.prompt is longer than 1750 characters"),
    ("[session]\nvoice_focus_threshold = 0.5", "session.voice_focus_threshold needs session.voice_focus"),
    (f"[session]\nlanguage_codes = {['de'] * 11}", "session.language_codes has more than 10 languages"),
    (
        "[session]\nredact_pii_policies = ['person_nam']",
        "session.redact_pii_policies: 'person_nam' is not known; did you mean 'person_name'?",
    ),
    ("[meeting]\ngap_min = 0", "meeting.gap_min = 0.0 is not between 0.1 and 1440"),
    ("[journal]\nmemory_s_max = 1", "journal.memory_s_max = 1.0 is not between 10 and 43200"),
    ("[publish]\nturns = 'tcp://0.0.0.0'", "publish.turns: 'tcp://0.0.0.0' is not tcp://ADDRESS:PORT .*"),
    ("[publish]\nturns = 'tcp://0.0.0.0:65535'", "publish.turns: .* a port from 1 to 65534 .*"),
    ("[publish]\nturns = 'tcp://:5555'", "publish.turns: 'tcp://:5555' is not tcp://ADDRESS:PORT .*"),
    ("[publish]\nturns = '/x/turns'", "publish.turns: '/x/turns' is not an ipc:// address"),
    ("[publish]\nturns = 'ipc://x'", "publish.turns: the socket path 'x' must be absolute"),
    (
        "[publish]\nturns = 'ipc:///x/replay.sock'",
        "publish.turns: ipc:///x/replay.sock is another socket's; choose another name",
    ),
    (
        "[publish]\nturns = 'ipc:///run/minuted/frames.sock'",
        "publish.turns: .*/frames.sock is another socket's; choose another name",
    ),
    ("runtime_dir = '$HERE/run'", 'runtime_dir cannot be "$HERE/run": $HERE is not replaced by .*'),
    ("sinks = 1", "sinks is a table, not 1"),
    ("[sinks]\nwebhook = 1", "sinks.webhook is a table, not 1"),
    ("[sinks.webhook]\nuse = 1", "sinks.webhook.use is a string, not 1"),
    ("[sinks.webhook]\nenabled = 'no'", 'sinks.webhook.enabled is true or false, not "no"'),
    (
        "[sinks.no-name]",
        "[sinks.no-name]: a sink's name is made of letters, digits and _: .*, and call its file no_name.py",
    ),
    ("room = ", "not TOML: Invalid value (at end of document)"),
    ("room = 'a'\nroom = 'b'", "not TOML: Cannot overwrite a value (at end of document)"),
    (f"room = {'[' * 5000}", "not TOML: .*"),
    (f"room = {'9' * 5000}", "not TOML: .*"),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[said[:60] for _, said in WRONG])
def test_what_is_wrong_is_said_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    """A person reads it in a terminal or in the supervisor's log."""
    file = tmp_path / "minuted.toml"
    file.write_text(text, encoding="utf-8")
    pattern = re.escape(said).replace(r"\.\*", ".*")

    with pytest.raises(ConfigError) as refused:
        load(file)

    assert re.fullmatch(f"{re.escape(str(file))}: {pattern}", str(refused.value)), str(refused.value)


@pytest.mark.parametrize("section", ["", *SECTIONS])
def test_every_key_is_recognised_by_a_slip_of_the_pen(section: str) -> None:
    """Found by itself: whatever keys there are, one letter too many is told apart."""
    cls = type(getattr(Settings(), section)) if section else Settings
    for key in keys_of(cls):
        with pytest.raises(ConfigError, match=f"did you mean '{key}'"):
            parse(f"[{section}]\n{key}x = 1" if section else f"{key}x = 1")


TOML = st.recursive(
    st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(width=32)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b c", "é"]), inner, max_size=2)
    ),
    max_leaves=4,
)
KEYS = sorted(
    {
        key
        for cls in (Settings, *(type(getattr(Settings(), name)) for name in SECTIONS))
        for key in keys_of(cls)
    }
    | {"sinks", "webhook", "use", "enabled"}
)


@given(
    st.dictionaries(
        st.sampled_from(KEYS), TOML | st.dictionaries(st.sampled_from(KEYS), TOML, max_size=3), max_size=3
    )
)
def test_any_configuration_is_settings_or_a_line_of_error(table: dict[str, Any]) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in table.items())
    tomllib.loads(text)
    said = ""
    try:
        parse(text)
    except ConfigError as error:
        said = str(error)

    assert "\n" not in said
    assert len(said) < 1000


# A recording instead of the microphone.


def test_a_recording_takes_the_source_s_place() -> None:
    settings = parse("[capture]\ndevice = 'USB'").with_recording(Path("talk.wav"), None)

    assert (settings.capture.source, settings.capture.device) == ("talk.wav", "USB")
    assert settings.capture.pace == "real-time"
    assert settings.with_recording(Path("talk.wav"), "fast").capture.pace == "fast"
    with pytest.raises(ConfigError, match='--pace is "real-time" or "fast", not "quick"'):
        settings.with_recording(Path("talk.wav"), "quick")


SettingsFactory = Callable[..., Settings]


def test_tests_have_settings_of_their_own(make_settings: SettingsFactory, runtime_dir: Path) -> None:
    settings = make_settings("[meeting]\ngap_min = 1")

    assert settings.runtime_dir == runtime_dir
    assert settings.state_dir.is_dir()
    assert settings.meeting.gap_min == 1
    assert settings.frames_endpoint == f"ipc://{runtime_dir}/frames.sock"
