"""Print what is said, on the machine itself: python local.py [SOCKET]. Needs pyzmq and msgpack.

Whoever runs it must be in the group of the socket's folder.
"""

import sys

import msgpack
import zmq


def main(address: str = "ipc:///run/minuted/turns.sock") -> None:
    subscriber = zmq.Context.instance().socket(zmq.SUB)
    subscriber.subscribe("turn.final")
    subscriber.connect(address)
    while True:
        _topic, data = subscriber.recv_multipart()
        turn = msgpack.unpackb(data)
        line = f"{turn['seq']} {turn['speaker'] or '?'} {turn['text']}"
        # What was said may hold what a terminal obeys.
        print("".join(letter if letter.isprintable() else " " for letter in line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
