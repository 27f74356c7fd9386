"""`minuted check` and what `minuted run` looks at before it starts anything."""

import os
import socket
import sqlite3
import time
import wave
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from minuted import keys
from minuted.commands import check, machine
from minuted.config import (
    Capture,
    ConfigError,
    Engine,
    Publish,
    Settings,
    SinkTable,
    SoundSource,
    StreamingSession,
)
from minuted.control import ControlServer
from minuted.journal.turns import TurnJournal
from simulator import Fault, Service


@pytest.fixture
def recording(runtime_dir):
    path = runtime_dir / "talk.wav"
    with wave.open(str(path), "wb") as wav:
        wav.setparams((1, 2, 16000, 0, "NONE", ""))
        wav.writeframes(bytes(32000))
    return path


@pytest.fixture
def settings(runtime_dir, recording, monkeypatch):
    monkeypatch.delenv("ASSEMBLYAI_API_KEY", raising=False)
    return Settings(
        state_dir=runtime_dir / "state",
        runtime_dir=runtime_dir / "run",
        sink_dirs=(runtime_dir / "sinks",),
        capture=Capture(source=str(recording)),
        engine=Engine(service="local"),
    )


def replaced(settings, **values):
    return Settings(**{**{name: getattr(settings, name) for name in settings.__dataclass_fields__}, **values})


def found(settings, **options):
    return {finding.what: finding for finding in check.findings(lambda: settings, **options)}


def test_where_all_is_well_every_line_says_so(settings, capsys):
    assert check.run(lambda: settings) == 0
    lines = capsys.readouterr().out.splitlines()
    # The machine's own matters may well be warnings where the tests run.
    ours = [line for line in lines if line[2:].split("  ")[0] not in ("clock", "disk", "file system")]
    assert all(line.startswith("✓ ") for line in ours)
    assert any("talk.wav, 1.0 s at 16000 Hz" in line for line in lines)


def test_the_file_of_key_terms_is_looked_at_and_needed_to_start(settings, runtime_dir):
    """Without it the service would not know the names it is there for."""
    file = runtime_dir / "terms.txt"
    settings = replaced(settings, session=StreamingSession(keyterms_file=file))
    assert not found(settings)["key terms"].ok
    with pytest.raises(ConfigError, match=r"session\.keyterms_file: .*No such file"):
        check.prepare(settings)
    file.write_text("# drugs\nmetformin\n")
    assert found(settings)["key terms"].text == f"1 in {file}"
    check.prepare(settings)


def test_a_profile_that_the_model_takes_no_change_of_is_a_warning(settings):
    """It would be refused when somebody switches to it, in the middle of a meeting."""
    profiles = {"plain": {"max_turn_silence": 900}, "terms": {"keyterms_prompt": ("a",)}}
    finding = found(replaced(settings, profiles=profiles))["profiles"]
    assert (finding.ok, finding.warns) == (True, True)
    assert finding.text.startswith("terms: keyterms_prompt: the local engine takes no change of it")
    assert found(replaced(settings, profiles={"plain": profiles["plain"]}))["profiles"].text == "plain"


def test_looking_changes_nothing(settings, runtime_dir):
    """Run by root, it must not leave folders and locks that the service's user cannot open."""
    before = sorted(runtime_dir.rglob("*"))
    found(settings)
    assert sorted(runtime_dir.rglob("*")) == before


def test_a_bad_configuration_is_one_line_and_78(capsys):
    def load():
        raise ConfigError("unknown key 'rom'; did you mean 'room'?")

    assert check.run(load) == 78
    assert capsys.readouterr().out.splitlines()[-1] == (
        "✗ configuration    unknown key 'rom'; did you mean 'room'?"
    )


def test_a_key_is_needed_and_never_shown(settings, monkeypatch):
    asks = replaced(settings, engine=Engine(service="assemblyai"))
    assert "no AssemblyAI key" in found(asks)["service"].text
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "very-secret")
    finding = found(asks)["service"]
    assert (finding.ok, finding.text) == (True, "wss://streaming.assemblyai.com, key found")


def test_a_key_that_is_refused_is_found_only_when_asked_for(settings, monkeypatch):
    """--online opens a session, which costs: it is not for every check."""
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "wrong-key")
    with Service([Fault(name="error", code=1008, text="Unauthorized Connection")]) as service:
        asks = replaced(settings, engine=Engine(service="assemblyai", url=service.url))
        assert "online" not in found(asks)
        assert not service.connections
        refused = found(asks, online=True)["online"]
        assert not refused.ok
        assert "opens no session: " in refused.text
        assert "wrong-key" not in refused.text
        accepted = found(asks, online=True)["online"]
        assert accepted.ok
        assert accepted.text.startswith("the service opened a session, and ended it")
        assert not accepted.warns


