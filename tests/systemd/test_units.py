"""The units as systemd's own tools judge them: nothing misspelt, and how much each may do."""

import os
import shutil
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from minuted.config import Settings

UNITS = Path(__file__).parents[2] / "systemd"
EXPOSURE_MAX = {
    # Tenths, as `systemd-analyze security` counts: 0 is a service that may do nothing, 100 is root.
    "minuted.service": 13,
    "minuted-capture.service": 5,
    "minuted-capture@.service": 5,
    "minuted-sink@.service": 3,
    "minuted-transcription.service": 11,
    "minuted-sink-network@.service": 11,
    "minuted-engine.service": 10,
    "minuted-token-server.service": 11,
    "minuted-metrics.service": 10,
}
SYSTEM = sorted(path.name for path in UNITS.glob("*.*"))
LAUNCHER = "/opt/minuted/current/bin/minuted"
OWN_REASONS = {
    # What a stage may not need that the whole service does, or the other way round.
    *("Description", "After", "Conflicts", "ExecStart", "ExecReload", "TimeoutStartSec", "KillMode"),
    *("MemoryHigh", "MemoryMax", "TasksMax", "OOMPolicy", "SyslogIdentifier", "RuntimeDirectoryPreserve"),
    *("SupplementaryGroups", "LoadCredential", "DeviceAllow", "Environment", "RestrictAddressFamilies"),
    *("IPAddressAllow", "WantedBy"),
}
OF_ANOTHER_USER = {
    # Whose folders are not its own.
    *("User", "Group", "StateDirectory", "StateDirectoryMode", "RuntimeDirectory", "RuntimeDirectoryMode"),
}


