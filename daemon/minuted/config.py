"""minuted.toml as typed settings: the only reader of configuration files and of the environment.

The sections' defaults and one-line docstrings are also the sample in `deploy/minuted.toml`
(`python -m minuted.config` prints it). Anything the file says that is not
known here, or has the wrong type, is a ConfigError with a line a person can act on.
"""

import inspect
import os
import re
import stat
import tempfile
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from minuted.addresses import LOOPBACK, SOCKET_PATH_BYTES_MAX, check_socket, check_tcp, check_url
from minuted.credentials import (
    ENGINE_KEY_NAME,
    HANDED_DOWN,
    HIDDEN_NAME,
    KEY_CREDENTIAL,
    KEY_NAME,
    TOKEN_SECRET_CREDENTIAL,
    TOKEN_SECRET_NAME,
    find,
    read,
    shared_key,
)
from minuted.live_settings import Profile, profiles_of, read_terms, with_terms
from minuted.options import (
    ConfigError,
    InputError,
    build,
    not_toml,
    options,
    path_of,
    sample_of,
    table_of,
    value_of,
)
from minuted.runtime import guard, rights, texts
from minuted.sections import (
    MICROPHONE,
    Capture,
    Cost,
    Engine,
    Journal,
    Meeting,
    Publish,
    SinkTable,
    SoundSource,
    TokenServer,
    check_access,
    check_range,
    check_ranges,
    check_sources,
)
from minuted.session_settings import StreamingSession, check_session

# Read through here, wherever it is made.
__all__ = [
    "ENGINE_KEY_NAME",
    "HANDED_DOWN",
    "HIDDEN_NAME",
    "KEY_CREDENTIAL",
    "KEY_NAME",
    "LOOPBACK",
    "MICROPHONE",
    "SOCKET_PATH_BYTES_MAX",
    "TOKEN_SECRET_CREDENTIAL",
    "TOKEN_SECRET_NAME",
    "Capture",
    "ConfigError",
    "Cost",
    "Engine",
    "InputError",
    "Journal",
    "Meeting",
    "Publish",
    "Settings",
    "SinkTable",
    "SoundSource",
    "StreamingSession",
    "TokenServer",
    "build",
    "load",
    "parse",
    "sample",
]

PLACES: Final = (Path("minuted.toml"), Path("/etc/minuted/minuted.toml"))
_STAGES: Final = ("supervisor", "transcription", "engine")

