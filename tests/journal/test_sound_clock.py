"""Frame numbers follow the boot clock within a boot, and never go back over one."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from minuted.journal.audio_writer import AudioWriter
from minuted.journal.folder import Folder
from minuted.journal.sound_clock import AHEAD_MS_MAX, DAY_MS, LOCK, NOTE, SoundClock, follow
from minuted.messages import FRAME_BYTES, FRAME_MS, AudioFrame
from minuted.runtime import clock, notes
from minuted.runtime.clock import Reading

WALL_MS = 1_790_000_000_000
MIN_MS = 60_000
STEPS_MS = [45 * MIN_MS, -45 * MIN_MS, -120 * DAY_MS, 5000 * DAY_MS]


class Machine:
    """Its two clocks, and whether a time server is known to have set the one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boot_id, self.boot_ms, self.wall_ms = "first", 5000, WALL_MS
        self.is_set = True
        monkeypatch.setattr(clock, "is_set", lambda: self.is_set)

    def read(self) -> Reading:
        return Reading(boot_id=self.boot_id, boot_ms=self.boot_ms, wall_ms=self.wall_ms)

    def run(self, passed_ms: int) -> None:
        self.boot_ms += passed_ms
        self.wall_ms += passed_ms

    def step(self, by_ms: int) -> None:
        self.wall_ms += by_ms

    def boot(self, down_ms: int = 0) -> None:
        self.boot_id += "'"
        self.boot_ms = 3000
        self.wall_ms += down_ms


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def process(machine: Machine, tmp_path: Path) -> Callable[[], SoundClock]:
    """Start a process: it knows what is noted."""

    def start() -> SoundClock:
        started = SoundClock(tmp_path, [tmp_path / "audio"], machine.read)
        started.look()
        return started

    return start


def test_the_first_number_is_the_time_of_day(process: Callable[[], SoundClock]) -> None:
    assert process().number_now() == WALL_MS // FRAME_MS


@pytest.mark.parametrize("by_ms", STEPS_MS)
def test_a_clock_that_is_set_makes_no_hole_and_hides_none(
    process: Callable[[], SoundClock], machine: Machine, by_ms: int
) -> None:
    """Capture is killed and comes again 15 s later: 15 s were missed."""
    before = process()
    machine.run(20_000)
    killed_at = before.number_now()
    machine.run(5000)
    machine.step(by_ms)
    machine.run(10_000)
    after = process()
    assert (after.number_now() - killed_at) * FRAME_MS == 15_000
    machine.step(-by_ms)
    machine.run(1000)
    assert process().number_now() == before.number_now() == after.number_now(), "all have one clock"


@pytest.mark.parametrize("by_ms", STEPS_MS)
def test_a_step_is_seen_by_whoever_looks_first(
    process: Callable[[], SoundClock], machine: Machine, by_ms: int
) -> None:
    before = process()
    assert before.set_ago_s() == float("inf")
    machine.step(by_ms)
    with capture_logs() as logs:
        after = process()
    machine.run(7000)
    assert after.set_ago_s() == 7.0
    before.look()
    assert before.set_ago_s() == 7.0
    assert [entry["event"] for entry in logs] == ["clock_was_set"]
    assert logs[0]["ahead_ms"] == by_ms


def test_slow_drift_is_no_step(process: Callable[[], SoundClock], machine: Machine) -> None:
    known = process()
    for _ in range(100):
        machine.run(MIN_MS)
        machine.step(900)
        known.look()
    assert known.set_ago_s() == float("inf")


@pytest.mark.parametrize("down_ms", [1, 15_000, 60 * DAY_MS])
def test_over_a_boot_the_wall_clock_tells_how_long_the_machine_was_off(
    process: Callable[[], SoundClock], machine: Machine, down_ms: int
) -> None:
    """Also where it was set in the boot before, so that the numbers are no time of day."""
    known = process()
    machine.step(45 * MIN_MS)
    machine.run(20_000)
    known.look()
    number, steady_ms = known.number_now(), known.steady_ms()
    machine.boot(down_ms)
    again = process()
    assert again.number_now() == number + down_ms // FRAME_MS
    assert again.steady_ms() == steady_ms + down_ms


@pytest.mark.parametrize("down_ms", [-45 * MIN_MS, -120 * DAY_MS])
def test_over_a_boot_numbers_never_go_back(
    process: Callable[[], SoundClock], machine: Machine, down_ms: int
) -> None:
    known = process()
    machine.run(61_000)
    known.look()
    number, steady_ms = known.number_now(), known.steady_ms()
    machine.boot(down_ms)
    again = process()
    assert (again.number_now(), again.steady_ms()) == (number, steady_ms)
    assert again.set_ago_s() == 0.0
    machine.step(-down_ms)
    machine.run(15_000)
    assert process().number_now() == number + 300


