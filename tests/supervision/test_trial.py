"""A configuration that is tried before it is accepted."""

import os
import threading

import pytest

from minuted.config import ACCEPTED_NAME, ConfigError, load, parse
from minuted.delivery.fingerprints import fingerprints
from minuted.supervision.stages import commands
from minuted.supervision.trial import Accepted, Trial, mark_of_key, try_sinks

WAIT_S = 30


@pytest.fixture
def accepted(runtime_dir):
    return Accepted(runtime_dir)


def tried(accepted, old, source, again=(), code=None):
    done = threading.Event()
    marks = {"key": mark_of_key(old), "code": code or fingerprints(old)}
    trial = Trial(
        source,
        accepted,
        old,
        commands,
        again,
        **marks,
        wake=done.set,
    )
    assert done.wait(WAIT_S)
    assert trial.is_done
    return trial


LOCAL = '[engine]\nservice = "local"\n'


def test_what_is_good_is_offered_with_its_plan(accepted, make_settings, runtime_dir):
    old = make_settings(LOCAL)
    text = f'{LOCAL}[sinks.file_log]\npath = "{runtime_dir}/turns.jsonl"\n'
    trial = tried(accepted, old, lambda: (make_settings(text), text))
    assert trial.refusal == ""
    assert trial.plan.added == ("delivery/file_log",)
    assert accepted.offered.read_text() == text
    assert not accepted.path.exists()
    accepted.accept()
    assert accepted.path.read_text() == text


def test_what_is_accepted_is_for_this_user_s_eyes(accepted):
    """There are secrets in sinks' tables, and the folder's group reads the turns, not them."""
    accepted.offer("")
    accepted.accept()
    assert accepted.path.stat().st_mode & 0o777 == 0o600
    accepted.discard()
    assert not accepted.path.exists()


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("[sinks.webhook]\n", "[sinks.webhook]"),
        ('[sinks.file_log]\npth = "/x"\n', "did you mean 'path'"),
        ("[sinks.nobody]\n", "nobody"),
    ],
)
def test_a_sink_that_would_not_work_is_refused(accepted, make_settings, text, refusal):
    """It would be the end of one that works at present."""
    trial = tried(accepted, make_settings(LOCAL), lambda: (make_settings(LOCAL + text), LOCAL + text))
    assert refusal in trial.refusal


def test_a_sink_nobody_touches_is_not_tried(make_settings, accepted):
    """A broken one must not stand in the way of the others."""
    text = f"{LOCAL}[sinks.webhook]\n"
    assert tried(accepted, make_settings(text), lambda: (make_settings(text), text)).refusal == ""
    try_sinks(make_settings(text), accepted.offered, ["transcription", "capture"])


def test_a_file_that_does_not_parse_is_refused_with_its_reason(accepted, make_settings):
    trial = tried(accepted, make_settings(LOCAL), lambda: (parse("room = "), "room = "))
    assert trial.refusal.startswith("not TOML")


def test_an_error_in_the_trial_is_a_refusal(accepted, make_settings, capfd):
    """Whoever waits for the reload must hear something."""

    def source():
        raise ZeroDivisionError

    assert tried(accepted, make_settings(LOCAL), source).refusal == "failed with ZeroDivisionError"


def test_another_key_is_a_reason_for_another_session(accepted, make_settings, monkeypatch):
    """And the mark of a key does not tell the key."""
    text = '[engine]\nservice = "assemblyai"\n'
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "one")
    old = make_settings(text)
    assert "one" not in mark_of_key(old)

    def source():
        os.environ["ASSEMBLYAI_API_KEY"] = "another"
        return make_settings(text), text

    assert tried(accepted, old, source).plan.restarted == ("transcription",)


def test_a_service_without_a_key_is_refused(accepted, make_settings, no_key):
    text = '[engine]\nservice = "assemblyai"\n'
    trial = tried(accepted, make_settings(LOCAL), lambda: (make_settings(text), text))
    assert trial.refusal.startswith("no AssemblyAI key")


def test_a_file_of_key_terms_that_is_not_there_is_refused(accepted, make_settings, runtime_dir):
    """The process that would miss it has not been ended yet."""
    text = f'{LOCAL}[session]\nkeyterms_file = "{runtime_dir}/terms.txt"\n'
    trial = tried(accepted, make_settings(LOCAL), lambda: (make_settings(text), text))
    assert trial.refusal.startswith("session.keyterms_file: ")


def test_a_process_reads_what_was_accepted_and_finds_its_key_beside_the_file(tmp_path, monkeypatch, no_key):
    """The file may be broken at that moment; its folder is still where the .env file is."""
    own = tmp_path / "etc"
    own.mkdir()
    (own / "minuted.toml").write_text("room = ")
    (own / ".env").write_text("ASSEMBLYAI_API_KEY=beside\n")
    (tmp_path / "accepted.toml").write_text('room = "attic"\n')
    monkeypatch.setenv(ACCEPTED_NAME, str(tmp_path / "accepted.toml"))
    settings = load(own / "minuted.toml")
    assert (settings.room, settings.path, settings.api_key()) == ("attic", own / "minuted.toml", "beside")
    (tmp_path / "accepted.toml").write_text("room = ''\n")
    with pytest.raises(ConfigError, match="room is empty"):
        load(own / "minuted.toml")
