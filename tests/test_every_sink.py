"""Whatever lies in `sinks/` keeps the contract; nothing needs to be listed here."""

import inspect
import json
import threading
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

from fake_publisher import gap, turn
from minuted import Sink
from minuted.config import BUNDLED_SINKS, SinkTable
from minuted.delivery import discovery
from minuted.delivery.discovery import PREFIX, SinkFile
from minuted.journal.cursor import encoded
from minuted.options import docstrings, options

SINKS = list(discovery.find_all([BUNDLED_SINKS]).values())
TOML_TYPES = (bool, int, float, str, Path)


@pytest.fixture(params=SINKS, ids=lambda file: file.name)
def file(request: pytest.FixtureRequest) -> SinkFile:
    file: SinkFile = request.param
    return file


@pytest.fixture
def receiver() -> Iterator[str]:
    """A web server that takes everything."""

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/turns"
    server.shutdown()
    thread.join()
    server.server_close()


def table_for(cls: type[Sink], folder: Path, address: str) -> dict[str, Any]:
    """Make a table that keeps a sink within this test: paths of its own, and an address that takes all."""
    hints = typing.get_type_hints(cls)
    table: dict[str, Any] = {}
    for option in options(cls):
        if hints[option.name] is Path:
            table[option.name] = str(folder / option.name)
        elif option.default is MISSING and option.default_factory is MISSING:
            table[option.name] = {str: address, int: 1, float: 1.0, bool: True}.get(hints[option.name])
    return table


def test_there_are_sinks() -> None:
    """An empty folder would make all that follows pass."""
    assert SINKS


def test_it_loads_and_tells_what_it_is_for(file: SinkFile) -> None:
    """Its first line is what `minuted sinks` shows."""
    cls = discovery.load(file)
    assert cls.__module__ == PREFIX + file.name
    doc = (inspect.getdoc(inspect.getmodule(cls)) or "").partition("\n")[0]
    assert doc.endswith(".")
    assert discovery.describe(file.path).doc == doc


def test_its_class_is_called_like_its_file(file: SinkFile) -> None:
    """One name for one thing: file_log.py has FileLog."""
    assert discovery.load(file).__name__.lower() == file.name.replace("_", "").lower()


def test_every_option_is_documented_in_one_line_and_can_stand_in_a_configuration(file: SinkFile) -> None:
    """A type TOML does not have could never be set."""
    cls = discovery.load(file)
    notes = docstrings(cls)
    for option in options(cls):
        assert notes.get(option.name, "").strip(), f"{option.name} has no docstring"
        assert "\n" not in notes[option.name], f"{option.name} has more than a line"
        hint = typing.get_type_hints(cls)[option.name]
        assert _is_toml(hint), f"{option.name}: {hint} is no type of TOML"


def _is_toml(hint: Any) -> bool:
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return all(member is types.NoneType or _is_toml(member) for member in members)
    if origin in (tuple, list):
        return _is_toml(members[0])
    if origin is dict:
        return members[0] is str and _is_toml(members[1])
    if origin is Literal:
        return all(isinstance(member, TOML_TYPES) for member in members)
    return hint in TOML_TYPES


def test_what_is_seen_from_outside_is_what_it_takes(file: SinkFile) -> None:
    """The description is read from the text, the options from the class: they must agree."""
    cls = discovery.load(file)
    seen = {option.name: option.default is None for option in discovery.describe(file.path).options}
    takes = {
        option.name: option.default is MISSING and option.default_factory is MISSING
        for option in options(cls)
    }
    assert seen == takes


def test_it_takes_every_kind_of_record_again_after_a_restart_too(
    file: SinkFile, tmp_path: Path, receiver: str
) -> None:
    """Its checkpoint can be stored, and is enough to go on with."""
    cls = discovery.load(file)
    table = SinkTable(options=table_for(cls, tmp_path, receiver))
    checkpoint: dict[str, Any] = {}
    for first in (1, 4):
        sink = discovery.make(file.name, table, cls, file)
        sink.room, sink.checkpoint = "boardroom", checkpoint
        sink.open()
        for deliver, record in (
            (sink.write, turn(first)),
            (sink.partial, turn(None, "so", id="p", final=False)),
            (sink.revise, turn(first + 1, "Revised.", id=f"t{first}", type="revision", revision=1)),
            (sink.gap, gap(first + 2)),
        ):
            deliver(record)  # type: ignore[arg-type]
            checkpoint = json.loads(encoded(sink.checkpoint))
            sink.checkpoint = checkpoint
        sink.close()
