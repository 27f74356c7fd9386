"""What the service says, as maps ready for JSON (reference 4)."""

import json
from typing import Any

from .ear import Heard
from .faults import MALFORMED
from .parameters import Parameters
from .turns import Turn

Message = dict[str, Any]


def dumps(message: Message | str) -> str:
    """Give the frame's text; a text is sent as it is."""
    return message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)


def begin(
    session_id: str, expires_at: int, parameters: Parameters, api_version: str | None, *, configured: bool
) -> Message:
    message: Message = {"type": "Begin", "id": session_id, "expires_at": expires_at}
    if configured:
        message["configuration"] = {
            "model": parameters.model,
            "mode": parameters.mode,
            "api_version": api_version,
            "speaker_labels": parameters["speaker_labels"],
            "redact_pii": parameters["redact_pii"],
            "filter_profanity": parameters["filter_profanity"],
            "domain": parameters.values.get("domain"),
            "voice_focus": parameters.values.get("voice_focus"),
        }
    return message


def speech_started(timestamp_ms: int) -> Message:
    return {"type": "SpeechStarted", "timestamp": timestamp_ms, "confidence": 0.987654}


def turn(turn: Turn, labels: list[str | None] | None, label: str | None, *, formatted: bool) -> Message:
    """Show a turn; `labels` are its words' speakers where speakers are told apart, `label` its own."""
    last_final = len(turn.words) - turn.unfinal_words
    return {
        "type": "Turn",
        "turn_order": turn.order,
        "turn_is_formatted": formatted,
        "end_of_turn": turn.final,
        "transcript": turn.text,
        "utterance": turn.utterance,
        "end_of_turn_confidence": turn.confidence,
        "words": [
            word(heard, is_final=place < last_final, speaker=labels[place] if labels else None)
            for place, heard in enumerate(turn.words)
        ],
    } | ({"speaker_label": label, "speaker_confidence": 0.91} if label else {})


def word(heard: Heard, *, is_final: bool, speaker: str | None = None) -> Message:
    shown: Message = {
        "start": heard.start_ms,
        "end": heard.end_ms,
        "text": heard.text,
        "confidence": round(0.9 + heard.number % 97 / 1000, 6),
        "word_is_final": is_final,
    }
    return shown | ({"speaker": speaker} if speaker else {})


def empty_final(order: int) -> Message:
    return {
        "type": "Turn",
        "turn_order": order,
        "turn_is_formatted": True,
        "end_of_turn": True,
        "transcript": "",
        "utterance": "",
        "end_of_turn_confidence": 1.0,
        "words": [],
    }


def speaker_revision(turns: list[Message], *, bare: bool = False) -> Message:
    revisions = [{name: turn[name] for name in ("turn_order", "speaker_label", "words")} for turn in turns]
    if bare:
        left_out = ("confidence", "word_is_final")
        for each in revisions:
            each["words"] = [
                {name: value for name, value in word.items() if name not in left_out}
                for word in each["words"]
            ]
    return {"type": "SpeakerRevision", "revisions": revisions}


def heartbeat(audio_ms: int, open_ms: int, factor: float, probability: float) -> Message:
    return {
        "type": "Heartbeat",
        "total_audio_received_ms": audio_ms,
        "total_duration_ms": open_ms,
        "realtime_factor": round(factor, 4),
        "max_speech_probability": probability,
    }


def silence(start_ms: int, end_ms: int) -> Message:
    return {"type": "Silence", "start_ms": start_ms, "end_ms": end_ms}


def warning(code: int, text: str) -> Message:
    return {"type": "Warning", "warning_code": code, "warning": text}


def error(code: int, text: str) -> Message:
    return {"type": "Error", "error_code": code, "error": text}


def termination(audio_s: int, session_s: int) -> Message:
    return {
        "type": "Termination",
        "audio_duration_seconds": audio_s,
        "session_duration_seconds": session_s,
    }


def said_by_fault(message: Any) -> Message | str:
    """Give the frame a `say` fault asks for."""
    return MALFORMED.get(message, message) if isinstance(message, str) else dict(message)
