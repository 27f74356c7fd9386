"""What the bus's tests put on the wire."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from minuted.messages import (
    FRAME_BYTES,
    AudioFrame,
    Gap,
    Heartbeat,
)

WAIT_S = 10
FRAME = AudioFrame(number=7, captured_at_ms=1000, pcm=bytes(FRAME_BYTES))
HEARTBEAT = Heartbeat(epoch="e", last_seq=3)
GAP = Gap(seq=1, room="r", meeting_id="m", start_ms=0, end_ms=50, reason="paused")


def until(condition: Callable[[], Any], what: str) -> Any:
    """Give the first true result; fail when there is none for long."""
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        if result := condition():
            return result
        time.sleep(0.002)
    pytest.fail(f"never happened: {what}")


def subclasses(cls: type) -> list[type]:
    return [found for below in cls.__subclasses__() for found in (below, *subclasses(below))]
