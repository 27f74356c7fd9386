"""How soon a break is noticed, and how soon captions are live again after it: medians of some breaks each.

Expected: a black hole and a stalled service noticed within 8 s; captions live within 2 s of the service
being reachable, in the median. A whole daemon a kind, playing in real time; all kinds at once.
"""

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from kills.daemon import Daemon
from minuted.bus import TurnsIn
from minuted.messages import Message, Session, Turn
from simulator import Service
from simulator.coded import compose
from simulator.proxy import Proxy

KINDS = ("black_hole", "stall", "refused")
DAEMONS = 2
"""Of each kind."""
BREAKS = 2
"""Of each daemon's session: with more than five lost sessions in a minute it waits, as it should."""
LASTS_S = 3.0
"""How long a network stays away after that was noticed."""
WAIT_S_MAX = 30.0


class Breaks:
    """One daemon whose sessions break again and again in one way."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.noticed_s: list[float] = []
        self.live_s: list[float] = []

    def run(self) -> "Breaks":
        recording = compose(60, words=(3, 8), word_ms=(150, 300), turn_pause_ms=(250, 500))
        with (
            tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as name,
            Service(keep_audio=False, begin_s=0.3) as service,
            Proxy(service.port) as proxy,
        ):
            folder = Path(name)
            config = f'[engine]\nservice = "assemblyai"\nurl = "{proxy.url}"\n'
            with Daemon(folder, folder, config) as daemon:
                self._turns = TurnsIn(daemon.settings.turns_endpoint)
                daemon.start(recording.save(folder / "talk.wav"))
                for _ in range(BREAKS):
                    self._wait_for(lambda message: isinstance(message, Turn) and message.final)
                    self._break(service, proxy)
                self._turns.close()
        return self

    def _break(self, service: Service, proxy: Proxy) -> None:
        if self._kind == "stall":
            # Only a heartbeat that has come can stay away.
            service.wait_until(lambda: service.sessions[-1].messages("Heartbeat"))
        broken_s = time.monotonic()
        if self._kind == "stall":
            service.fault("stall")
        elif self._kind == "black_hole":
            proxy.black_hole()
        else:
            proxy.down()
        self._wait_for(lambda message: isinstance(message, Session) and message.event == "retrying")
        noticed_s = time.monotonic()
        self.noticed_s.append(noticed_s - broken_s)
        healed_s = noticed_s
        if self._kind != "stall":
            threading.Event().wait(LASTS_S)
            proxy.heal()
            proxy.up()
            healed_s = time.monotonic()
        self._wait_for(lambda message: isinstance(message, Session) and message.event == "started")
        self._wait_for(lambda message: isinstance(message, Turn) and not message.backfilled)
        self.live_s.append(time.monotonic() - healed_s)

    def _wait_for(self, come: Callable[[Message], bool]) -> None:
        until_s = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < until_s:
            message = self._turns.receive(timeout_s=0.2)
            if message is not None and come(message):
                return
        raise TimeoutError(f"{self._kind}: not within {WAIT_S_MAX} s")


def main() -> None:
    with ThreadPoolExecutor(DAEMONS * len(KINDS)) as pool:
        all_breaks = list(pool.map(lambda kind: Breaks(kind).run(), DAEMONS * KINDS))
    result: dict[str, Any] = {"bench": "outages", "breaks": DAEMONS * BREAKS}
    for place, kind in enumerate(KINDS):
        of_kind = all_breaks[place :: len(KINDS)]
        noticed_s = [one_s for breaks in of_kind for one_s in breaks.noticed_s]
        live_s = [one_s for breaks in of_kind for one_s in breaks.live_s]
        result[f"{kind}_noticed_p50_s"] = round(statistics.median(noticed_s), 2)
        result[f"{kind}_noticed_max_s"] = round(max(noticed_s), 2)
        result[f"{kind}_live_p50_s"] = round(statistics.median(live_s), 2)
        result[f"{kind}_live_max_s"] = round(max(live_s), 2)
    result["load"] = os.getloadavg()[0]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
