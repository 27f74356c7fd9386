"""Frames, gaps and ends as capture sends them, and what an intake gives of them."""

import json
from typing import Any

from minuted.messages import FRAME_BYTES, FRAME_MS, AudioEnd, AudioFrame, AudioGap
from minuted.transcription.intake import (
    Frames,
    Intake,
)

WAIT_S = 10
FIRST = 1000


def frame(number: int, source: str = "microphone", *, paced: bool = True) -> AudioFrame:
    pcm = number.to_bytes(4, "little") * (FRAME_BYTES // 4)
    return AudioFrame(
        number=number, captured_at_ms=7 + number * FRAME_MS, pcm=pcm, source=source, paced=paced
    )


def gap(begins: int, ends: int, reason: str = "device-lost") -> AudioGap:
    return AudioGap(from_number=begins, to_number=ends, reason=reason)


def end(number: int) -> AudioEnd:
    return AudioEnd(next_number=number, reason="stopped")


def state_of(intake: Intake) -> Any:
    """Give its state as the turn journal would."""
    return json.loads(json.dumps(intake.to_state()))


def numbers(frames: Frames) -> list[int]:
    """Read on as far as there is anything."""
    found = []
    while (each := frames.peek()) is not None:
        assert each.pcm == frame(each.number).pcm or each.source != "microphone"
        assert frames.peek() is each
        found.append(each.number)
        frames.advance()
    return found


def frames(begins: int, ends: int) -> list[AudioFrame]:
    return [frame(number) for number in range(begins, ends)]


def paused(number: int) -> AudioEnd:
    return AudioEnd(next_number=number, reason="paused")
