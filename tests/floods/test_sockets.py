"""A flood at every ZeroMQ socket: the process stays small, and whoever behaves is served meanwhile.

Each runs FLOOD_S (2 s; `make floods` more) against a real process. Without bounds each of the endless ones
took 700 MB a second.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from floods.process import Process, flooding
from minuted import keys
from minuted.bus import ReplayClient, TurnsIn, request
from minuted.config import load
from test_doors import free_ports
from waiting import until

FLOOD_S: Final = float(os.environ.get("FLOOD_S", "2"))
MB: Final = 1 << 20
GROWTH_BYTES_MAX: Final = 400 * MB
"""What a flood may cost for a moment: 16 MB, and how late it is seen; mostly under 60 altogether."""
LEFT_BYTES_MAX: Final = 48 * MB
"""What may be left of it."""

ENGINE: Final = '[engine]\nservice = "assemblyai"\nurl = "ws://127.0.0.1:9"\n'
SINK: Final = '[sinks.file_log]\npath = "{folder}/turns.jsonl"\n'
FLOODS: Final = {
    # By socket: the kind of peer, and what it sends.
    "replay": (
        ("DEALER", "endless(b'x' * 4000)"),
        ("DEALER", "endless(b'x')"),
        ("DEALER", "many(b'x' * 4000, 1000)"),
        ("DEALER", "many(b'x')"),
    ),
    "turns": (
        ("SUB", "endless(b'x' * 30)"),
        ("SUB", "many(b'x' * 30)"),
        ("SUB", "itertools.repeat(frame(b'\\x01' + b't' * 512_000))"),
    ),
    "control-transcription": (
        ("DEALER", "endless(b'x' * 60_000)"),
        ("DEALER", "endless(b'x')"),
        ("DEALER", "many(b'x' * 60_000)"),
    ),
    # The service's own user alone may connect; it need not be cut off, but is bounded.
    "frames": (("PUSH", "many(b'x' * 1600)"), ("PUSH", "many(b'x' * 1_000_000)")),
}


@pytest.fixture
def transcription(runtime_dir: Path) -> Iterator[Process]:
    with closing(Process(runtime_dir, "transcription", ENGINE)) as process:
        process.wait_for("transcription_ready")
        yield process


def is_served(folder: Path) -> None:
    """A status is told, a replay answered, a heartbeat heard: each within 10 s, asked again where need be."""

    def asked(stage: str = "transcription") -> Any:
        try:
            return request(f"ipc://{folder}/control-{stage}.sock", {"op": "status"}, 2.0).get("ok")
        except TimeoutError:
            return None

    until(asked, "a status")
    with ReplayClient(f"ipc://{folder}/replay.sock") as replay:
        assert replay.ask({"from_seq": 1})
        until(lambda: replay.receive(1.0), "an answer of the replay socket")
    with TurnsIn(f"ipc://{folder}/turns.sock", ("heartbeat",)) as turns:
        until(lambda: turns.receive(1.0), "a heartbeat")


def judged(process: Process, before_bytes: int) -> None:
    """The process took no more than it may, and gives it back."""
    grown = (process.memory_bytes("VmHWM") - before_bytes) / MB
    print(f"grown by {grown:.0f} MB")
    assert grown * MB < GROWTH_BYTES_MAX, f"grown by {grown:.0f} MB"
    until(lambda: process.memory_bytes() - before_bytes < LEFT_BYTES_MAX, "the memory is given back")


@pytest.mark.parametrize(
    ("socket", "kind", "what"), [(socket, *each) for socket, floods in FLOODS.items() for each in floods]
)
def test_a_flooded_socket_costs_little_and_the_others_are_served(
    transcription: Process, runtime_dir: Path, socket: str, kind: str, what: str
) -> None:
    before_bytes = transcription.memory_bytes()
    call = f"flood('{runtime_dir}/{socket}.sock', b'{kind}', {what}, {FLOOD_S})"
    with flooding(call) as flood:
        is_served(runtime_dir)
        flood.wait()
    judged(transcription, before_bytes)
    is_served(runtime_dir)
    assert transcription.is_up


def test_a_million_topics_of_one_subscriber_end_its_connection(
    transcription: Process, runtime_dir: Path
) -> None:
    before_bytes = transcription.memory_bytes()
    once = f"peer = connect('{runtime_dir}/turns.sock', b'SUB')\nfor blob in topics(38): peer.sendall(blob)"
    with flooding(once) as flood:
        until(lambda: flood.poll() is not None, "it is cut off")
        is_served(runtime_dir)
    judged(transcription, before_bytes)
    assert transcription.count("peer_cut_off") >= 1


@pytest.mark.parametrize("stage", ["capture", "delivery file_log", "engine"])
def test_every_stage_bounds_what_is_asked_of_it(runtime_dir: Path, stage: str) -> None:
    recording = runtime_dir / "silence.wav"
    subprocess.run(["/usr/bin/env", "python3", "-c", WAV, str(recording)], check=True)
    source = f'[capture]\nsource = "{recording}"\n'
    engine = '[engine]\nservice = "local"\n' if stage == "engine" else ENGINE
    with closing(Process(runtime_dir, stage, source + engine + SINK.format(folder=runtime_dir))) as process:
        path = runtime_dir / f"control-{stage.replace(' ', '-')}.sock"

        def asked() -> Any:
            assert process.is_up
            try:
                return request(f"ipc://{path}", {"op": "status"}, 2.0).get("ok")
            except TimeoutError:
                return None

        until(asked, "a status")
        before_bytes = process.memory_bytes()
        with flooding(f"flood('{path}', b'DEALER', endless(b'x' * 4000), {FLOOD_S})") as flood:
            until(asked, "a status meanwhile")
            flood.wait()
        judged(process, before_bytes)
        until(asked, "a status afterwards")


WAV: Final = """
import sys, wave
with wave.open(sys.argv[1], "wb") as out:
    out.setparams((1, 2, 16000, 0, "NONE", ""))
    out.writeframes(bytes(16000 * 2 * 120))
