"""Whether a session makes progress while people speak. Pure: frame numbers and times come in as arguments.

A heartbeat is a sign of life, not progress. Progress is a turn that is new or has grown. Sound in which
somebody seems to speak is *suspect* until a final turn covers it. Four things make it suspect: it is loud,
the speech detector takes it for speech, the service has announced a turn there (SpeechStarted) and not
told it, or a number is missing among the service's turns.

Source: in the U3 family a SpeechStarted precedes each turn, `turn_order` counts turns from 0 without
holes, a partial comes at the latest after 3 s of speech, and a turn lasts for a minute at the most.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from enum import Flag, auto
from typing import Final

from minuted.messages import FRAME_MS

STALL_FRAMES: Final = 120
STALL_SPAN: Final = 240
"""Suspect frames (6 s in 12) without a new or grown turn: a session with partials has stalled."""
SILENT_FRAMES: Final = 60
"""As many (3 s) are enough where the service has sent no message of any kind …"""
SILENT_S_MAX: Final = 7.0
"""… for so long: each second is one of captions that do not move, and heartbeats come every 5 s."""
STALL_S_MIN: Final = 5.0
"""A session that was sent much sound at once gets this long to answer."""
TURN_FRAMES_MAX: Final = 63_000 // FRAME_MS
"""Without partials a turn is told at its end: after a minute at the most, and the time to tell it."""
PAUSED_FRAMES: Final = 60
"""Without partials: suspect frames (3 s) before a pause that ends every turn, for a stall."""
PAUSE_MARGIN_MS: Final = 1500
"""How much longer than `max_turn_silence` that pause is."""
SPEECH_FRAMES: Final = 10
"""Frames (500 ms) that the detector takes for speech and no turn covers, for a doubt."""
DENSE_FRAMES: Final = 60
DENSE_SPAN: Final = 120
"""So many loud frames (3 s) in so many (6 s) are like speech; knocks and keys are sparser."""
LAST_FRAMES: Final = 6
LAST_SPAN: Final = 12
"""So many loud frames (300 ms) in so many are a doubt where the session ends: no later turn will tell."""
CLUSTER: Final = 3
CLUSTER_SPAN: Final = 6
"""So many suspect frames in so many may be a word."""
COVER_FRAMES: Final = 4
"""A turn covers 200 ms on both sides of its words: a voice fades, and a frame is 50 ms."""
EARLY_FRAMES: Final = 30
"""A SpeechStarted and the begin of its turn lie no further apart (1.5 s)."""
MARGIN_FRAMES: Final = 40
"""What is heard again begins so long (2 s) before the doubt: the turn before it may end 1.3 s too late."""
ORDERS_MAX: Final = 100
"""Numbers of turns that are remembered as open or missing."""
HOLD_LOUD_FRAMES: Final = 60_000 // FRAME_MS
"""How long a loud moment alone keeps the watermark from moving on."""
HOLD_FRAMES: Final = 600_000 // FRAME_MS
"""How long anything does."""


class Evidence(Flag):
    """Why sound is suspect."""

    BRIEF = auto()  # a loud moment at the end of a session
    LOUD = auto()  # as dense as speech
    SPEECH = auto()
    ANNOUNCED = auto()
    MISSING = auto()


@dataclass(frozen=True, slots=True)
class Doubt:
    """Sound from frame `start` on that may hold words no turn has told, and why."""

    start: int
    evidence: Evidence
    orders: tuple[int, int] | None = None
    """The first and the last of the turns' numbers that are missing."""


