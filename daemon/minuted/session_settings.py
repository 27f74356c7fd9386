"""What may stand under `[session]`: the vendor's streaming parameters, and their limits."""

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from minuted.options import ConfigError


@dataclass(frozen=True, kw_only=True)
class StreamingSession:
    """The streaming parameters of AssemblyAI's v3 API, by its own names; unset ones are not sent.

    Source: the vendor's SDK 1.8.2, `RealTimeParameters`, which a test holds this class against.
    `keyterms_file` is our own; `previous_context_n_turns` is in the vendor's documentation alone.
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
    keyterms_file: Path | None = None
    """A file with more, one a line, lines that begin with # left out; a change of it is taken in at once."""
    prompt: str | None = None
    """Up to 1,750 characters of instruction or context; U3 family only."""
    agent_context: str | None = None
    """Up to 1,750 characters of what a voice agent last said."""
    previous_context_n_turns: int | None = None
    """How many turns before it a turn is understood by, 0 to 100; 3.5 and 3.6 models only."""
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
    webhook_auth_header_value: str | None = field(default=None, repr=False)
    """That header's value."""
    speaker_labels: bool | None = None
    """Tell speakers apart: A, B, and in later sessions of a meeting A2, B2."""
    max_speakers: int | None = None
    """1 to 10."""
    speaker_labels_revision_interval_ms: int | None = None
    """How often labels are looked over again; unset: once, at the session's end."""
    voice_focus: Literal["near-field", "far-field"] | None = None
    """Isolate voices, for $0.10 an hour; far-field suits a meeting room."""
    voice_focus_threshold: float | None = None
    """0 to 1; needs voice_focus."""
    continuous_partials: bool | None = None
    """Partials at a steady pace, not only in pauses."""
    include_partial_turns: bool | None = None
    """False: final turns only."""
    redact_pii: bool | None = None
    """Remove personal data from final turns, for $0.12 an hour; switches partials off."""
    redact_pii_policies: tuple[str, ...] | None = None
    """What counts as personal data; unset: everything the service knows."""
    redact_pii_sub: Literal["hash", "entity_name"] | None = None
    """What stands in its place."""
    mode: Literal["min_latency", "balanced", "max_accuracy"] | None = None
    """A preset of the 3.5 and 3.6 models."""
    customer_support_audio_capture: bool | None = None
    """Lets the vendor record the session; leave it off."""


# What the service closes the session for (reference: 3006), said before it is opened.
_RANGES: Final = {
    "end_of_turn_confidence_threshold": (0, 1),
    "vad_threshold": (0, 1),
    "voice_focus_threshold": (0, 1),
    "previous_context_n_turns": (0, 100),
    "interruption_delay": (0, 1000),
    "inactivity_timeout": (5, 3600),
    "max_speakers": (1, 10),
    "speaker_labels_revision_interval_ms": (0, 3_600_000),
    "min_turn_silence": (50, 10_000),
    "max_turn_silence": (50, 10_000),
    "turn_left_pad_ms": (0, 60_000),
}
_PII_POLICIES: Final = frozenset(
    """
    account_number banking_information blood_type credit_card_cvv credit_card_expiration
    credit_card_number date date_interval date_of_birth drivers_license drug duration email_address
    event filename gender gender_sexuality healthcare_number injury ip_address language location
    marital_status medical_condition medical_process money_amount nationality number_sequence occupation
    organization organization_medical_facility passport_number password person_age person_name
    phone_number physical_attribute political_affiliation religion sexuality statistics time url
    us_social_security_number username vehicle_id zodiac_sign
    """.split()  # noqa: SIM905  # so many words read better so
)
PROMPT_CHARACTERS_MAX: Final = 1750
KEYTERMS_MAX: Final = 100
KEYTERM_CHARACTERS_MAX: Final = 50


def check_session(session: StreamingSession) -> None:
    """Raise ConfigError for what the service would end the session for."""
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
        if not term.strip():
            raise ConfigError("session.keyterms_prompt has an empty term")
        if len(term) > KEYTERM_CHARACTERS_MAX:
            raise ConfigError(
                f"session.keyterms_prompt: {term[:20]!r}… is over {KEYTERM_CHARACTERS_MAX} characters"
            )
    for policy in session.redact_pii_policies or ():
        if policy not in _PII_POLICIES:
            close = difflib.get_close_matches(policy, sorted(_PII_POLICIES), 1, 0.6)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"session.redact_pii_policies: {policy!r} is not known{hint}")
    if session.voice_focus_threshold is not None and session.voice_focus is None:
        raise ConfigError("session.voice_focus_threshold needs session.voice_focus")
    codes = session.language_codes or ()
    if "multi" in codes and len(codes) > 1:
        raise ConfigError("session.language_codes: 'multi' stands alone")
    if len(codes) > 10:
        raise ConfigError("session.language_codes has more than 10 languages")
