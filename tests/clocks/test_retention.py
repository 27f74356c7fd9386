"""Records in a journal whose process's clock is set: none is taken for older than it is."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clocks.stepping import WallClock
from conftest import SettingsFactory

DAY_S = 86_400
SCRIPT = """
import sys
from pathlib import Path
from minuted.config import load
from minuted.journal.sound_clock import SoundClock
from minuted.journal.turns import TurnJournal
from minuted.transcription.retention import EVERY_S, FIRST_S, STEP_S, Retention
from fake_publisher import turn
import structlog

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
settings = load(Path(sys.argv[1]))
clock = SoundClock(settings.state_dir)
clock.look()
journal = TurnJournal(settings.state_dir / "turns.db", clock.steady_ms)
retention, now_s = Retention(settings, journal), 0.0
for line in sys.stdin:
    if line.strip() == "commit":
        journal.commit(turn(None, "so"))
    else:
        clock.look()
        for later_s in (0.0, FIRST_S, FIRST_S + STEP_S, FIRST_S + 2 * STEP_S):
            set_ago_s = float("inf") if line.strip() == "prune later" else clock.set_ago_s()
            retention.tick(now_s + later_s, clock.steady_ms(), set_ago_s)
        now_s += 2 * EVERY_S
    print(journal.last_seq - journal.first_seq + 1, retention.reason, flush=True)
"""
Tell = Callable[[str], str]


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


@pytest.fixture
def start(make_settings: SettingsFactory, clock: WallClock, tmp_path: Path) -> Iterator[Callable[[], Tell]]:
    """Start a process that commits and prunes when it is told to, in place of the one before."""
    state_dir = make_settings().state_dir
    config = tmp_path / "minuted.toml"
    config.write_text(f'state_dir = "{state_dir}"\n[journal]\nturns_days = 30\n')
    running: list[subprocess.Popen[str]] = []

    def end() -> None:
        if running:
            process = running.pop()
            process.communicate()

    def begin() -> Tell:
        end()
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**clock.environment, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        running.append(process)

        def tell(what: str) -> str:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{what}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        return tell

    yield begin
    end()


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("by_s", [2700, -2700, -120 * DAY_S, 120 * DAY_S, 5000 * DAY_S])
def test_a_clock_that_is_set_prunes_nothing_then_or_later(
    start: Callable[[], Tell], clock: WallClock, by_s: int, restarts: bool
) -> None:
    tell = start()
    assert [tell("commit") for _ in range(3)] == ["1", "2", "3"]
    assert tell("prune") == "3"
    for step_s in (by_s, -by_s, by_s):
        clock.step(step_s)
        tell = start() if restarts else tell
        assert tell("prune") == "3 the clock was set: no record is deleted for a day"
        assert tell("prune later") == "3", "by their own clock they are young"
    assert tell("commit") == "4"
    clock.step(-by_s)
    assert tell("prune later") == "4"
