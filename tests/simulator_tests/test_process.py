import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from simulator import Fault
from simulator.client import Client
from simulator.coded import compose
from simulator.process import Process

RECORDING = compose(1, seed=51)


def test_a_process_does_what_a_thread_does_and_can_be_paused_killed_and_started_again():
    """One process for all of it: it takes a moment to start."""
    with Process(options={"heartbeat_s": 0.05}) as service:
        with Client(service.url, session_heartbeat="true") as client:
            client.send(RECORDING.frames())
            client.terminate()
            assert [w["text"] for w in client.finals[0]["words"]] == [w.text for w in RECORDING.words]
        service.wait_until(lambda: service.connections[0].ended_at_s)
        assert service.connections[0].finals == client.finals
        assert service.connections[0].audio_ms >= RECORDING.duration_ms

        with Client(service.url, session_heartbeat="true") as client:
            client.read_until("Heartbeat")
            service.pause()
            while True:
                try:
                    client.read(timeout_s=0.3)
                except TimeoutError:
                    break
            assert not client.socket.ping().wait(0.2)
            service.resume()
            client.read_until("Heartbeat")
            service.fault("close", code=3009)
            client.read_to_the_end()
            assert client.close_code == 3009

        with Client(service.url) as client:
            client.read()
            port = service.port
            service.kill()
            with pytest.raises(ConnectionClosed):
                client.read()
            assert client.close_code == 1006
        service.start()
        assert service.port == port
        with Client(service.url) as client:
            assert client.read()["type"] == "Begin"
        assert [session.number for session in service.sessions] == [0, 1, 2, 3]


def test_a_process_takes_a_script_and_ends_with_its_starter():
    """Nothing is left behind when a test dies."""
    script = json.dumps([Fault(name="http", status=429).to_map()])
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--commands", "--lifelike", "--script", script],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "default"},
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        listening = json.loads(process.stdout.readline())
        assert listening["event"] == "listening"
        with pytest.raises(Exception, match="429"), Client(f"ws://127.0.0.1:{listening['port']}"):
            pass
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
