"""A turn and a gap for tests that need one, whatever it says."""

from minuted.messages import Gap, Turn

TURN = Turn(
    id="s:0",
    room="r",
    meeting_id="m",
    meeting_started_at_ms=0,
    session_id="s",
    turn_order=0,
    final=True,
    start_ms=0,
    end_ms=50,
    text="Yes.",
)
GAP = Gap(room="r", meeting_id="m", start_ms=0, end_ms=50, reason="paused")
