"""Sinks: found by file name, loaded by path, described without being loaded."""

import ast
import difflib
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import structlog

from minuted import config
from minuted.config import Settings, SinkTable
from minuted.options import ConfigError, build, options
from minuted.runtime import guard
from minuted.sink import Sink

from . import unfit
from .deadline import TIMEOUT_S
from .reasons import one_line, place_in

PREFIX: Final = "minuted_sink_"
"""Before a sink's name in `sys.modules`: a sink called json.py does not hide the standard library's."""
BASES: Final = ("Sink", "MeetingFiles")
"""What a sink may be derived from."""

CODE: Final = (".py", ".pyc", ".so")
PACKAGES: Final = "packages"
"""The folder among sinks that holds what they import: `pip install --target` fills it."""
TIMEOUT: Final = "timeout_s"
"""The option that every sink's table may have."""
TIMEOUT_S_MAX: Final = 86_400.0
LOAD_S_MAX: Final = 60.0
"""How long loading a sink may take, with all it imports: a slow disk and a large library, not a network."""
OWN_TIMEOUT_MARGIN_S: Final = 30.0
"""How much later a call is cut off than a sink's own `timeout_s` says."""

log = structlog.get_logger(__name__)


class SinkNotFound(ConfigError):  # noqa: N818  # the name says it
    """No folder has a sink of this name."""


class LoadError(Exception):
    """A sink's file is there and cannot be used; the text is the reason, in one line."""


class UnfitError(Exception):
    """What a sink's file defines is no sink; the text says what to write instead."""


@dataclass(frozen=True, slots=True)
class SinkFile:
    """Where a sink's module is: NAME.py, or NAME/__init__.py."""

    name: str
    path: Path

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionDescription:
    """An option as its author wrote it down."""

    name: str
    type: str
    default: str | None
    """As the configuration has it where it can, else as Python; None: it must be set."""
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a sink's file says of itself."""

    doc: str
    options: tuple[OptionDescription, ...]


State = Literal["enabled", "off", "not configured", "bad config", "failed to load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A sink, configured or only there to be."""

    name: str
    module: str
    path: Path | None
    state: State
    reason: str = ""
    doc: str = ""
    options: tuple[OptionDescription, ...] = ()


def folders(settings: Settings) -> tuple[Path, ...]:
    """Name the folders in the order they are searched."""
    return (config.BUNDLED_SINKS, *settings.sink_dirs)


def find_all(searched: Iterable[Path]) -> dict[str, SinkFile]:
    """Give every sink there is by name; one in a later folder takes the place of an earlier one."""
    found: dict[str, SinkFile] = {}
    for folder in searched:
        for file in _files_in(folder):
            if file.name in found:
                log.info("sink_overridden", sink=file.name, path=str(file.path))
            found[file.name] = file
    return dict(sorted(found.items()))


def find(name: str, settings: Settings) -> SinkFile:
    """Give the file of the sink configured as `name`. Raises SinkNotFound."""
    module = settings.sinks[name].use or name
    found = find_all(folders(settings))
    if module in found:
        return found[module]
    close = difflib.get_close_matches(module, found, 1, 0.6)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(found)}" if found else ""
    for folder in folders(settings):
        for file in sorted(folder.glob("*-*.py")):
            if file.stem.replace("-", "_") == module:
                hint = f"; {file} is none, for its name: rename it {module}.py"
    searched = ", ".join(str(folder) for folder in folders(settings))
    raise SinkNotFound(f"[sinks.{name}]: there is no sink {module!r}{hint} (searched {searched})")


