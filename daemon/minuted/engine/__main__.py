"""`minuted engine`: serve recognition on loopback by AssemblyAI's v3 protocol."""

import asyncio
import errno
import sys
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import structlog

from minuted.config import LOOPBACK, ConfigError, Settings
from minuted.control import ControlServer
from minuted.engine.recogniser import Model
from minuted.engine.server import Server
from minuted.runtime import notify, pulse, signals

log = structlog.get_logger(__name__)

CLOSE_S_MAX: Final = 6.0
"""What the open sessions may take to say goodbye."""
BEAT_S: Final = 0.5


def run(settings: Settings) -> int:
    """Serve until SIGTERM. Raises ConfigError without the library, the model or the port."""
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.call_soon_threadsafe(stopped.set)

    signals.stop_event(on_stop=stop)
    model = Model(settings.engine)
    server = Server(model, settings.engine_key(), settings.engine.update_interval_s)
    await _open(server, settings)
    control = ControlServer(settings.control_endpoint("engine"), {"status": lambda _: server.status()})
    log.info("engine_ready", url=server.url, model=model.name)
    notify.ready(f"ready on {server.url}, {model.name}")
    beating = asyncio.create_task(_beat())
    try:
        await stopped.wait()
    finally:
        notify.stopping()
        await asyncio.to_thread(control.close)
        with suppress(TimeoutError):
            await asyncio.wait_for(server.close(), CLOSE_S_MAX)
        beating.cancel()
        model.close()
    return 0


async def _beat() -> None:
    while True:
        pulse.beat()
        await asyncio.sleep(BEAT_S)


async def _open(server: Server, settings: Settings) -> None:
    place = urlsplit(settings.engine.url)
    host = place.hostname or LOOPBACK[0]
    if host not in LOOPBACK:
        raise ConfigError(f"engine.url: the local engine listens on this machine alone, not on {host}")
    try:
        await server.open(host, place.port or 0)
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise ConfigError(f"engine.url: port {place.port} of {host} {reason}") from None


if __name__ == "__main__":
    from minuted.cli import main

    sys.exit(main(["engine", *sys.argv[1:]]))
