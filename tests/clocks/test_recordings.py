"""A recording whose run's clock is set back while it is started: its text has its words."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from clocks.stepping import WallClock
from pipeline.conftest import ENDED_S_MAX, clean_environment
from pipeline.test_recordings import CONFIG, cut
from waiting import until


def test_a_clock_that_is_set_back_leaves_no_text_empty(make_daemon: Callable, tmp_path: Path) -> None:
    """The words are found by when the recording began, which is a moment after the run did."""
    clock, daemon = WallClock(tmp_path), make_daemon(CONFIG)
    talk = cut(tmp_path / "talk.wav", 0, 4.5)
    command = daemon.command("run", "--pace", "fast", "--write", "txt", "--input", str(talk))
    with subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env=clean_environment(**clock.environment)
    ) as run:
        until(lambda: list(daemon.runtime_dir.glob("control-supervisor.sock")))
        clock.step(-2700)
        assert run.wait(ENDED_S_MAX) == 0
    assert "best of times" in talk.with_suffix(".txt").read_text()
