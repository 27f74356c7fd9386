"""A wall clock that a test sets while real processes run. The boot clock and file times stay true."""

from pathlib import Path

import pytest

LIBRARY = "faketime/libfaketime.so.1"


class WallClock:
    """The wall clock of all processes that are started with its `environment`; from now on `step` sets it."""

    def __init__(self, folder: Path) -> None:
        found = list(Path("/usr/lib").glob(f"*/{LIBRARY}"))
        if not found:
            pytest.fail("a clock to set needs the Debian package faketime")
        self._file = folder / "faketime"
        self._ahead_s = 0
        self.step(0)
        self.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, by_s: int) -> None:
        """Set the clock forward, or back."""
        self._ahead_s += by_s
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._ahead_s:+d}\n", encoding="ascii")
        new.replace(self._file)
