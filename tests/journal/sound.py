"""Frames whose sound is a function of their number, so that a wrong one is seen."""

from random import Random

from minuted.journal.audio_reader import AudioReader, Cursor
from minuted.journal.folder import Folder
from minuted.messages import FRAME_BYTES, AudioEnd, AudioFrame, AudioGap

SEGMENT_FRAMES = 4
SEGMENT_S = SEGMENT_FRAMES * 0.05
ROOMY_HOURS = 1.0


def frame(number: int, *, stamp: int = 0, pcm_bytes: int = FRAME_BYTES) -> AudioFrame:
    """Make the frame of a number; `stamp` tells apart frames that bear the same one."""
    pcm = Random(number * 1000 + stamp).randbytes(pcm_bytes)
    return AudioFrame(number=number, captured_at_ms=stamp, pcm=pcm)


def frames(start: int, stop: int) -> list[AudioFrame]:
    return [frame(number) for number in range(start, stop)]


def gap(start: int, stop: int, reason: str = "paused") -> AudioGap:
    return AudioGap(from_number=start, to_number=stop, reason=reason)


def end(number: int) -> AudioEnd:
    return AudioEnd(next_number=number, reason="stopped")


def drain(cursor: Cursor) -> list[AudioFrame | AudioGap | AudioEnd]:
    """Take all there is."""
    found = []
    while (record := cursor.next()) is not None:
        found.append(record)
    return found


def read_all(folder: Folder, number: int = 0) -> list[AudioFrame | AudioGap | AudioEnd]:
    with AudioReader(folder).cursor(number) as cursor:
        return drain(cursor)
