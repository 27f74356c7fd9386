"""Peers that flood: ZeroMQ's wire protocol by hand, faster than its own clients and without their manners."""

import itertools
import json
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import zmq

BLOB_BYTES: Final = 1 << 20
GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
CURVE_GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
MORE: Final = 1
LONG: Final = 2
COMMAND: Final = 4


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body


def endless(part: bytes) -> Iterator[bytes]:
    """A message that never ends."""
    return itertools.repeat(frame(part, MORE) * max(1, BLOB_BYTES // (len(part) + 9)))


def many(message: bytes, parts: int = 1) -> Iterator[bytes]:
    """Whole messages, one after the other, of so many parts."""
    whole = frame(message, MORE) * (parts - 1) + frame(message)
    return itertools.repeat(whole * max(1, BLOB_BYTES // len(whole)))


def topics(length: int) -> Iterator[bytes]:
    """Subscriptions to ever new topics."""
    for start in itertools.count(0, 5000):
        yield b"".join(
            frame(b"\x01" + str(number)[::-1].encode().ljust(length, b"."))
            for number in range(start, start + 5000)
        )


def connect(path: str, kind: bytes) -> socket.socket:
    """Connect to a socket of this machine as a peer of a kind: SUB, DEALER …"""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(1)
    peer.connect(path)
    peer.sendall(GREETING)
    _read(peer, len(GREETING))
    peer.sendall(frame(b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind, COMMAND))
    _read(peer, _read(peer, 2)[1])
    return peer


def flood(path: str, kind: bytes, what: Iterator[bytes], for_s: float) -> tuple[int, int]:
    """Send without pause, and come back whenever cut off; return bytes sent and connections made."""
    until_s, sent_bytes, connections = time.monotonic() + for_s, 0, 0
    while time.monotonic() < until_s:
        with suppress(OSError, IndexError), connect(path, kind) as peer:
            connections += 1
            while time.monotonic() < until_s:
                blob = memoryview(next(what))
                while blob and time.monotonic() < until_s:
                    done = peer.send(blob)
                    sent_bytes, blob = sent_bytes + done, blob[done:]
    return sent_bytes, connections


def _read(peer: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (more := peer.recv(count - len(found))):
        found += more
    return found


def with_key(place: str, kind: str, key_file: str, for_s: float) -> None:
    """Flood over TCP as a client whose key is on the list, with ZeroMQ's own means."""
    told = json.loads(Path(key_file).read_text())
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    peer = context.socket(getattr(zmq, kind))
    peer.set(zmq.LINGER, 0)
    peer.set(zmq.SNDHWM, 0)
    peer.set(zmq.SNDTIMEO, 100)
    peer.set(zmq.CURVE_SERVERKEY, told["server"].encode())
    peer.set(zmq.CURVE_PUBLICKEY, told["public"].encode())
    peer.set(zmq.CURVE_SECRETKEY, told["secret"].encode())
    peer.connect(place)
    until_s, number = time.monotonic() + for_s, 0
    while time.monotonic() < until_s:
        number += 1
        if kind == "SUB":
            peer.subscribe(str(number)[::-1].ljust(500, "."))
        else:
            with suppress(zmq.ZMQError):
                peer.send_multipart([b"x" * 4000] * 20_000)
    peer.close(0)
    context.term()


def strangers(host: str, port: int, count: int, for_s: float) -> None:
    """Come without a key, each with a command that is said to be a megabyte long."""
    command = bytes([COMMAND | LONG]) + struct.pack(">Q", 1_000_000) + bytes(999_000)
    until_s, made = time.monotonic() + for_s, []
    for _ in range(count):
        with suppress(OSError):
            made.append(socket.create_connection((host, port), 0.2))
            made[-1].sendall(CURVE_GREETING + command)
    time.sleep(max(0.0, until_s - time.monotonic()))


def crowd(path: str, count: int, for_s: float) -> None:
    """Connect many times and stay."""
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2
    )
    until_s, made = time.monotonic() + for_s, []
    for _ in range(count):
        with suppress(OSError):
            made.append(connect(path, b"DEALER"))
    time.sleep(max(0.0, until_s - time.monotonic()))