def analyze(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which("systemd-analyze"), "the Debian package systemd is missing"
    return subprocess.run(
        ["systemd-analyze", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0", **environment},
    )


def settings_of(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (UNITS / unit).read_text(encoding="utf-8").splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def verified(folder: Path, names: list[str], where: str, *options: str) -> str:
    """Give what systemd finds wrong with units whose program is installed."""
    launcher = folder / "minuted"
    launcher.write_text("#!/bin/sh\n")
    launcher.chmod(0o755)
    for name in names:
        text = (UNITS / where / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace(LAUNCHER, str(launcher)), encoding="utf-8")
    done = analyze(
        "verify", "--man=no", *options, *(folder / name for name in names), XDG_RUNTIME_DIR=str(folder)
    )
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit status {done.returncode}")


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """A misspelt key is only a line of complaint to systemd, and a protection that is not there."""
    assert set(EXPOSURE_MAX) == {name for name in SYSTEM if name.endswith(".service")}
    assert verified(tmp_path, SYSTEM, "") == ""


def test_the_users_service_is_understood(tmp_path: Path) -> None:
    assert verified(tmp_path, ["minuted.service"], "user", "--user") == ""


def test_a_misspelt_line_would_be_found(tmp_path: Path) -> None:
    """The test above rests on the complaint; its status is 0."""
    (tmp_path / "sleep.service").write_text("[Service]\nExecStart=/bin/true\nProtectHom=yes\n")
    done = analyze("verify", "--man=no", tmp_path / "sleep.service")
    assert "ProtectHom" in done.stderr


@pytest.mark.parametrize("unit", EXPOSURE_MAX)
def test_a_unit_may_do_no_more_than_it_may(unit: str) -> None:
    """The best audio service found elsewhere stands at 1.3, with no network; a line that is lost shows."""
    done = analyze(
        "security", "--offline=true", f"--threshold={EXPOSURE_MAX[unit]}", "--no-pager", UNITS / unit
    )
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if line[:1] != "✓")


@pytest.mark.parametrize("unit", [name for name in EXPOSURE_MAX if name != "minuted.service"])
def test_a_stage_is_shut_in_as_the_whole_is(unit: str) -> None:
    """The reasons stand in minuted.service alone, so its lines must be everywhere."""
    whole, stage = settings_of("minuted.service"), settings_of(unit)
    missing = {key for key in whole if stage.get(key) != whole[key]} - OWN_REASONS
    assert not missing - (OF_ANOTHER_USER if "DynamicUser" in stage else set())


ON_THE_NETWORK = ["minuted.service", "minuted-transcription.service", "minuted-sink-network@.service"]
UNICAST = [
    *("127.0.0.1", "10.1.2.3", "100.64.0.1", "192.168.1.1", "203.0.113.9", "::1", "2a00::1", "fd00::1"),
    # IPv4 behind a network that has none: by the prefix known to all, one for local use, and an old one.
    *("fe80::1", "64:ff9b::c000:201", "64:ff9b:1::1", "::ffff:192.0.2.1", "2001:db8:64::c000:201", "5f00::1"),
]
TO_MANY = ["224.0.0.251", "239.255.255.250", "255.255.255.255", "ff02::1", "ff0e::1"]


@pytest.mark.parametrize("unit", [*ON_THE_NETWORK, "minuted-token-server.service"])
def test_every_address_of_one_machine_can_be_reached(unit: str) -> None:
    """A room in a network without IPv4 reaches the service by an address that the network translates."""
    (allowed,) = settings_of(unit)["IPAddressAllow"]
    networks = [ip_network(network) for network in allowed.split()]
    reached = [
        each for each in (*UNICAST, *TO_MANY) if any(ip_address(each) in network for network in networks)
    ]
    assert reached == UNICAST


@pytest.mark.parametrize("unit", ["minuted.service", "minuted-transcription.service", "user/minuted.service"])
def test_whoever_may_publish_on_tcp_may_ask_for_the_network_s_interfaces(unit: str) -> None:
    """ZeroMQ aborts the process where it may not."""
    (families,) = settings_of(unit)["RestrictAddressFamilies"]
    assert "AF_NETLINK" in families.split()


def in_bytes(value: str) -> int:
    return int(value[:-1]) << {"M": 20, "G": 30}[value[-1]]


@pytest.mark.parametrize("unit", [*EXPOSURE_MAX, "user/minuted.service"])
def test_a_unit_s_memory_and_processes_are_bounded(unit: str) -> None:
    """A peer that floods a socket takes this unit's memory, not the machine's."""
    found = settings_of(unit)
    (high,), (most,), (tasks,) = found["MemoryHigh"], found["MemoryMax"], found["TasksMax"]
    # A bound that what it does every day comes near is none.
    floor = 512 if unit.endswith("minuted.service") or "engine" in unit else 128
    assert floor << 20 <= in_bytes(high) < in_bytes(most) <= 2 << 30
    assert 64 <= int(tasks) <= 1024


def test_systemd_waits_longer_than_the_supervisor_takes() -> None:
    """Else the last words of a meeting would be killed with their process."""
    (bound_s,) = settings_of("minuted.service")["TimeoutStopSec"]
    assert int(bound_s) >= Settings().stop_timeout_s + 5


def test_newer_systemds_get_their_own_lines(tmp_path: Path) -> None:
    """Older ones do not know them; whatever version judges here finds nothing else to say."""
    unit = tmp_path / "minuted.service"
    text = (UNITS / "minuted.service").read_text(encoding="utf-8").replace(LAUNCHER, "/bin/true")
    unit.write_text(text, encoding="utf-8")
    folder = tmp_path / "minuted.service.d"
    folder.mkdir()
    shutil.copy(UNITS / "newer/minuted.conf", folder)
    complaints = analyze("verify", "--man=no", unit).stderr.splitlines()
    version = int(analyze("--version").stdout.split()[1])
    unknown = ("RestartSteps", "RestartMaxDelaySec") if version < 254 else ()
    assert bool(complaints) == bool(unknown)
    assert [line for line in complaints if not any(key in line for key in unknown)] == []
