"""The sections of minuted.toml: frozen dataclasses whose defaults and docstrings are the sample too."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from minuted.addresses import check_listen, check_secret_url
from minuted.options import ConfigError

MICROPHONE: Final = "microphone"
SOURCES_MAX: Final = 4
"""Each is a session of its own, and costs one."""
NAME_CHARACTERS_MAX: Final = 16
"""Of a source's name: it is part of sockets' paths and of subtitles' labels."""


@dataclass(frozen=True, kw_only=True)
class SoundSource:
    """One of several sources: a `[[capture.sources]]` table, or all there is, whose name is empty."""

    name: str
    source: str = MICROPHONE
    device: str = ""
    channel: int = 0

    @property
    def stage(self) -> str:
        """Name the process that hears it."""
        return f"capture/{self.name}" if self.name else "capture"

    @property
    def is_recording(self) -> bool:
        return self.source != MICROPHONE


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
    sources: tuple[SoundSource, ...] = ()
    """Several sources at once, such as the table and the far end of a call: a table each instead of the keys
    above (but pace), like this one. Each has a session of its own: two cost twice as much.
      [[capture.sources]]
      name = "table"
      device = "Jabra"
      channel = 0
    The name is the `channel` of its turns, and source, device and channel are as above."""


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
    sessions_max: int = 2
    """Sessions open at once, of each source: 2 catch up with an outage behind the live one; 1 works it off
    first."""
    live_first_s: float = 5.0
    """A break longer than this is caught up with behind the live session; a shorter one within it."""
    idle_after_s: float = 60.0
    """Seconds without speech after which the session is closed until somebody speaks; 0 keeps it open."""
    update_interval_s: float = 1.0
    """How often the local engine refreshes a partial turn; see README for what it costs."""
    token_url: str = ""
    """Where a `minuted token-server` gives a temporary token for each session: no key is needed here.
    Its secret is the credential token.secret, MINUTED_TOKEN_SECRET, in a .env file, or token_secret_file."""
    token_secret_file: Path | None = None
    """A file with the secret that `minuted token-server clients new NAME` gave for this room."""
    token_command: tuple[str, ...] = ()
    """A program and its arguments that prints a temporary token, or {"token": …}; no shell is in between."""


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """What counts as one meeting."""

    gap_min: float = 10.0
    """Minutes without a word after which the next word begins a new meeting; a recording is always one."""


@dataclass(frozen=True, kw_only=True)
class Journal:
    """What is kept until it is safe."""

    audio: Literal["disk", "memory"] = "disk"
    """Where sound waits until its words are safe. "memory": not on the disk; a killed process loses it."""
    audio_hours_max: float = 12.0
    """Hours of sound kept on the disk while the service is away (120 MB each); the oldest goes first."""
    memory_s_max: float = 600.0
    """Seconds of sound kept in memory: with audio = "memory", or while the disk is full. The oldest goes."""
    turns_days: float = 90.0
    """Days for which finals, revisions and gaps can be replayed; what a sink still lacks is kept longer."""


@dataclass(frozen=True, kw_only=True)
class Publish:
    """Where other programs subscribe to the turns."""

    turns: str = ""
    """The turn socket; unset: ipc://<runtime_dir>/turns.sock. The replay socket stands beside it.
    "tcp://0.0.0.0:5555" serves the network too, the replay on the next port: only for clients with a key
    (`minuted keys new NAME`), whose list is the folder <state_dir>/keys/clients. A key that is revoked is
    refused from then on; within a second every connection over TCP is dropped, and the others come back."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the service's sessions cost: by the time they are open, in US dollars."""

    per_hour: float = 0.45
    """The price of a session hour; 0.45 is the list price of the U3 models. The local engine is free."""
    daily_limit: float = 0.0
    """Dollars a day (local time) at which sessions end; sound is kept until tomorrow. 0: no limit."""


@dataclass(frozen=True, kw_only=True)
class TokenServer:
    """`minuted token-server`: gives rooms temporary tokens, so that only this machine holds the key."""

    listen: str = "127.0.0.1:8970"
    """The address and port it listens on; other than 127.0.0.1 only with a certificate."""
    certificate: Path | None = None
    """The PEM file with its certificate, for HTTPS; needs private_key."""
    private_key: Path | None = None
    """The PEM file with that certificate's key."""
    clients: Path | None = None
    """The list of clients and their secrets' hashes; unset: <state_dir>/token-clients."""
    expires_s: int = 60
    """Seconds, 1 to 600, within which a token has to be used to open a session."""
    session_s_max: int = 10800
    """Seconds, 60 to 10800, that a session opened by a token may last."""
    per_minute: int = 30
    """Tokens a client may have a minute; more are refused with 429."""