def test_what_a_session_has_not_is_found_when_asked_for(settings, monkeypatch):
    """The service ignores what it does not know: better found before the meeting."""
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "a-key")
    with Service(echo={"speaker_labels": False}) as service:
        asks = replaced(settings, engine=Engine(service="assemblyai", url=service.url))
        asks = replaced(asks, session=StreamingSession(speaker_labels=True))
        finding = found(asks, online=True)["online"]
    assert (finding.ok, finding.warns) == (True, True)
    assert finding.text.endswith("asked for speaker_labels = true, the session has false")


def test_settings_that_cost_or_do_nothing_are_warned_of(settings, monkeypatch):
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "a-key")
    asks = replaced(settings, engine=Engine(service="assemblyai", url="wss://example.org"))
    assert "session" not in found(asks)
    finding = found(replaced(asks, session=StreamingSession(voice_focus="far-field")))["session"]
    assert (finding.ok, finding.warns) == (True, True)
    assert finding.text == "session.voice_focus costs more: +$0.10 an hour"


def test_redaction_that_cannot_be_done_is_refused_before_anybody_speaks(settings):
    asks = replaced(settings, engine=Engine(service="local"), session=StreamingSession(redact_pii=True))
    finding = found(asks)["session"]
    assert not finding.ok
    assert "the local engine cannot redact" in finding.text
    with pytest.raises(ConfigError, match=r"session\.redact_pii: the local engine cannot redact"):
        check.prepare(asks)


def test_tokens_stand_where_a_key_would(settings, monkeypatch):
    """--online opens a session with one, too."""
    monkeypatch.setenv("MINUTED_TOKEN_SECRET", "very-secret")
    by_url = replaced(settings, engine=Engine(token_url="https://me@tokens.example/token?x=1"))
    assert found(by_url)["service"].text.endswith("tokens from https://tokens.example/token, secret found")
    monkeypatch.delenv("MINUTED_TOKEN_SECRET")
    assert "no secret for engine.token_url" in found(by_url)["service"].text
    with Service(keys=("the-key",)) as service:
        token = service._door.token("expires_in_seconds=60", "the-key", time.time())[1]["token"]
        engine = Engine(url=service.url, token_command=("echo", token))
        by_program = replaced(settings, engine=engine)
        assert found(by_program)["service"].text == f"{service.url}, tokens from echo"
        assert found(by_program, online=True)["online"].ok
        wrong = replaced(settings, engine=replace(engine, token_command=("echo", "rubbish")))
        assert "Invalid API key" in found(wrong, online=True)["online"].text
        none = replaced(settings, engine=replace(engine, token_command=("false",)))
        assert "no token: false ended with exit status 1" in found(none, online=True)["online"].text
        assert service.sessions[0].headers["Authorization"] == token


@pytest.mark.parametrize(
    ("model", "warns"),
    [("u3-rt-pro", False), ("whisper-rt", True), ("u3-pro", True), ("universal-3-6-pro", None)],
)
def test_what_is_known_of_a_model_is_said(settings, monkeypatch, model, warns):
    """The default's being legacy is a note: a check that always warns is not read."""
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "a-key")
    session = StreamingSession(speech_model=model)
    lines = found(replaced(settings, engine=Engine(service="assemblyai"), session=session))
    if warns is None:
        assert "model" not in lines
    else:
        assert (lines["model"].ok, lines["model"].warns) == (True, warns)
    assert "model" not in found(replaced(settings, session=session))


def test_a_warning_is_no_reason_to_fail(settings, capsys, monkeypatch):
    monkeypatch.setattr(machine, "clock", lambda: (False, "not synchronised"))
    assert check.run(lambda: settings) == 0
    assert "! clock            not synchronised" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "ok", "warns"), [("nfs4", False, False), ("tmpfs", True, True), ("ext4", True, False)]
)
def test_journals_need_a_disk_of_this_machine(settings, monkeypatch, kind, ok, warns):
    monkeypatch.setattr(machine, "place_of", lambda _: kind)
    finding = found(settings)["file system"]
    assert (finding.ok, finding.warns) == (ok, warns)


