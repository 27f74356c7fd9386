"""A socket's side to the network: CURVE, the list of clients, and a bound on strangers. A part of the bus."""

import errno
import os
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import zmq
from zmq.utils import z85

from .peers import make_room

HANDSHAKE_S_MAX: Final = 3.0
"""A connection over TCP that has not shown a key by then is closed."""
HANDSHAKE_BYTES_MAX: Final = 1024
"""What a stranger may have us hold; the largest command of a handshake has half of it."""
HANDSHAKES_AT_ONCE_MAX: Final = 20
"""Keys judged in one go; the next ones wait for the next."""
LOOK_EVERY_S: Final = 0.5
"""How often the list of clients is read again for those that are connected."""
CROWD_WAIT_S: Final = 5.0
"""A door with more connections than it has room for stays shut for so long."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where a socket listens on the network, under CURVE, and for whom."""

    endpoint: str
    secret: str
    clients: Callable[[], AbstractSet[str]]
    """Gives the public keys that are let in at present. Raises OSError."""
    descriptors_max: int = 0
    """This process's open files beyond which the door is shut for a while; 0: half of what it may have."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What a client shows at a door, and how it knows it is the right one."""

    server: str
    public: str
    secret: str


class OpenDoor:
    """A socket's side to the network. The door never waits; `tend` it a few times a second.

    Whoever is not on the list is refused in the handshake, and sees nothing. When a key leaves the
    list, or there is a crowd, every connection over TCP is dropped; those on the list come back.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", door: Door) -> None:
        self.refused = 0
        """Handshakes with a key that is not on the list."""
        self._socket = socket
        self._door = door
        self._known = door.clients()
        self._look_s = 0.0
        self._bound = ""
        self._descriptors_max = door.descriptors_max or make_room() // 2
        # Without it, whoever has any key is let in: it comes first.
        self._zap: zmq.Socket[bytes] = socket.context.socket(zmq.REP)
        try:
            self._zap.bind("inproc://zeromq.zap.01")
            self._set_up()
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        return bool(self._bound)

    @property
    def port(self) -> int:
        return int(self._bound.rpartition(":")[2])

    def close(self) -> None:
        self._zap.close(linger=0)

    def tend(self, now_s: float) -> None:
        waiting = self._zap.poll(0)
        if not waiting and now_s < self._look_s:
            return
        try:
            clients = self._door.clients()
        except OSError:
            return  # who waits goes on waiting; its handshake's end is near
        for _ in range(HANDSHAKES_AT_ONCE_MAX):
            if not self._zap.poll(0):
                break
            self._judge(self._zap.recv_multipart(), clients)
        if self._known - clients:
            self._shut(now_s, 0.0)
        self._known = clients
        if now_s < self._look_s:
            return
        self._look_s = now_s + LOOK_EVERY_S
        if len(os.listdir("/proc/self/fd")) > self._descriptors_max:  # noqa: PTH208  # only their number
            self._shut(now_s, CROWD_WAIT_S)
        elif not self._bound:
            try:
                self._open()
            except zmq.ZMQError as error:
                # The old connections are on their way out.
                if error.errno != errno.EADDRINUSE:
                    raise
                self._look_s = now_s

    def _set_up(self) -> None:
        """Say what holds for whatever is bound from now on."""
        # Strangers get a thread that serves nobody on this machine.
        self._socket.set(zmq.AFFINITY, 0b10)
        self._socket.set(zmq.CURVE_SERVER, 1)
        self._socket.set(zmq.CURVE_SECRETKEY, self._door.secret.encode())
        self._socket.set(zmq.ZAP_DOMAIN, b"minuted")
        # One bound holds for what is said before and after.
        self._socket.set(zmq.MAXMSGSIZE, max(HANDSHAKE_BYTES_MAX, self._socket.get(zmq.MAXMSGSIZE)))
        self._socket.set(zmq.HANDSHAKE_IVL, int(HANDSHAKE_S_MAX * 1000))
        self._socket.set(zmq.IPV6, int("[" in self._door.endpoint))
        _set_heartbeat(self._socket)

    def _judge(self, asked: list[bytes], clients: AbstractSet[str]) -> None:
        """Answer a handshake, as ZeroMQ's RFC 27 (ZAP) has it."""
        version, number, _domain, _address, _identity, mechanism, *shown = asked
        key = z85.encode(shown[0]).decode() if mechanism == b"CURVE" and shown else ""
        status = b"200" if key in clients else b"400"
        self.refused += status != b"200"
        self._zap.send_multipart([version, number, status, b"", key.encode(), b""])

    def _open(self) -> None:
        self._socket.bind(self._door.endpoint)
        self._bound = str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\0")

    def _shut(self, now_s: float, wait_s: float) -> None:
        """Listen no more; that ends the connections, too."""
        if self._bound:
            self._socket.unbind(self._bound)
            self._bound = ""
        self._look_s = now_s + wait_s


def key_pair() -> tuple[str, str]:
    """Make a CURVE key pair: public and secret, in Z85."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def public_key(secret: str) -> str:
    """Give the public key of a secret one. Raises ValueError, not showing it, for what is none."""
    try:
        return zmq.curve_public(secret.encode()).decode()
    except (zmq.ZMQError, ValueError):
        raise ValueError("not a CURVE key") from None


def show(socket: "zmq.Socket[bytes]", pass_: Pass) -> None:
    """Have a socket show a pass wherever it connects from now on."""
    socket.set(zmq.CURVE_SERVERKEY, pass_.server.encode())
    socket.set(zmq.CURVE_PUBLICKEY, pass_.public.encode())
    socket.set(zmq.CURVE_SECRETKEY, pass_.secret.encode())
    socket.set(zmq.IPV6, 1)
    _set_heartbeat(socket)


def _set_heartbeat(socket: "zmq.Socket[bytes]") -> None:
    """Have a peer that left the network without a word be noticed."""
    socket.set(zmq.HEARTBEAT_IVL, 5_000)
    socket.set(zmq.HEARTBEAT_TIMEOUT, 15_000)