"""


@pytest.fixture
def door(runtime_dir: Path) -> Iterator[tuple[Process, int, Path]]:
    """A transcription process with a door, its port, and a client's key."""
    port = free_ports()
    text = f'{ENGINE}[publish]\nturns = "tcp://127.0.0.1:{port}"\n'
    config = runtime_dir / "keys.toml"
    (runtime_dir / "state").mkdir()
    config.write_text(f'state_dir = "{runtime_dir}/state"\nruntime_dir = "{runtime_dir}"\n{text}')
    key_file = keys.new(load(config), "tablet", runtime_dir)
    with closing(Process(runtime_dir, "transcription", text)) as process:
        process.wait_for("transcription_ready")
        yield process, port, key_file


@pytest.mark.parametrize(("kind", "offset"), [("DEALER", 1), ("SUB", 0)])
def test_a_client_with_a_key_is_no_exception(
    door: tuple[Process, int, Path], runtime_dir: Path, kind: str, offset: int
) -> None:
    process, port, key_file = door
    before_bytes = process.memory_bytes()
    place = f"tcp://127.0.0.1:{port + offset}"
    with flooding(f"with_key('{place}', '{kind}', '{key_file}', {FLOOD_S})") as flood:
        is_served(runtime_dir)
        flood.wait()
    assert process.count("peer_cut_off") >= 1
    judged(process, before_bytes)
    is_served(runtime_dir)


def test_strangers_at_a_door_cost_little(door: tuple[Process, int, Path], runtime_dir: Path) -> None:
    """600 that send a command of a megabyte before any key is shown."""
    process, port, _ = door
    before_bytes = process.memory_bytes()
    with flooding(f"strangers('127.0.0.1', {port}, 600, {FLOOD_S})") as flood:
        is_served(runtime_dir)
        flood.wait()
    judged(process, before_bytes)


def test_a_crowd_of_connections_leaves_room(transcription: Process, runtime_dir: Path) -> None:
    """3,000 to one socket: journals need descriptors, too."""
    before_bytes = transcription.memory_bytes()
    with flooding(f"crowd('{runtime_dir}/replay.sock', 3000, {FLOOD_S})") as flood:
        is_served_otherwise(runtime_dir)
        flood.wait()
    judged(transcription, before_bytes)
    is_served(runtime_dir)


def is_served_otherwise(folder: Path) -> None:
    with TurnsIn(f"ipc://{folder}/turns.sock", ("heartbeat",)) as turns:
        until(lambda: turns.receive(1.0), "a heartbeat")
