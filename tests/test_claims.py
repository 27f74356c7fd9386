"""One state_dir, one minuted: a second one is told whose it is, at once."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from minuted import claims
from minuted.config import ConfigError, Settings
from minuted.journal.turns import TurnJournal
from minuted.runtime import locks, service
from minuted.runtime.locks import InUseError
from rights import NOBODY, as_user, needs_root

CONFIG = """
state_dir = "{folder}/state"
runtime_dir = "{folder}/{run}"
stop_timeout_s = 2
[engine]
service = "local"
url = "ws://127.0.0.1:9"
[capture]
source = "{folder}/talk.wav"
[sinks.file_log]
path = "{folder}/turns.jsonl"
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(runtime_dir: Path, no_key: Path) -> Iterator[Start]:
    """Start minuted with a runtime_dir of its own, on one state_dir."""
    started = []

    def run(run: str, *words: str) -> "subprocess.Popen[str]":
        config = runtime_dir / f"{run}.toml"
        config.write_text(CONFIG.format(folder=runtime_dir, run=run))
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "minuted", *words, "--config", str(config)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def ready(process: "subprocess.Popen[str]", event: str) -> None:
    assert process.stderr
    assert any(event in line for line in process.stderr), "it ended"


@pytest.mark.parametrize("words", [("transcription",), ("delivery", "file_log"), ("run",)])
def test_a_second_one_on_the_state_dir_ends_with_78_and_whose_it_is(
    start: Start, runtime_dir: Path, words: tuple[str, ...]
) -> None:
    """It crashed for half a minute, with tracebacks."""
    first = start("one", "transcription")
    ready(first, "transcription_ready")
    other = start("one", "delivery", "file_log")
    ready(other, "sink_ready")
    (runtime_dir / "talk.wav").touch()
    second = start("two", *words)
    _, said = second.communicate(timeout=60)

    assert second.returncode == 78
    pids = {"transcription": first.pid, "delivery": other.pid}
    told = [
        f"minuted: state_dir {runtime_dir}/state is already in use by another minuted (process {pid}, "
        for name, pid in pids.items()
        if words[0] in (name, "run")
    ]
    last = said.splitlines()[-1]
    assert last.startswith(tuple(told))
    assert "minuted" in last.partition("(process ")[2]
    assert last.endswith("; stop it, or set another state_dir")
    assert "Traceback" not in said
    assert '"ended"' not in said, "a process was started in vain"


def test_stages_beside_each_other_are_one_minuted(make_settings: Callable[[], Settings]) -> None:
    settings = make_settings()
    with (
        claims.claim_stage(settings, "transcription", supervised=False),
        claims.claim_stage(settings, "delivery/file_log", supervised=False),
        pytest.raises(ConfigError, match=rf"in use by another minuted \(process {os.getpid()}, "),
    ):
        claims.claim_whole(settings)
    with (
        claims.claim_whole(settings),
        claims.claim_stage(settings, "transcription", supervised=True),
        pytest.raises(ConfigError, match="in use by another minuted"),
    ):
        claims.claim_stage(settings, "capture", supervised=False)
    with claims.claim_whole(settings):
        pass


