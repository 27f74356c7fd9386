"""minuted.toml as typed settings: the only reader of configuration files and of the environment.

Every section is a frozen dataclass whose defaults and one-line docstrings are also the sample in
`deploy/minuted.toml` (`python -m minuted.config` prints it). Anything the file says that is not
known here, or has the wrong type, is a ConfigError with a line a person can act on.
"""

import ast
import difflib
import inspect
import json
import os
import textwrap
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

PLACES: Final = (Path("minuted.toml"), Path("/etc/minuted/minuted.toml"))
SOCKET_PATH_BYTES_MAX: Final = 107
"""What the kernel's sockaddr_un holds beside its closing zero."""

KEY_NAME: Final = "ASSEMBLYAI_API_KEY"
BUNDLED_SINKS: Final = next(
    (
        folder
        for folder in (Path(__file__).parent / "sinks", Path(__file__).parents[2] / "sinks")
        if folder.is_dir()
    ),
    Path(__file__).parent / "sinks",
)
"""Inside an installed package, or beside `daemon/` in a checkout."""


class ConfigError(ValueError):
    """The configuration must change before a new try makes sense: exit status 78."""


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Where sound comes from."""

    source: str = "microphone"
    """"microphone", or the path of a recording; a recording ends the run when it is drained."""
    device: str = ""
    """A substring of the input device's name (`minuted devices` lists them); empty = the default input."""
    channel: int = 0
    """Which of the device's or recording's channels to use, counted from 1; 0 mixes them all."""
    pace: Literal["real-time", "fast"] = "real-time"
    """How a recording is played: in real time, or as fast as the engine takes it (local engine only)."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Who recognises: AssemblyAI's streaming service, or the engine on this machine."""

    service: Literal["", "assemblyai", "local"] = ""
    """"assemblyai" or "local"; unset: assemblyai where a key is found, else local."""
    url: str = ""
    """The service's address: "wss://streaming.assemblyai.com" unless set; ws:// for a self-hosted one.
    With service = "local" it is where the engine listens; unset: any free port of 127.0.0.1."""
    model_dir: Path | None = None
    """A folder with another Moonshine model for the local engine; unset: the tiny English one."""
    model_arch: Literal["tiny", "base", "tiny-streaming", "small-streaming", "medium-streaming"] = "tiny"
    """The kind of model in model_dir."""
    update_interval_s: float = 0.5
    """How often the local engine refreshes a partial turn; see README for what it costs."""


@dataclass(frozen=True, kw_only=True)
class StreamingSession:
    """The streaming parameters of AssemblyAI's v3 API, by its own names; unset ones are not sent.

    Source: the vendor's SDK 1.8.2, `RealTimeParameters`, which a test holds this class against.
    """

    speech_model: str = "u3-rt-pro"
    """The model to ask for; the local engine has its own."""
    min_turn_silence: int | None = 100
    """Milliseconds of silence after which a finished sentence ends the turn."""
    max_turn_silence: int | None = 1200
    """Milliseconds of silence that end any turn."""
    end_of_turn_confidence_threshold: float | None = None
    """0 to 1; Universal-Streaming models only."""
    vad_threshold: float | None = None
    """0 to 1; sound below it counts as silence."""
    format_turns: bool | None = None
    """Universal-Streaming models only; the U3 family always formats."""
    keyterms_prompt: tuple[str, ...] | None = None
    """Up to 100 names and terms of up to 50 characters to listen for."""
    prompt: str | None = None
    """Up to 1,750 characters of instruction or context; U3 family only."""
    agent_context: str | None = None
    """Up to 1,750 characters of what a voice agent last said."""
    filter_profanity: bool | None = None
    """Replace profanity by asterisks."""
    interruption_delay: int | None = None
    """0 to 1000 milliseconds before the first partial; U3 family only."""
    turn_left_pad_ms: int | None = None
    """As the SDK has it; its meaning is not documented."""
    language_codes: tuple[str, ...] | None = None
    """Up to 10 languages to expect, the likeliest first."""
    language_detection: bool | None = None
    """Put the language into every final turn."""
    session_heartbeat: bool | None = True
    """Ask for a sign of life every 5 s, by which a dead link is noticed."""
    acknowledge_silence: bool | None = True
    """Ask the service to confirm silence, so that quiet audio need not be kept."""
    domain: Literal["medical-v1"] | None = None
    """A special vocabulary."""
    inactivity_timeout: int | None = None
    """5 to 3600 seconds without audio after which the service ends the session."""
    webhook_url: str | None = None
    """The service's own webhook, called once when a session ends."""
    webhook_auth_header_name: str | None = None
    """A header for it."""
    webhook_auth_header_value: str | None = None
    """That header's value."""
    speaker_labels: bool | None = None
    """Tell speakers apart."""
    max_speakers: int | None = None
    """1 to 10."""
    speaker_labels_revision_interval_ms: int | None = None
    """How often labels are looked over again; unset: once, at the session's end."""
    voice_focus: Literal["near-field", "far-field"] | None = None
    """Isolate voices; far-field suits a meeting room."""
    voice_focus_threshold: float | None = None
    """0 to 1; needs voice_focus."""
    continuous_partials: bool | None = None
    """Partials at a steady pace, not only in pauses."""
    include_partial_turns: bool | None = None
    """False: final turns only."""
    redact_pii: bool | None = None
    """Remove personal data from final turns; switches partials off."""
    redact_pii_policies: tuple[str, ...] | None = None
    """What counts as personal data; unset: everything the service knows."""
    redact_pii_sub: Literal["hash", "entity_name"] | None = None
    """What stands in its place."""
    mode: Literal["min_latency", "balanced", "max_accuracy"] | None = None
    """A preset of the 3.5 and 3.6 models."""
    customer_support_audio_capture: bool | None = None
    """Lets the vendor record the session; leave it off."""


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """What counts as one meeting."""

    gap_min: float = 10.0
    """Minutes without a word after which the next word begins a new meeting; a recording is always one."""


