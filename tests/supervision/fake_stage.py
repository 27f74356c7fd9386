"""A stage that does as it is told: `fake_stage.py STAGE FOLDER BEHAVIOUR`, the behaviour in JSON.

exits: exit statuses of the first starts, each after `status` was told. over: exits so once ready,
and with `waits` not before there is a file FOLDER/go.
deaf: does not hear SIGTERM. mute: never says it is ready. spawns: starts a child of its own.
control: has a control socket, as transcription always has, which tells lag and last_error.
Every event goes into FOLDER/events, one a line.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

PDEATHSIG = 1


def main() -> int:
    stage, folder, told = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])

    def note(event: str) -> None:
        with (folder / "events").open("a") as events:
            events.write(f"{stage} {event}\n")

    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    events = (folder / "events").read_text() if (folder / "events").exists() else ""
    starts = events.count(f"{stage} start\n")
    note("start")
    (folder / f"environment-{stage.replace('/', '-')}").write_text(json.dumps(dict(os.environ)))
    exits = told.get("exits", [])
    if starts < len(exits) and exits[starts] is not None:
        if told.get("status"):
            notify(f"STATUS={told['status']}")
        if exits[starts] < 0:
            os.kill(os.getpid(), -exits[starts])
        return exits[starts]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if told.get("deaf") else lambda *_: stop.set())
    if told.get("spawns"):
        child = subprocess.Popen(["sleep", "60"])
        (folder / "spawned").write_text(str(child.pid))
    if told.get("control", stage == "transcription"):
        serve(stage, folder, told, note)
    if not told.get("mute"):
        notify(f"READY=1\nSTATUS={told.get('ready', 'ready')}")
    if "over" in told:
        while told.get("waits") and not (folder / "go").exists():
            stop.wait(0.02)
        note("over")
        return told["over"]
    stop.wait()
    note("stop")
    return told.get("stopped", 0)


def notify(message):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(message.encode(), "\0" + os.environ["NOTIFY_SOCKET"][1:])


def serve(stage, folder, told, note):
    """Answer as minuted.control does, without its imports: many of these are started."""
    from minuted.bus import Replier
    from minuted.config import Settings

    status = {"ok": True, "pid": os.getpid(), "state": "live", "last_seq": 3, "seq": 1}
    status.update({key: told[key] for key in ("lag", "last_error") if key in told})

    def answer():
        while True:
            if asked := replier.receive(timeout_s=60):
                if asked[1]["op"] == "drain":
                    note("drain")
                    status["state"] = "drained"
                replier.reply(asked[0], status)

    replier = Replier(Settings(runtime_dir=folder / "run").control_endpoint(stage))
    threading.Thread(target=answer, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
