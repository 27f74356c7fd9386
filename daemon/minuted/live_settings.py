"""What of a session's settings may change while it is open, by model; profiles, and lists of key terms.

Source: the vendor's v3 reference and the SDK's `set_params`. The service confirms no change, overlooks what
its model does not take, and ends the session for what is out of range: so it is all decided here.
"""

import difflib
import stat
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from minuted.options import ConfigError, build, table_of, value_of
from minuted.session_settings import KEYTERM_CHARACTERS_MAX, KEYTERMS_MAX, StreamingSession, check_session

LIVE: Final = (
    "min_turn_silence",
    "max_turn_silence",
    "keyterms_prompt",
    "prompt",
    "agent_context",
    "language_codes",
    "mode",
    "vad_threshold",
    "interruption_delay",
    "continuous_partials",
    "end_of_turn_confidence_threshold",
    "format_turns",
    "filter_profanity",
    "turn_left_pad_ms",
    "session_heartbeat",
    "acknowledge_silence",
)
"""What some model takes in an UpdateConfiguration."""
LISTS: Final = ("keyterms_prompt", "language_codes")
TEXTS: Final = ("prompt", "agent_context")
"""Lists and texts can be cleared; of the others the service takes no "unset"."""
LOCAL: Final = "local"
"""In the place of a model's name: the engine on this machine."""
NO_PROFILE: Final = "none"
KEYTERMS_FILE_BYTES_MAX: Final = 65_536
"""A longer file is no list of key terms."""

_SILENCES: Final = ("min_turn_silence", "max_turn_silence")
_UNIVERSAL: Final = ("end_of_turn_confidence_threshold", "format_turns")
_NOT_UNIVERSAL: Final = (
    *("prompt", "agent_context", "language_codes", "mode", "interruption_delay", "continuous_partials"),
    "acknowledge_silence",
)
_BY_MODEL: Final[Mapping[str, tuple[str, ...]]] = {
    # By how a model's name begins; one that is not here takes what the current ones do.
    LOCAL: _SILENCES,
    "u3-rt": (*_SILENCES, "keyterms_prompt", "prompt"),
    "universal-streaming": tuple(name for name in LIVE if name not in _NOT_UNIVERSAL),
    "whisper-rt": _SILENCES,
    "": tuple(name for name in LIVE if name not in _UNIVERSAL),
}


def allowed(model: str) -> tuple[str, ...]:
    """Name what a model takes while a session is open."""
    return next(names for begins, names in _BY_MODEL.items() if model.startswith(begins))


def refusal(name: str, model: str) -> str:
    """Say why a setting cannot change while a session of this model is open; "" where it can."""
    if name in allowed(model):
        return ""
    if name in LIVE:
        who = "the local engine" if model == LOCAL else f"a session of {model}"
        return f"{name}: {who} takes no change of it; it takes {', '.join(allowed(model))}"
    if name in (field.name for field in fields(StreamingSession)):
        return f"{name} is set when a session begins: put it into [session] and run `minuted reload`"
    close = difflib.get_close_matches(name, LIVE, 1, 0.6)
    return f"{name!r} is not known" + (f"; did you mean {close[0]!r}?" if close else "")


def checked(name: str, value: Any) -> Any:
    """Give a value as the setting wants it, within the service's limits. Raises ConfigError."""
    value = value_of(StreamingSession, name, value, name)
    try:
        check_session(replace(StreamingSession(), **{name: value}))
    except ConfigError as error:
        raise ConfigError(str(error).removeprefix("session.")) from None
    return value


def empty(name: str) -> Any:
    """Give what clears a setting; None where nothing does."""
    return () if name in LISTS else "" if name in TEXTS else None


# Profiles.

Profile = Mapping[str, Any]
"""Live settings by name: what a profile changes of [session]."""


def profiles_of(table: Any) -> dict[str, Profile]:
    """Read [profiles.NAME] tables. Raises ConfigError."""
    return {name: _profile(name, own) for name, own in table_of(table, "profiles").items()}


def _profile(name: str, table: Any) -> Profile:
    where = f"profiles.{name}"
    if name == NO_PROFILE or not name.replace("-", "_").isidentifier():
        raise ConfigError(
            f"[{where}]: a profile's name is made of letters, digits, _ and -; not {NO_PROFILE!r}"
        )
    fixed = [field.name for field in fields(StreamingSession) if field.name not in LIVE]
    notes = {f"{where}.{key}": "is set when a session begins: it belongs into [session]" for key in fixed}
    built = build(StreamingSession, table_of(table, where), where, hidden=fixed, known_names=notes)
    try:
        check_session(built)
    except ConfigError as error:
        raise ConfigError(str(error).replace("session.", f"{where}.", 1)) from None
    return {key: getattr(built, key) for key in table}


# Key terms.


def terms_of(text: str) -> tuple[str, ...]:
    """Read a list of key terms: one a line, blank lines and those that begin with # left out.

    Raises ConfigError for what the service would not take.
    """
    terms = []
    for number, line in enumerate(text.splitlines(), 1):
        term = line.strip()
        if not term or term.startswith("#"):
            continue
        if len(term) > KEYTERM_CHARACTERS_MAX:
            raise ConfigError(f"line {number}: {term[:20]!r}… is over {KEYTERM_CHARACTERS_MAX} characters")
        if not term.isprintable():
            raise ConfigError(f"line {number} has characters that cannot be printed")
        terms.append(term)
    terms = list(dict.fromkeys(terms))
    if len(terms) > KEYTERMS_MAX:
        raise ConfigError(f"{len(terms)} terms; the service takes {KEYTERMS_MAX}")
    return tuple(terms)


def read_terms(path: Path) -> tuple[str, ...]:
    """Read a file of key terms. Raises ConfigError, naming the file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path}: not a file")
        with path.open("rb") as file:
            data = file.read(KEYTERMS_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > KEYTERMS_FILE_BYTES_MAX:
        raise ConfigError(f"{path}: over {KEYTERMS_FILE_BYTES_MAX} bytes: not a list of key terms")
    try:
        return terms_of(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def with_terms(session: StreamingSession, terms: Iterable[str]) -> StreamingSession:
    """Add a file's terms to those of the configuration. Raises ConfigError where they are too many."""
    together = tuple(dict.fromkeys((*(session.keyterms_prompt or ()), *terms)))
    session = replace(session, keyterms_prompt=together)
    check_session(session)
    return session
