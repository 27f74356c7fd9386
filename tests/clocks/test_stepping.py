"""The clock that the other tests set is set, and the boot clock is not."""

import subprocess
import sys
import time
from pathlib import Path

from clocks.stepping import WallClock

SCRIPT = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic(), flush=True)
"""


def test_only_the_wall_clock_is_set_and_that_while_a_process_runs(tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clock.environment,
    ) as process:
        assert process.stdin
        assert process.stdout

        def read() -> list[float]:
            process.stdin.write("\n")
            process.stdin.flush()
            return [float(word) for word in process.stdout.readline().split()]

        for by_s, ahead_s in ((0, 0), (2700, 2700), (-5400, -2700), (432_000_000, 431_997_300)):
            clock.step(by_s)
            wall_s, boot_s, monotonic_s = read()
            assert abs(wall_s - time.time() - ahead_s) < 60
            assert abs(boot_s - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
            assert abs(monotonic_s - time.monotonic()) < 60
        process.stdin.close()
