"""Sinks: found by file name, loaded by path, described without being loaded."""

import ast
import difflib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, Literal

import structlog

from minuted import config
from minuted.config import Settings, SinkTable
from minuted.options import ConfigError, build
from minuted.runtime import guard
from minuted.sink import Sink

from .reasons import one_line

PREFIX: Final = "minuted_sink_"
"""Before a sink's name in `sys.modules`: a sink called json.py does not hide the standard library's."""
BASES: Final = ("Sink", "MeetingFiles")
"""What a sink may be derived from."""

_CODE: Final = (".py", ".pyc", ".so")

log = structlog.get_logger(__name__)


class SinkNotFound(ConfigError):  # noqa: N818  # the name says it
    """No folder has a sink of this name."""


class LoadError(Exception):
    """A sink's file is there and cannot be used; the text is the reason, in one line."""


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
    """As Python; None: it must be set."""
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
    searched = ", ".join(str(folder) for folder in folders(settings))
    raise SinkNotFound(f"[sinks.{name}]: there is no sink {module!r}{hint} (searched {searched})")


def load(file: SinkFile) -> type[Sink]:
    """Run a sink's file and give its class. Raises LoadError."""
    _refuse_unsafe(file)
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
    try:
        sink = build(cls, table.options, f"sinks.{name}", folder=table.folder)
    except ConfigError:
        raise
    except Exception as error:
        raise LoadError(_load_reason(error, file)) from error
    for place in secret_files(sink):
        if changed := guard.changeable(place):
            raise ConfigError(changed)
    sink.name = name
    return sink


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

    `load_modules` runs the files of the enabled ones, which finds what fails to load or has bad
    options; without it only what can be seen from outside is known.
    """
    rows = [_configured_row(name, settings, load_modules=load_modules) for name in settings.sinks]
    used = {table.use or name for name, table in settings.sinks.items()}
    others = [file for file in find_all(folders(settings)).values() if file.name not in used]
    return rows + [_row(file.name, file.name, file, "not configured") for file in others]


def _configured_row(name: str, settings: Settings, *, load_modules: bool) -> Row:
    table = settings.sinks[name]
    module = table.use or name
    try:
        file = find(name, settings)
    except SinkNotFound as error:
        state: State = "bad config" if table.enabled else "off"
        return Row(name=name, module=module, path=None, state=state, reason=str(error))
    if not table.enabled:
        return _row(name, module, file, "off")
    if load_modules:
        try:
            make(name, table, load(file), file)
        except ConfigError as error:
            return _row(name, module, file, "bad config", str(error))
        except LoadError as error:
            return _row(name, module, file, "failed to load", str(error))
    return _row(name, module, file, "enabled")


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
        inner = [each for each in folder.rglob("*") if each.is_dir() or each.suffix in _CODE]
        places = [folder.parent, folder, *inner]
    for place in places:
        if changed := guard.changeable(place):
            raise LoadError(changed)
        if os.geteuid() == 0 and guard.owner(place) is not None and (whose := guard.foreign(place)):
            name = whose.rpartition(" belongs to ")[2]
            raise LoadError(
                f"{whose}: root runs no code of another user's; run minuted as that user "
                f"(sudo -u {name} minuted …), or install the sink where only root may write"
            )


def _sink_class(module: ModuleType) -> type[Sink]:
    classes = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Sink) and value.__module__ == module.__name__
    }
    if len(classes) != 1:
        names = ", ".join(sorted(cls.__name__ for cls in classes)) or "none"
        raise ImportError(f"exactly one subclass of Sink is wanted, and the file defines {names}")
    (cls,) = classes
    if inspect.isabstract(cls):
        raise ImportError(f"{cls.__name__} does not define write(self, turn)")
    return cls


def _load_reason(error: BaseException, file: SinkFile) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(PREFIX):
        package = error.name.partition(".")[0]
        if package != "minuted":
            return f"needs the module {error.name!r}: {sys.executable} -m pip install {package}"
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({Path(error.filename or file.path).name}:{error.lineno})"
    return one_line(error, file.path)


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
        default = ast.unparse(statement.value) if statement.value else None
        described.append(OptionDescription(name=name, type=kind, default=default, doc=doc))
    return tuple(described)
