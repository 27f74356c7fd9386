"""A whole daemon whose clock is set, forwards or back: while it runs, pauses, is killed, is started again."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from capture.virtual_microphone import VirtualMicrophones
from clocks.stepping import WallClock
from kills.daemon import is_alive
from pipeline.test_pause import CONFIG, pcm_of
from simulator import Service
from simulator.coded import compose
from waiting import until

DAY_S = 86_400
SLACK_MS = 3000
"""What a busy machine takes between the moment that is measured here and what it stands for there."""
PAUSE_S = 15


class Room:
    """A daemon with a microphone, and how long it did not hear."""

    def __init__(self, daemon: Any, microphones: VirtualMicrophones, clock: WallClock) -> None:
        self.daemon, self.clock = daemon, clock
        self._microphones = microphones
        self._said = 0
        self.unheard_s: list[tuple[float, float]] = []
        """At least, and at most."""

    def start(self) -> None:
        more = {**self._microphones.environment, **self.clock.environment, "ASSEMBLYAI_API_KEY": "a-key"}
        self.daemon.start(**more)

    def stage(self, name: str) -> dict[str, Any]:
        return dict(self.daemon.status().get("stages", {}).get(name, {}))

    def wait_for_sound(self) -> None:
        until(lambda: self.stage("capture").get("state") == "hearing")

    def speak(self) -> None:
        """Speak, and wait for the record."""
        self._said += 1
        said = compose(1, first_number=50 * self._said, words=(2, 2), seed=self._said)
        self._microphones.speak("ceiling", pcm_of(said))
        until(lambda: said.words[-1].text in json.dumps(self.daemon.turns))

    def away(self, leave: Callable[[], Any], come: Callable[[], Any]) -> None:
        """Leave for a while; note how long nothing was heard."""
        before_s = time.monotonic()
        leave()
        after_s = time.monotonic()
        come()
        until_s = time.monotonic()
        self.wait_for_sound()
        self.unheard_s.append((until_s - after_s, time.monotonic() - before_s))

    def kill_capture(self) -> None:
        pid = self.stage("capture")["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.stage("capture").get("pid") not in (None, pid))

    def kill(self) -> None:
        """Kill the supervisor, and all with it."""
        pids = [each["pid"] for each in self.daemon.status()["stages"].values()]
        self.daemon.process.kill()
        self.daemon.process.wait()
        until(lambda: not any(is_alive(pid) for pid in pids))

    @property
    def gaps_s(self) -> list[float]:
        return [
            (each["end_ms"] - each["start_ms"]) / 1000 for each in self.daemon.turns if each["type"] == "gap"
        ]


@pytest.fixture
def make_room(
    make_daemon: Callable,
    microphones: VirtualMicrophones,
    tmp_path: Path,
) -> Iterator[Callable[[str], Room]]:
    with Service() as service:

        def make(more: str = "") -> Room:
            daemon = make_daemon(CONFIG.replace("@url", service.url) + more)
            return Room(daemon, microphones, WallClock(tmp_path))

        yield make


def check(room: Room) -> None:
    """One meeting, all words, and no hole but for the time that nobody listened."""
    turns = [record for record in room.daemon.turns if record["type"] == "turn"]
    assert len({record["meeting_id"] for record in room.daemon.turns}) == 1
    assert [record["seq"] for record in room.daemon.turns] == list(range(1, len(room.daemon.turns) + 1))
    assert len(room.gaps_s) == len(room.unheard_s), (room.gaps_s, room.unheard_s)
    for gap_s, (least_s, most_s) in zip(room.gaps_s, room.unheard_s, strict=True):
        assert least_s - SLACK_MS / 1000 < gap_s < most_s + SLACK_MS / 1000, (room.gaps_s, room.unheard_s)
    starts_ms = [record["start_ms"] for record in turns]
    assert starts_ms == sorted(starts_ms)
    assert starts_ms[-1] < 600_000


@pytest.mark.parametrize(
    ("steps_s", "audio"),
    [
        ((2700, -2700, 5000 * DAY_S, -5000 * DAY_S, 2700), "disk"),
        ((-120 * DAY_S, 120 * DAY_S, -2700, 2700, 5000 * DAY_S), "disk"),
        ((2700, 5000 * DAY_S, -2700, -120 * DAY_S, -2700), "memory"),
    ],
    ids=str,
)
def test_a_clock_that_is_set_makes_no_gap_and_divides_no_meeting(
    make_room: Callable[[str], Room], steps_s: tuple[int, ...], audio: str
) -> None:
    """While it hears, while capture is killed, while it is paused, and while nothing runs."""
    room, steps = make_room(f'[journal]\naudio = "{audio}"\n'), iter(steps_s)

    def step() -> None:
        room.clock.step(next(steps))

    def stop() -> None:
        assert room.daemon.stop() == 0

    room.start()
    room.wait_for_sound()
    room.speak()
    step()
    room.speak()
    room.away(room.kill_capture, lambda: None)
    room.speak()
    room.away(room.kill_capture, step)
    room.speak()
    room.away(lambda: room.daemon.ask("pause", "--for", "2h"), lambda: (step(), room.daemon.ask("resume")))
    room.speak()
    room.away(room.kill, lambda: (step(), room.start()))
    room.speak()
    room.away(stop, lambda: (step(), room.start()))
    room.speak()
    stop()
    if audio == "disk":
        room.unheard_s.pop()  # a stop in order is no hole: nobody was to hear
    check(room)


@pytest.mark.parametrize(
    ("by_s", "restarts"),
    [(2700, False), (-2700, True), (-120 * DAY_S, False), (5000 * DAY_S, True)],
)
def test_a_pause_lasts_its_time_whatever_the_clock_says(
    make_room: Callable[[str], Room], by_s: int, restarts: bool
) -> None:
    room = make_room("")
    room.start()
    room.wait_for_sound()
    before_s = time.monotonic()
    assert room.daemon.ask("pause", "--for", f"{PAUSE_S}s").stdout.startswith("paused until ")
    room.clock.step(by_s)
    if restarts:
        room.kill_capture()
    until(lambda: room.stage("capture").get("state") == "hearing")
    assert time.monotonic() - before_s > PAUSE_S
    assert not (room.daemon.output / "state/paused.json").exists()
    assert room.daemon.stop() == 0


@pytest.mark.parametrize("by_s", [2700, -120 * DAY_S])
def test_a_meeting_begun_while_nothing_is_heard_begins_then(
    make_room: Callable[[str], Room], by_s: int
) -> None:
    """The clock was set since the last sound: it begins where the sound goes on, at the time it is now."""
    room = make_room("")
    room.start()
    room.wait_for_sound()
    room.speak()
    room.daemon.ask("pause")
    until(lambda: room.stage("transcription").get("state") == "paused")
    room.clock.step(by_s)
    asked_ms = (time.time() + by_s) * 1000
    assert room.daemon.ask("meeting", "start", "--title", "Budget").returncode == 0
    room.daemon.ask("resume")
    room.wait_for_sound()
    room.speak()
    first, *_, last = [record for record in room.daemon.turns if record["type"] == "turn"]
    assert (first.get("meeting_title"), last["meeting_title"]) == (None, "Budget")
    assert abs(last["meeting_started_at_ms"] - asked_ms) < 5000
    assert 0 <= last["start_ms"] < 60_000
    assert room.daemon.stop() == 0
