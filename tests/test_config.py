import dataclasses
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted import config
from minuted.config import (
    KEY_NAME,
    SERVICE_NAME,
    SOCKET_PATH_BYTES_MAX,
    ConfigError,
    Settings,
    load,
    parse,
    require_credentials,
    sample,
)

DEPLOYED = Path(__file__).parents[1] / "deploy/minuted.toml"

DESIGN = """
room = "boardroom"                     # goes into every turn
state_dir = "/var/lib/minuted"         # journals, cursors
runtime_dir = "/run/minuted"           # sockets
sink_dirs = ["/usr/local/lib/minuted/sinks"]   # searched after the bundled sinks/

[capture]
source = "microphone"                  # or the path of a recording
device = ""                            # a substring of the device's name; empty = the default input

[engine]
service = "assemblyai"                 # or "local"; unset: assemblyai where a key is found, else local
url = "wss://streaming.assemblyai.com" # ws:// is accepted for a local or self-hosted service

[session]                              # the SDK's streaming parameters, by their own names
speech_model = "u3-rt-pro"
min_turn_silence = 100
max_turn_silence = 1200

[publish]
turns = "ipc:///run/minuted/turns.sock"

[sinks.file_log]                       # a table per sink: its file's name
path = "/var/lib/minuted/turns.jsonl"
[sinks.webhook]
url = "https://example.org/turns"
secret = "whsec_…"                     # or secret_file / a credential
[sinks.srt]
directory = "/var/lib/minuted/srt"
"""
SECTIONS = [field.name for field in fields(Settings) if is_dataclass(getattr(Settings(), field.name))]

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
    ("runtime_dir = 'here'", "runtime_dir: the socket path .* must be absolute"),
    ("sinks = 1", "sinks is a table, not 1"),
    ("[sinks]\nwebhook = 1", "sinks.webhook is a table, not 1"),
    ("[sinks.webhook]\nuse = 1", "sinks.webhook.use is a string, not 1"),
    ("[sinks.webhook]\nenabled = 'no'", 'sinks.webhook.enabled is true or false, not "no"'),
    ("[sinks.'no name']", "[sinks.no name]: a sink's name is made of letters, digits and _"),
    ("room = ", "not TOML: Invalid value (at end of document)"),
    ("room = 'a'\nroom = 'b'", "not TOML: Cannot overwrite a value (at end of document)"),
    (f"room = {'[' * 5000}", "not TOML: .*"),
    (f"room = {'9' * 5000}", "not TOML: .*"),
]


@pytest.mark.parametrize("name", ["minuted.toml", ".env"])
def test_a_file_others_may_write_is_refused(no_key: Path, name: str) -> None:
    """Whoever changes it says what is run, and where the minutes go."""
    (no_key / "minuted.toml").write_text("")
    (no_key / ".env").write_text("ASSEMBLYAI_API_KEY=a-key")
    (no_key / name).chmod(0o666)
    with pytest.raises(ConfigError, match=r"can be changed by every user of this machine; run: chmod o-w"):
        load(no_key / "minuted.toml").api_key()
    (no_key / name).chmod(0o664)
    assert load(no_key / "minuted.toml").api_key() == "a-key"


def test_a_key_handed_down_is_read_as_often_as_asked(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.memfd_create("key")
    os.write(descriptor, b"a-key")
    monkeypatch.setenv("MINUTED_KEY_FD", str(descriptor))
    assert [Settings().api_key(), Settings().api_key()] == ["a-key", "a-key"]
    os.close(descriptor)


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[said[:60] for _, said in WRONG])
def test_what_is_wrong_is_said_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    """A person reads it in a terminal or in the supervisor's log."""
    file = tmp_path / "minuted.toml"
    file.write_text(text, encoding="utf-8")
    pattern = re.escape(said).replace(r"\.\*", ".*")

    with pytest.raises(ConfigError) as refused:
        load(file)

    assert re.fullmatch(f"{re.escape(str(file))}: {pattern}", str(refused.value)), str(refused.value)


def keys_of(cls: type) -> list[str]:
    return [field.name for field in fields(cls) if field.name not in ("path", "profiles", "sinks")]


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


def toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(toml(item) for item in value) + "]"
        case float():
            return repr(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


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


# Where the file is.


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file or directory"):
        load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin1.toml").write_bytes(b'room = "caf\xe9"')
    with pytest.raises(ConfigError, match=r"latin1\.toml: cannot be read: not UTF-8 text"):
        load(tmp_path / "latin1.toml")


def test_the_file_in_the_working_directory_comes_first(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc = no_key / "etc.toml"
    etc.write_text("room = 'from etc'")
    monkeypatch.setattr(config, "PLACES", (config.PLACES[0], etc))
    assert load().room == "from etc"
    (no_key / "minuted.toml").write_text("room = 'from here'")
    assert load().room == "from here"
    assert load(etc).room == "from etc"


def test_no_file_at_all_means_the_defaults(monkeypatch: pytest.MonkeyPatch, no_key: Path) -> None:
    monkeypatch.setattr(config, "PLACES", (no_key / "absent.toml",))

    assert load() == Settings()


# The sample.


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


# Which service, and its key.


def test_the_service_is_the_local_one_where_no_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first run works with nothing set; a key is all it takes to change that."""
    assert parse("").service == "local"
    assert parse("").service_url == ""
    monkeypatch.setenv(KEY_NAME, "abc")
    assert parse("").service == "assemblyai"
    assert parse("").service_url == "wss://streaming.assemblyai.com"
    assert parse("[engine]\nservice = 'local'").service == "local"


def test_a_service_that_is_named_is_taken_whatever_keys_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse("[engine]\nservice = 'assemblyai'").service == "assemblyai"
    monkeypatch.setenv(KEY_NAME, "abc")
    assert parse("[engine]\nservice = 'local'").service == "local"


def test_a_child_believes_its_supervisor_about_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees no key of its own."""
    monkeypatch.setenv(SERVICE_NAME, "assemblyai")
    assert parse("").service == "assemblyai"
    monkeypatch.setenv(SERVICE_NAME, "local")
    monkeypatch.setenv(KEY_NAME, "abc")
    assert parse("").service == "local"
    assert parse("[engine]\nservice = 'assemblyai'").service == "assemblyai"


def test_the_service_without_a_key_is_an_error() -> None:
    with pytest.raises(
        ConfigError, match=r"no AssemblyAI key: put it into ASSEMBLYAI_API_KEY, .*\.env.*local"
    ):
        require_credentials(parse("[engine]\nservice = 'assemblyai'"))
    require_credentials(parse("[engine]\nservice = 'local'"))
    require_credentials(parse(""))


def test_the_key_is_looked_for_in_order(
    no_key: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credential, the environment, .env where we are, .env beside the configuration."""
    beside = tmp_path_factory.mktemp("beside")
    credentials = tmp_path_factory.mktemp("credentials")
    (beside / "minuted.toml").write_text("")
    settings = load(beside / "minuted.toml")

    assert settings.api_key() == ""
    (beside / ".env").write_text(f"# keys\n{KEY_NAME}='from-beside'\n")
    assert settings.api_key() == "from-beside"
    (no_key / ".env").write_text(f"export {KEY_NAME}=from-here # mine\n")
    assert settings.api_key() == "from-here"
    monkeypatch.setenv(KEY_NAME, " from-the-environment\n")
    assert settings.api_key() == "from-the-environment"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert settings.api_key() == "from-the-environment"
    (credentials / "assemblyai.key").write_text("from-a-credential\n")
    assert settings.api_key() == "from-a-credential"


def test_a_place_without_a_key_in_it_is_passed_over(
    no_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"{KEY_NAME}=\nOTHER=1\n")
    (tmp_path / "assemblyai.key").write_text(" \n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert parse("").api_key() == ""
    monkeypatch.setenv(KEY_NAME, "abc")
    assert parse("").api_key() == "abc"


def test_a_key_s_file_that_cannot_be_read_is_said(no_key: Path) -> None:
    (no_key / ".env").write_bytes(b"ASSEMBLYAI_API_KEY=\xff\xfe\n")

    with pytest.raises(ConfigError, match=r"^[^\n]*\.env cannot be read[^\n]*$"):
        parse("").api_key()


@pytest.mark.parametrize("key", ["sesame\n# the new one", "sesame open", "sés@me", "sesame\x01"])
def test_what_cannot_be_a_key_is_said_without_showing_it(
    key: str, no_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that refuses a header shows it, and its error is logged and published."""
    (no_key / "assemblyai.key").write_text(key)
    monkeypatch.setenv(KEY_NAME, key)
    with pytest.raises(ConfigError, match=f"^{KEY_NAME}: the key is more than one word") as refused:
        parse("").api_key()
    assert "same" not in str(refused.value)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(no_key))
    with pytest.raises(ConfigError, match=r"^/.*assemblyai\.key: the key is more than one word"):
        parse("").api_key()


def test_the_key_is_never_in_the_settings(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are shown in tracebacks, and some day in a log."""
    key = "0123456789abcdef0123456789abcdef"
    (no_key / ".env").write_text(f"{KEY_NAME}={key}")
    monkeypatch.setenv(KEY_NAME, key)
    monkeypatch.setenv("MINUTED_ENGINE_KEY", key)
    settings = parse(DESIGN)
    assert settings.api_key() == settings.engine_key() == key

    assert key not in repr(settings)
    assert key not in str(dataclasses.asdict(settings))


def test_a_sink_s_secret_is_not_shown_with_the_settings() -> None:
    settings = parse(
        '[sinks.webhook]\nsecret = "whsec_c2VjcmV0"\n[session]\nwebhook_auth_header_value = "hush"'
    )

    assert "whsec" not in repr(settings)
    assert "hush" not in repr(settings)


# Sockets.


def test_a_socket_s_path_has_107_bytes_at_most(tmp_path: Path) -> None:
    """The kernel takes no more; ZeroMQ would say so only when binding."""
    assert SOCKET_PATH_BYTES_MAX == 107
    longest = max(
        len(endpoint.removeprefix("ipc://").rpartition("/")[2]) for endpoint in endpoints(parse(""))
    )
    fits = "/" + "x" * (107 - longest - 2)

    assert max(len(e.removeprefix("ipc://")) for e in endpoints(parse(f"runtime_dir = '{fits}'"))) == 107
    with pytest.raises(ConfigError, match=r"runtime_dir: the socket path /x+/.* is over 107 bytes"):
        parse(f"runtime_dir = '{fits}x'")


def test_a_socket_s_path_is_counted_in_bytes() -> None:
    folder = "/" + "é" * 50

    assert len(folder) < 107 - 40
    with pytest.raises(ConfigError, match="over 107 bytes"):
        parse(f"runtime_dir = '{folder}'")


def test_a_long_sink_s_name_makes_a_long_socket_path() -> None:
    name = "x" * 90
    with pytest.raises(
        ConfigError, match=r"runtime_dir: the socket path .*control-delivery-x+\.sock is over"
    ):
        parse(f"[sinks.{name}]")


@pytest.mark.parametrize(("length", "fits"), [(106, True), (107, False), (108, False)])
def test_a_turn_socket_s_path_leaves_room_for_the_replay_socket(length: int, fits: bool) -> None:
    """`replay.sock` beside `turns.sock` is one byte longer."""
    path = "/" + "x" * (length - len("//turns.sock")) + "/turns.sock"
    assert len(path) == length
    text = f"[publish]\nturns = 'ipc://{path}'"
    if fits:
        assert len(parse(text).replay_endpoint.removeprefix("ipc://")) == 107
    else:
        with pytest.raises(ConfigError, match=r"publish\.turns: .* is over 107 bytes"):
            parse(text)


STAGES = ("capture", "transcription", "engine", "supervisor")


def endpoints(settings: Settings) -> list[str]:
    return [
        settings.turns_endpoint,
        settings.replay_endpoint,
        settings.frames_endpoint,
        *(settings.control_endpoint(stage) for stage in STAGES),
        *(settings.control_endpoint(f"delivery/{name}") for name in settings.sinks),
    ]


def test_every_socket_has_its_own_path() -> None:
    all_of_them = endpoints(parse(DESIGN))

    assert len(set(all_of_them)) == len(all_of_them)


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
