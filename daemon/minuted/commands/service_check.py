"""`minuted check` of a service of this machine: from inside its sandbox for root, by how it is for others."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from minuted.addresses import host_and_port
from minuted.config import ConfigError, Settings
from minuted.control import status_of

from . import check, machine, network, sandbox
from .finding import Finding, judged, looked
from .sink_check import UNIT_NAME

INVOCATION_NAME: Final = "INVOCATION_ID"
"""The environment's name for what systemd calls a start of a unit."""


def run(
    settings: Callable[[], Settings],
    *,
    online: bool = False,
    as_json: bool = False,
    config: Path | None = None,
) -> int:
    """Print a line for everything; 78 when something does not work. Warnings are none of that.

    `config` is the file that a service of this machine may read too: then it is looked at in its place.
    """
    return check.report(_found(settings, config, online=online), as_json=as_json)


def _found(settings: Callable[[], Settings], config: Path | None, *, online: bool) -> Iterator[Finding]:
    """Look from where it counts: in the place of the service, or here."""
    units = [] if UNIT_NAME in os.environ else sandbox.units_of(config)
    if not units or not config or (os.geteuid() != 0 and INVOCATION_NAME in os.environ):
        return check.findings(
            settings, online=online, part=os.environ.get(sandbox.PART_NAME, ""), config=config
        )
    if os.geteuid() != 0:
        return _from_outside(settings, units)
    return _from_inside(settings, config, units, online=online)


def _from_inside(
    settings: Callable[[], Settings], config: Path, units: list[sandbox.Unit], *, online: bool
) -> Iterator[Finding]:
    """Look in the place of each service, and at what else of theirs root alone sees."""
    seen: set[Finding] = set()
    for unit in units:
        yield _unit(unit)
        for finding in sandbox.findings(unit, config, ["--online"] if online else []):
            if finding in seen:
                continue
            seen.add(finding)
            if finding.what == "clock" and finding.ok:
                # The sandbox hides what the kernel knows of it.
                yield judged("clock", machine.clock)
            elif finding.what == "configuration" and not finding.ok and unit.is_active:
                yield finding.with_text(
                    "what runs goes on as it was, and would not be there again after a restart"
                )
            else:
                yield finding
    yield from _beside(settings)


def _unit(unit: sandbox.Unit) -> Finding:
    state = "runs" if unit.is_active else "does not run"
    text = f"{unit.name} {state}; this is what it finds in its sandbox, as {unit.shown.get('User') or 'root'}"
    if unit.shown.get("NeedDaemonReload") == "yes":
        text = f"{text}; its lines were changed since they were read; run: systemctl daemon-reload"
        return Finding("unit", ok=True, text=text, warns=True)
    return Finding("unit", ok=True, text=text)


def _beside(load_settings: Callable[[], Settings]) -> Iterator[Finding]:
    """Look at the ports of what may run beside minuted, where it is to run and does not."""
    try:
        settings = load_settings()
    except ConfigError:
        return
    if unit := sandbox.beside("minuted-metrics.service"):
        listen = sandbox.environment_of(unit).get("LISTEN", "127.0.0.1:9464")
        yield looked("metrics", lambda: _listens("minuted-metrics", listen))
    if sandbox.beside("minuted-token-server.service"):
        listen = settings.token_server.listen
        yield looked("token server", lambda: _listens("token_server.listen", listen))


def _listens(key: str, listen: str) -> str:
    host, port = host_and_port(listen)
    try:
        network.bind(host, int(port))
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None
    return f"{listen} is free"


def _from_outside(load_settings: Callable[[], Settings], units: list[sandbox.Unit]) -> Iterator[Finding]:
    """Look at a service as somebody who is not its user: at how it is, not at what this user may do."""
    yield Finding("versions", ok="missing" not in check.versions(), text=check.versions())
    try:
        settings = load_settings()
    except ConfigError as error:
        yield Finding("configuration", ok=False, text=str(error))
        return
    yield Finding("configuration", ok=True, text=str(settings.path))
    for unit in units:
        state = "runs" if unit.is_active else "does not run; run: sudo systemctl start minuted"
        yield Finding("unit", ok=True, text=f"{unit.name} {state}", warns=not unit.is_active)
    if running := status_of(settings, "supervisor", timeout_s=0.5) if check.may_run(settings) else None:
        yield check.running_finding(running)
    yield judged("clock", machine.clock)
    yield from check.session_findings(settings, "assemblyai")
    text = "folders, key, sound and sinks are the service's, and are not looked at as another user"
    yield Finding("the rest", ok=True, text=f"{text}; run: sudo minuted check", warns=True)