def load(file: SinkFile) -> type[Sink]:
    """Run a sink's file and give its class. Raises LoadError."""
    _refuse_unsafe(file)
    _offer_packages(file)
    name = PREFIX + file.name
    spec = importlib.util.spec_from_file_location(
        name, file.path, submodule_search_locations=[str(file.path.parent)] if file.is_package else None
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and relative imports look it up there.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        return _sink_class(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise LoadError(_load_reason(error, file)) from error


def make(name: str, table: SinkTable, cls: type[Sink], file: SinkFile) -> Sink:
    """Build a sink with its options. Raises ConfigError for options it does not take, else LoadError."""
    has_own = TIMEOUT in _names_of_options(cls)
    given = {key: value for key, value in table.options.items() if key != TIMEOUT or has_own}
    try:
        _explain_unknown(given, cls, f"sinks.{name}", file)
        sink = build(cls, given, f"sinks.{name}", folder=table.folder)
        sink.name = name
        timeout_of(table, sink)
    except ConfigError:
        raise
    except Exception as error:
        raise LoadError(_load_reason(error, file)) from error
    for place in secret_files(sink):
        if changed := guard.changeable(place):
            raise ConfigError(changed)
    return sink


def timeout_of(table: SinkTable, sink: Sink) -> float:
    """Return how long a call of a sink may take. Raises ConfigError.

    A sink with an option `timeout_s` of its own keeps to that by itself; it is cut off when it does not.
    """
    given = table.options.get(TIMEOUT)
    if TIMEOUT in _names_of_options(type(sink)):
        own = getattr(sink, TIMEOUT)
        is_length = isinstance(own, int | float) and not isinstance(own, bool) and own > 0
        if not is_length:
            return TIMEOUT_S
        return float(own) + OWN_TIMEOUT_MARGIN_S if given is not None else max(TIMEOUT_S, float(own) * 2)
    if given is None:
        return TIMEOUT_S
    if isinstance(given, bool) or not isinstance(given, int | float) or not 1 <= given <= TIMEOUT_S_MAX:
        raise ConfigError(f"sinks.{sink.name}.{TIMEOUT} is a number of seconds from 1 to {TIMEOUT_S_MAX:g}")
    return float(given)


def secret_files(sink: Sink) -> list[Path]:
    """Give the files a sink takes its secrets from, as their options' names say."""
    return [value for name, value in vars(sink).items() if isinstance(value, Path) and "secret" in name]


def describe(path: Path) -> Description:
    """Read a sink's docstring and options from its text, without running it. Raises LoadError."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError) as error:
        raise LoadError(_load_reason(error, SinkFile(path.stem, path))) from None
    doc = (ast.get_docstring(tree) or "").partition("\n")[0]
    names = _names_of_sink(tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in names for base in node.bases):
            return Description(doc=doc, options=_described_options(node))
    return Description(doc=doc, options=())


def survey(settings: Settings, *, load_modules: bool) -> list[Row]:
    """Give a row for every sink: the configured ones first, then those that could be.

    `load_modules` runs the files of the enabled ones, in another process, which finds what fails to load or
    has bad options; without it only what can be seen from outside is known.
    """
    outcomes: Mapping[str, tuple[State, str]] = {}
    if load_modules:
        from .loading import outcomes as of_loading  # noqa: PLC0415  # it imports this module

        outcomes = of_loading(list(_loadable(settings)))
    rows = [_configured_row(name, settings, outcomes) for name in settings.sinks]
    used = {table.use or name for name, table in settings.sinks.items()}
    others = [file for file in find_all(folders(settings)).values() if file.name not in used]
    return rows + [_row(file.name, file.name, file, "not configured") for file in others]


def _loadable(settings: Settings) -> Iterator[tuple[str, SinkTable, SinkFile]]:
    for name, table in settings.sinks.items():
        if table.enabled:
            with suppress(SinkNotFound):
                yield name, table, find(name, settings)


def _configured_row(name: str, settings: Settings, outcomes: Mapping[str, tuple[State, str]]) -> Row:
    table = settings.sinks[name]
    module = table.use or name
    try:
        file = find(name, settings)
    except SinkNotFound as error:
        state: State = "bad config" if table.enabled else "off"
        return Row(name=name, module=module, path=None, state=state, reason=str(error))
    if not table.enabled:
        return _row(name, module, file, "off")
    state, reason = outcomes.get(name, ("enabled", ""))
    return _row(name, module, file, state, reason)


def _row(name: str, module: str, file: SinkFile, state: State, reason: str = "") -> Row:
    try:
        told = describe(file.path)
    except LoadError as error:
        return Row(
            name=name,
            module=module,
            path=file.path,
            state="failed to load" if state == "enabled" else state,
            reason=reason or str(error),
        )
    return Row(
        name=name,
        module=module,
        path=file.path,
        state=state,
        reason=reason,
        doc=told.doc,
        options=told.options,
    )


def _files_in(folder: Path) -> Iterable[SinkFile]:
    try:
        entries = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        log.warning("sink_folder_unreadable", path=str(folder), reason=error.strerror)
        return
    for entry in entries:
        file = entry / "__init__.py" if entry.is_dir() else entry
        name = entry.name if entry.is_dir() else entry.name.removesuffix(".py")
        # Editors' lock files and "webhook copy.py" are no sinks.
        if file.suffix == ".py" and file.is_file() and name.isidentifier() and not name.startswith("_"):
            yield SinkFile(name, file)


def _refuse_unsafe(file: SinkFile) -> None:
    """Whoever may write to a sink's file or folder runs code with the service's rights.

    Root runs no code of another user's, whatever the configuration says.
    """
    folder = file.path.parent
    places = [folder, file.path, folder / "__pycache__"]
    if file.is_package:
        inner = [each for each in folder.rglob("*") if each.is_dir() or each.suffix in CODE]
        places = [folder.parent, folder, *inner]
    for place in places:
        _refuse_unsafe_place(place)


def _refuse_unsafe_place(place: Path) -> None:
    if changed := guard.changeable(place):
        raise LoadError(changed)
    if os.geteuid() == 0 and guard.owner(place) is not None and (whose := guard.foreign(place)):
        name = whose.rpartition(" belongs to ")[2]
        raise LoadError(
            f"{whose}: root runs no code of another user's; run minuted as that user "
            f"(sudo -u {name} minuted …), or install the sink where only root may write"
        )


def packages_of(file: SinkFile) -> Path:
    """Return the folder of packages that belongs to the folder a sink lies in."""
    return (file.path.parents[1] if file.is_package else file.path.parent) / PACKAGES


def _offer_packages(file: SinkFile) -> None:
    """Let a sink import what was installed beside it; minuted's own packages come first.

    The same rules hold for that as for the sink: it is run as well.
    """
    folder = packages_of(file)
    if not folder.is_dir():
        return
    try:
        _refuse_unsafe_place(folder)
        for place in _changed_rights(folder):
            _refuse_unsafe_place(place)
    except PermissionError as error:
        raise LoadError(f"{error.filename} cannot be read; run: chmod -R go+rX {folder}") from None
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _changed_rights(folder: Path) -> Iterator[Path]:
    """Return the places in a folder whose owner or mode is not plain, and those that lead elsewhere.

    There may be thousands: each is asked for once, and the whole way to it only where there is a doubt.
    """
    of_folder = folder.stat()
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if entry.is_symlink() or status.st_mode & 0o022 or status.st_uid != of_folder.st_uid:
                yield Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from _changed_rights(Path(entry.path))


def _names_of_options(cls: type[Sink]) -> set[str]:
    return {option.name for option in options(cls)}


def _explain_unknown(given: Mapping[str, Any], cls: type[Sink], where: str, file: SinkFile) -> None:
    """Raise ConfigError for a key that the sink's author meant for an option, without an annotation."""
    for key in given:
        if key in _names_of_options(cls) or key.startswith("_") or key in vars(Sink):
            continue
        value = getattr(cls, key, None)
        if value is not None and not callable(value) and not isinstance(value, property):
            raise ConfigError(
                f"[{where}]: {key!r} has no type in {file.path.name}, so it is no option: "
                f"write `{key}: {type(value).__name__} = …`"
            )


def _sink_class(module: ModuleType) -> type[Sink]:
    classes = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Sink) and value.__module__ == module.__name__
    }
    public = {cls for cls in classes if not cls.__name__.startswith("_")} or classes
    if reason := unfit.classes(sorted(cls.__name__ for cls in public)) or unfit.methods(*public):
        raise UnfitError(reason)
    (cls,) = public
    return cls


