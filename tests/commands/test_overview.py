"""A status in terminals of any width."""

import os
import re
import sys

import pytest
from rich.cells import cell_len

from hostile_texts import HOSTILE, controls
from minuted.commands.overview import fitted
from minuted.config import Settings
from minuted.control import ControlServer
from minuted.status import table
from terminals import shown

NOW_MS = 61_000
WORDS = re.compile(r"[\w.“”-]+")


def row(**values):
    return {"pid": 1234567, "state": "ready", "restarts": 0, "since_ms": 1000, "status": "", **values}


STATUS = {
    "state": "degraded",
    "room": "boardroom",
    "summary": "boardroom: recording, catching up 4 min, 3 sinks; webhook 12 behind (connection refused by "
    "hooks.example.org); srt is down: no directory /var/lib/minuted/srt",
    "stages": {
        "capture": row(state="not answering", source="microphone", level_dbfs=-31.0),
        "transcription": row(
            state="live",
            model="universal-3-6-pro",
            spent="1 h 12 min ($0.54) today",
            meeting_title="第三季度预算会议与明年的计划",
            backlog_s=0.2,
            last_seq=412,
            in_force="max_turn_silence 2000 (changed), keyterms_prompt metformin, Siobhan (changed)",
            channels={
                "table": {"state": "live", "reason": ""},
                "far": {"state": "retrying", "reason": "no route"},
            },
        ),
        "delivery/webhook": row(
            state="waiting",
            restarts=12,
            seq=400,
            lag=12,
            last_error="https://hooks.example.org/minuted/boardroom/turns answered 503 (try again later)",
        ),
    },
}


@pytest.mark.parametrize("columns", [20, 40, 60, 72, 80, 100, 132, 200])
def test_no_line_is_longer_than_the_terminal_and_no_word_is_lost(columns):
    """At 80 columns lines of 110 to 170 were broken anywhere, and no column was one."""
    lines = fitted(STATUS, NOW_MS, columns)
    assert max(map(cell_len, lines)) <= columns
    # A word longer than a line is broken.
    told = "".join(WORDS.findall(" ".join(lines)))
    without_columns = {"STATE", "PID", "FOR", "RESTARTS", "0"} if columns < 72 else set()
    assert {word for word in WORDS.findall(table(STATUS, NOW_MS)) if word not in told} <= without_columns


def test_at_80_columns_a_stage_s_details_stand_below_it():
    lines = fitted(STATUS, NOW_MS, 80)
    assert lines[0].startswith("boardroom: recording, catching up 4 min, 3 sinks;")
    assert lines[1].startswith("  (connection refused by hooks.example.org)")
    at = next(index for index, line in enumerate(lines) if line.startswith("  delivery/webhook"))
    assert lines[at].split() == ["delivery/webhook", "waiting", "1234567", "1", "min", "0", "s", "12"]
    assert lines[at + 1].startswith("      at turn 400, 12 behind, https://hooks.example.org/")


def test_a_wide_terminal_shows_them_beside_it():
    (line,) = [line for line in fitted(STATUS, NOW_MS, 200) if line.startswith("  delivery/webhook")]
    assert line.endswith("answered 503 (try again later)")
    assert fitted(STATUS, NOW_MS, 400) == table(STATUS, NOW_MS).split("\n")


def test_a_narrow_one_shows_sentences():
    lines = fitted(STATUS, NOW_MS, 40)
    assert "  capture: not answering, pid 1234567," in lines
    assert "    far: retrying, no route" in lines
    assert not any("RESTARTS" in line for line in lines)


def test_what_comes_from_outside_drives_no_terminal():
    stages = {"capture": row(state=HOSTILE, source=HOSTILE), "delivery/webhook": row(last_error=HOSTILE)}
    for columns in (40, 80, 200):
        for line in fitted({"state": "x", "summary": HOSTILE, "stages": stages}, NOW_MS, columns):
            assert controls(line) == []


@pytest.mark.parametrize("columns", [80, 50])
def test_the_command_fits_the_terminal_it_is_shown_in(runtime_dir, columns):
    (runtime_dir / "minuted.toml").write_text(f'runtime_dir = "{runtime_dir}"\n')
    settings = Settings(runtime_dir=runtime_dir)
    stages = STATUS["stages"]
    server = ControlServer(
        settings.control_endpoint("supervisor"), {"status": lambda _: {**STATUS, "pid": os.getpid()}}
    )
    command = [sys.executable, "-m", "minuted", "status", "--config", runtime_dir / "minuted.toml"]
    try:
        written = shown(command, {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)})
    finally:
        server.close()
    assert all(stage in written for stage in stages)
    assert max(map(cell_len, written.splitlines())) <= columns