@dataclass(frozen=True, kw_only=True)
class SinkTable:
    """One `[sinks.NAME]` table. What is left in `options` belongs to the sink's module."""

    use: str = ""
    """The module that serves it; unset: the one of the same name."""
    enabled: bool = True
    """False switches the sink off and keeps its table."""
    options: dict[str, Any] = field(default_factory=dict, repr=False)  # secrets may be among them
    folder: Path | None = None
    """Where its relative paths begin."""


def check_ranges(capture: Capture, engine: Engine, meeting: Meeting, journal: Journal) -> None:
    """Raise ConfigError for values that have the right type and still cannot work."""
    if capture.channel < 0:
        raise ConfigError("capture.channel counts from 1; 0 mixes all channels")
    for key, value, low, high in (
        ("meeting.gap_min", meeting.gap_min, 0.1, 24 * 60),
        ("journal.memory_s_max", journal.memory_s_max, 10, 12 * 3600),
        ("journal.audio_hours_max", journal.audio_hours_max, 0.05, 24 * 7),
        ("journal.turns_days", journal.turns_days, 1, 3650),
        ("engine.sessions_max", engine.sessions_max, 1, 8),
        ("engine.live_first_s", engine.live_first_s, 1, 3600),
        ("engine.idle_after_s", engine.idle_after_s or 60.0, 1, 24 * 3600),
        ("engine.update_interval_s", engine.update_interval_s, 0.1, 5),
    ):
        check_range(key, value, low, high)


def check_access(engine: Engine, cost: Cost, token_server: TokenServer) -> None:
    """Raise ConfigError for values of these that cannot work."""
    if engine.token_url and engine.token_command:
        raise ConfigError("engine.token_url and engine.token_command: choose one")
    if engine.token_url:
        check_secret_url("engine.token_url", engine.token_url)
    if engine.token_command and not engine.token_command[0]:
        raise ConfigError("engine.token_command begins with the program's name")
    if cost.daily_limit and not cost.per_hour:
        raise ConfigError("cost.daily_limit needs a price: set cost.per_hour")
    check_listen("token_server.listen", token_server.listen, has_tls=token_server.certificate is not None)
    if (token_server.certificate is None) != (token_server.private_key is None):
        raise ConfigError("token_server.certificate and token_server.private_key need each other")
    for key, value, low, high in (
        ("cost.per_hour", cost.per_hour, 0, 10_000),
        ("cost.daily_limit", cost.daily_limit, 0, 1_000_000),
        ("token_server.expires_s", token_server.expires_s, 1, 600),
        ("token_server.session_s_max", token_server.session_s_max, 60, 10_800),
        ("token_server.per_minute", token_server.per_minute, 1, 1000),
    ):
        check_range(key, value, low, high)


def check_sources(capture: Capture) -> None:
    """Raise ConfigError for sources that cannot be heard side by side."""
    sources = capture.sources
    if not sources:
        return
    if len(sources) > SOURCES_MAX:
        raise ConfigError(f"[[capture.sources]]: {len(sources)} are more than {SOURCES_MAX}")
    for key in ("source", "device", "channel"):
        if getattr(capture, key) != getattr(Capture(), key):
            raise ConfigError(f"capture.{key}: with [[capture.sources]] it belongs into one of those tables")
    for place, source in enumerate(sources):
        where = f"capture.sources[{place}]"
        if not source.name.isidentifier() or len(source.name) > NAME_CHARACTERS_MAX:
            raise ConfigError(
                f"{where}.name: {source.name!r} is not a name of letters, digits and _, "
                f"{NAME_CHARACTERS_MAX} characters at most"
            )
        if source.channel < 0:
            raise ConfigError(f"{where}.channel counts from 1; 0 mixes all channels")
        for other in sources[:place]:
            if source.name.casefold() == other.name.casefold():
                raise ConfigError(f"{where}: there is another source called {source.name!r}")
            if replace(source, name="") == replace(other, name=""):
                raise ConfigError(
                    f"{where}: {source.name!r} and {other.name!r} are the same sound, to be paid for twice"
                )
    if len({source.is_recording for source in sources}) > 1:
        raise ConfigError("[[capture.sources]]: either all are microphones, or all are recordings")


def check_range(key: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError for a number outside its range."""
    if not low <= value <= high:
        raise ConfigError(f"{key} = {value} is not between {low} and {high}")