def _load_reason(error: BaseException, file: SinkFile) -> str:
    place = place_in(error, file.path)
    if isinstance(error, UnfitError):
        return str(error)
    if isinstance(error, SystemExit):
        code = "" if error.code is None else error.code
        return f"calls sys.exit({code}) while it is loaded; a sink is only to define its class there{place}"
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(PREFIX):
        package = error.name.partition(".")[0]
        if package != "minuted":
            return _missing(package, error.name, file) + place
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({Path(error.filename or file.path).name}:{error.lineno})"
    if isinstance(error, NameError) and error.name and not place:
        return (
            f"the type of an option is {error.name!r}, which {file.path.name} has not imported when it runs "
            "(an import under `if TYPE_CHECKING` does not count)"
        )
    return one_line(error, file.path)


def _missing(package: str, module: str, file: SinkFile) -> str:
    """Return what to do about a module that is not found."""
    folder, name = file.path.parent, file.name
    if any((folder / each).exists() for each in (f"{package}.py", package)):
        if file.is_package:
            return f"imports {package!r} of its own folder: write `from .{package} import …`"
        return (
            f"imports {package!r}, which lies beside it, where each file is a sink: move both into a folder "
            f"{name}, as {name}/__init__.py and {name}/{package}.py, and write `from .{package} import …`"
        )
    has_pip = importlib.util.find_spec("pip") is not None
    pip = f"{sys.executable} -m pip" if has_pip else f"python3 -m pip --python {sys.executable}"
    # A package's name need not be its module's.
    return (
        f"needs the module {module!r}; install the package that has it: "
        f"{pip} install --target {packages_of(file)} {package}"
    )


