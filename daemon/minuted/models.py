"""What is known of the vendor's models by their names. Any other name is passed on as it is."""

from typing import Final

_ALIASES: Final = {"universal-3-6": "universal-3-6-pro"}
"""Names that one model answers to."""
LEGACY: Final = {
    "u3-rt-pro": "the vendor has called it legacy since July 2026, and still serves it",
    "whisper-rt": "the vendor no longer offers it since June 2026, and still serves it",
}
_FAILING: Final = {
    "u3-pro": "the vendor has withdrawn it, and will refuse it",
    "u3-rt-agent": "the service was seen to end its sessions after some seconds",
    "universal-3-7-preview": "the service was seen to end its sessions after some seconds",
}
_INSTEAD: Final = "universal-3-5-pro and universal-3-6-pro are current"
_DEFAULT: Final = "u3-rt-pro"


def note(model: str) -> str:
    """Say what a person who chooses this model should know; "" where there is nothing."""
    known = {**LEGACY, **_FAILING}.get(model, "")
    return f"{known}; {_INSTEAD}" if known else ""


def warning(model: str) -> str:
    """Say what is worth a warning at each start: nothing of the model that is the default."""
    return "" if model == _DEFAULT else note(model)


def differs(asked: str, given: str) -> bool:
    """Whether a session has another model than it was asked for; a service that does not say has not."""
    return bool(given) and _name(asked) != _name(given)


def _name(model: str) -> str:
    name = model.strip().lower()
    return _ALIASES.get(name, name)