def test_secrets_everybody_can_read_are_warned_of(settings, runtime_dir, monkeypatch):
    (runtime_dir / "cwd").mkdir()
    monkeypatch.chdir(runtime_dir / "cwd")
    secret = runtime_dir / "hook.secret"
    for file in (secret, Path(".env"), runtime_dir / "minuted.toml"):
        file.touch()
        file.chmod(0o644)
    table = {"url": "https://example.org", "secret_file": str(secret)}
    inline = {"url": "https://example.org", "secret": "whsec_" + "A" * 32}
    wants = replaced(
        settings,
        path=runtime_dir / "minuted.toml",
        sinks={"webhook": SinkTable(options=table), "other": SinkTable(use="webhook", options=inline)},
    )
    warned = [finding for finding in check.findings(lambda: wants) if finding.what == "secrets"]
    assert {finding.text.split(" ")[0] for finding in warned} == {".env", str(secret), str(wants.path)}
    assert all(finding.ok and finding.warns and "run: chmod o-r" in finding.text for finding in warned)


def test_sockets_that_a_killed_run_left_are_named(settings):
    settings.runtime_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(settings.runtime_dir / "turns.sock"))
    assert "1 left by a run that was killed" in found(settings)["sockets"].text


def test_a_run_that_is_not_well_is_a_warning(settings):
    finding = check.running_finding(
        {"state": "degraded", "pid": 7, "stages": {"capture": {"state": "backoff"}}}
    )
    assert (finding.ok, finding.warns) == (True, True)
    assert finding.text == "degraded as process 7, capture is backoff"


def test_a_door_without_clients_is_a_problem_and_with_them_is_described(settings, tmp_path):
    wants = replaced(settings, publish=Publish(turns="tcp://127.0.0.1:5555"))
    wants.state_dir.mkdir()
    assert "open to nobody yet" in found(wants)["turn socket"].text
    with pytest.raises(ConfigError, match="open to nobody yet"):
        check.prepare(wants)
    keys.new(wants, "tablet", tmp_path)
    assert found(wants)["turn socket"].text.endswith("and tcp://127.0.0.1:5555 for 1 client with a key")


def test_the_local_engine_must_be_installed(settings, monkeypatch):
    monkeypatch.setattr(check, "ENGINE_LIBRARY", "no_such_library")
    assert "pip install 'minuted[local]'" in found(settings)["service"].text


def test_a_port_in_use_is_found_unless_it_is_our_own_engine_s(settings):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        wants = replaced(settings, engine=Engine(service="local", url=f"ws://127.0.0.1:{port}"))
        assert not found(wants)["service"].ok
        settings.runtime_dir.mkdir()
        own = ControlServer(
            settings.control_endpoint("supervisor"), {"status": lambda _: {"state": "running"}}
        )
        try:
            assert found(wants)["service"].ok
            assert found(wants)["running"].text == f"running as process {os.getpid()}"
        finally:
            own.close()


def test_a_service_s_address_without_a_key_is_no_local_engine(settings, monkeypatch, runtime_dir):
    monkeypatch.chdir(runtime_dir)
    wants = replaced(settings, engine=Engine(url="wss://streaming.eu.assemblyai.com"))
    assert 'set [engine] service = "assemblyai"' in found(wants)["service"].text


def test_a_model_s_folder_must_be_there(settings):
    wants = replaced(settings, engine=Engine(service="local", model_dir=Path("/nowhere")))
    assert found(wants)["service"].text == "engine.model_dir: /nowhere is not a folder"


@pytest.mark.parametrize("name", ["missing.wav", "text.wav", "empty.wav"])
def test_a_recording_without_sound_is_found(settings, runtime_dir, name):
    (runtime_dir / "text.wav").write_text("this is no sound")
    (runtime_dir / "empty.wav").touch()
    finding = found(replaced(settings, capture=Capture(source=str(runtime_dir / name))))["source"]
    assert not finding.ok
    assert name in finding.text


def test_every_sink_is_looked_at(settings, runtime_dir):
    (runtime_dir / "sinks").mkdir()
    (runtime_dir / "sinks" / "broken.py").write_text("import no_such_module_at_all\n")
    tables = {
        "file_log": SinkTable(options={"path": "x.jsonl"}),
        "broken": SinkTable(),
        "webhok": SinkTable(),
        "webhook": SinkTable(options={"ulr": "https://example.org"}),
        "srt": SinkTable(enabled=False),
    }
    findings = found(replaced(settings, sinks=tables))
    assert findings["sink file_log"].ok
    assert findings["sink srt"].ok
    assert findings["sink broken"].text.startswith("failed to load: ")
    assert "did you mean 'webhook'?" in findings["sink webhok"].text
    assert "did you mean 'url'?" in findings["sink webhook"].text
    assert not any(findings[f"sink {name}"].ok for name in ("broken", "webhok", "webhook"))


def test_folders_are_made_for_the_group_to_read_and_nobody_else(settings):
    check.make_folders(settings)
    assert [(folder.stat().st_mode & 0o777) for folder in (settings.state_dir, settings.runtime_dir)] == [
        0o750,
        0o750,
    ]


