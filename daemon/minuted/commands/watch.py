"""Live captions in a terminal: partials in place, finals for good. `minuted watch`."""

import os
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from minuted import status, text_layout
from minuted.bus import TurnsIn
from minuted.config import Settings
from minuted.control import is_served
from minuted.messages import Gap, Message, Session, Turn
from minuted.runtime import rights, signals
from minuted.runtime.texts import clean
from minuted.status import gather

from . import printing, styles
from .styles import styled
from .wishing import NotDoneError

LIVE_ROWS_MAX: Final = 6
"""Of a longer partial the last rows are shown."""
HISTORY_MAX: Final = 300
"""Lines kept for a terminal that changes its width, and turns for which a revision is recognised."""
SILENCE_S_MAX: Final = 3.5
"""Without a heartbeat for so long, minuted is not there."""
LOOK_EVERY_S: Final = 0.25
ASK_EVERY_S: Final = 2.0
ANSWER_S_MAX: Final = 1.0
MESSAGES_AT_ONCE_MAX: Final = 200
_OVER: Final = ("retrying", "refused", "limit", "ended", "drained")


def run(settings: Settings, *, until_end: bool) -> int:
    """Show captions until SIGTERM or Ctrl-C; with `until_end` until the recording is drained."""
    stop = signals.stop_event()
    waiting, tells_at_s = f"waiting for minuted ({settings.runtime_dir})", time.monotonic() + SILENCE_S_MAX
    if not until_end and not is_served(settings.turns_endpoint):
        # A run that starts its own captions is about to be there.
        waiting, tells_at_s = f"{status.absence(settings)}; waiting for it", 0.0
    captions = Captions(waiting, time.monotonic())
    console = styles.console()
    screen = Screen(console) if sys.stdout.isatty() and not console.is_dumb_terminal else None
    microphones = Microphones(settings)
    with TurnsIn(settings.turns_endpoint) as turns:
        if screen:
            microphones.start()
        try:
            while not stop.is_set() and not (until_end and captions.are_over):
                if captions.is_waiting and (refusal := closed(settings)):
                    raise NotDoneError(refusal)
                if not screen and captions.is_waiting and time.monotonic() > tells_at_s:
                    printing.complain(waiting)
                    tells_at_s = float("inf")
                for message in _arrived(turns):
                    lines = captions.hear(message, time.monotonic())
                    if screen:
                        screen.add(lines)
                    elif text := plain(message):
                        printing.say(text, flush=True)
                if screen:
                    captions.silent = microphones.silent
                    screen.paint(captions.live(time.monotonic()))
        finally:
            microphones.stop()
            if screen:
                screen.close()
    return 0


def closed(settings: Settings) -> str:
    """Return why this user will never get a turn; "" where one may come."""
    socket = Path(settings.turns_endpoint.removeprefix("ipc://"))
    return status.closed(settings) or rights.refusal(socket, os.W_OK)


