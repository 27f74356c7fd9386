"""The clocks: what is read, and whether two readings are of one boot."""

import time
from pathlib import Path

import pytest

from minuted.runtime import clock


@pytest.fixture(autouse=True)
def anew():
    clock.boot_id.cache_clear()
    yield
    clock.boot_id.cache_clear()


def test_both_clocks_are_read_in_milliseconds() -> None:
    now = clock.read()
    assert abs(now.wall_ms - time.time() * 1000) < 60_000
    assert abs(now.boot_ms - float(Path("/proc/uptime").read_text().split()[0]) * 1000) < 60_000
    assert now.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")


def test_where_the_sandbox_hides_it_the_unit_tells_the_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    known = clock.boot_id()
    clock.boot_id.cache_clear()
    monkeypatch.setattr(clock, "BOOT_ID", Path("/nonexistent"))
    monkeypatch.setenv(clock.BOOT_ID_NAME, known)
    assert clock.boot_id() == known


def test_a_boot_that_cannot_be_known_is_like_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "BOOT_ID", Path("/nonexistent"))
    monkeypatch.delenv(clock.BOOT_ID_NAME, raising=False)
    one = clock.boot_id()
    assert clock.boot_id() == one
    clock.boot_id.cache_clear()
    assert clock.boot_id() != one


@pytest.mark.parametrize(
    ("one", "other", "are_two"),
    [
        ("a", "b", True),
        ("a", "a", False),
        ("", "a", False),
        ("a", "unknown-1", False),
        ("unknown-1", "unknown-2", False),
    ],
)
def test_two_boots_are_told_apart_only_where_both_are_known(one: str, other: str, are_two: bool) -> None:
    assert clock.are_two_boots(one, other) is are_two


@pytest.mark.parametrize(("state", "is_set"), [(0, True), (4, True), (5, False), (-1, False)])
def test_the_kernel_knows_whether_the_clock_was_set(
    state: int, is_set: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(clock, "SYNCHRONISED", tmp_path / "synchronized")
    monkeypatch.setattr(clock, "kernel_state", lambda: state)
    assert clock.is_set() is is_set
    (tmp_path / "synchronized").touch()
    assert clock.is_set(), "systemd-timesyncd says so, where the kernel may not be asked"
