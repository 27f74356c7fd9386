"""The v3 protocol as data: a client's messages read, the server's messages made. Pure.

Source: the vendor's v3 streaming reference and the dated probes of the real service in it.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from minuted.engine.parameters import INVALID, Parameters, Refusal
from minuted.engine.turns import TurnState

SESSION_S_MAX: Final = 10_800
MESSAGE_BYTES_MAX: Final = 128 * 1024
AHEAD_MS_MAX: Final = 60_000
"""Audio that may wait to be recognised; a client that is further ahead loses its session."""
CLOSE_REASON: Final = "See Error message for details"
"""Of every close that an Error goes before."""

UNAUTHORISED: Final = 1008
TOO_BIG: Final = 1009
FAILED: Final = 3005
DURATION: Final = 3007
EXPIRED: Final = 3008
TOO_MANY: Final = 3009

CONFIDENCE: Final = 0.5
"""The model gives no confidence. This says neither yes nor no, for clients that need a number."""
WITHOUT_EFFECT: Final = 1001
"""The code of this engine's one Warning; the service's own codes are not published."""


class Audio:
    """A session's audio: its clock, and the service's rule of 50 to 1000 ms a message.

    More than 1000 ms is refused at once. Less than 50 ms is refused when it has become a habit, so
    that a recording's last fragment does no harm. The clock is the audio received, in milliseconds.
    """

    SHORT_MAX: Final = 20

    def __init__(self, sample_rate_hz: int, encoding: str) -> None:
        self._bytes_per_s = sample_rate_hz * (1 if encoding == "pcm_mulaw" else 2)
        self._bytes = 0
        self._short = 0

    @property
    def received_ms(self) -> int:
        return self.duration_ms(self._bytes)

    def duration_ms(self, size_bytes: int) -> int:
        return size_bytes * 1000 // self._bytes_per_s

    def take(self, size_bytes: int) -> None:
        """Count one message. Raises Refusal where its length breaks the rule."""
        if size_bytes > MESSAGE_BYTES_MAX:
            raise Refusal(
                TOO_BIG, f"Message too big: {size_bytes} bytes. Expected at most {MESSAGE_BYTES_MAX}"
            )
        scaled = size_bytes * 1000
        self._short = self._short + 1 if scaled < 50 * self._bytes_per_s else 0
        if scaled > 1000 * self._bytes_per_s or self._short >= self.SHORT_MAX:
            raise Refusal(
                DURATION,
                f"Input Duration Error: Input Duration Violation: {scaled / self._bytes_per_s:.1f} ms. "
                "Expected between 50 and 1000 ms",
            )
        self._bytes += size_bytes


def parse_message(text: str) -> tuple[str, dict[str, Any]]:
    """Give a control message's type and its other fields. Raises Refusal for what is none."""
    if len(text.encode(errors="replace")) > MESSAGE_BYTES_MAX:
        raise Refusal(TOO_BIG, f"Message too big. Expected at most {MESSAGE_BYTES_MAX} bytes")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(INVALID, "Invalid JSON") from None
    if not isinstance(message, dict):
        raise Refusal(INVALID, "Invalid Message")
    kind = message.pop("type", None)
    if kind not in CONTROL_TYPES:
        raise Refusal(INVALID, "Invalid Message Type")
    return kind, message


CONTROL_TYPES: Final = ("ForceEndpoint", "KeepAlive", "Terminate", "UpdateConfiguration")


def begin(session_id: str, expires_at_s: int, model: str, api_version: str | None) -> dict[str, Any]:
    """Begin, telling what this engine is and does, whatever was asked for."""
    return {
        "type": "Begin",
        "id": session_id,
        "expires_at": expires_at_s,
        "configuration": {
            "model": model,
            "mode": None,
            "api_version": api_version,
            "speaker_labels": False,
            "redact_pii": False,
            "filter_profanity": False,
            "domain": None,
            "voice_focus": None,
        },
    }


def warning(parameters: Parameters) -> dict[str, Any] | None:
    """Say which of the parameters this engine does not have; nothing where it has them all."""
    if not parameters.without_effect:
        return None
    text = f"This engine does not have: {', '.join(parameters.without_effect)}"
    return {"type": "Warning", "warning_code": WITHOUT_EFFECT, "warning": text}


def turn_messages(states: Sequence[TurnState], *, partials: bool) -> list[dict[str, Any]]:
    """Give the messages for what became of the turns; `partials` is include_partial_turns."""
    messages: list[dict[str, Any]] = []
    for state in states:
        if not (partials or state.is_final):
            continue
        if state.is_first or (state.is_final and not partials):
            messages.append(
                {"type": "SpeechStarted", "timestamp": state.start_ms, "confidence": CONFIDENCE},
            )
        messages.append(_turn(state))
    return messages


def _turn(state: TurnState) -> dict[str, Any]:
    text = " ".join(word.text for word in state.words)
    return {
        "type": "Turn",
        "turn_order": state.order,
        "turn_is_formatted": state.is_final,
        "end_of_turn": state.is_final,
        "transcript": text,
        "utterance": text if state.is_final else "",
        "end_of_turn_confidence": 1 if state.is_final else 0,
        "words": [
            {
                "start": word.start_ms,
                "end": word.end_ms,
                "text": word.text,
                "confidence": CONFIDENCE,
                "word_is_final": state.is_final,
            }
            for word in state.words
        ],
    }


def heartbeat(taken_ms: int, duration_ms: int, realtime_factor: float, *, heard: bool) -> dict[str, Any]:
    """The sign of life. `taken_ms` is the audio the recogniser has taken out of the session's queue, not
    all that was received, so that a client may keep a bounded lead. The detector shows no probability,
    only whether it heard speech since the last one.
    """
    return {
        "type": "Heartbeat",
        "total_audio_received_ms": taken_ms,
        "total_duration_ms": duration_ms,
        "realtime_factor": round(realtime_factor, 4),
        "max_speech_probability": 1.0 if heard else 0.0,
    }


def silence(start_ms: int, end_ms: int) -> dict[str, Any]:
    return {"type": "Silence", "start_ms": start_ms, "end_ms": end_ms}


def error(refusal: Refusal) -> dict[str, Any]:
    return {"type": "Error", "error_code": refusal.code, "error": refusal.text}


def termination(audio_ms: int, duration_s: float) -> dict[str, Any]:
    return {
        "type": "Termination",
        "audio_duration_seconds": audio_ms // 1000,
        "session_duration_seconds": int(duration_s),
    }


def unauthorised(reason: str) -> Refusal:
    return Refusal(UNAUTHORISED, f"Unauthorized Connection: {reason}")


def too_fast(received_ms: int, duration_s: float) -> Refusal:
    return Refusal(
        DURATION,
        f"Audio Transmission Rate Exceeded: Received {received_ms / 1000:.1f} sec. audio "
        f"in {duration_s:.1f} sec",
    )


def expired() -> Refusal:
    return Refusal(EXPIRED, "Session Expired: Maximum session duration exceeded")


def inactive(timeout_s: int) -> Refusal:
    return Refusal(
        INVALID, f"Session terminated due to inactivity: No messages received for {timeout_s} seconds"
    )


def too_many() -> Refusal:
    return Refusal(TOO_MANY, "Too many concurrent sessions")


def failed() -> Refusal:
    return Refusal(FAILED, "Session Cancelled: An error occurred")
