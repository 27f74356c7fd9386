"""Print what is said, anywhere on the network: python network.py tablet.key.json. Needs pyzmq and msgpack.

The file is what `minuted keys new tablet` made. With the next turn comes all that was said before it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgpack
import zmq


def connect(kind: int, address: str, key: dict[str, str]) -> "zmq.Socket[bytes]":
    made = zmq.Context.instance().socket(kind)
    made.curve_serverkey = key["server"].encode()
    made.curve_publickey = key["public"].encode()
    made.curve_secretkey = key["secret"].encode()
    made.connect(address)
    return made


def show(record: dict[str, Any]) -> None:
    if record["type"] != "gap":
        line = f"{record['seq']} {record['speaker'] or '?'} {record['text']}"
        # What was said may hold what a terminal obeys.
        print("".join(letter if letter.isprintable() else " " for letter in line), flush=True)


def main(key_file: str) -> None:
    key = json.loads(Path(key_file).read_text(encoding="utf-8"))
    live = connect(zmq.SUB, key["turns"], key)
    for topic in ("turn.final", "turn.revised", "gap"):
        live.subscribe(topic)
    replay = connect(zmq.DEALER, key["replay"], key)
    done = 0
    while True:
        # The first one says how far the journal is; what was missed comes before it.
        newest = msgpack.unpackb(live.recv_multipart()[-1])
        while newest["seq"] > done + 1:
            replay.send(msgpack.packb({"from_seq": done + 1, "limit": newest["seq"] - done - 1}))
            while (record := msgpack.unpackb(replay.recv()))["type"] != "end":
                show(record)
            done = record["next_seq"] - 1
        if newest["seq"] == done + 1:
            show(newest)
            done = newest["seq"]


if __name__ == "__main__":
    main(*sys.argv[1:])
