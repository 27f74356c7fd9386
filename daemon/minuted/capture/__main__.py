"""`minuted capture`: hear a microphone or play a recording, push frames of 50 ms."""

import os
import sys
from pathlib import Path
from typing import Final

from minuted.bus import FramesOut
from minuted.capture.backlog import Backlog
from minuted.capture.microphone import Microphone
from minuted.capture.sender import Sender, Source
from minuted.config import Settings
from minuted.control import ControlServer
from minuted.messages import FRAME_MS
from minuted.runtime import notify, signals

AHEAD_FRAMES_MAX: Final = 20
"""How far a recording is read ahead of the socket."""


def run(settings: Settings) -> int:
    """Send the sound until it ends or SIGTERM comes; give the exit status.

    Raises ConfigError for a recording that cannot be played, and for a device that is not there when
    a person has started us. Ends the process by itself where PortAudio might hang in its closing.
    """
    stop = signals.stop_event()
    source, backlog = _open(settings)
    sender = Sender(source, backlog, FramesOut(settings.frames_endpoint), stop, settings.stop_timeout_s)
    control = ControlServer(settings.control_endpoint("capture"), {"status": lambda _: sender.status()})
    try:
        exit_status = sender.run()
    finally:
        notify.stopping()
        control.close()
    if sender.is_stuck:
        os._exit(exit_status)
    return exit_status


def _open(settings: Settings) -> tuple[Source, Backlog]:
    wanted = settings.capture
    if wanted.source == "microphone":
        frames_max = int(settings.journal.memory_s_max * 1000) // FRAME_MS
        microphone = Microphone(wanted.device, wanted.channel, patient=_is_a_service())
        return microphone, Backlog(frames_max, when_full="drop")
    # A microphone does without numpy and the sound file library.
    from minuted.capture.recording import Player, Recording  # noqa: PLC0415

    recording = Recording(Path(wanted.source).expanduser(), wanted.channel)
    return Player(recording, wanted.pace), Backlog(AHEAD_FRAMES_MAX, when_full="wait")


def _is_a_service() -> bool:
    """Whether systemd started this process or its supervisor: a machine in a room, with nobody there.

    Source: systemd.exec(5), SYSTEMD_EXEC_PID. Its other marks are passed on to a desktop's shells.
    """
    started = os.environ.get("SYSTEMD_EXEC_PID")
    return started is not None and started in (str(os.getpid()), os.environ.get(signals.PARENT))


if __name__ == "__main__":
    from minuted.cli import main

    sys.exit(main(["capture", *sys.argv[1:]]))
