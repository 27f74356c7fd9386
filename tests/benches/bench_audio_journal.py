"""What the audio journal costs: an append, a sync of 250 ms of sound, and reading on after an outage.

Expected on a small machine: append p99 below 0.5 ms of each 50 ms, reading above 100 times real time,
looking for the next frame below 0.1 ms. fdatasync is the disk's own affair; nothing waits for it.
`bench_audio_journal.py 12` reads half a day (1.5 GB).
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from minuted.journal.audio_reader import AudioReader, Cursor
from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.messages import FRAME_BYTES, FRAME_MS, AudioFrame

FIRST = 35_000_000_000
SYNCED_FRAMES = 1000
FRAMES_A_SYNC = 250 // FRAME_MS
POLLS = 200


def took_us(act: Callable[[], object]) -> float:
    begun_ns = time.perf_counter_ns()
    act()
    return (time.perf_counter_ns() - begun_ns) / 1000


def p50_p99(times_us: list[float]) -> list[float]:
    cuts = statistics.quantiles(times_us, n=100)
    return [round(cuts[49], 1), round(cuts[98], 1)]


def drain(cursor: Cursor) -> None:
    while cursor.next() is not None:
        pass


def main(hours: float) -> None:
    count = int(hours * 3_600_000 / FRAME_MS)
    numbers = range(FIRST, FIRST + count)
    appends_us, syncs_us = [], []
    with tempfile.TemporaryDirectory(prefix="minuted-bench-") as path:
        folder = Folder(Path(path))
        with closing(AudioWriter(folder, hours_max=2 * hours)) as writer:
            for number in numbers:
                frame = AudioFrame(number=number, captured_at_ms=number * FRAME_MS, pcm=bytes(FRAME_BYTES))
                appends_us.append(took_us(lambda frame=frame: writer.append(frame)))  # type: ignore[misc]
                if number - FIRST < SYNCED_FRAMES and number % FRAMES_A_SYNC == 0:
                    syncs_us.append(took_us(writer.sync))
        open_us = took_us(lambda: AudioWriter(folder, hours_max=2 * hours).close())
        with closing(AudioReader(folder)) as reader, reader.cursor(FIRST) as cursor:
            read_us = took_us(lambda: drain(cursor))
            polls_us = [took_us(cursor.next) for _ in range(POLLS)]
            newest_us = took_us(lambda: reader.newest_number)
            seek_us = took_us(lambda: reader.cursor(FIRST + count // 2).next())
            assert cursor.number == FIRST + count
            release_us = took_us(lambda: reader.release(cursor.number))
    result = {
        "hours": hours,
        "append_p50_p99_us": p50_p99(appends_us),
        "fdatasync_p50_p99_us": p50_p99(syncs_us),
        "read_times_real_time": round(count * FRAME_MS * 1000 / read_us),
        "poll_p50_p99_us": p50_p99(polls_us),
        "seek_us": round(seek_us),
        "newest_us": round(newest_us),
        "reopen_and_sync_all_us": round(open_us),
        "release_all_us": round(release_us),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.5)
