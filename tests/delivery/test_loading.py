"""Sinks that do what they like while they are loaded: real processes, and what is said of each."""

import time
from pathlib import Path

import pytest

from minuted.config import SinkTable
from minuted.delivery import loading
from minuted.delivery.discovery import SinkFile
from waiting import WAIT_S_MAX

SINK = """
from minuted import Sink
class Mine(Sink):
    path: str = ""
    def write(self, turn): ...
"""
ENDS = "ends the process that loads it"
LOADED: list[tuple[str, str, tuple[str, str]]] = [
    ("plain", "", ("enabled", "")),
    ("prints", "import os\nprint('{}')\nos.write(1, b'{}')\n", ("enabled", "")),
    (
        "threads",
        "import threading, time\nthreading.Thread(target=time.sleep, args=[3600]).start()\n",
        ("enabled", ""),
    ),
    ("forks", "import os, time\nif not os.fork(): time.sleep(3600)\n", ("enabled", "")),
    ("returns_twice", "import os\nos.fork()\n", ("enabled", "")),
    ("leaves", "import os\nos._exit(0)\n", ("failed to load", f"leaves.py {ENDS}")),
    ("crashes", "import os\nos.abort()\n", ("failed to load", f"crashes.py {ENDS}")),
    ("exits", "import sys\nsys.exit()\n", ("failed to load", "calls sys.exit() while it is loaded")),
    (
        "sleeps",
        "import time\ntime.sleep(3600)\n",
        ("failed to load", "loading sleeps.py takes longer than 2 s"),
    ),
    (
        "interrupts",
        "raise KeyboardInterrupt\n",
        ("failed to load", f"interrupts.py {ENDS}"),
    ),
    ("json", "import json\njson.dumps(1)\n", ("enabled", "")),
    ("afterwards", "", ("enabled", "")),
]


def test_each_is_told_of_whatever_the_others_do(tmp_path: Path) -> None:
    """One process for all as long as that lasts, and an answer in time."""
    tmp_path.chmod(0o755)
    asked = []
    for name, text, _ in LOADED:
        file = tmp_path / f"{name}.py"
        file.write_text(text + SINK)
        file.chmod(0o644)
        asked.append((name, SinkTable(), SinkFile(name, file)))
    began_s = time.monotonic()
    found = loading.outcomes(asked, load_s_max=2.0)
    assert time.monotonic() - began_s < WAIT_S_MAX
    assert list(found) == [name for name, _, _ in LOADED]
    for name, _, (state, reason) in LOADED:
        assert found[name][0] == state, found[name]
        assert found[name][1].startswith(reason)


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ({"path": "/x"}, ("enabled", "")),
        ({"paht": "/x"}, ("bad config", "[sinks.mine]: unknown key 'paht'; did you mean 'path'?")),
    ],
)
def test_options_are_tried_as_well(tmp_path: Path, options: dict[str, str], outcome: tuple[str, str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SINK)
    file.chmod(0o644)
    tmp_path.chmod(0o755)
    asked = [("mine", SinkTable(options=options), SinkFile("mine", file))]
    assert loading.outcomes(asked) == {"mine": outcome}