SERVICE_NAME: Final = "MINUTED_SERVICE"
"""The environment's name for the service a supervisor has decided on: its children see no key."""
ACCEPTED_NAME: Final = "MINUTED_ACCEPTED"
"""The environment's name for the copy of the configuration that a run goes by, whatever is in the file."""
RUN_NAME: Final = "MINUTED_RUN"
"""The environment's name for the run a supervisor's processes belong to: its recording is played once."""
STATE_NAME: Final = "MINUTED_STATE_DIR"
RUNTIME_NAME: Final = "MINUTED_RUNTIME_DIR"
"""The environment's names for folders that are used instead of the configured ones."""
BUNDLED_SINKS: Final = next(
    (
        folder
        for folder in (Path(__file__).parent / "sinks", Path(__file__).parents[2] / "sinks")
        if folder.is_dir()
    ),
    Path(__file__).parent / "sinks",
)
"""Inside an installed package, or beside `daemon/` in a checkout."""


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
    capture: Capture = field(default_factory=Capture)
    engine: Engine = field(default_factory=Engine)
    session: StreamingSession = field(default_factory=StreamingSession)
    meeting: Meeting = field(default_factory=Meeting)
    journal: Journal = field(default_factory=Journal)
    publish: Publish = field(default_factory=Publish)
    cost: Cost = field(default_factory=Cost)
    token_server: TokenServer = field(default_factory=TokenServer)
    profiles: dict[str, Profile] = field(default_factory=dict)
    sinks: dict[str, SinkTable] = field(default_factory=dict)
    path: Path | None = None

    @property
    def turns_endpoint(self) -> str:
        """Where programs on this machine hear turns; over TCP there may be a door besides."""
        own = "" if self.door_endpoint else self.publish.turns
        return own or f"ipc://{self.runtime_dir}/turns.sock"

    @property
    def door_endpoint(self) -> str:
        """Where the network hears turns: tcp://…, or "" where it does not."""
        return self.publish.turns if self.publish.turns.startswith("tcp://") else ""

    @property
    def replay_endpoint(self) -> str:
        """`replay.sock` beside the turn socket."""
        folder = self.turns_endpoint.removeprefix("ipc://").rpartition("/")[0]
        return f"ipc://{folder}/replay.sock"

    @property
    def sources(self) -> tuple[SoundSource, ...]:
        """What is heard: the tables of `[[capture.sources]]`, else the one source of `[capture]`."""
        one = self.capture
        return one.sources or (
            SoundSource(name="", source=one.source, device=one.device, channel=one.channel),
        )

    def source(self, name: str) -> SoundSource:
        """Give the source of that name; "" is the only one. Raises ConfigError."""
        for source in self.sources:
            if source.name == name:
                return source
        names = ", ".join(source.name for source in self.capture.sources)
        if not names:
            raise ConfigError(f"there is no [[capture.sources]] table, so none is called {name!r}")
        raise ConfigError(f"name the source, one of {names}" + (f"; none is {name!r}" if name else ""))

    @property
    def frames_endpoint(self) -> str:
        return self.frames_of("")

    def frames_of(self, source: str) -> str:
        """Where the frames of a source go."""
        return f"ipc://{self.runtime_dir}/frames{f'-{source}' if source else ''}.sock"

    def audio_dir(self, source: str) -> Path:
        """Where the sound of a source is kept until it is safe."""
        return self.state_dir / (f"audio-{source}" if source else "audio")

    def control_endpoint(self, stage: str) -> str:
        """Where `stage` ("capture", "delivery/webhook", "supervisor" …) answers requests."""
        return f"ipc://{self.runtime_dir}/control-{stage.replace('/', '-')}.sock"

    @property
    def service(self) -> Literal["assemblyai", "local"]:
        """What `engine.service` is or defaults to."""
        decided = self.engine.service or os.environ.get(SERVICE_NAME)
        if decided == "assemblyai" or (decided != "local" and (self.takes_tokens or self.api_key())):
            return "assemblyai"
        return "local"

    @property
    def service_url(self) -> str:
        """Where sessions are opened; empty where the local engine takes any free port."""
        if self.engine.url or self.service == "local":
            return self.engine.url
        return "wss://streaming.assemblyai.com"

    def api_key(self) -> str:
        """Give the service's key, or "" where there is none: a credential, the environment, a .env file."""
        return find(KEY_CREDENTIAL, KEY_NAME, self.key_files, self.path)

    @property
    def takes_tokens(self) -> bool:
        """Whether sessions are opened by temporary tokens that others mint, and not by the key."""
        return bool(self.engine.token_url or self.engine.token_command)

    def token_secret(self) -> str:
        """Give the secret for `engine.token_url`, or "" where there is none."""
        if file := self.engine.token_secret_file:
            return read(file)
        return find(TOKEN_SECRET_CREDENTIAL, TOKEN_SECRET_NAME, self.key_files, self.path)

    @property
    def key_files(self) -> tuple[Path, ...]:
        """The .env files a key may be in."""
        return (Path(".env"), *([self.path.parent / ".env"] if self.path else []))

    def engine_key(self) -> str:
        """Return the key that the local engine asks for: the supervisor's, else the one in runtime_dir.

        Raises ConfigError where the file there cannot be read or made.
        """
        return os.environ.get(ENGINE_KEY_NAME) or shared_key(self.runtime_dir / "engine.key")

    def with_recording(self, recording: Path, pace: str | None) -> "Settings":
        """Take the sound from a recording instead, as `run --input` does."""
        capture = replace(self.capture, source=str(recording), sources=())
        return replace(self, capture=capture).with_pace(pace)

    def with_pace(self, pace: str | None) -> "Settings":
        """Play recordings at another pace, where one is given."""
        if not pace:
            return self
        return replace(self, capture=replace(self.capture, pace=value_of(Capture, "pace", pace, "--pace")))


def load(path: Path | None = None) -> Settings:
    """Read the configuration: `path`, else the first of PLACES that exists, else the defaults.

    Raises ConfigError for a file that cannot be read or says something wrong.
    """
    return load_with_text(path)[0]


def found() -> Path | None:
    """Return the configuration that is read where none is named; None where there is none."""
    return next((place for place in PLACES if _is_there(place)), None)


def load_with_text(path: Path | None) -> tuple[Settings, str]:
    """Read the configuration, and give its text too. Raises ConfigError.

    In a supervisor's process the text is the one that the supervisor has accepted.
    """
    accepted = os.environ.get(ACCEPTED_NAME)
    named = path is not None
    if path is None and not accepted:
        path = found()
    source = Path(accepted) if accepted else path
    if source is None:
        return in_other_folders(Settings(), os.environ), ""
    try:
        with source.open("rb") as file:
            # What is open now cannot be another file later.
            if not accepted:
                _judge(source, file.fileno(), named=named)
            data = file.read()
    except OSError as error:
        if isinstance(error, PermissionError) and (refusal := rights.refusal(source)):
            raise ConfigError(refusal) from None
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    try:
        text = texts.text_of(data)
    except ValueError as error:
        raise ConfigError(f"{source}: cannot be read: {error}") from None
    try:
        return in_other_folders(parse(text, path), os.environ), text
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _is_there(place: Path) -> bool:
    """Whether there is a configuration at one of PLACES. Raises ConfigError where this user may not look."""
    try:
        return stat.S_ISREG(place.stat().st_mode)
    except PermissionError:
        # A working folder that is closed to this user holds nothing of theirs.
        if place.is_absolute():
            raise ConfigError(rights.refusal(place) or f"{place} may not be read") from None
        return False
    except (OSError, ValueError):
        return False


