"""What the bus's tests put on the wire."""

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


def subclasses(cls: type) -> list[type]:
    return [found for below in cls.__subclasses__() for found in (below, *subclasses(below))]
