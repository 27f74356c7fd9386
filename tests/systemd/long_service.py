"""What test_service.py leaves out because it takes minutes; `make test-systemd` runs it."""

from moonshine_voice.utils import get_assets_path

from simulator.coded import compose
from systemd.room import (
    CONFIG,
    HEARS_A_SERVER,
    KEY,
    PORT,
    ROOT,
    SOCKETS,
    STAGES,
    TURNS,
    Room,
    setpriv,
)

MINUTED = "/opt/minuted/current/bin/minuted"
SHORT = compose(1, words=(3, 3), tail_ms=800)
LATER = compose(1, words=(3, 3), tail_ms=800, first_number=101)


def test_each_process_that_is_killed_is_started_again_alone(room: Room) -> None:
    """systemd has nothing to do with it: the service stays up."""
    room.start()
    main_pid = room.property("MainPID")
    for stage in sorted(STAGES):
        pid = room.stages()[stage]["pid"]
        room.box.run("kill", "-KILL", str(pid))
        room.box.wait_until(lambda stage=stage, pid=pid: room.stages().get(stage, {}).get("pid") != pid)
        room.box.wait_until(room.are_ready)
    assert (room.property("MainPID"), room.property("NRestarts")) == (main_pid, "0")
    assert room.hears(SHORT)


def test_a_restart_keeps_the_socket_folder_and_a_stop_removes_it(room: Room) -> None:
    """A subscriber's container that has the folder mounted sees the new sockets."""
    room.start()
    folder = room.box.root / SOCKETS.lstrip("/")
    before = folder.stat()
    assert (before.st_mode & 0o777, (folder / "turns.sock").stat().st_mode & 0o777) == (0o750, 0o660)
    room.systemctl("restart", "minuted")
    assert folder.stat().st_ino == before.st_ino
    room.systemctl("stop", "minuted")
    assert not folder.exists()


def test_a_recording_that_is_over_ends_the_service_well(room: Room) -> None:
    """0 is an end, not a failure: the recording is not played for ever, and every word is there once."""
    SHORT.save(room.box.root / "srv/recording.wav")
    room.configure(CONFIG.replace('device = "table"', 'source = "/srv/recording.wav"'))
    room.start()
    room.box.wait_until(lambda: room.property("ActiveState") == "inactive")
    assert (room.property("Result"), room.property("NRestarts")) == ("success", "0")
    assert room.words() == [word.text for word in SHORT.words]


def test_the_split_form_brings_every_word_with_a_sandbox_for_each_stage(room: Room) -> None:
    """The microphone has no network and no key, the sinks have no microphone; the words are the same."""
    units = ["minuted-capture", "minuted-transcription", "minuted-sink@file_log", "minuted-sink@srt"]
    room.start("minuted.target")
    room.box.wait_until(lambda: all(room.property("ActiveState", unit) == "active" for unit in units))
    room.box.wait_until(room.are_ready)
    assert room.hears(SHORT)
    for unit in units:
        inside = ["nsenter", f"--target={room.property('MainPID', unit)}", "--mount", "--net"]
        has_key = KEY in room.box.run(*inside, "sh", "-c", "cat /run/credentials/*/*", check=False)
        has_network = not room.box.run(*inside, "bash", "-c", f"</dev/tcp/127.0.0.1/{PORT}", check=False)
        assert (has_key, has_network) == (unit == "minuted-transcription",) * 2, unit
    room.systemctl("kill", "--signal=KILL", "minuted-transcription")
    room.box.wait_until(lambda: room.property("NRestarts", "minuted-transcription") == "1")
    room.box.wait_until(room.are_ready)
    assert room.hears(LATER)
    # The last word is on its way when everything is stopped, and still arrives.
    last = compose(1, words=(3, 3), tail_ms=0, first_number=201)
    room.say(last)
    room.systemctl("stop", "minuted.target", *units)
    assert [room.property("Result", unit) for unit in units] == ["success"] * len(units)
    assert f"word{last.words[-1].number:04}" in room.file(TURNS)


def test_a_supervisor_that_hangs_is_replaced(room: Room) -> None:
    """systemd's watchdog is the last resort; its bound is shortened here, not what calms it."""
    room.drop_in("watchdog", "WatchdogSec=4")
    room.start()
    room.box.run("kill", "-STOP", room.property("MainPID"))
    room.box.wait_until(lambda: room.property("NRestarts") == "1")
    assert "Watchdog timeout" in room.journal()
    room.box.wait_until(lambda: room.property("ActiveState") == "active")
    room.box.wait_until(room.are_ready)
    assert room.hears(SHORT)


def test_a_process_that_hangs_is_replaced_alone(room: Room) -> None:
    """The supervisor is quicker than systemd's watchdog, and nothing else has to stop."""
    room.start()
    pid = room.stages()["transcription"]["pid"]
    room.box.run("kill", "-STOP", str(pid))
    room.box.wait_until(lambda: room.stages().get("transcription", {}).get("pid") not in (pid, None))
    room.box.wait_until(room.are_ready)
    assert room.property("NRestarts") == "0"
    assert room.hears(SHORT)


