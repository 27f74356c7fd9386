"""Print what is said, on the machine itself: python local.py [SOCKET]. Needs pyzmq and msgpack.

Whoever runs it must be in the group of the socket's folder.
"""

import sys

import msgpack
import zmq

SILENT_MS = 5000


def main(address: str = "ipc:///run/minuted/turns.sock") -> None:
    subscriber = zmq.Context.instance().socket(zmq.SUB)
    subscriber.subscribe("turn.final")
    # One comes every second: without them, a wrong path is as quiet as an empty room.
    subscriber.subscribe("heartbeat")
    subscriber.connect(address)
    while True:
        if not subscriber.poll(SILENT_MS):
            print(f"{address}: nothing heard. Does minuted run? Are you in its group?", file=sys.stderr)
            continue
        topic, data = subscriber.recv_multipart()
        if topic == b"heartbeat":
            continue
        turn = msgpack.unpackb(data)
        line = f"{turn['seq']} {turn['speaker'] or '?'} {turn['text']}"
        # What was said may hold what a terminal obeys.
        print("".join(letter if letter.isprintable() else " " for letter in line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
