"""Every line of README has a way to be run; those that need no machine of their own are run here.

`make test-readme` runs all of them, in order, on a fresh machine (long_readme.py).
"""

import shutil
from pathlib import Path

from readme.lines import README
from readme.machines import PORT, Here
from readme.ways import Way, never_run, not_there, tell
from simulator import Service


def test_every_line_of_the_readme_is_run() -> None:
    text = README.read_text(encoding="utf-8")
    forgotten = never_run(text)
    assert not forgotten, "put into WAYS of tests/readme/ways.py how each is run:\n" + "\n".join(forgotten)
    gone = not_there(text)
    assert not gone, (
        "README has no such line any more; take from WAYS of tests/readme/ways.py:\n" + "\n".join(gone)
    )


def test_the_lines_that_need_no_machine_of_their_own(tmp_path: Path, runtime_dir: Path) -> None:
    """In README's order, in a new folder, with the simulated service and the engine on this machine."""
    shutil.rmtree(runtime_dir)
    with Service() as service:
        machine = Here(tmp_path, runtime_dir, {f"ws://127.0.0.1:{PORT}": service.url})
        told: list[str] = []

        def wanted(_: object, way: Way) -> bool:
            return way.short

        tell(machine, wanted, told.append)
    assert len(told) > 25
