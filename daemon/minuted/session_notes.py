"""What a session's settings cost, switch off or leave without effect: worth knowing before a meeting. Pure.

Source: the vendor's streaming reference and price list as of November 2026.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from .session_settings import StreamingSession

Kind = Literal["costs", "switches off", "no effect", "refused"]
Family = Literal["english", "multilingual", "whisper", "u3-rt", "u3", "other"]


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to know of a key of `[session]`."""

    key: str
    kind: Kind
    text: str


def family_of(model: str) -> Family:
    """Name the kind of model; of "other" ones nothing is known."""
    if model.startswith("universal-streaming-"):
        return "english" if model.endswith("english") else "multilingual"
    if model.startswith("u3-rt"):
        return "u3-rt"
    if model.startswith("universal-3"):
        return "u3"
    return "whisper" if model.startswith("whisper") else "other"


US: Final = ("english", "multilingual")
U3: Final = ("u3-rt", "u3")
EFFECTIVE: Final[dict[str, tuple[Family, ...]]] = {
    # The models on which a parameter does anything, where that is not all of them.
    "format_turns": US,
    "end_of_turn_confidence_threshold": US,
    "keyterms_prompt": (*US, *U3),
    "prompt": U3,
    "continuous_partials": U3,
    "interruption_delay": U3,
    "language_detection": ("multilingual", *U3),
    "agent_context": ("u3",),
    "previous_context_n_turns": ("u3",),
    "language_codes": ("u3",),
    "mode": ("u3",),
}
NEEDS: Final = {
    "max_speakers": "speaker_labels",
    "speaker_labels_revision_interval_ms": "speaker_labels",
    "redact_pii_policies": "redact_pii",
    "redact_pii_sub": "redact_pii",
    "webhook_auth_header_name": "webhook_url",
    "webhook_auth_header_value": "webhook_url",
}
"""Parameters that do nothing without another."""
LOCAL_WITHOUT: Final = (
    *("agent_context", "domain", "filter_profanity", "keyterms_prompt", "language_codes"),
    *("language_detection", "previous_context_n_turns", "prompt", "speaker_labels", "vad_threshold"),
    *("voice_focus", "webhook_url"),
)
"""What the local engine does not have."""
INTERVAL_MS_MIN: Final = 120_000
UNWATCHED: Final = "partials (a session that tells no words is noticed at the end of a turn)"
"""What minuted itself goes without where there are no partials."""

_Rule = Callable[[StreamingSession, Family], str | None]


def has_partials(session: StreamingSession) -> bool:
    return session.include_partial_turns is not False and not session.redact_pii


def notes(session: StreamingSession, *, local: bool = False) -> list[Note]:
    """Give what there is to know, in the settings' order of importance."""
    if local:
        return [
            *([_refused] if session.redact_pii else []),
            *(
                Note(key, "no effect", "the local engine does not have it")
                for key in LOCAL_WITHOUT
                if getattr(session, key)
            ),
        ]
    family = family_of(session.speech_model)
    found = [
        Note(key, kind, text) for key, kind, rule in _RULES if (text := rule(session, family)) is not None
    ]
    for key, families in EFFECTIVE.items():
        if getattr(session, key) not in (None, False, ()) and family != "other" and family not in families:
            found.append(Note(key, "no effect", f"{session.speech_model} does not have it"))
    for key, needed in NEEDS.items():
        if getattr(session, key) not in (None, 0, ()) and not getattr(session, needed):
            found.append(Note(key, "no effect", f"it needs session.{needed}"))
    return found


_refused: Final = Note(
    "redact_pii", "refused", "the local engine cannot redact, and refuses a session rather than not do it"
)


def _labels(session: StreamingSession, family: Family) -> str | None:
    if not session.speaker_labels:
        return None
    slow = "there are no continuous partials (one about every 3 s); " if family in U3 else ""
    cut = "turns are cut at about 10 s; " if family == "u3" else ""
    return f"{cut}{slow}labels hold for one session, each later one has its own: A2, B2"


def _labels_silences(session: StreamingSession, family: Family) -> str | None:
    set_here = [key for key in ("min_turn_silence", "max_turn_silence") if getattr(session, key) is not None]
    if family != "u3" or not set_here or not (session.speaker_labels or session.mode):
        return None
    whose = "of telling speakers apart (640 and 768)" if session.speaker_labels else f"of mode {session.mode}"
    return f"{' and '.join(set_here)} hold as set here, instead of those {whose}"


def _mode_labels(session: StreamingSession, family: Family) -> str | None:
    both = session.mode and session.speaker_labels and family == "u3"
    return "speaker_labels puts a profile of its own in its place" if both else None


def _interval(session: StreamingSession, _: Family) -> str | None:
    given_ms = session.speaker_labels_revision_interval_ms or INTERVAL_MS_MIN
    raised = session.speaker_labels and given_ms < INTERVAL_MS_MIN
    return f"the service raises it to {INTERVAL_MS_MIN}" if raised else None


def _when(key: str, text: str, *families: Family) -> _Rule:
    """Say something of a key that is set, on some models or all."""

    def rule(session: StreamingSession, family: Family) -> str | None:
        value = getattr(session, key)
        return text if value not in (None, False, ()) and (not families or family in families) else None

    return rule


def _finals_only(session: StreamingSession, _: Family) -> str | None:
    return _NO_PARTIALS if session.include_partial_turns is False and not session.redact_pii else None


_NO_PARTIALS: Final = (
    "there are no partials: captions come turn by turn, and a session that stalls is noticed by its "
    "heartbeat alone"
)
_RULES: Final[tuple[tuple[str, Kind, _Rule], ...]] = (
    ("redact_pii", "costs", _when("redact_pii", "+$0.12 an hour")),
    ("redact_pii", "switches off", _when("redact_pii", _NO_PARTIALS)),
    ("include_partial_turns", "switches off", _finals_only),
    ("voice_focus", "costs", _when("voice_focus", "+$0.10 an hour")),
    ("keyterms_prompt", "costs", _when("keyterms_prompt", "+$0.04 an hour on this model", *US)),
    ("speaker_labels", "switches off", _labels),
    ("speaker_labels_revision_interval_ms", "no effect", _interval),
    ("mode", "no effect", _mode_labels),
    ("min_turn_silence", "switches off", _labels_silences),
    (
        "domain",
        "switches off",
        _when("domain", "English, Spanish, German and French alone"),
    ),
    (
        "customer_support_audio_capture",
        "switches off",
        _when("customer_support_audio_capture", "the vendor records the session"),
    ),
)