@dataclass(frozen=True, kw_only=True)
class Journal:
    """What is kept until it is safe."""

    memory_s_max: float = 600.0
    """Seconds of audio kept in memory while the service is away (32 kB a second); the oldest goes first."""


@dataclass(frozen=True, kw_only=True)
class Publish:
    """Where other programs subscribe to the turns."""

    turns: str = ""
    """The turn socket; unset: ipc://<runtime_dir>/turns.sock. The replay socket stands beside it."""


@dataclass(frozen=True, kw_only=True)
class SinkTable:
    """One `[sinks.NAME]` table. What is left in `options` belongs to the sink's module."""

    use: str = ""
    """The module that serves it; unset: the one of the same name."""
    enabled: bool = True
    """False switches the sink off and keeps its table."""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All of minuted.toml."""

    room: str = "room"
    """The room's name; it goes into every turn."""
    state_dir: Path = Path("/var/lib/minuted")
    """Journals and cursors."""
    runtime_dir: Path = Path("/run/minuted")
    """Sockets."""
    sink_dirs: tuple[Path, ...] = (Path("/usr/local/lib/minuted/sinks"),)
    """Searched after the bundled sinks; a later folder wins by name."""
    stop_timeout_s: float = 20.0
    """How long a stop may take to bring the last words to every sink."""
    capture: Capture = Capture()
    engine: Engine = Engine()
    session: StreamingSession = StreamingSession()
    meeting: Meeting = Meeting()
    journal: Journal = Journal()
    publish: Publish = Publish()
    sinks: dict[str, SinkTable] = field(default_factory=dict)
    path: Path | None = None

    @property
    def turns_endpoint(self) -> str:
        return self.publish.turns or f"ipc://{self.runtime_dir}/turns.sock"

    @property
    def replay_endpoint(self) -> str:
        """`replay.sock` beside the turn socket; over TCP, the next port."""
        if self.turns_endpoint.startswith("tcp://"):
            host, _, port = self.turns_endpoint.rpartition(":")
            return f"{host}:{int(port) + 1}"
        folder = self.turns_endpoint.removeprefix("ipc://").rpartition("/")[0]
        return f"ipc://{folder}/replay.sock"

    @property
    def frames_endpoint(self) -> str:
        return f"ipc://{self.runtime_dir}/frames.sock"

    def control_endpoint(self, stage: str) -> str:
        """Where `stage` ("capture", "delivery/webhook", "supervisor" …) answers requests."""
        return f"ipc://{self.runtime_dir}/control-{stage.replace('/', '-')}.sock"

    @property
    def service(self) -> Literal["assemblyai", "local"]:
        """What `engine.service` is or defaults to."""
        if self.engine.service:
            return self.engine.service
        return "assemblyai" if self.api_key() else "local"

    @property
    def service_url(self) -> str:
        """Where sessions are opened; empty where the local engine takes any free port."""
        if self.engine.url or self.service == "local":
            return self.engine.url
        return "wss://streaming.assemblyai.com"

    def api_key(self) -> str:
        """Give the service's key, or "" where there is none: a credential, the environment, a .env file."""
        credential = Path(os.environ.get("CREDENTIALS_DIRECTORY") or "/nonexistent", "assemblyai.key")
        if credential.is_file():
            return credential.read_text(encoding="utf-8").strip()
        if key := os.environ.get(KEY_NAME, "").strip():
            return key
        beside = [self.path.parent / ".env"] if self.path else []
        for file in (Path(".env"), *beside):
            if file.is_file() and (key := (dotenv_values(file).get(KEY_NAME) or "").strip()):
                return key
        return ""

    def engine_key(self) -> str:
        """Give the key the local engine asks for: the supervisor's, or any."""
        return os.environ.get("MINUTED_ENGINE_KEY", "")

    def with_recording(self, recording: Path, pace: str | None) -> "Settings":
        """Take the sound from a recording instead, as `run --input` does."""
        capture = replace(self.capture, source=str(recording))
        if pace:
            capture = replace(capture, pace=_value(Capture, "pace", pace, "--pace"))
        return replace(self, capture=capture)


