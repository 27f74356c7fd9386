"""A whole daemon that holds no key: its words, its secrets, and its bill after a kill."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from minuted.config import Settings
from minuted.journal.turns import TurnJournal
from minuted.tokens import clients
from minuted.tokens.minting import Token, mint
from simulator.coded import compose
from simulator.process import Process
from token_server import Running

WAIT_S = 60
KEY = "planted-key-of-the-token-server"
CONFIG = """
[engine]
url = "{service}"
token_url = "{tokens}/token"
[cost]
per_hour = 3600
[sinks.file_log]
path = "@output/turns.jsonl"
"""
RECORDING = compose(1, words=(4, 4), tail_ms=1000)
WHILE_LOOKED_AT = compose(1, words=(4, 4), tail_ms=60_000)


@pytest.fixture
def service() -> Iterator[Process]:
    with Process(options={"keys": [KEY], "tokens_once": True}) as process:
        yield process


def everything_told(daemon: Any) -> str:
    """Give what others could see of the daemon now."""
    stages = daemon.status().get("stages", {})
    texts = [json.dumps(stages), daemon.ask("status").stdout]
    pids = [stage["pid"] for stage in stages.values() if stage.get("pid")]
    # The first process's environment is what it was given, by whoever started it.
    places = [f"{pid}/cmdline" for pid in (daemon.process.pid, *pids)] + [f"{pid}/environ" for pid in pids]
    for place in places:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has had all its sound meanwhile
            texts.append(Path("/proc", place).read_text(errors="replace"))
    return "\n".join(texts)


def test_a_room_without_a_key_hears_every_word_and_keeps_its_secret(
    service: Process, make_daemon: Callable[[str], Any], make_settings: Callable[..., Settings]
) -> None:
    """Nowhere on the machine but where it was put; and after a kill the bill stands as it was."""
    minted: list[Token] = []

    def make(*terms: int) -> Token:
        minted.append(mint(service.url, KEY, *terms))
        return minted[-1]

    with Running(make_settings(), make) as server:
        secret = clients.new(server.file, "boardroom")
        daemon = make_daemon(CONFIG.format(service=service.url, tokens=server.url))
        sound = str(WHILE_LOOKED_AT.save(daemon.output / "long.wav"))
        daemon.start("--input", sound, MINUTED_TOKEN_SECRET=secret)
        told, status = "", {}
        until_s = time.monotonic() + WAIT_S
        while not status.get("session_s_today") and time.monotonic() < until_s:
            status = daemon.status().get("stages", {}).get("transcription", {})
        told = everything_told(daemon)
        daemon.process.kill()
        daemon.process.wait()
        journal_file = daemon.output / "state/turns.db"
        state = _cost_of(journal_file, until_s)
        assert state["open"] == 1
        assert status["cost_today"] == pytest.approx(status["session_s_today"], abs=0.1)
        assert "today" in told

        sound = str(RECORDING.save(daemon.output / "talk.wav"))
        daemon.start("--input", sound, MINUTED_TOKEN_SECRET=secret)
        assert daemon.wait() == 0
        state = _cost_of(journal_file, until_s)

    ((session_s, cut),) = state["days"].values()
    assert (cut, state["open"]) == (1, 0)
    assert session_s >= status["session_s_today"] - 10
    words = [word["text"] for turn in daemon.turns for word in turn.get("words", ())]
    assert words[-len(RECORDING.words) :] == [word.text for word in RECORDING.words]
    assert (
        len({session.headers["Authorization"] for session in service.sessions}) == len(service.sessions) >= 2
    )
    kept = [file.read_bytes() for file in daemon.output.rglob("*") if file.is_file()]
    planted = [secret, KEY, *(token.text for token in minted)]
    assert not [each for each in planted if each in told]
    assert not [each for each in planted if any(each.encode() in data for data in kept)]


def _cost_of(file: Path, until_s: float) -> dict[str, Any]:
    """Read the account once the process that holds it has gone."""
    while True:
        try:
            journal = TurnJournal(file)
            break
        except Exception:
            assert time.monotonic() < until_s
            time.sleep(0.05)
    try:
        return dict(journal.state("cost"))
    finally:
        journal.close()