class Microphones(threading.Thread):
    """Asks the running capture now and then whether it hears nothing; turns do not tell."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="microphones", daemon=True)
        self.silent: tuple[str, ...] = ()
        """The sources that hear nothing but digital silence, by name."""
        self._settings = settings
        self._stop_asked = threading.Event()

    def run(self) -> None:
        stages = {source.stage: source.name for source in self._settings.sources}
        while not self._stop_asked.is_set():
            told = gather(self._settings, stages, ANSWER_S_MAX)
            self.silent = tuple(stages[stage] for stage in told if told[stage].get("state") == "silent")
            self._stop_asked.wait(ASK_EVERY_S)

    def stop(self) -> None:
        self._stop_asked.set()
        if self.is_alive():
            self.join(2 * ANSWER_S_MAX)


def _arrived(turns: TurnsIn) -> Iterable[Message]:
    timeout_s = LOOK_EVERY_S
    for _ in range(MESSAGES_AT_ONCE_MAX):
        message = turns.receive(timeout_s)
        if message is None:
            return
        yield message
        timeout_s = 0


class Captions:
    """What is to be seen: messages and the time (monotonic) go in, lines come out."""

    def __init__(self, waiting: str, now_s: float) -> None:
        self.are_over = False
        self.silent: tuple[str, ...] = ()
        """The sources that are known to hear nothing; "" is the only one."""
        self._waiting = waiting
        self._heard_s = now_s
        self._is_there = False
        self._note = ""
        self._model = ""
        self._meeting_id = ""
        self._partials: dict[str, Turn] = {}
        self._shown: OrderedDict[str, str] = OrderedDict()

    @property
    def is_waiting(self) -> bool:
        """Whether minuted is not there, or has not been heard yet."""
        return not self._is_there

    def hear(self, message: Message, now_s: float) -> list[Text]:
        """Take a message; give the lines that stay."""
        if not self._is_there:
            self._is_there, self._note = True, "listening"
        self._heard_s = now_s
        match message:
            case Turn() if message.type == "revision" and self._is_known(message):
                return []
            case Turn():
                return [*self._opening(message), *self._hear_turn(message)]
            case Gap():
                return [gap_line(message)]
            case Session():
                return self._hear_session(message)
        return []

    def live(self, now_s: float) -> list[Text]:
        """Give the lines that hold for now: the turns being spoken, else how things stand."""
        if self._is_there and now_s - self._heard_s > SILENCE_S_MAX:
            self._is_there = False
            self._partials.clear()
        if not self._is_there:
            return [styled(self._waiting, style="dim")]
        lines = [partial_line(turn) for turn in self._partials.values()]
        if not lines or self._note != "listening":
            lines.append(styled(self._note, style="dim"))
        if self.silent:
            named = " and ".join(filter(None, map(clean, self.silent)))
            of = f" of {named}" if named else ""
            lines.append(styled(f"! the microphone{of} is silent: is it muted?", style="yellow"))
        return lines

    def _opening(self, turn: Turn) -> list[Text]:
        if turn.meeting_id == self._meeting_id:
            return []
        self._meeting_id = turn.meeting_id
        began = datetime.fromtimestamp(turn.meeting_started_at_ms / 1000).astimezone()
        title = f": {turn.meeting_title}" if turn.meeting_title else ""
        return [styled(f"{turn.room}, {began:%A %d %B %Y, %H:%M}{title}", style="dim")]

    def _hear_turn(self, turn: Turn) -> list[Text]:
        if not turn.final:
            self._partials[turn.session_id] = turn
            return []
        partial = self._partials.get(turn.session_id)
        if partial and partial.turn_order <= turn.turn_order:
            del self._partials[turn.session_id]
        line = final_line(turn, revised=turn.id in self._shown)
        self._shown[turn.id] = turn.text
        if len(self._shown) > HISTORY_MAX:
            self._shown.popitem(last=False)
        return [line]

    def _is_known(self, turn: Turn) -> bool:
        """Whether only its speakers were looked over again, or it was said before anybody watched."""
        return self._shown.get(turn.id, turn.text) == turn.text

    def _hear_session(self, session: Session) -> list[Text]:
        if session.event in _OVER:
            if session.session_id:
                self._partials.pop(session.session_id, None)
            else:
                self._partials.clear()
        reason = clean(session.reason).strip()
        self.are_over = session.event == "drained"
        match session.event:
            case "retrying" | "refused":
                what = "the service refuses" if session.event == "refused" else "no connection"
                again = f", again in {session.retry_in_s:.0f} s" if session.retry_in_s is not None else ""
                self._note = f"{what}{again}" + (f": {reason}" if reason else "")
            case "paused":
                self._note = "paused: nothing is heard"
            case "ended" if self._note.startswith("paused"):
                pass  # the session that the pause has ended
            case "ended" if session.reason == "idle":
                self._note = "listening, session closed (nobody speaks)"
            case "limit":
                self._note = reason
            case "warning":
                return [styled(f"! {reason}", style="yellow dim")]
            case "configured" | "meeting-started" | "meeting-ended":
                what = session.event.replace("-", " ")
                return [styled(f"{what}: {reason}" if reason else what, style="dim")]
            case _:
                self._note = "listening"
        if session.event == "started" and session.model != self._model:
            self._model = session.model
            return [styled(f"listening with {session.model}", style="dim")]
        return []


def final_line(turn: Turn, *, revised: bool = False) -> Text:
    """Show a turn that will not change: a tick, its time, who and what."""
    mark = ("~ ", "cyan") if revised else ("✓ ", "green")
    line = styled(mark, (f"{clock(turn.start_ms)}  ", "cyan"), *_said(turn, ""))
    notes = [note for note, holds in (("backfilled", turn.backfilled), ("revised", revised)) if holds]
    if notes:
        line.append(f" ({', '.join(notes)})", "dim")
    return line


def partial_line(turn: Turn) -> Text:
    """Show a turn that may still change."""
    return styled(("  ", "dim"), (f"{clock(turn.start_ms)}  ", "dim"), *_said(turn, "dim"))


def gap_line(gap: Gap) -> Text:
    """Show a stretch without words, and why."""
    where = f" of {gap.channel}" if gap.channel else ""
    until = clock(gap.end_ms)
    return styled(f"- {clock(gap.start_ms)}  no words{where} until {until}: {gap.reason}", style="yellow")


def plain(message: Message) -> str:
    """Give a final or a gap as one line for a pipe or a file; nothing for what does not stay."""
    if isinstance(message, Gap):
        return gap_line(message).plain
    if isinstance(message, Turn) and message.final:
        return final_line(message, revised=message.type == "revision").plain
    return ""


def clock(at_ms: int) -> str:
    """Give a time in the meeting as mm:ss, from an hour on as h:mm:ss."""
    minutes, second = divmod(max(0, at_ms) // 1000, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute:02}:{second:02}"


def _said(turn: Turn, style: str) -> list[tuple[str, str]]:
    who = " ".join(clean(name).strip() for name in (turn.channel, turn.speaker) if name)
    label = [(f"{who}: ", f"{style} bold".strip())] if who else []
    return [*label, (clean(turn.text).strip(), style)]


def wrap(line: Text, width: int) -> list[Text]:
    """Break a line where its language allows it, its further rows set in below the first one's text."""
    # The column past a terminal's last one is no place for a cursor.
    room = max(1, width - 1)
    words_at = line.plain.find("  ", 2) + 2 if line.plain[:2] in ("✓ ", "~ ", "- ", "  ") else 0
    if words_at > room // 2:
        return _rows(line, room)
    head, body = line.divide([words_at]) if words_at else (styled(), line)
    rows = _rows(body, room - words_at)
    return [head + rows[0], *(styled(" " * words_at) + row for row in rows[1:])]


