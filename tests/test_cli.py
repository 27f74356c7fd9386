"""The commands as a person or a service runs them."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from fake_publisher import turn
from minuted import __version__
from minuted.bus import TurnsOut, lock
from minuted.cli import main
from minuted.config import ConfigError, Settings, load
from minuted.control import ControlServer, done
from minuted.delivery import dead_letters
from minuted.journal.cursor import Cursor
from waiting import until

WAIT_S = 30


def minuted(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "minuted", *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        **options,
    )


@pytest.fixture
def config(runtime_dir):
    path = runtime_dir / "minuted.toml"
    path.write_text(
        f'room = "attic"\nstate_dir = "{runtime_dir}/state"\nruntime_dir = "{runtime_dir}/run"\n'
        '[engine]\nservice = "local"\n'
    )
    (runtime_dir / "run").mkdir()
    return path


def test_help_loads_none_of_the_heavy_libraries():
    """Help that takes a second is not asked for twice; and the supervisor stays small."""
    heavy = (
        "zmq",
        "structlog",
        "rich",
        "assemblyai",
        "httpx",
        "numpy",
        "sounddevice",
        "soundfile",
        "websockets",
    )
    code = (
        "import sys; from minuted.cli import main; status = main(['--help']); "
        f"print([name for name in {heavy} if name in sys.modules], status)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[] 0"


def test_the_supervisor_loads_no_sdk_no_sound_and_no_sink():
    code = (
        "import sys, minuted.supervision.supervisor, minuted.commands.check; "
        "print([name for name in ('assemblyai', 'sounddevice', 'soundfile', 'numpy', 'httpx', 'websockets') "
        "if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"minuted {__version__}\n"


@pytest.mark.parametrize("argv", [[], ["rum"], ["run", "--pace", "slow"], ["delivery"], ["status", "extra"]])
def test_wrong_usage_is_2(argv, capsys):
    assert main(argv) == 2
    assert "usage: minuted" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["run", "status", "watch", "sinks", "capture", "transcription", "endpoint"]
)
def test_bad_configuration_is_one_line_and_78(command, runtime_dir, capsys):
    (runtime_dir / "bad.toml").write_text('rom = "attic"\n')
    assert main([command, "--config", str(runtime_dir / "bad.toml")]) == 78
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"minuted: {runtime_dir}/bad.toml: unknown key 'rom'; did you mean 'room'?\n"


def test_a_configuration_that_is_not_there_is_78(capsys):
    assert main(["run", "--config", "/nowhere/minuted.toml"]) == 78
    assert capsys.readouterr().err == (
        "minuted: /nowhere/minuted.toml: cannot be read: No such file or directory\n"
    )


def test_a_supervised_process_tells_its_supervisor_and_says_nothing_twice(runtime_dir):
    (runtime_dir / "bad.toml").write_text('rom = "attic"\n')
    env = {**os.environ, "MINUTED_SUPERVISOR_PID": str(os.getpid())}
    ended = minuted("capture", "--config", runtime_dir / "bad.toml", env=env)
    assert (ended.returncode, ended.stderr) == (78, "")


def test_folders_that_cannot_be_made_are_named(config, capsys):
    config.write_text('state_dir = "/proc/minuted"\nruntime_dir = "/proc/minuted"\n')
    assert main(["run", "--config", str(config)]) == 78
    shown = capsys.readouterr().err
    assert shown.startswith("minuted: state_dir: /proc/minuted cannot be used (")
    assert shown.count("\n") == 1


def test_a_second_daemon_in_the_same_place_is_refused(config, runtime_dir):
    """It would take the first one's sockets away. systemd does not try 78 again."""
    held = lock(runtime_dir / "run" / "minuted.lock", "")
    ended = minuted("run", "--config", config)
    os.close(held)
    assert ended.returncode == 78
    assert f"is already in use by another minuted (process {os.getpid()})" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_sink_s_bad_option_stops_a_run_with_one_line(config):
    config.write_text(config.read_text() + "[sinks.webhook]\n")
    ended = minuted("run", "--config", config)
    assert ended.returncode == 78
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("minuted: ")
    assert "sinks.webhook" in last
    assert "url" in last


