"""A process that writes the audio journal until it is killed, or reads it until it is told to end."""

import errno
import os
import resource
import sys
import threading
from pathlib import Path

from journal.sound import ROOMY_HOURS, drain, frame
from minuted.journal.audio_reader import AudioReader
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder

REPORT_BYTES = 8
KILLED = b"\xff" * REPORT_BYTES
SEGMENT_S = 1.0
ROOM_BYTES = 5000
SYNC_EVERY_S = 0.01


def write(path: Path) -> None:
    """Append for ever, and report each number on stdout once it is stored."""
    writer = AudioWriter(Folder(path), hours_max=ROOMY_HOURS, segment_s=SEGMENT_S)

    def sync() -> None:
        while True:
            writer.sync()
            threading.Event().wait(SYNC_EVERY_S)

    threading.Thread(target=sync, daemon=True).start()
    while True:
        number = writer.next_number
        writer.append(frame(number))
        os.write(1, number.to_bytes(REPORT_BYTES, "big"))


def breed(path: Path) -> None:
    """For each byte that comes in start a process that writes, tell its pid on stderr, and when it is dead.

    Forked here, because a new interpreter takes longer than all the rest.
    """
    while os.read(0, 1):
        pid = os.fork()
        if pid == 0:
            write(path)
        os.write(2, f"{pid}\n".encode())
        os.waitpid(pid, 0)
        os.write(1, KILLED)


def read(path: Path) -> None:
    """Read on each time a byte comes in; at the end tell the next number, or the first wrong one."""
    reader = AudioReader(Folder(path))
    following = 0
    with reader.cursor(0) as cursor:
        while os.read(0, 1 << 16):
            for record in drain(cursor):
                if record != frame(following):
                    print(f"wrong at {following}: {record!r}")
                    return
                following += 1
    print(f"{following} corrupt {reader.corrupt}")


def fill(path: Path) -> None:
    """Append until files may grow no more, then again when they may; tell what went wrong."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, hard_limit))
    writer = AudioWriter(Folder(path), hours_max=ROOMY_HOURS)
    while writer.next_number < 10:
        before = writer.next_number
        try:
            writer.append(frame(before))
        except OSError as error:
            assert writer.next_number == before
            (size_bytes,) = (file.stat().st_size for file in path.iterdir())
            print(type(error).__name__, error.errno, size_bytes, flush=True)
            # The first time a part of a record fitted; now not a byte will; then all there is to come.
            limit = size_bytes if error.errno == errno.ENOSPC else hard_limit
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard_limit))
    writer.close()


if __name__ == "__main__":
    {"breed": breed, "read": read, "fill": fill}[sys.argv[1]](Path(sys.argv[2]))