def test_a_reload_takes_a_good_file_and_refuses_a_bad_one(room: Room) -> None:
    """Sound goes on either way: capture is the same process."""
    room.start()
    pid = room.stages()["capture"]["pid"]
    room.configure(CONFIG + '[sinks.more]\nuse = "file_log"\npath = "/var/lib/minuted/more.jsonl"\n')
    room.systemctl("reload", "minuted")
    room.box.wait_until(lambda: room.stages().get("delivery/more", {}).get("state") == "delivering")
    room.configure(CONFIG + "[capture_]\n")
    assert "failed" in room.systemctl("reload", "minuted", check=False)
    assert "unknown key" in room.property("StatusText")
    assert room.stages()["delivery/more"]["state"] == "delivering"
    assert room.hears(SHORT)
    assert room.stages()["capture"]["pid"] == pid
    assert SHORT.words[-1].text in room.file("/var/lib/minuted/more.jsonl")


def test_the_engine_on_this_machine_works_in_the_sandbox(room: Room) -> None:
    """Its libraries compute without writable code and with half of the system calls."""
    (room.box.root / "srv/speech.wav").write_bytes((get_assets_path() / "two_cities.wav").read_bytes())
    source = 'source = "/srv/speech.wav"\npace = "fast"'
    local = CONFIG.replace('device = "table"', source).replace('service = "assemblyai"', 'service = "local"')
    room.configure("\n".join(line for line in local.splitlines() if not line.startswith("url")))
    room.start()
    room.box.wait_until(lambda: room.property("ActiveState") in ("inactive", "failed"))
    assert room.property("Result") == "success", room.journal()
    assert "best of times" in " ".join(room.words())


def test_the_token_server_gives_rooms_tokens_in_its_sandbox(room: Room) -> None:
    """It alone is handed the key, goes by the list that root writes, and comes back by itself."""
    unit = "minuted-token-server"
    asking = CONFIG.replace("[engine]", '[engine]\ntoken_url = "http://127.0.0.1:8970/token"')
    (room.box.root / "srv/asking.toml").write_text(asking)
    room.drop_in("watchdog", "WatchdogSec=10", unit)
    room.start(unit)
    secret = room.box.run(MINUTED, "token-server", "clients", "new", "boardroom").splitlines()[-1]

    def token() -> str:
        given = ["env", f"MINUTED_TOKEN_SECRET={secret}", MINUTED, "token", "--config", "/srv/asking.toml"]
        return room.as_user("nobody", *given).strip()

    tokens = [token()]
    for signal, restarts in (("KILL", "1"), ("STOP", "2")):
        pid = room.property("MainPID", unit)
        assert pid != "0", room.journal(unit=unit)
        room.box.run("kill", f"-{signal}", pid)
        room.box.wait_until(lambda restarts=restarts: room.property("NRestarts", unit) == restarts)
        room.box.wait_until(lambda: room.property("ActiveState", unit) == "active")
        tokens.append(token())
    room.box.run(MINUTED, "token-server", "clients", "revoke", "boardroom")
    assert "answered 401 (unknown client)" in token()

    log = room.journal(unit=unit)
    assert all(" " not in each and len(each) > 20 for each in tokens), tokens
    assert log.count("token_given") == len(tokens) == len(set(tokens))
    assert not [each for each in (KEY, secret, *tokens) if each in log]
    room.systemctl("stop", unit)
    assert room.property("Result", unit) == "success"
    assert (room.box.root / SOCKETS.lstrip("/")).is_dir(), "a room's minuted may be using it"


def test_the_users_service_runs_without_a_login(room: Room) -> None:
    """Where the microphone belongs to PipeWire or PulseAudio, which run for a user: her manager starts it."""
    root, run = room.box.root, room.box.run
    run("useradd", "--create-home", "--uid", "1900", "mia")
    folders = 'state_dir = "~/.local/state/minuted"\nruntime_dir = "/run/user/1900/minuted"\n'
    own = root / "home/mia/.config/minuted"
    own.mkdir(parents=True)
    (own / "minuted.toml").write_text(folders + CONFIG.replace("/var/lib/minuted", "/home/mia/minutes"))
    (own / ".env").write_text(f"ASSEMBLYAI_API_KEY={KEY}\n")
    drop_in = root / "etc/systemd/user/minuted.service.d"
    drop_in.mkdir(parents=True)
    (drop_in / "10-sound.conf").write_text(HEARS_A_SERVER)
    (drop_in.parent / "minuted.service").write_bytes((ROOT / "systemd/user/minuted.service").read_bytes())
    run("chown", "--recursive", "mia:", "/home/mia")
    run("loginctl", "enable-linger", "mia")
    room.box.wait_until((root / "run/user/1900/systemd/private").exists)
    as_her = [
        *setpriv("mia"),
        "env",
        "XDG_RUNTIME_DIR=/run/user/1900",
        "HOME=/home/mia",
        "systemctl",
        "--user",
    ]
    run(*as_her, "enable", "--quiet", "--now", "minuted")
    assert "ActiveState=active" in run(*as_her, "show", "minuted")
    room.say(SHORT)
    last = SHORT.words[-1].text
    room.box.wait_until(lambda: last in room.file("/home/mia/minutes/turns.jsonl"))
    run(*as_her, "stop", "minuted")
    assert "Result=success" in run(*as_her, "show", "minuted")
    run("loginctl", "disable-linger", "mia")
