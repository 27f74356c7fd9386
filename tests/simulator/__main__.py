"""The simulated service as a process: `python -m simulator --port 9000`.

On stdout comes one JSON object a line for everything that happens, first {"event": "listening", "port": …}.
With --commands it takes a fault as a JSON object a line from stdin, and ends when stdin does.
"""

import argparse
import json
import signal
import sys
import threading
from typing import Any

from .faults import FAULTS, Fault
from .options import Options, lifelike
from .record import Event
from .service import Service


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description=__doc__,
        epilog="Faults: " + "; ".join(f"{name}: {what}" for name, what in FAULTS.items()),
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--options", type=json.loads, default={}, help="a JSON object of Options")
    parser.add_argument("--lifelike", action="store_true", help="with measured delays and padded times")
    parser.add_argument("--script", type=json.loads, default=[], help="a JSON array of faults")
    parser.add_argument("--commands", action="store_true", help="take faults from stdin, and end with it")
    given = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    options = lifelike(**given.options) if given.lifelike else Options(**given.options)
    script = [Fault.from_map(values) for values in given.script]
    with Service(script, port=given.port, options=options, keep_audio=False, on_event=_print) as service:
        if given.commands:
            threading.Thread(target=_take_commands, args=(service, over), daemon=True).start()
        over.wait()
    return 0


def _take_commands(service: Service, over: threading.Event) -> None:
    for line in sys.stdin:
        values: dict[str, Any] = json.loads(line)
        service.fault(values.pop("name"), **values)
    over.set()


def _print(event: Event) -> None:
    shown = {name: value for name, value in event.items() if name != "pcm"}
    print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    sys.exit(main())