def test_bad_configuration_shows_on_the_terminal_with_live_captions_too(config, runtime_dir):
    config.write_text(config.read_text() + "[sinks.webhook]\n")
    ended = minuted("run", "--watch", "--config", config)
    assert ended.returncode == 78
    assert ended.stdout == ""
    assert ended.stderr.startswith("minuted: ")
    assert ended.stderr.count("\n") == 1
    assert '"bad_configuration"' in (runtime_dir / "state" / "minuted.log").read_text()


def test_status_where_nothing_runs_is_1(config, runtime_dir, capsys):
    assert main(["status", "--config", str(config)]) == 1
    assert capsys.readouterr().err == f"minuted is not running here (runtime_dir {runtime_dir}/run)\n"
    assert main(["status", "--json", "--config", str(config)]) == 1
    assert json.loads(capsys.readouterr().out) == {"state": "stopped", "room": "attic", "stages": {}}


def test_status_tells_what_runs(config, runtime_dir, capsys):
    settings = Settings(runtime_dir=runtime_dir / "run")
    control = ControlServer(
        settings.control_endpoint("transcription"), {"status": lambda _: {"state": "live", "last_seq": 3}}
    )
    assert main(["status", "--config", str(config)]) == 0
    assert "last turn 3" in capsys.readouterr().out
    assert main(["status", "--json", "--config", str(config)]) == 0
    assert json.loads(capsys.readouterr().out)["stages"]["transcription"]["last_seq"] == 3
    control.close()


def test_endpoint_asks_the_transcription(config, runtime_dir, capsys):
    asked = []
    settings = Settings(runtime_dir=runtime_dir / "run")
    control = ControlServer(
        settings.control_endpoint("transcription"), {"endpoint": done(lambda: asked.append(1))}
    )
    assert main(["endpoint", "--config", str(config)]) == 0
    control.close()
    assert asked == [1]
    assert main(["endpoint", "--config", str(config)]) == 1
    assert "not running here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("turns", "said"), [(1, "the turn being spoken is ended"), (0, "nobody is speaking: nothing to end")]
)
def test_endpoint_says_what_was_done(config, runtime_dir, capsys, turns, said):
    """Silence looks like success and like failure."""
    endpoint = Settings(runtime_dir=runtime_dir / "run").control_endpoint("transcription")
    control = ControlServer(endpoint, {"endpoint": lambda _: {"turns": turns}})
    assert main(["endpoint", "--config", str(config)]) == 0
    control.close()
    assert capsys.readouterr().out == f"{said}\n"


@pytest.mark.parametrize("command", ["run", "capture"])
def test_a_recording_that_is_not_there_is_wrong_usage(config, command):
    """It was typed wrongly; nothing is wrong with the configuration."""
    ended = minuted(command, "--config", config, "--input", "missing.wav")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(r"minuted: the recording \S*missing\.wav does not exist\n", ended.stderr)


@pytest.mark.parametrize("options", [[], ["--test"]])
def test_without_a_sound_system_each_way_of_asking_fails_alike(config, capsys, monkeypatch, options):
    """One fault, one status: nothing is wrong with the configuration."""

    def devices():
        raise ConfigError("PortAudio is not installed")

    monkeypatch.setattr("minuted.capture.microphone.devices", devices)
    assert main(["devices", *options, "--config", str(config)]) == 1
    assert "PortAudio is not installed" in capsys.readouterr().err


def test_a_refusal_of_a_process_is_a_line_and_no_traceback(config, runtime_dir, capsys):
    config.write_text(config.read_text() + f'[sinks.file_log]\npath = "{config}.jsonl"\n')
    endpoint = Settings(runtime_dir=runtime_dir / "run").control_endpoint("delivery/file_log")
    control = ControlServer(endpoint, {"retry": lambda _: {"ok": False, "error": "only root may ask for it"}})
    assert main(["dead-letters", "retry", "file_log", "--all", "--config", str(config)]) == 1
    control.close()
    assert capsys.readouterr().err == "minuted: not done: only root may ask for it\n"


