"""Turns to be shown."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

from minuted.bus import TurnsOut
from minuted.config import Settings
from minuted.messages import Session, Turn
from screen import Screen

WAIT_S = 30
TALK = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of light"
)


def turn(text, *, order=0, final=False, start_ms=0, **more):
    fields = {
        "id": f"turn-{order}",
        "room": "attic",
        "meeting_id": "m1",
        "meeting_started_at_ms": 1_700_000_000_000,
        "session_id": "s1",
        "turn_order": order,
        "start_ms": start_ms,
        "end_ms": start_ms + 1000,
        "seq": order + 1 if final else None,
    }
    return Turn(text=text, final=final, **{**fields, **more})


def session(event, **more):
    return Session(event=event, room="attic", at_ms=0, **more)


class Watching:
    """`minuted watch` in a terminal of its own, and the publisher it watches."""

    def __init__(self, folder, columns, rows, *options):
        (folder / "minuted.toml").write_text(f'runtime_dir = "{folder}"\n')
        self.screen = Screen(columns, rows)
        self.written = ""
        self.turns = TurnsOut(Settings(runtime_dir=folder).turns_endpoint)
        self.terminal, inner = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minuted", "watch", "--config", folder / "minuted.toml", *options],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""},
        )
        os.close(inner)
        self.wait_for(self.turns.new_subscriptions)

    def resize(self, columns, rows):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def publish(self, *messages):
        for message in messages:
            self.turns.publish(message)

    def read(self, timeout_s):
        if select.select([self.terminal], [], [], timeout_s)[0]:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:  # the other end is closed
                return False
            text = data.decode(errors="replace")
            self.written += text
            self.screen.feed(text)
        return True

    def wait_for(self, condition):
        give_up_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < give_up_s, self.screen.lines()
            self.read(0.05)

    def wait_for_line(self, text):
        self.wait_for(lambda: any(text in line for line in self.screen.lines()))

    def end(self):
        self.process.terminate()
        return self.finish()

    def finish(self):
        while self.read(0.05) and self.process.poll() is None:
            pass
        while select.select([self.terminal], [], [], 0)[0] and self.read(0):
            pass
        assert self.screen.unknown == []
        return self.process.wait(WAIT_S)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.terminal)
        self.turns.close()