def load(path: Path | None = None) -> Settings:
    """Read the configuration: `path`, else the first of PLACES that exists, else the defaults.

    Raises ConfigError for a file that cannot be read or says something wrong.
    """
    if path is None:
        path = next((place for place in PLACES if place.is_file()), None)
    if path is None:
        return Settings()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    try:
        return parse(text, path)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse(text: str, path: Path | None = None) -> Settings:
    """Turn a configuration's text into settings. Raises ConfigError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from None
    table = dict(table)
    sinks = {}
    for name, sink in _table(table.pop("sinks", {}), "sinks").items():
        where = f"sinks.{name}"
        own = dict(_table(sink, where))
        common: dict[str, Any] = {key: own.pop(key) for key in ("use", "enabled") if key in own}
        sinks[name] = replace(build(SinkTable, common, where, hidden=("options",)), options=own)
    settings = replace(build(Settings, table, "", hidden=("sinks", "path")), sinks=sinks, path=path)
    validate(settings)
    return settings


def validate(settings: Settings) -> None:
    """Raise ConfigError for values that have the right type and still cannot work."""
    if not settings.room.strip():
        raise ConfigError("room is empty")
    for name in settings.sinks:
        if not name.isidentifier():
            raise ConfigError(f"[sinks.{name}]: a sink's name is made of letters, digits and _")
    for key, endpoint in (
        ("publish.turns", settings.turns_endpoint),
        ("runtime_dir", settings.control_endpoint("transcription")),
        *(("runtime_dir", settings.control_endpoint(f"delivery/{name}")) for name in settings.sinks),
    ):
        _check_endpoint(key, endpoint)
    if settings.engine.url:
        _check_url(settings.engine.url, local=settings.engine.service == "local")
    if settings.capture.channel < 0:
        raise ConfigError("capture.channel counts from 1; 0 mixes all channels")
    for key, value, low, high in (
        ("stop_timeout_s", settings.stop_timeout_s, 1, 3600),
        ("meeting.gap_min", settings.meeting.gap_min, 0.1, 24 * 60),
        ("journal.memory_s_max", settings.journal.memory_s_max, 10, 12 * 3600),
        ("engine.update_interval_s", settings.engine.update_interval_s, 0.1, 5),
    ):
        if not low <= value <= high:
            raise ConfigError(f"{key} = {value} is not between {low} and {high}")
    _check_session(settings.session)


def require_credentials(settings: Settings) -> None:
    """Raise ConfigError where the service needs a key and none is found."""
    if settings.service == "assemblyai" and not settings.api_key():
        raise ConfigError(
            f"no AssemblyAI key: put it into {KEY_NAME}, a .env file or the credential assemblyai.key, "
            'or set [engine] service = "local"'
        )


# What the service closes the session for (reference: 3006), said before it is opened.
_RANGES: Final = {
    "end_of_turn_confidence_threshold": (0, 1),
    "vad_threshold": (0, 1),
    "voice_focus_threshold": (0, 1),
    "interruption_delay": (0, 1000),
    "inactivity_timeout": (5, 3600),
    "max_speakers": (1, 10),
    "speaker_labels_revision_interval_ms": (0, 3_600_000),
    "min_turn_silence": (50, 10_000),
    "max_turn_silence": (50, 10_000),
}
PROMPT_CHARACTERS_MAX: Final = 1750
KEYTERMS_MAX: Final = 100
KEYTERM_CHARACTERS_MAX: Final = 50


def _check_session(session: StreamingSession) -> None:
    for key, (low, high) in _RANGES.items():
        value = getattr(session, key)
        if value is not None and not low <= value <= high:
            raise ConfigError(f"session.{key} = {value} is not between {low} and {high}")
    for key in ("prompt", "agent_context"):
        if len(getattr(session, key) or "") > PROMPT_CHARACTERS_MAX:
            raise ConfigError(f"session.{key} is longer than {PROMPT_CHARACTERS_MAX} characters")
    terms = session.keyterms_prompt or ()
    if len(terms) > KEYTERMS_MAX:
        raise ConfigError(f"session.keyterms_prompt has {len(terms)} terms; the service takes {KEYTERMS_MAX}")
    for term in terms:
        if len(term) > KEYTERM_CHARACTERS_MAX:
            raise ConfigError(
                f"session.keyterms_prompt: {term[:20]!r}… is over {KEYTERM_CHARACTERS_MAX} characters"
            )
    if session.voice_focus_threshold is not None and session.voice_focus is None:
        raise ConfigError("session.voice_focus_threshold needs session.voice_focus")
    if len(session.language_codes or ()) > 10:
        raise ConfigError("session.language_codes has more than 10 languages")


def _check_endpoint(key: str, endpoint: str) -> None:
    scheme, _, address = endpoint.partition("://")
    if scheme == "ipc":
        if len(os.fsencode(address)) > SOCKET_PATH_BYTES_MAX:
            raise ConfigError(f"{key}: the socket path {address} is over {SOCKET_PATH_BYTES_MAX} bytes")
        if not address.startswith("/"):
            raise ConfigError(f"{key}: the socket path {address!r} must be absolute")
    elif scheme == "tcp":
        raise ConfigError(f"{key}: tcp:// needs CURVE keys, which this version does not have; use ipc://")
    else:
        raise ConfigError(f"{key}: {endpoint!r} is not an ipc:// address")


def _check_url(url: str, *, local: bool) -> None:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ConfigError(f"engine.url: {url!r} has no valid port") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigError(f"engine.url: {url!r} is not a ws:// or wss:// address")
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if local and (parts.scheme != "ws" or port is None or not loopback):
        raise ConfigError(f'engine.url: the local engine listens on "ws://127.0.0.1:PORT", not {url!r}')


_T = TypeVar("_T")

_RENAMED: Final = {
    "session.min_end_of_turn_silence_when_confident": "is the old name of min_turn_silence",
    "session.noise_suppression_model": "is the old name of voice_focus",
    "session.noise_suppression_threshold": "is the old name of voice_focus_threshold",
    "session.language_code": "is deprecated; use language_codes",
    "session.sample_rate": "is always 16000; minuted resamples",
    "session.encoding": "is always pcm_s16le",
    "session.llm_gateway": "is not offered: the answers have no place in the record",
    "engine.key": "does not belong in this file: see README, the key",
    "engine.api_key": "does not belong in this file: see README, the key",
}


def build(cls: type[_T], table: Mapping[str, Any], where: str, *, hidden: Iterable[str] = ()) -> _T:
    """Make a dataclass of options from a TOML table.

    `where` names the table in errors. Raises ConfigError for an unknown key (with a did-you-mean),
    a wrong type or a missing option that has no default.
    """
    known = {option.name: option for option in options(cls) if option.name not in hidden}
    prefix = f"{where}." if where else ""
    for key in table:
        if key in known:
            continue
        if note := _RENAMED.get(prefix + key):
            raise ConfigError(f"{prefix}{key} {note}")
        close = difflib.get_close_matches(key, known, 1, 0.6)
        hint = f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(known)}" if known else ""
        raise ConfigError(f"{f'[{where}]: ' if where else ''}unknown key {key!r}{hint}")
    for name, option in known.items():
        if name not in table and option.default is MISSING and option.default_factory is MISSING:
            raise ConfigError(f"[{where}]: {name!r} is missing and has no default")
    hints = typing.get_type_hints(cls)
    given = {key: _convert(hints[key], value, prefix + key) for key, value in table.items()}
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"[{where}]: {error}") from None


def options(cls: type) -> tuple["Field[Any]", ...]:
    """Give the options a dataclass declares: its public fields."""
    return tuple(option for option in fields(cls) if option.init and not option.name.startswith("_"))


def _value(cls: type, name: str, value: Any, where: str) -> Any:
    return _convert(typing.get_type_hints(cls)[name], value, where)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Give a TOML value as the option's type, or raise ConfigError in words a person understands."""
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        inner = [member for member in typing.get_args(hint) if member is not types.NoneType]
        if len(inner) > 1:
            for member in inner:
                try:
                    return _convert(member, value, where)
                except ConfigError:
                    continue
            raise ConfigError(f"{where} cannot be {_shown(value)}")
        return _convert(inner[0], value, where)
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, _table(value, where), where)
    if origin is Literal:
        choices = [choice for choice in typing.get_args(hint) if choice != ""]
        if value in typing.get_args(hint):
            return value
        wanted = " or ".join(f'"{choice}"' for choice in choices)
        raise ConfigError(f"{where} is {wanted}, not {_shown(value)}")
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is a list, not {_shown(value)}")
        member = typing.get_args(hint)[0]
        return origin(_convert(member, item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict or hint is dict:
        return dict(_table(value, where))
    convert, wanted, accepted = _PLAIN.get(hint, (None, "", ()))
    if convert is None:
        return value
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where} is {wanted}, not {_shown(value)}")
    return convert(value)


_PLAIN: Final[dict[Any, tuple[Callable[[Any], Any], str, tuple[type, ...]]]] = {
    bool: (bool, "true or false", (bool,)),
    int: (int, "a whole number", (int,)),
    float: (float, "a number", (int, float)),
    str: (str, "a string", (str,)),
    Path: (lambda value: Path(value).expanduser(), "a path", (str, Path)),
}


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is a table, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"


def docstrings(cls: type) -> dict[str, str]:
    """Give the one-line docstring that stands below each field of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[before.target.id] = inspect.cleandoc(str(after.value.value))
    return found


def sample() -> str:
    """Write the sample configuration: every key, its meaning and its default, commented out."""
    lines = ["# minuted.toml: every key with its default. Uncomment what you change.", ""]
    lines += _sample_keys(Settings(), Settings)
    for section in fields(Settings):
        value = getattr(Settings(), section.name)
        if is_dataclass(value) and not isinstance(value, type):
            heading = (inspect.getdoc(type(value)) or "").splitlines()[0]
            lines += [f"[{section.name}]  # {heading}", *_sample_keys(value, type(value))]
    lines += [_SINKS_SAMPLE]
    return "\n".join(lines)


def _sample_keys(values: Any, cls: type) -> list[str]:
    lines = []
    notes = docstrings(cls)
    for option in options(cls):
        value = getattr(values, option.name)
        if option.name not in notes or is_dataclass(value):
            continue
        lines += [f"# {line}" for line in notes[option.name].splitlines()]
        lines += [f"#{option.name} = {_toml(value)}" if value is not None else f"#{option.name} =", ""]
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


_SINKS_SAMPLE: Final = """\
# A table per sink: its name is its module's file name; `use = "webhook"` lets one module serve twice,
# `enabled = false` switches it off. `minuted sinks` lists every sink and its options.

[sinks.file_log]
path = "/var/lib/minuted/turns.jsonl"

#[sinks.webhook]
#url = "https://example.org/turns"
#secret_file = "/etc/minuted/webhook.secret"

#[sinks.srt]
#directory = "/var/lib/minuted/srt"
"""

if __name__ == "__main__":
    print(sample(), end="")