def in_other_folders(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Return the settings for the folders that the environment names, if it does. Raises ConfigError.

    Whatever two runs cannot share moves along: sockets, the engine's port, and the files of sinks.
    """
    if not (state := environment.get(STATE_NAME)):
        return settings
    state_dir = Path(state)
    moved = replace(
        settings,
        state_dir=state_dir,
        runtime_dir=Path(environment.get(RUNTIME_NAME) or _sockets_of(state_dir)),
        publish=replace(settings.publish, turns=""),
        sinks={
            name: replace(sink, options=_moved(sink.options, settings.state_dir, state_dir))
            for name, sink in settings.sinks.items()
        },
    )
    if moved.service == "local":
        moved = replace(moved, engine=replace(moved.engine, url=""))
    validate(moved)
    return moved


def _sockets_of(state_dir: Path) -> Path:
    """Return where the sockets of another state_dir are: the path of one may not be long."""
    mark = zlib.crc32(os.fsencode(state_dir.absolute()))
    return Path(tempfile.gettempdir(), f"minuted-{os.geteuid()}-{mark:08x}")


def _moved(options: dict[str, Any], old: Path, new: Path) -> dict[str, Any]:
    """Return a sink's options with its files beneath another folder."""
    moved = dict(options)
    for key, value in options.items():
        if not isinstance(value, str):
            continue
        place = Path(value).expanduser()
        if place.is_relative_to(old):
            moved[key] = str(new / place.relative_to(old))
        elif key in ("path", "directory") and place.name:
            moved[key] = str(new / place.name)
    return moved


def _judge(path: Path, descriptor: int, *, named: bool) -> None:
    """Raise ConfigError for an open configuration file that others could change, or that nobody chose.

    It says what is run, and with whose rights.
    """
    if not named and (whose := guard.foreign(path)):
        raise ConfigError(f"{path.absolute()} is taken only where --config names it: {whose}")
    if changed := guard.changeable(path):
        raise ConfigError(changed)
    if not os.path.samestat(os.fstat(descriptor), path.stat()):
        raise ConfigError(f"{path} has just been replaced: ask again")


def parse(text: str, path: Path | None = None) -> Settings:
    """Turn a configuration's text into settings. Raises ConfigError.

    Relative paths begin at the folder of the file at `path`, wherever and by whom a command is run.
    """
    folder = path.absolute().parent if path else None
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise not_toml(text, error) from None
    table = dict(table)
    profiles = profiles_of(table.get("profiles", {}))
    sinks = {}
    for name, sink in table_of(table.pop("sinks", {}), "sinks").items():
        where = f"sinks.{name}"
        own = dict(table_of(sink, where))
        common: dict[str, Any] = {key: own.pop(key) for key in ("use", "enabled") if key in own}
        sinks[name] = replace(
            build(SinkTable, common, where, hidden=("options", "folder"), known_names=_RENAMED),
            options=own,
            folder=folder,
        )
    known_names = {**_misplaced(), **_RENAMED}
    settings = build(Settings, table, "", hidden=("sinks", "path"), known_names=known_names, folder=folder)
    settings = replace(
        settings,
        capture=_with_places(settings.capture, folder),
        profiles=profiles,
        sinks=sinks,
        path=path,
    )
    validate(settings)
    return settings


def _with_places(capture: Capture, folder: Path | None) -> Capture:
    """Return what is heard with recordings by the paths they were meant by. Raises ConfigError."""

    def placed(where: str, source: str) -> str:
        if source == MICROPHONE:
            return source
        try:
            return str(path_of(source, folder))
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"{where} cannot be {source!r}: {error}") from None

    sources = [
        replace(each, source=placed(f"capture.sources[{place}].source", each.source))
        for place, each in enumerate(capture.sources)
    ]
    return replace(capture, source=placed("capture.source", capture.source), sources=tuple(sources))