def test_a_supervisor_s_process_waits_for_the_one_before_it_and_is_tried_again(
    make_settings: Callable[[], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a supervisor 78 is the end of everything."""
    monkeypatch.setattr(claims, "PREDECESSOR_S_MAX", 0.1)
    settings = make_settings()
    with claims.claim_stage(settings, "transcription", supervised=True), pytest.raises(InUseError):
        claims.claim_stage(settings, "transcription", supervised=True)


def test_an_admin_s_open_journal_is_waited_for_and_said(start: Start, runtime_dir: Path) -> None:
    """`sqlite3 turns.db` in another window was five crashes, and the end of the daemon."""
    (runtime_dir / "state").mkdir()
    TurnJournal(runtime_dir / "state/turns.db").close()
    admin = sqlite3.connect(runtime_dir / "state/turns.db")
    with closing(admin):
        admin.execute("SELECT * FROM records").fetchall()
        process = start("one", "transcription")
        ready(process, '"journal_in_use"')
    # Nothing but closing it was needed.
    ready(process, "transcription_ready")


@needs_root
@pytest.mark.parametrize("key", ["state_dir", "runtime_dir"])
def test_a_folder_of_another_user_s_is_refused_and_check_says_so(
    runtime_dir: Path, no_key: Path, key: str
) -> None:
    runtime_dir.chmod(0o755)
    folder = runtime_dir / "made"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    other = {"state_dir": "runtime_dir", "runtime_dir": "state_dir"}[key]
    config = runtime_dir / "minuted.toml"
    config.write_text(f'{key} = "{folder}"\n{other} = "{runtime_dir}/o"\n[engine]\nservice = "local"\n')
    for command in ("run", "transcription", "check"):
        done = subprocess.run(
            [sys.executable, "-m", "minuted", command, "--config", config],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        text = f"{key}: {folder} belongs to nobody: run minuted as that user (sudo -u nobody minuted …)"
        if command == "check" and key == "state_dir":
            text = "belongs to nobody: minuted runs there as that user alone (sudo -u nobody minuted …)"
        assert text in done.stdout + done.stderr
        assert done.returncode == 78
    assert list(folder.iterdir()) == []


@needs_root
def test_a_folder_of_the_service_s_is_refused_with_the_line_that_starts_it(
    runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run as its user would lack the key, and the folder of its sockets."""
    folder = runtime_dir / "state"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    monkeypatch.setattr(service, "USER", "nobody")
    monkeypatch.setattr(service, "unit", lambda: "minuted.service")
    with pytest.raises(ConfigError) as raised:
        claims.refuse_foreign("state_dir", folder)
    assert f"{folder} belongs to nobody, whose service keeps its files there: " in str(raised.value)
    assert "`systemctl start minuted` runs it" in str(raised.value)
    assert "sudo -u" not in str(raised.value)


@pytest.mark.parametrize("lock", ["minuted.lock", "transcription.lock", "capture.lock"])
def test_a_run_beside_another_hears_of_that_before_anything_else(
    make_settings: Callable[[], Settings], lock: str
) -> None:
    """A key that is missing would be put there in vain."""
    settings = make_settings()
    claims.refuse_second(settings)
    held = locks.take(settings.state_dir / lock, "it")
    with pytest.raises(ConfigError, match="already in use by another minuted \\(process"):
        claims.refuse_second(settings)
    os.close(held)


ROOT_S = """
import sys
from pathlib import Path
from minuted import claims
from minuted.config import Settings

settings = Settings(state_dir=Path(sys.argv[1]))
for claim in (claims.claim_whole, lambda each: claims.claim_stage(each, "capture", supervised=False)):
    try:
        claim(settings).close()
        print("claimed")
    except ValueError as error:
        print(error)
"""


@needs_root
def test_files_of_root_s_are_named_with_the_line_that_hands_them_over(runtime_dir: Path) -> None:
    """What root has left there after a run by hand, the service met one by one, for ever."""
    runtime_dir.chmod(0o755)
    folder = runtime_dir / "state"
    (folder / "audio").mkdir(parents=True)
    for name in (".", "audio", "audio/1.frames", "turns.db", "notes.txt"):
        (folder / name).touch(mode=0o600)
        os.chown(folder / name, NOBODY, NOBODY)
    assert as_user(ROOT_S, str(folder)) == "claimed\nclaimed\n"
    os.chown(folder / "notes.txt", 0, 0)
    assert as_user(ROOT_S, str(folder)) == "claimed\nclaimed\n", "it is no file of minuted's"
    os.chown(folder / "audio/1.frames", 0, 0)
    told = f"state_dir: {folder}/audio/1.frames cannot be used, as root made it"
    assert as_user(ROOT_S, str(folder)) == f"{told}; run: sudo chown -R nobody: {folder}\n" * 2
    os.chown(folder / "turns.db", 0, 0)
    told = f"state_dir: {folder}/turns.db and 1 more there cannot be used, as root made them"
    assert as_user(ROOT_S, str(folder)).startswith(told)
    # Root's, and open to all: it is in nobody's way.
    for name in ("audio/1.frames", "turns.db"):
        (folder / name).chmod(0o666)
    assert as_user(ROOT_S, str(folder)) == "claimed\nclaimed\n"


@pytest.mark.parametrize("name", ["run/minuted.lock", "run/turns.sock.lock", "state/minuted.lock"])
def test_a_lock_that_is_a_link_is_told_and_left_alone(runtime_dir: Path, no_key: Path, name: str) -> None:
    other = runtime_dir / "other"
    other.write_bytes(b"x" * 5000)
    for folder in ("state", "run"):
        (runtime_dir / folder).mkdir()
    (runtime_dir / name).symlink_to(other)
    config = runtime_dir / "minuted.toml"
    config.write_text(CONFIG.format(folder=runtime_dir, run="run"))
    (runtime_dir / "talk.wav").touch()
    for command in ("transcription" if "turns" in name else "run", "check"):
        done = subprocess.run(
            [sys.executable, "-m", "minuted", command, "--config", config],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert f"{runtime_dir / name} is a link" in done.stdout + done.stderr
        assert done.returncode == 78
    assert other.stat().st_size == 5000


@pytest.mark.parametrize("name", ["minuted.lock", "capture.lock"])
@pytest.mark.parametrize("data", [bytes(40), b"q711\nminuted capture"])
def test_a_lock_whose_text_is_damaged_is_a_lock(
    make_settings: Callable[[], Settings], name: str, data: bytes
) -> None:
    """It ended with 78, after which systemd starts nothing again."""
    settings = make_settings()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    (settings.state_dir / name).write_bytes(data)
    with (
        claims.claim_stage(settings, "capture", supervised=False),
        pytest.raises(ConfigError, match=rf"in use by another minuted \(process {os.getpid()}, "),
    ):
        claims.claim_whole(settings)
    with claims.claim_whole(settings):
        pass


@pytest.mark.parametrize("key", ["state_dir", "runtime_dir"])
def test_a_folder_that_all_may_write_to_is_a_warning(runtime_dir: Path, no_key: Path, key: str) -> None:
    for folder in ("state", "run"):
        (runtime_dir / folder).mkdir()
    folder = runtime_dir / {"state_dir": "state", "runtime_dir": "run"}[key]
    folder.chmod(0o777)
    config = runtime_dir / "minuted.toml"
    config.write_text(CONFIG.format(folder=runtime_dir, run="run"))
    done = subprocess.run(
        [sys.executable, "-m", "minuted", "check", "--config", config],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    (line,) = [line for line in done.stdout.splitlines() if f" {key} " in line and str(folder) in line]
    assert line.startswith("!")
    assert line.endswith(f"every user of this machine can put files there; run: chmod o-w {folder}")


@needs_root
def test_a_file_that_root_left_is_named_with_the_line_that_mends_it(runtime_dir: Path) -> None:
    """A run by hand as root leaves what the service's user cannot open."""
    folder = runtime_dir / "state"
    (folder / "audio").mkdir(parents=True)
    (folder / "lost+found").mkdir()
    for place in (folder, folder / "audio"):
        os.chown(place, NOBODY, -1)
    claims.refuse_foreign_files("state_dir", folder)
    (folder / "audio/1.seg").touch()
    cure = rf"1\.seg cannot be used, as root made it; run: sudo chown -R nobody: {folder}"
    with pytest.raises(ConfigError, match=cure):
        claims.refuse_foreign_files("state_dir", folder)
