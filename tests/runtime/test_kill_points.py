import signal
import subprocess
import sys
from pathlib import Path

PASSES = """
from minuted.runtime.kill_points import reached
for _ in range(5):
    reached("a")
    print("a", flush=True)
"""


def passes(wanted: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PASSES],
        env={"MINUTED_CRASH_AT": wanted},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_process_dies_at_the_place_it_is_told_the_time_it_is_told(tmp_path: Path) -> None:
    ended = passes(f"a:3:{tmp_path}/happened")
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == ["a", "a"]
    assert (tmp_path / "happened").exists()


def test_several_places_count_each_for_itself(tmp_path: Path) -> None:
    """One run of a daemon serves for a place in each of its processes."""
    ended = passes(f"b:1:{tmp_path}/never a:2:{tmp_path}/happened")
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == ["happened"]


def test_its_successor_passes_unharmed(tmp_path: Path) -> None:
    (tmp_path / "happened").touch()
    assert passes(f"a:3:{tmp_path}/happened").returncode == 0


def test_other_places_do_no_harm(tmp_path: Path) -> None:
    assert passes(f"b:1:{tmp_path}/happened").returncode == 0
    assert not (tmp_path / "happened").exists()
    assert passes("").returncode == 0