@pytest.mark.parametrize("key", ["state_dir", "runtime_dir"])
def test_a_folder_that_cannot_be_is_named_with_what_to_set(settings, runtime_dir, key):
    """Someone tries minuted on a laptop, without a configuration."""
    (runtime_dir / "file").touch()
    bad = replaced(settings, **{key: runtime_dir / "file" / "below"})
    with pytest.raises(ConfigError, match=rf"^{key}: .*set state_dir and runtime_dir in minuted.toml"):
        check.prepare(bad)
    assert not found(bad)[key].ok


def test_a_turn_socket_s_folder_must_be_there(settings):
    bad = replaced(settings, publish=Publish(turns="ipc:///nowhere/turns.sock"))
    with pytest.raises(ConfigError, match=r"publish\.turns: /nowhere is not a folder"):
        check.prepare(bad)


def test_a_run_does_not_start_without_its_recording(settings):
    with pytest.raises(ConfigError, match=r"missing\.wav cannot be read: No such file"):
        check.prepare(replaced(settings, capture=Capture(source="missing.wav")))


def test_a_terminal_without_ticks_gets_words():
    assert check.line(check.Finding("source", ok=True, text="x"), "ascii").startswith("ok  source")
    assert check.line(check.Finding("source", ok=False, text="x"), "latin-1").startswith("NO  source")


def test_several_sources_are_each_looked_at_and_their_price_is_told(settings, recording, monkeypatch):
    """Two sessions are billed, which nobody should learn from the bill."""
    two = tuple(SoundSource(name=name, source=str(recording), channel=n) for n, name in enumerate(("a", "b")))
    several = replaced(settings, capture=Capture(sources=two))
    lines = found(several)
    assert lines["source a"].ok
    assert lines["source b"].ok
    assert "price" not in lines
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "a-key")
    price = found(replaced(several, engine=Engine(service="assemblyai")))["price"]
    assert price.warns
    assert "2 sources are 2 sessions at once, and cost 2 times as much as one" in price.text


def test_a_stranger_s_lock_that_nobody_would_open_is_left_out(settings, runtime_dir):
    """A lock of ours that is a link is told of; a name that minuted has no use for is not."""
    settings.state_dir.mkdir()
    (settings.state_dir / "foo.lock").symlink_to(runtime_dir / "elsewhere")
    assert found(settings)["sockets"].ok
    for name in ("minuted.lock", "transcription.lock", "clock.lock", "audio-run.lock", "turns.sock.lock"):
        lock = settings.state_dir / name
        lock.symlink_to(runtime_dir / "elsewhere")
        assert not found(settings)["sockets"].ok, name
        lock.unlink()


def test_another_version_s_journal_is_told_before_it_is_put_aside(settings):
    settings.state_dir.mkdir()
    assert found(settings)["journal"].text == "none yet"
    with closing(TurnJournal(settings.state_dir / "turns.db")):
        pass
    assert found(settings)["journal"].ok
    with closing(sqlite3.connect(settings.state_dir / "turns.db")) as database:
        database.execute("ALTER TABLE records ADD COLUMN new TEXT")
    finding = found(settings)["journal"]
    assert not finding.ok
    assert "is another version's (records has seq, at_ms, record, new)" in finding.text
    (settings.state_dir / "turns.db").write_text("no database, and longer than a header of one would be" * 9)
    assert "copied into a new one" in found(settings)["journal"].text


def test_what_lies_at_a_relative_path_s_old_place_is_told(settings, runtime_dir, monkeypatch):
    """Older versions began at the working folder of each command."""
    room = runtime_dir / "room"
    room.mkdir()
    (room / "minuted.toml").write_text('state_dir = "kept"\n[sinks.file_log]\npath = "turns.jsonl"\n')
    monkeypatch.chdir(runtime_dir)
    wants = replaced(settings, path=room / "minuted.toml")
    assert "paths" not in found(wants)
    (runtime_dir / "turns.jsonl").touch()
    finding = found(wants)["paths"]
    assert (finding.ok, finding.warns) == (True, True)
    assert finding.text.endswith(f"{runtime_dir}/turns.jsonl is not {room}/turns.jsonl, where it is kept now")


def test_a_key_that_cannot_be_used_hides_nothing_else(settings, monkeypatch):
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "two words")
    findings = found(replaced(settings, engine=Engine()))
    assert findings["service"].text.startswith("ASSEMBLYAI_API_KEY: the key is more than one word")
    assert {"disk", "source", "sinks", "network"} <= findings.keys()