class Progress:
    """Follows one session, whose frames' numbers grow."""

    def __init__(self, now_s: float, *, has_partials: bool = True, turn_silence_ms: int = 1200) -> None:
        """`turn_silence_ms` is the silence that ends a turn in any case (`max_turn_silence`)."""
        self._has_partials = has_partials
        self._pause_frames = (turn_silence_ms + PAUSE_MARGIN_MS) // FRAME_MS
        self._loud: list[int] = []
        self._speech: list[int] = []
        """Suspect frames that no final turn covers, ascending."""
        self._announced: list[int] = []
        """Where turns were announced that were not told."""
        self._shown: dict[int, tuple[int, int]] = {}
        """First and last frame of each turn that was shown in part, by its number."""
        self._next_order = 0
        self._handed_on: list[tuple[int, int, int]] = []
        """Turns' numbers, from the first to the last, whose sound before a frame another session hears."""
        self._last: tuple[int, int, str] | None = None
        self._reached = -1
        """The last frame of any turn told so far."""
        self._first_sent = self._sent = -1
        self._grown_s = now_s

    # What comes in.

    def sent(self, number: int, *, is_loud: bool) -> None:
        """Note a frame that the session was sent."""
        if number != self._sent + 1:
            # The service knows nothing of sound that is missing: it is no pause, and no part of a turn.
            self._reached = max(self._reached, self._sent)
        self._first_sent = number if self._first_sent < 0 else self._first_sent
        self._sent = number
        if is_loud:
            self._loud.append(number)

    def was_loud(self, numbers: list[int]) -> None:
        """Note frames that were loud after all: nothing before them was quiet, and something behind is."""
        beyond = [number for number in numbers if number > self._reached + COVER_FRAMES]
        self._loud = sorted({*self._loud, *beyond})

    def detected(self, number: int) -> None:
        """Note a frame that the detector takes for speech."""
        if not self._speech or number > self._speech[-1]:
            self._speech.append(number)

    def announced(self, number: int) -> None:
        """Note a SpeechStarted for this frame; like its turn it may be put too early."""
        self._announced.append(max(number, self._reached + 1))

    def hand_on(self, doubt: Doubt, before: int) -> None:
        """Note that another session hears doubtful sound, which ends before this frame."""
        if doubt.orders:
            self._handed_on = [*self._handed_on, (*doubt.orders, before)][-ORDERS_MAX:]

    def is_handed_on(self, order: int, span: tuple[int, int] | None) -> bool:
        """Return whether a turn comes after all that was missing: another session hears its sound."""
        return span is not None and any(
            first <= order <= last and span[0] < before for first, last, before in self._handed_on
        )

    def told(self, order: int, text: str, span: tuple[int, int], now_s: float) -> bool:
        """Note a turn with words from the first to the last frame of `span`; return whether it has grown."""
        told = (order, span[1], text)
        if told == self._last:
            return False
        if self._last is None or order != self._last[0]:
            del self._announced[-1:]  # this is the turn
        self._last, self._grown_s = told, now_s
        self._reached = max(self._reached, span[1])
        self._shown[order] = span
        if len(self._shown) > ORDERS_MAX:
            del self._shown[next(iter(self._shown))]
        return True

    def ended(self, order: int, span: tuple[int, int] | None) -> Doubt | None:
        """Note a final turn; return the doubt about the sound it leaves behind.

        `span` is None where the turn has no words.
        """
        first = min([*(each for each in self._shown if each < order), self._next_order])
        self._shown = {each: kept for each, kept in self._shown.items() if each > order}
        self._next_order = max(self._next_order, order + 1)
        if span is None:
            # Nothing is left behind yet: the next turn with words tells what is missing.
            if first < order:
                self._shown[first] = (self._reached, self._reached)
            return None
        doubt = self._doubt_before(span[0], is_missing=first < order)
        self._cover(span)
        return replace(doubt, orders=(first, order - 1)) if doubt and first < order else doubt

    # What follows.

    def is_stalled(self, now_s: float, silent_s: float = 0.0, heard_before: int | None = None) -> bool:
        """Return whether speech goes in and no words come out.

        `silent_s` is for how long the service has sent nothing; `heard_before` is the frame after the
        last that the service says it has worked through.
        """
        if now_s - self._grown_s < STALL_S_MIN:
            return False
        end = self._sent + 1 if heard_before is None else min(self._sent + 1, heard_before)
        if self._has_partials:
            enough = SILENT_FRAMES if silent_s > SILENT_S_MAX else STALL_FRAMES
            return self._count(max(self._reached + 1, end - STALL_SPAN), end) >= enough
        suspects = self._suspects(self._reached + 1, end)
        if len(suspects) < PAUSED_FRAMES:
            return False
        return end - suspects[-1] > self._pause_frames or end - suspects[0] > TURN_FRAMES_MAX

    def hold_before(self) -> int | None:
        """Return the frame that confirmed silence must not carry the watermark past; None: there is none."""
        starts = [_first_cluster(self._loud), _first_cluster(self._speech), *self._announced[:1]]
        known = [start for start in starts if start is not None]
        return min(known) - CLUSTER_SPAN if known else None

    def open_doubt(self, *, by_loudness: bool = True) -> Doubt | None:
        """Return the doubt about all that is suspect now, as when the session ends in order.

        `by_loudness`: no detector has looked at the last of the sound, so what is loud may be speech.
        """
        doubt = self._doubt_before(self._sent + 1 + EARLY_FRAMES, is_missing=bool(self._shown))
        if doubt and not by_loudness:
            evidence = doubt.evidence & ~Evidence.LOUD
            return replace(doubt, evidence=evidence) if evidence else None
        start = _first_cluster(self._loud, LAST_FRAMES, LAST_SPAN) if by_loudness else None
        if doubt or start is None:
            return doubt
        return Doubt(start, Evidence.LOUD if self._is_dense_for_its_length else Evidence.BRIEF)

    def expire(self, hold_frames: int = HOLD_FRAMES) -> Doubt | None:
        """Forget what has been suspect for too long; return the doubt where it was like speech.

        The watermark may then move on to `oldest_kept`.
        """
        oldest = self._sent - hold_frames
        if self._first() is not None and self._first_before(oldest):
            doubt = self._doubt_before(oldest, is_missing=False)
            self._drop_before(oldest)
            self._shown = {order: span for order, span in self._shown.items() if span[1] >= oldest}
            return doubt
        self._forget_sparse(self._sent - HOLD_LOUD_FRAMES)
        return None

    @property
    def oldest_kept(self) -> int:
        """The frame before which nothing is suspect after `expire`."""
        first = self._first()
        return self._sent + 1 if first is None else first

    # Details.

    def _doubt_before(self, end: int, *, is_missing: bool) -> Doubt | None:
        """Return the doubt about the suspect frames before a turn that begins at frame `end`."""
        loud = self._loud[: bisect_left(self._loud, end - COVER_FRAMES)]
        speech = self._speech[: bisect_left(self._speech, end - COVER_FRAMES)]
        announced = [number for number in self._announced if number < end - EARLY_FRAMES]
        evidence = Evidence(0)
        if is_missing:
            evidence |= Evidence.MISSING
        newest = [*loud[-1:], *speech[-1:]]
        if announced and newest and max(newest) >= announced[0] - EARLY_FRAMES:
            evidence |= Evidence.ANNOUNCED
        if len(speech) >= SPEECH_FRAMES:
            evidence |= Evidence.SPEECH
        if _first_cluster(loud, DENSE_FRAMES, DENSE_SPAN) is not None:
            evidence |= Evidence.LOUD
        if not evidence:
            return None
        first = min([*loud[:1], *speech[:1], *announced[:1]], default=self._reached + 1)
        return Doubt(first, evidence)

    @property
    def _is_dense_for_its_length(self) -> bool:
        """Whether nothing was told of a stretch too short for DENSE_FRAMES, and half of it is loud."""
        length = self._sent + 1 - self._first_sent
        is_short = self._reached < 0 and length < DENSE_SPAN
        return is_short and len(self._loud) * DENSE_SPAN >= length * DENSE_FRAMES

    def _cover(self, span: tuple[int, int]) -> None:
        """Forget what is suspect up to a final turn's end: it is covered, or its doubt was returned."""
        self._reached = max(self._reached, span[1])
        self._drop_before(span[1] + COVER_FRAMES + 1)

    def _drop_before(self, number: int) -> None:
        for frames in (self._loud, self._speech, self._announced):
            del frames[: bisect_left(frames, number)]

    def _forget_sparse(self, oldest: int) -> None:
        """Forget loud frames before `oldest` unless they are as dense as speech."""
        count = bisect_left(self._loud, oldest)
        newest = self._loud[: count + DENSE_FRAMES]
        if count and _first_cluster(newest, DENSE_FRAMES, DENSE_SPAN) is None:
            del self._loud[:count]

    def _first(self) -> int | None:
        return min([*self._loud[:1], *self._speech[:1], *self._announced[:1]], default=None)

    def _first_before(self, number: int) -> bool:
        first = self._first()
        return first is not None and first < number

    def _count(self, start: int, end: int) -> int:
        """Return how many frames from `start` up to `end` are suspect."""
        return max(
            bisect_left(frames, end) - bisect_left(frames, start) for frames in (self._loud, self._speech)
        )

    def _suspects(self, start: int, end: int) -> list[int]:
        loud = self._loud[bisect_left(self._loud, start) : bisect_left(self._loud, end)]
        speech = self._speech[bisect_left(self._speech, start) : bisect_right(self._speech, end - 1)]
        return max(loud, speech, key=len)


def _first_cluster(frames: list[int], count: int = CLUSTER, span: int = CLUSTER_SPAN) -> int | None:
    """Return the first frame from which on so many of these lie within a span."""
    ends = zip(frames, frames[count - 1 :], strict=False)
    return next((first for first, last in ends if last - first < span), None)
