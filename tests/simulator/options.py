"""How the simulated service behaves when nothing is wrong."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Options:
    """The defaults keep the documented rules and answer at once; `lifelike` also takes the time."""

    keys: tuple[str, ...] = ()
    """The keys that are known; none: any key but a Bearer one."""
    tokens_once: bool = False
    """A token opens one session, as documented; the real service was seen to take it again."""
    default_model: str = "universal-3-6-pro"
    configuration: bool = True
    """Begin says what the session is set to; older sessions did not."""
    session_s: float = 10_798.0
    """From Begin to its `expires_at`; a token may make it shorter."""

    heartbeat_s: float = 5.0
    silence_ms: int = 1024
    signals: bool = True
    """False: Heartbeat and Silence are asked for and never come, which may be so on u3-rt-pro."""
    silence_in_open_turn: bool = False
    """Silence is also confirmed while a turn waits in a long pause; nobody knows that it is not."""

    pace_rate: float = 1.25
    pace_slack_s: float | None = 300.0
    """Sound received may exceed `pace_rate` x elapsed time by this; None: it is not checked."""
    strict_pace: bool = False
    """The letter of the documentation: never faster than real time, with 2 s for bursts."""
    drain_rate: float | None = None
    """Sound is worked off no faster than this many times real time; None: at once."""
    short_messages_max: int = 2
    """So many messages below 50 ms in a row are overlooked."""
    short_grace_s: float = 1.0
    """How long the service takes to mind more of them; 0 together with 0 messages: it minds at once."""

    begin_s: float = 0.0
    inference_s: float = 0.0
    """From the end of a turn, or a pause, to its message."""
    force_endpoint_s: float = 0.0
    terminate_s: float = 0.0
    """From Terminate to what it brings; longer than a client waits, for late finals."""
    latency_s: float = 0.0
    """On every message."""
    edge_padding: bool = False
    """Turns begin up to 990 ms early and end 240 ms to 1.3 s late, in the silence around them."""

    half_words: Literal["nothing", "mangled"] = "nothing"
    """What becomes of a word of which only a part arrived; mangled: "…ord0007", so that it shows."""
    empty_final: bool = False
    """One more final with no words in it comes at the end."""
    second_formatted_final: bool = False
    """Universal-Streaming with format_turns: an unformatted final, then a formatted one."""
    formatted_partials: bool = False
    """Partials say turn_is_formatted too, as some were seen to."""
    turn_ms_max: int | None = None
    """When a turn is cut; unset: 10 s with speaker labels, else 60 s."""

    short_turn_label: Literal["UNKNOWN", "PENDING"] | None = "UNKNOWN"
    """What the speaker of a turn below a second is called."""
    mislabel_every: int = 0
    """Each so-manieth turn carries another speaker's label until it is revised; 0: none does."""
    revision_ms_min: int = 120_000
    """A shorter revision interval is raised to this."""

    bare_revisions: bool = False
    """Revisions leave out what the SDK's models insist on, as they were seen to."""

    profane_every: int = 0
    """Each so-manieth word, by its number, is profanity; 0: none is."""
    personal_every: int = 0
    """Each so-manieth word is a person's name."""
    languages: tuple[str, ...] = ("en",)
    """The languages spoken, a turn's by its first word's number."""
    echo: dict[str, Any] | None = None
    """What Begin's configuration says otherwise than was asked for."""

    withhold_s: tuple[float, float] = (0.0, 0.0)
    """Between these seconds after the first session opened no turn is told, in any session."""
    drop_every: int = 0
    """Each so-manieth turn of a session is never told; 0: all are."""
    announces: bool = True
    """A turn that is not told is announced by its SpeechStarted all the same."""

    @property
    def pace(self) -> tuple[float, float | None]:
        return (1.0, 2.0) if self.strict_pace else (self.pace_rate, self.pace_slack_s)


def lifelike(**changes: Any) -> Options:
    """Give the options with the delays and the padding that were measured on the real service."""
    # The model alone takes 121 ms; with the rest a final came 420 ms after the last word.
    measured: dict[str, Any] = {
        "begin_s": 0.3,
        "inference_s": 0.25,
        "force_endpoint_s": 0.267,
        "terminate_s": 0.6,
        "drain_rate": 1.25,
        "edge_padding": True,
    }
    return Options(**(measured | changes))
