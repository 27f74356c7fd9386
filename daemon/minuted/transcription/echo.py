"""What a session is, by its Begin, against what was asked for. Pure.

The service ignores parameters that it does not know without a word; eight of them it says back.
"""

from collections.abc import Mapping
from typing import Any, Final

from assemblyai.streaming.v3 import StreamingParameters

from minuted import models

SWITCHES: Final = ("speaker_labels", "redact_pii", "filter_profanity")
"""Off unless asked for."""
CHOICES: Final = ("domain", "voice_focus")
"""None unless asked for."""


def differences(asked: StreamingParameters, told: Mapping[str, Any]) -> list[str]:
    """Say, a sentence each, what is not as it was asked for; what is not told of is no difference."""
    found = []
    model, wanted = told.get("model"), getattr(asked.speech_model, "value", asked.speech_model)
    if model and wanted and models.differs(wanted, model):
        found.append(f"asked for the model {wanted}, got {model}")
    for name in (*SWITCHES, *CHOICES):
        given, wish = told.get(name), getattr(asked, name)
        if name not in told:
            continue
        given, wish = (bool(given), bool(wish)) if name in SWITCHES else (given, _text(wish))
        if given != wish:
            found.append(f"asked for {name} = {_shown(wish)}, the session has {_shown(given)}")
    if asked.mode is not None and "mode" in told and told["mode"] != _text(asked.mode):
        found.append(f"asked for mode = {_text(asked.mode)}, the session has {_shown(told['mode'])}")
    return found


def _text(value: Any) -> Any:
    return getattr(value, "value", value)


def _shown(value: Any) -> str:
    return {"True": "true", "False": "false", "None": "none"}.get(str(value), str(value))
