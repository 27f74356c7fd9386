"""Print what is said, anywhere on the network: python network.py tablet.key.json. Needs pyzmq and msgpack.

The file is what `minuted keys new tablet` made. With the next turn comes all that was said before it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgpack
import zmq

SILENT_MS = 5000


def connect(kind: int, address: str, key: dict[str, str]) -> "zmq.Socket[bytes]":
    made = zmq.Context.instance().socket(kind)
    made.curve_serverkey = key["server"].encode()
    made.curve_publickey = key["public"].encode()
    made.curve_secretkey = key["secret"].encode()
    made.connect(address)
    return made


def received(socket: "zmq.Socket[bytes]", address: str) -> bytes:
    while not socket.poll(SILENT_MS):
        print(
            f"{address}: nothing heard. Does minuted listen there? Is the key on its list?", file=sys.stderr
        )
    return socket.recv_multipart()[-1]


def show(record: dict[str, Any]) -> None:
    if record["type"] != "gap":
        line = f"{record['seq']} {record['speaker'] or '?'} {record['text']}"
        # What was said may hold what a terminal obeys.
        print("".join(letter if letter.isprintable() else " " for letter in line), flush=True)


def main(key_file: str) -> None:
    key = json.loads(Path(key_file).read_text(encoding="utf-8"))
    live = connect(zmq.SUB, key["turns"], key)
    # A heartbeat comes every second: without them, a wrong key is as quiet as an empty room.
    for topic in ("turn.final", "turn.revised", "gap", "heartbeat"):
        live.subscribe(topic)
    replay = connect(zmq.DEALER, key["replay"], key)
    done = 0
    while True:
        # The first one says how far the journal is; what was missed comes before it.
        newest = msgpack.unpackb(received(live, key["turns"]))
        if newest["type"] == "heartbeat":
            continue
        while newest["seq"] > done + 1:
            replay.send(msgpack.packb({"from_seq": done + 1, "limit": newest["seq"] - done - 1}))
            while (record := msgpack.unpackb(received(replay, key["replay"])))["type"] != "end":
                show(record)
            done = record["next_seq"] - 1
        if newest["seq"] == done + 1:
            show(newest)
            done = newest["seq"]


if __name__ == "__main__":
    main(*sys.argv[1:])