def _rows(line: Text, columns: int) -> list[Text]:
    ends = [*accumulate(map(len, text_layout.rows(line.plain, columns)))]
    rows = list(line.divide(ends[:-1]))
    for row in rows:
        row.rstrip()
    return rows or [styled()]


def paint(rows: int, above: Sequence[str], live: Sequence[str]) -> str:
    """Write `above` for good and `live` below it, over the `rows` rows that were live before.

    The cursor stands at the end of the last live row, before and after.
    """
    start = "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "")
    for_good = "".join(f"{row}\x1b[K\r\n" for row in above)
    return start + for_good + "\x1b[K\r\n".join(live) + "\x1b[J"


class Screen:
    """The terminal: lines that stay, and below them the live ones."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = _size()[0]
        self._new: list[Text] = []
        self._history: deque[Text] = deque(maxlen=HISTORY_MAX)
        self._rows = 0
        self._painted: list[str] = []

    def add(self, lines: Iterable[Text]) -> None:
        """Have these stay, from the next painting on."""
        self._new += lines

    def paint(self, live: Iterable[Text]) -> None:
        width, height = _size()
        below = self._wrapped(live, width)
        rows_max = max(1, min(LIVE_ROWS_MAX, height - 1))
        if len(below) > rows_max:
            below = below[-rows_max:]
            below[0] = styled("…", style="dim") + below[0][1:]
        above = self._wrapped(self._new, width)
        self._history.extend(self._new)
        before = ""
        if width != self._width:
            # What a terminal does to the rows it has when its width changes, only it knows.
            before, self._rows, self._width = "\x1b[H\x1b[2J", 0, width
            seen = self._wrapped(self._history, width)
            above = seen[max(0, len(seen) - (height - len(below))) :]
        painted = [self._ansi(row) for row in below]
        if above or before or painted != self._painted:
            self._write(before + paint(self._rows, [self._ansi(row) for row in above], painted))
        self._new = []
        self._painted, self._rows = painted, len(below)

    def close(self) -> None:
        """Leave the cursor on a line of its own below what stays."""
        self.paint([])

    def _wrapped(self, lines: Iterable[Text], width: int) -> list[Text]:
        return [row for line in lines for row in wrap(line, width)]

    def _ansi(self, row: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(row, end="", no_wrap=True, overflow="ignore", crop=False)
        return captured.get()

    def _write(self, text: str) -> None:
        out = self._console.file
        encoding = getattr(out, "encoding", None) or "ascii"
        out.write(text.encode(encoding, "replace").decode(encoding))
        out.flush()


def _size() -> tuple[int, int]:
    """Give the terminal's columns and rows; one that does not tell is taken for the usual one."""
    with suppress(OSError):
        size = os.get_terminal_size(sys.stdout.fileno())
        if size.columns and size.lines:
            return size
    return 80, 24
