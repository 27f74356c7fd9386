"""state_dir was put back from a backup: no word is cut, no number means two records, and it is said."""

import json
import shutil
from collections.abc import Callable
from typing import Any

from journal.copies import age
from simulator import Service
from simulator.coded import compose
from simulator.receiver import Receiver

CONFIG = """
[engine]
service = "assemblyai"
url = "@service"
[sinks.file_log]
path = "@output/turns.jsonl"
[sinks.webhook]
url = "@url"
"""


def test_what_was_said_since_the_backup_is_kept_and_no_id_is_used_twice(
    make_daemon: Callable[[str], Any],
) -> None:
    with Service() as service, Receiver() as receiver:
        daemon = make_daemon(CONFIG.replace("@service", service.url).replace("@url", receiver.url))
        state, backup = daemon.output / "state", daemon.output / "backup"

        def run(seed: int) -> None:
            sound = compose(1, words=(3, 3), tail_ms=500, seed=seed, first_number=1000 * seed).save(
                daemon.output / f"{seed}.wav"
            )
            assert daemon.start("--input", str(sound), ASSEMBLYAI_API_KEY="any").wait() == 0

        run(1)
        shutil.copytree(state, backup)
        run(2)
        log_before = (daemon.output / "turns.jsonl").read_bytes()
        shutil.rmtree(state)
        shutil.copytree(backup, state)
        age(state / "turns.original")
        run(3)

    log = (daemon.output / "turns.jsonl").read_bytes()
    assert log.startswith(log_before), "lines of yesterday were cut"
    ids = [request.headers["webhook-id"] for request in receiver.taken]
    assert len(set(ids)) == len(ids), "a receiver that remembers ids takes new words for old ones"
    assert len({name.rsplit("_", 1)[0] for name in ids}) == 2
    delivered = [request.json()["data"]["id"] for request in receiver.taken]
    assert delivered == [turn["id"] for turn in map(json.loads, log.splitlines())]
    (told,) = [event for event in daemon.log if event["event"] == "journal_put_back"]
    assert told["level"] == "error"
