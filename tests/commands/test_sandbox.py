"""The unit that looks from inside: the service's own surroundings, and nothing of what it starts.

Under a real systemd it is in tests/systemd/test_checked_service.py.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from minuted.commands import sandbox
from minuted.commands.sandbox import Unit

UNITS = Path(__file__).parents[2] / "systemd"
SERVICE = """\
# /usr/local/lib/systemd/system/minuted.service
[Unit]
Conflicts=minuted.target
[Service]
Type=notify
ExecStart=/opt/minuted/current/bin/minuted run \\
  --config /etc/minuted/minuted.toml
User=minuted
# A note.
SystemCallFilter=@system-service \\
# a note within
  @mount
RuntimeDirectoryPreserve=restart
[Install]
WantedBy=multi-user.target

# /etc/systemd/system/minuted.service.d/override.conf
[Service]
ReadWritePaths=/srv/minutes
Restart=always
Environment="A=1 2"
"""


def test_all_surroundings_are_kept_and_nothing_of_what_is_started() -> None:
    assert [each.split() for each in sandbox.surroundings(SERVICE)] == [
        ["User=minuted"],
        ["SystemCallFilter=@system-service", "@mount"],
        ["ReadWritePaths=/srv/minutes"],
        ['Environment="A=1', '2"'],
    ]


@pytest.mark.parametrize("unit", sorted(file.name for file in UNITS.glob("*.service")))
def test_systemd_understands_what_is_made_of_each_unit(unit: str, tmp_path: Path) -> None:
    """The one thing added is `minuted check`; what guards the service is all there."""
    service = (UNITS / unit).read_text(encoding="utf-8")
    text = sandbox.unit_text(
        service, ["/usr/bin/env", "a b", "100%", "$HOME"], tmp_path / "out", {"PERCENT": "5%", "QUOTE": '"'}
    )
    for line in ("ProtectSystem=strict", "NoNewPrivileges=yes", "SystemCallFilter=~@privileged @resources"):
        assert line in text.splitlines()
    assert text.count("ExecStart=") == 1
    assert "Conflicts=" not in text
    assert "RuntimeDirectoryPreserve=restart" not in text
    assert 'ExecStart="/usr/bin/env" "a b" "100%%" "$$HOME"' in text
    file = tmp_path / "minuted-check-1.service"
    file.write_text(text, encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True, check=False
    )
    assert verified.stderr == ""


def unit(command: str) -> Unit:
    return Unit("x.service", {"ExecStart": f"{{ path=/m ; argv[]={command} ; ignore_errors=no ; }}"})


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        ("/m run --config /etc/minuted/minuted.toml", ""),
        ("/m --config /x run", ""),
        ("/m capture far --config /x", "capture/far"),
        ("/m capture --config /x", "capture"),
        ("/m delivery webhook --config /x", "delivery/webhook"),
        ("", ""),
    ],
)
def test_a_unit_s_command_says_which_stage_it_runs(command: str, stage: str) -> None:
    assert unit(command).stage == stage


def test_a_unit_s_environment_is_read() -> None:
    assert sandbox.environment_of(Unit("x", {"Environment": "LISTEN=0.0.0.0:9464 B=a=b"})) == {
        "LISTEN": "0.0.0.0:9464",
        "B": "a=b",
    }


@pytest.mark.parametrize(
    ("result", "status", "log", "said"),
    [
        (
            "exit-code",
            "217",
            "x.service: Failed to determine user credentials: No such process",
            "Failed to determine user credentials: No such process",
        ),
        ("signal", "31", "", "it was ended by signal 31"),
        ("oom-kill", "9", "", "there is not enough memory for it"),
        ("exit-code", "1", "Traceback\nminuted: it is so", "exit-code, status 1 (minuted: it is so)"),
        ("timeout", "", "", "timeout, status "),
    ],
)
def test_why_nothing_could_be_seen_from_inside_is_told(result: str, status: str, log: str, said: str) -> None:
    text = sandbox.why_not("minuted.service", result, status, log)
    assert text.startswith(f"minuted.service cannot start: {said}")
    assert text.endswith("its lines: systemctl cat minuted, and systemctl edit minuted")


def test_without_systemd_there_is_no_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox, "UNITS", tmp_path / "gone")
    assert sandbox.units_of(tmp_path / "minuted.toml") == []
    assert sandbox.beside("minuted-metrics.service") is None
    monkeypatch.setattr(sandbox, "UNITS", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert sandbox.units_of(tmp_path / "minuted.toml") == []
    assert sandbox.units_of(None) == []


SYSTEMCTL = """\
#!/bin/sh
case "$*" in
  *minuted.service) echo LoadState=loaded; echo ActiveState=active
    echo "ExecStart={{ path=/m ; argv[]=/m run --config {config} ; ignore_errors=no ; }}" ;;
esac
"""


def test_only_a_service_that_reads_the_same_file_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A configuration of one's own beside an installed minuted is one's own matter."""
    (tmp_path / "systemctl").write_text(SYSTEMCTL.format(config=tmp_path / "service.toml"))
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setattr(sandbox, "UNITS", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (found,) = sandbox.units_of(tmp_path / "service.toml")
    assert (found.name, found.is_active, found.stage) == ("minuted.service", True, "")
    assert sandbox.units_of(tmp_path / "own.toml") == []