def test_numbers_are_behind_all_sound_that_is_there(
    process: Callable[[], SoundClock], machine: Machine, tmp_path: Path
) -> None:
    """A state folder of an older version, and a clock that is behind; the next process has the same clock."""
    ahead = WALL_MS // FRAME_MS + 1_000_000
    writer = AudioWriter(Folder(tmp_path / "audio"), hours_max=1)
    writer.append(AudioFrame(number=ahead, captured_at_ms=0, pcm=bytes(FRAME_BYTES)))
    writer.close()
    assert process().number_now() == ahead + 1
    machine.run(15_000)
    assert process().number_now() == ahead + 301


def test_sound_far_ahead_takes_the_clock_with_it(process: Callable[[], SoundClock], machine: Machine) -> None:
    """A recording was played fast; then the microphone is out for 15 s."""
    known = process()
    near = known.number_now() + AHEAD_MS_MAX // FRAME_MS
    known.look(near)
    assert known.number_now() == near - AHEAD_MS_MAX // FRAME_MS, "a microphone that is fast is waited for"
    known.look(near + 1000)
    machine.run(15_000)
    assert process().number_now() == near + 1300


def test_a_machine_off_for_long_is_believed_only_with_a_clock_that_is_right(
    process: Callable[[], SoundClock], machine: Machine
) -> None:
    """A clock that is wrong after a boot makes no record old."""
    for before, after, passed_ms in ((True, True, 9 * DAY_MS), (True, False, DAY_MS), (False, True, DAY_MS)):
        machine.is_set = before
        known = process()
        machine.run(2 * MIN_MS)
        steady_ms = known.look() and known.steady_ms()
        machine.is_set = after
        machine.boot(9 * DAY_MS)
        assert process().steady_ms() - steady_ms == passed_ms


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"boot_id": 1}', b"\xff", b"null"])
def test_a_note_that_is_none_is_begun_anew(
    process: Callable[[], SoundClock], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / NOTE).write_bytes(content)
    assert process().number_now() == WALL_MS // FRAME_MS
    assert json.loads((tmp_path / NOTE).read_bytes())["boot_id"] == "first"


def test_a_note_that_is_lost_while_a_process_runs_is_written_again(
    process: Callable[[], SoundClock], machine: Machine, tmp_path: Path
) -> None:
    known = process()
    machine.step(45 * MIN_MS)
    (tmp_path / NOTE).unlink()
    known.look()
    assert process().number_now() == known.number_now() == WALL_MS // FRAME_MS


def test_what_cannot_be_noted_holds_in_this_process(
    process: Callable[[], SoundClock], machine: Machine, tmp_path: Path
) -> None:
    """A full disk is no reason not to record."""
    (tmp_path / LOCK).mkdir()
    with capture_logs() as logs:
        known = process()
    assert "clock_not_noted" in [entry["event"] for entry in logs]
    machine.step(45 * MIN_MS)
    known.look()
    assert known.number_now() == WALL_MS // FRAME_MS


def test_a_note_is_not_written_again_while_nothing_changes(
    process: Callable[[], SoundClock], machine: Machine, tmp_path: Path
) -> None:
    known = process()
    (tmp_path / NOTE).unlink()
    (tmp_path / NOTE).write_bytes(written := json.dumps(noted_of(known)).encode())
    machine.run(30_000)
    known.look()
    assert (tmp_path / NOTE).read_bytes() == written
    machine.run(31_000)
    known.look()
    assert (tmp_path / NOTE).read_bytes() != written


def noted_of(known: SoundClock) -> dict[str, object]:
    assert known._course
    return {name: getattr(known._course, name) for name in known._course.__slots__}


def test_within_a_boot_sound_and_steady_time_pass_as_the_boot_clock_does() -> None:
    chance = random.Random(7)
    for _ in range(200):
        now = Reading(boot_id="a", boot_ms=1000, wall_ms=WALL_MS)
        course = follow(None, now, is_set=False)
        start = (course.sound_ms + now.boot_ms, course.steady_ms + now.boot_ms)
        for _ in range(20):
            now = Reading(
                boot_id="a",
                boot_ms=now.boot_ms + chance.randrange(100_000),
                wall_ms=now.wall_ms + chance.randrange(-(10**12), 10**12),
            )
            course = follow(course, now, is_set=chance.random() < 0.5)
            assert (course.sound_ms + 1000, course.steady_ms + 1000) == start


def test_a_lock_that_somebody_keeps_stops_nothing(
    process: Callable[[], SoundClock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "LOCK_WAIT_S_MAX", 0.1)
    with notes.locked(tmp_path / LOCK), capture_logs() as logs:
        assert process().number_now() == WALL_MS // FRAME_MS
    assert [each["event"] for each in logs].count("clock_not_noted") == 1
