"""What sinks are made of, as a mark that changes when somebody edits them. They are read, and not run."""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from minuted.config import Settings

from .discovery import CODE, SinkFile, SinkNotFound, find, packages_of


def fingerprints(settings: Settings) -> Mapping[str, str]:
    """Return the mark of each sink that is switched on; "" for one whose file cannot be read."""
    marks = {}
    for name, table in settings.sinks.items():
        if table.enabled:
            marks[name] = ""
            with suppress(SinkNotFound, OSError):
                marks[name] = fingerprint(find(name, settings))
    return marks


def fingerprint(file: SinkFile) -> str:
    """Return the mark of a sink's file, of what it imports from beside it, and of its packages' versions.

    Raises OSError.
    """
    digest = hashlib.sha256()
    for path in sorted(_files(file)):
        digest.update(b"%s\0%d\0" % (str(path).encode(errors="surrogateescape"), path.stat().st_size))
        digest.update(path.read_bytes())
    for name in sorted(each.name for each in packages_of(file).glob("*.dist-info")):
        digest.update(name.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(file: SinkFile) -> set[Path]:
    if file.is_package:
        return {each for each in file.path.parent.rglob("*") if each.suffix in CODE and each.suffix != ".pyc"}
    found, left = set(), [file.path]
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += _imported_from_beside(path)
    return found


def _imported_from_beside(path: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            beside = path.with_name(f"{name.partition('.')[0]}.py")
            if beside.is_file():
                yield beside
