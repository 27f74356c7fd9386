"""`minuted capture`: hear a microphone or play a recording, journal and push frames of 50 ms."""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

import structlog

from minuted.bus import AddressInUseError, FramesOut
from minuted.capture import playing
from minuted.capture.backlog import Backlog
from minuted.capture.microphone import Microphone
from minuted.capture.outlets import UNREAD_FRAMES_MAX, Direct, Journalled, Outlet, last_word
from minuted.capture.pause import Pause, handlers
from minuted.capture.sender import BROKE_OFF, Sender, Source
from minuted.config import RUN_NAME, Settings, SoundSource
from minuted.control import ControlServer
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder, FolderInUseError
from minuted.journal.sound_clock import SoundClock
from minuted.messages import FRAME_MS, AudioGap
from minuted.runtime import clock, notify, signals

AHEAD_FRAMES_MAX: Final = 20
"""How far a recording is read ahead."""
CLAIM_S_MAX: Final = 2.0
"""How long a predecessor may take to let go of the journal."""
CLAIM_AGAIN_S: Final = 0.1
NEARLY_FULL: Final = 0.9

log = structlog.get_logger(__name__)


def run(settings: Settings, name: str = "") -> int:
    """Send a source's sound until it ends or SIGTERM comes; give the exit status.

    `name` says which, where there are several.

    Raises ConfigError for a recording that cannot be played, and for a device that is not there when
    a person has started us. Ends the process by itself where PortAudio might hang in its closing.
    """
    stop = signals.stop_event()
    wanted = settings.source(name)
    try:
        pause = Pause(settings.state_dir)
        audio_folders = [settings.audio_dir(source.name) for source in settings.sources]
        sound_clock = SoundClock(settings.state_dir, audio_folders)
        source, backlog, outlet = _open(settings, wanted, stop, sound_clock)
    except AddressInUseError:
        raise
    except OSError as error:
        log.error("journal_failed", reason=str(error))
        notify.status(f"the audio journal failed: {error}")
        return 1
    if wanted.is_recording:
        # A recording holds nothing that is being said now.
        pause = Pause()
    sender = Sender(source, backlog, outlet, stop, settings.stop_timeout_s, pause, sound_clock.number_now)
    control = ControlServer(
        settings.control_endpoint(wanted.stage), {"status": lambda _: sender.status(), **handlers(pause)}
    )
    try:
        exit_status = sender.run()
    finally:
        notify.stopping()
        control.close()
    if exit_status == BROKE_OFF and RUN_NAME not in os.environ:
        # To a supervisor it is another matter than a failure; to a person it is one.
        exit_status = 1
    if sender.is_stuck:
        os._exit(exit_status)
    return exit_status


def _open(
    settings: Settings, wanted: SoundSource, stop: threading.Event, sound_clock: SoundClock
) -> tuple[Source, Backlog, Outlet]:
    """Open the source and the way on for its frames, on the disk or not."""
    folder = settings.audio_dir(wanted.name) if settings.journal.audio == "disk" else None
    if not wanted.is_recording:
        writer = _claim(folder, settings, stop) if folder else None
        was_lost = folder is not None and writer is not None and _was_lost(folder, writer.next_number)
        frames_max = int(settings.journal.memory_s_max * 1000) // FRAME_MS
        least_number = writer.next_number if writer else 0
        sound_clock.look(least_number)
        microphone = Microphone(
            wanted.device,
            wanted.channel,
            patient=_is_a_service() or was_lost,
            least_number=least_number,
            sound_clock=sound_clock,
        )
        return microphone, Backlog(frames_max, when_full="drop"), _outlet(settings, wanted, writer, stop)
    # A microphone does without numpy and the sound file library.
    from minuted.capture.recording import Player, Recording  # noqa: PLC0415

    recording = Recording(Path(wanted.source).expanduser(), wanted.channel)
    backlog = Backlog(AHEAD_FRAMES_MAX, when_full="wait")
    pace = settings.capture.pace
    now = (clock.wall_ms(), sound_clock.number_now())
    if folder is None:
        player = Player(recording, pace, playing=playing.playing_anew(*now))
        return player, backlog, _outlet(settings, wanted, None, stop)
    writer = _claim(folder, settings, stop)
    run_id = os.environ.get(RUN_NAME, "")
    together = "\n".join(source.source for source in settings.sources)
    others = [settings.audio_dir(source.name) for source in settings.sources if source is not wanted]
    played = playing.begin(settings.state_dir, run_id, together, writer.next_number, now, others)
    if played.goes_on:
        log.info("recording_resumed", frames=played.from_number - played.first_number)
        # To find the place again may take a while.
        notify.ready(f"going on with {recording.name}")
    outlet = _outlet(settings, wanted, writer, stop, played_from=played.first_number)
    return Player(recording, pace, playing=played), backlog, outlet


def _claim(folder: Path, settings: Settings, stop: threading.Event) -> AudioWriter:
    """Open the audio journal. Raises AddressInUseError when another process keeps it."""
    until_s = time.monotonic() + CLAIM_S_MAX
    while True:
        try:
            writer = AudioWriter(Folder(folder), hours_max=settings.journal.audio_hours_max)
        except FolderInUseError:
            if time.monotonic() > until_s or stop.wait(CLAIM_AGAIN_S):
                raise AddressInUseError(
                    f"the audio journal {folder} is already in use by another minuted"
                ) from None
            continue
        if writer.cut_bytes:
            log.warning("journal_cut", bytes=writer.cut_bytes)
        return writer


def _outlet(
    settings: Settings,
    wanted: SoundSource,
    writer: AudioWriter | None,
    stop: threading.Event,
    played_from: int | None = None,
) -> Outlet:
    out = FramesOut(settings.frames_of(wanted.name))
    if writer is None:
        return Direct(out)
    frames_max = UNREAD_FRAMES_MAX
    if settings.capture.pace == "real-time":
        # It stands for a room, which does not wait either; but the bound must not take any of it.
        frames_max = int(settings.journal.audio_hours_max * NEARLY_FULL * 3_600_000) // FRAME_MS
    return Journalled(
        writer,
        Folder(settings.audio_dir(wanted.name)),
        out,
        stop,
        played_from=played_from,
        unread_frames_max=frames_max,
    )


def _was_lost(folder: Path, next_number: int) -> bool:
    """Whether a predecessor had the device and lost it: then it is worth waiting for, by hand too."""
    last = last_word(Folder(folder), next_number)
    return isinstance(last, AudioGap) and last.reason == "device-lost" and RUN_NAME in os.environ


def _is_a_service() -> bool:
    """Whether systemd started this process or its supervisor: a machine in a room, with nobody there.

    Source: systemd.exec(5), SYSTEMD_EXEC_PID. Its other marks are passed on to a desktop's shells.
    """
    started = os.environ.get("SYSTEMD_EXEC_PID")
    return started is not None and started in (str(os.getpid()), os.environ.get(signals.PARENT))


if __name__ == "__main__":
    from minuted.cli import main

    sys.exit(main(["capture", *sys.argv[1:]]))