def validate(settings: Settings) -> None:
    """Raise ConfigError for values that have the right type and still cannot work."""
    if not settings.room.strip():
        raise ConfigError("room is empty")
    for name in settings.sinks:
        if not name.isidentifier():
            instead = re.sub(r"\W", "_", name)
            raise ConfigError(
                f"[sinks.{name}]: a sink's name is made of letters, digits and _: write [sinks.{instead}], "
                f"and call its file {instead}.py"
            )
    # Sockets are named after sources.
    check_sources(settings.capture)
    own = [
        *(settings.frames_of(source.name) for source in settings.sources),
        *(settings.control_endpoint(source.stage) for source in settings.sources),
        *(settings.control_endpoint(stage) for stage in _STAGES),
        *(settings.control_endpoint(f"delivery/{name}") for name in settings.sinks),
    ]
    if settings.door_endpoint:
        check_tcp("publish.turns", settings.door_endpoint)
    turns_key = "publish.turns" if settings.publish.turns and not settings.door_endpoint else "runtime_dir"
    check_socket(turns_key, settings.turns_endpoint)
    check_socket(turns_key, settings.replay_endpoint)
    for endpoint in own:
        check_socket("runtime_dir", endpoint)
    if settings.turns_endpoint in (settings.replay_endpoint, *own):
        raise ConfigError(
            f"publish.turns: {settings.turns_endpoint} is another socket's; choose another name"
        )
    if settings.engine.url:
        check_url(settings.engine.url, local=settings.engine.service == "local")
    check_range("stop_timeout_s", settings.stop_timeout_s, 1, 3600)
    check_ranges(settings.capture, settings.engine, settings.meeting, settings.journal)
    check_access(settings.engine, settings.cost, settings.token_server)
    check_session(settings.session)


def require_credentials(settings: Settings) -> None:
    """Raise ConfigError where the service needs a key, or a token server a secret, and none is found."""
    if settings.service != "assemblyai" or settings.engine.token_command:
        return
    if settings.engine.token_url:
        if not settings.token_secret():
            raise ConfigError(
                f"no secret for engine.token_url: put it into {TOKEN_SECRET_NAME}, a .env file, "
                "the credential token.secret or the file engine.token_secret_file"
            )
    elif not settings.api_key():
        raise ConfigError(
            f"no AssemblyAI key: put it into {KEY_NAME}, a .env file or the credential assemblyai.key, "
            'or set [engine] service = "local"'
        )


def require_keyterms(settings: Settings) -> None:
    """Raise ConfigError where the file of key terms is missing, or has what the service would not take."""
    if settings.session.keyterms_file:
        try:
            with_terms(settings.session, read_terms(settings.session.keyterms_file))
        except ConfigError as error:
            raise ConfigError(f"session.keyterms_file: {error}") from None


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
    "engine.token": "does not belong in this file: see README, tokens",
    "engine.token_secret": "does not belong in this file: name the file in engine.token_secret_file",
}


@cache
def _misplaced() -> Mapping[str, str]:
    """Return where a key belongs that stands in another table: its header may still be a comment."""
    values = {field.name: getattr(Settings(), field.name) for field in fields(Settings)}
    sections = {name: type(value) for name, value in values.items() if is_dataclass(value)}
    keys = {name: {option.name for option in options(cls)} for name, cls in sections.items()}
    keys[""] = {option.name for option in options(Settings)} - keys.keys()
    return {
        f"{place}.{key}".removeprefix("."): (
            f"belongs into [{section}]: does that line stand above it, and is it no comment?"
            if section
            else f"belongs to the top of the file, above every [section]; here it is in [{place}]"
        )
        for place in keys
        for section, own in keys.items()
        for key in own - keys[place]
    }


def sample() -> str:
    """Return the sample configuration: every key, its meaning and its default, commented out.

    The headers are comments too: a table that is pasted below would else stand twice.
    """
    lines = ["# minuted.toml: every key with its default. Uncomment what you change, and the", _HEADERS, ""]
    lines += sample_of(Settings(), Settings)
    for section in fields(Settings):
        value = getattr(Settings(), section.name)
        if is_dataclass(value) and not isinstance(value, type):
            heading = (inspect.getdoc(type(value)) or "").splitlines()[0]
            lines += [f"#[{section.name}]  # {heading}", *sample_of(value, type(value))]
    lines += [_PROFILES_SAMPLE, _SINKS_SAMPLE]
    return "\n".join(lines)


_HEADERS: Final = "# [section] above it; or write tables of your own at the end, as README shows them."
_PROFILES_SAMPLE: Final = """\
# A table per profile: what it changes of [session] while a session is open, and nothing else.
# `minuted configure --profile interview` switches to it, `--profile none` back.

#[profiles.interview]
#keyterms_prompt = ["metformin", "Siobhan"]
#max_turn_silence = 2000
"""
_SINKS_SAMPLE: Final = """\
# A table per sink: its name is its module's file name; `use = "webhook"` lets one module serve twice,
# `enabled = false` switches it off, `timeout_s` (600) bounds each call. `minuted sinks` lists every sink
# and its options.

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
