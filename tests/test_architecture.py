"""The rules of the tree are kept; and each is itself tested, on a tree that breaks it once."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from architecture import (
    ROOT,
    RULES,
    STAGES,
    away_from_home,
    nosy_sinks,
    printed_elsewhere,
    processes_that_meet,
    stale_exceptions,
    undeclared,
    untested,
    wall_clocks,
    wrong_ways,
)
from conftest import BEGIN_WITH


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rules_are_kept(rule) -> None:
    assert rule(ROOT) == []


def test_the_test_files_to_begin_with_are_there() -> None:
    """One that was renamed would be left over for the end again, without a word."""
    assert [name for name in BEGIN_WITH if not (Path(__file__).parent / name).is_file()] == []


def test_every_stage_is_a_process() -> None:
    assert {folder.parent.name for folder in (ROOT / "daemon/minuted").glob("*/__main__.py")} == {*STAGES}


def test_the_source_folders_are_no_packages() -> None:
    """A package called `daemon` would overwrite another one of that name without a word."""
    assert not (ROOT / "daemon/__init__.py").exists()
    assert not (ROOT / "sinks/__init__.py").exists()
    assert not list((ROOT / "tests").rglob("test_*/__init__.py"))


# The rules see what breaks them.

PROJECT = """
[project]
dependencies = ["pyzmq>=27.0", "httpx>=0.28", "structlog>=25"]
[dependency-groups]
dev = ["pytest>=8", "ruff>=0.1", "hatchling>=1", "editables>=0", "mypy>=1", "pytest-timeout>=2"]
"""
GOOD = {
    "pyproject.toml": PROJECT,
    "daemon/minuted/__init__.py": "from .messages import Turn\n__all__ = ['Turn']\n",
    "daemon/minuted/messages.py": "import json\n",
    "daemon/minuted/bus.py": "import zmq\nfrom .messages import Turn\n",
    "daemon/minuted/cli.py": "from . import bus\n",
    "daemon/minuted/__main__.py": "from minuted.cli import main\n",
    "daemon/minuted/capture/__main__.py": "import structlog\nfrom minuted.cli import main\n",
    "daemon/minuted/capture/framing.py": "from minuted.messages import Turn\nfrom . import __main__\n",
    "daemon/minuted/engine/__main__.py": "from minuted.bus import Poller\n",
    "daemon/minuted/transcription/__main__.py": "",
    "daemon/minuted/delivery/discovery.py": "from minuted.messages import Turn\n",
    "daemon/minuted/delivery/__main__.py": "from minuted import bus\n",
    "sinks/webhook.py": "import httpx\nfrom minuted import Turn\n",
    "tests/test_bus.py": "import pytest\n",
    "tests/cli/test_lines.py": "",
    "tests/test_messages.py": "",
    "tests/capture/test_main.py": "",
    "tests/capture/test_framing.py": "",
    "tests/delivery/test_discovery.py": "",
    "tests/delivery/test_main.py": "",
    "tests/engine/test_main.py": "",
    "tests/sinks/test_webhook.py": "",
}
BREACHES = [
    (away_from_home, "daemon/minuted/cli.py", "import zmq", "cli.py imports zmq, whose home is bus.py"),
    (
        away_from_home,
        "daemon/minuted/capture/framing.py",
        "import msgpack",
        "capture/framing.py imports msgpack",
    ),
    (
        away_from_home,
        "sinks/webhook.py",
        "import requests",
        "sinks/webhook.py imports requests, which has no",
    ),
    (away_from_home, "daemon/minuted/bus.py", "def f():\n    import numpy.linalg", "bus.py imports numpy"),
    (wrong_ways, "daemon/minuted/messages.py", "from .bus import Poller", "messages.py imports minuted.bus"),
    (wrong_ways, "daemon/minuted/messages.py", "from minuted import bus", "messages.py imports minuted.bus"),
    (wrong_ways, "daemon/minuted/bus.py", "import minuted.cli", "bus.py imports minuted.cli"),
    (wrong_ways, "daemon/minuted/bus.py", "from . import Turn", "bus.py imports minuted.Turn"),
    (
        wrong_ways,
        "daemon/minuted/capture/framing.py",
        "from minuted.cli import main",
        "capture/framing.py imports minuted.cli.main, which capture may not",
    ),
    (wrong_ways, "daemon/minuted/novelty.py", "", "novelty.py: say in ALLOWED what novelty may import"),
    (
        wrong_ways,
        "daemon/minuted/commands/check.py",
        "from ..delivery import runner",
        "commands/check.py imports minuted.delivery.runner",
    ),
    (
        processes_that_meet,
        "daemon/minuted/delivery/__main__.py",
        "from minuted.capture.framing import Framer",
        "delivery/__main__.py imports minuted.capture.framing.Framer: delivery and capture are two processes",
    ),
    (
        processes_that_meet,
        "daemon/minuted/engine/__main__.py",
        "from ..delivery import discovery",
        "engine/__main__.py imports minuted.delivery.discovery",
    ),
    (
        nosy_sinks,
        "sinks/webhook.py",
        "from minuted.config import load",
        "sinks/webhook.py imports minuted.config",
    ),
    (nosy_sinks, "sinks/webhook.py", "from minuted import config", "sinks/webhook.py imports minuted.config"),
    (nosy_sinks, "sinks/webhook.py", "import minuted.bus", "sinks/webhook.py imports minuted.bus"),
    (printed_elsewhere, "daemon/minuted/cli.py", "def f(x):\n    print(x)", "cli.py uses print"),
    (
        printed_elsewhere,
        "daemon/minuted/cli.py",
        "import sys\nsys.stderr.write('')",
        "cli.py uses sys.stderr",
    ),
    (printed_elsewhere, "sinks/webhook.py", "from sys import stdout", "sinks/webhook.py uses sys.stdout"),
    (
        printed_elsewhere,
        "daemon/minuted/bus.py",
        "def f(x):\n    Text.from_markup(x)",
        "bus.py makes a Text of rich",
    ),
    (untested, "daemon/minuted/capture/extra.py", "", "capture/extra.py has no tests/capture/test_extra.py"),
    (untested, "daemon/minuted/watch.py", "", "watch.py has no tests/test_watch.py"),
    (
        untested,
        "daemon/minuted/journal/__main__.py",
        "",
        "journal/__main__.py has no tests/journal/test_main.py",
    ),
    (untested, "sinks/srt.py", "", "sinks/srt.py has no tests/sinks/test_srt.py"),
    (
        stale_exceptions,
        "tests/transcription/test_main.py",
        "",
        "transcription/__main__.py has its test now",
    ),
    *(
        (wall_clocks, "daemon/minuted/bus.py", text, "bus.py asks the wall clock")
        for text in (
            "import time\nnow_s = time.time()",
            "from time import time_ns",
            "import time\ntoday = time.strftime('%Y')",
            "import datetime\nnow = datetime.datetime.now()",
            "from minuted.runtime.clock import wall_ms",
        )
    ),
    (undeclared, "sinks/webhook.py", "import rich", "rich is imported and not declared"),
    (undeclared, "tests/test_bus.py", "import hypothesis", "hypothesis is imported and not declared"),
    (undeclared, "sinks/webhook.py", None, "httpx is declared and not used"),
    (undeclared, "pyproject.toml", PROJECT.replace("pyzmq>=27.0", "pyzmq"), "pyzmq without a bound needs"),
    (undeclared, "pyproject.toml", PROJECT.replace(">=27.0", "<28"), "pyzmq <28 needs a lower bound"),
    (
        undeclared,
        "pyproject.toml",
        PROJECT.replace('"ruff', '"jiwer>=1", "ruff'),
        "jiwer is declared and not",
    ),
]


def tree(folder: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_tree_that_keeps_the_rules_passes(rule, tmp_path: Path) -> None:
    assert rule(tree(tmp_path, GOOD)) == []


@pytest.mark.parametrize(("rule", "path", "text", "said"), BREACHES, ids=[said for *_, said in BREACHES])
def test_a_breach_is_seen(rule, path: str, text: str | None, said: str, tmp_path: Path) -> None:
    before = "" if path == "pyproject.toml" else GOOD.get(path, "")
    files = {**GOOD, path: f"{before}{text}\n" if text is not None else ""}

    broken = rule(tree(tmp_path, files))

    assert len(broken) == 1, broken
    assert broken[0].startswith(said)