def _names_of_sink(tree: ast.Module) -> set[str]:
    """Give what `Sink`, or what is made for files, is called in a file, as it was imported."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "minuted":
            names |= {alias.asname or alias.name for alias in node.names if alias.name in BASES}
        elif isinstance(node, ast.Import):
            modules = [alias.asname or alias.name for alias in node.names if alias.name == "minuted"]
            names |= {f"{module}.{base}" for module in modules for base in BASES}
    return names


def _described_options(node: ast.ClassDef) -> tuple[OptionDescription, ...]:
    described = []
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name, kind = statement.target.id, ast.unparse(statement.annotation)
        if name.startswith("_") or kind.partition("[")[0].rpartition(".")[2] == "ClassVar":
            continue
        doc = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            doc = inspect.cleandoc(str(following.value.value))
        default = _default_of(statement.value)
        described.append(OptionDescription(name=name, type=kind, default=default, doc=doc))
    return tuple(described)


def _default_of(node: ast.expr | None) -> str | None:
    """Return an option's default as it would stand in the configuration; None where it must be set."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "field":
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if not given.keys() & {"default", "default_factory"}:
            return None
        empty = {"list": "[]", "tuple": "[]", "set": "[]", "dict": "{}"}
        factory = ast.unparse(given["default_factory"]) if "default_factory" in given else ""
        return empty.get(factory, factory) if factory else _default_of(given["default"])
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Path") and len(node.args) == 1:
        node = node.args[0]
    if node is None:
        return None
    try:
        return _toml(ast.literal_eval(node))
    except (ValueError, TypeError):
        return ast.unparse(node)


def _toml(value: Any) -> str:
    """Return a value as TOML has it. Raises TypeError for what that has no form for."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple | set):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(str(key), ensure_ascii=False)} = {_toml(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=False)