def test_a_dead_letter_that_is_not_there_is_named(config, capsys):
    config.write_text(config.read_text() + f'[sinks.file_log]\npath = "{config}.jsonl"\n')
    assert main(["dead-letters", "drop", "file_log", "7", "--config", str(config)]) == 1
    said = capsys.readouterr()
    assert said.out == "dropped: none\n"
    assert said.err == "minuted: file_log has no dead letter 7: minuted dead-letters list file_log\n"


def test_dead_letters_asks_for_no_more_than_it_needs(capsys):
    assert main(["dead-letters"]) == 2
    assert "required: list|retry|drop, NAME\n" in capsys.readouterr().err


def test_sinks_are_listed_with_their_options(config, capsys):
    config.write_text(config.read_text() + f'[sinks.file_log]\npath = "{config}.jsonl"\n[sinks.webhook]\n')
    assert main(["sinks", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("file_log  enabled  ") for line in lines)
    assert any(line.startswith("webhook   bad config  ") for line in lines)
    assert any(line.startswith("srt       not configured  ") for line in lines)
    assert any(line.startswith("    url: str, must be set  ") for line in lines)


def test_check_says_78_when_there_is_something_to_do(config):
    ended = minuted("check", "--config", config, "--input", "missing.wav")
    assert ended.returncode == 78
    assert "✗ source" in ended.stdout


def test_dead_letters_of_a_sink_that_is_not_configured_are_78(config, capsys):
    assert main(["dead-letters", "list", "webhook", "--config", str(config)]) == 78
    assert capsys.readouterr().err == "minuted: there is no [sinks.webhook] in the configuration\n"


def test_dropping_dead_letters_needs_their_numbers(config, capsys):
    """A slip of the finger is not to throw everything away."""
    config.write_text(config.read_text() + f'[sinks.file_log]\npath = "{config}.jsonl"\n')
    assert main(["dead-letters", "drop", "file_log", "--config", str(config)]) == 2
    assert capsys.readouterr().err == "minuted: name the numbers, or --all\n"


def test_a_list_of_dead_letters_that_is_cut_says_so(config, capsys, monkeypatch):
    """Who works through it by hand would take it for all there are."""
    config.write_text(config.read_text() + f'[sinks.file_log]\npath = "{config}.jsonl"\n')
    cursor = Cursor(dead_letters.cursor_path(load(config), "file_log"))
    cursor.place("one", 0)
    for seq in (1, 2, 3):
        cursor.reject(turn(seq), "410 Gone")
    cursor.close()
    monkeypatch.setattr(dead_letters, "LISTED_MAX", 2)
    assert main(["dead-letters", "list", "file_log", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "410" in line] == ["1", "2"]
    assert lines[-1] == "these are the first 2: further ones show when they are gone"
    assert main(["dead-letters", "drop", "file_log", "1", "2", "--config", str(config)]) == 0
    assert main(["dead-letters", "list", "file_log", "--config", str(config)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("seq", ["0", "-1", "x", "9" * 30])
def test_what_is_no_number_of_a_record_is_wrong_usage(config, capsys, seq):
    assert main(["dead-letters", "retry", "file_log", seq, "--config", str(config)]) == 2
    assert "usage: " in capsys.readouterr().err


def test_whoever_reads_may_leave(config):
    """`minuted sinks | head -1` is no error."""
    command = f"{sys.executable} -m minuted sinks --config {config} | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.returncode == 0


def test_ctrl_c_ends_watching_without_a_word(config, runtime_dir):
    with (
        TurnsOut(Settings(runtime_dir=runtime_dir / "run").turns_endpoint) as turns,
        subprocess.Popen(
            [sys.executable, "-m", "minuted", "watch", "--config", config],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        until(turns.new_subscriptions)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=WAIT_S)[0] == ""
        assert process.returncode == 0
