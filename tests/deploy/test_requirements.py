"""What an installation takes is what was tested, and nothing else."""

import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_requirements_are_the_constraints_that_are_needed() -> None:
    """The same versions and hashes; a package that is added and left out here would not be installed."""
    printed = subprocess.run(
        [sys.executable, DEPLOY / "requirements.py"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == (DEPLOY / "requirements.txt").read_text(encoding="utf-8"), "make constraints"
    for tool in ("pytest", "ruff", "mypy"):
        assert f"\n{tool}==" not in printed.stdout
