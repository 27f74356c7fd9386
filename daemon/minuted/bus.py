"""The sockets between processes: endpoints' kinds, modes and bounds. Only here and in doors.py is zmq known.

Every ipc socket is bound under a lock, because a second bind to the same path silently takes the
first one's place, and with a mode of its own, because the umask would otherwise decide who may connect.
The turn and the replay socket may have a door besides: TCP, under CURVE, for clients on a list.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import zmq

from . import peers
from .doors import Door, OpenDoor, Pass, show
from .messages import (
    FRAME_BYTES,
    MESSAGE_BYTES_MAX,
    AudioEnd,
    AudioFrame,
    AudioGap,
    MalformedMessageError,
    Message,
    decode,
    encode,
    pack,
    topic_of,
    unpack,
)
from .runtime.locks import InUseError, take

FRAMES_MAX: Final = 200
"""Frames that may wait in a frames socket, 10 s of sound; beyond that the sender is told."""
TURNS_MAX: Final = 10_000
"""Messages that may wait for a slow subscriber; beyond that it misses some and asks the replay socket."""
REPLAY_MAX: Final = 2000
"""Replayed records that may wait for a peer: four pages."""
REQUESTS_MAX: Final = 100
"""Requests, of one peer, that may wait to be read."""
SUBSCRIPTIONS_MAX: Final = 16
"""Subscriptions, of one peer, that may wait to be read: each that is read costs memory."""
SUBSCRIPTIONS_AT_ONCE_MAX: Final = 1000
"""Subscriptions read in one go; the rest comes next time."""
SUBSCRIPTION_BYTES_MAX: Final = 40
"""Topics of 39; ours have a dozen. Each byte of one costs memory, and time whenever a subscriber goes."""
REPLAY_REQUEST_BYTES_MAX: Final = 4096
CONTROL_REQUEST_BYTES_MAX: Final = 1 << 16
"""A hundred key terms and two prompts fit in."""
FRAME_MESSAGE_BYTES_MAX: Final = 4096
PARTS_MAX: Final = 8
"""Parts of a message that is one of ours; one that has more is dropped."""
PARTS_AT_ONCE_MAX: Final = 1000
"""Parts read in one go: what never ends must not hold up the rest."""


class AddressInUseError(InUseError):
    """Another process already serves this socket."""


class Wakeup:
    """Lets one thread wake another one's poll."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def pollable(self) -> int:
        return self._fd

    def set(self) -> None:
        with suppress(BlockingIOError):  # the counter is full: it is set
            os.eventfd_write(self._fd, 1)

    def clear(self) -> bool:
        """Forget it; True when it was set."""
        with suppress(BlockingIOError):
            return os.eventfd_read(self._fd) > 0
        return False

    def close(self) -> None:
        os.close(self._fd)


class _Socket:
    """A socket of one kind, with bounds, closed once."""

    def __init__(
        self,
        kind: int,
        *,
        queue_max: int,
        received_max: int | None = None,
        received_bytes_max: int = MESSAGE_BYTES_MAX,
        lingers: bool = False,
        threads: int = 1,
    ) -> None:
        self.malformed = 0
        """Messages dropped because they were none of ours."""
        self.door: OpenDoor | None = None
        self._lock: int | None = None
        # Only the end of its context waits for what a socket still holds: one that lingers has its own.
        self._own: zmq.Context[zmq.Socket[bytes]] | None = zmq.Context(threads) if lingers else None
        self._socket: zmq.Socket[bytes] = (self._own or zmq.Context.instance()).socket(kind)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, queue_max)
        self._socket.set(zmq.RCVHWM, received_max or queue_max)
        self._socket.set(zmq.MAXMSGSIZE, received_bytes_max)
        self._watched: list[str] = []
        self._is_dropping = False
        """Whether the rest of the message being read is dropped."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, linger_ms: int = 0) -> None:
        """Close. One that lingers first waits `linger_ms` for what is on its way; -1: as long as it takes."""
        while self._watched:
            peers.unwatch(self._watched.pop())
        self._socket.close(linger=linger_ms)
        if self.door is not None:
            self.door.close()
        if self._own is not None:
            self._own.term()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def pollable(self) -> "zmq.Socket[bytes]":
        return self._socket

    def _bind(self, endpoint: str, *, mode: int, door: Door | None = None) -> None:
        place = endpoint.removeprefix("ipc://")
        try:
            self._lock = lock(Path(f"{place}.lock"), endpoint)
            self._socket.set(zmq.AFFINITY, 0b01)
            with _umask(0o777 & ~mode):
                self._socket.bind(endpoint)
            if mode & 0o070:
                self._watch(place)
            if door is not None:
                place = door.endpoint
                self.door = OpenDoor(self._socket, door)
                self._watch(f"tcp:{self.door.port}")
        except zmq.ZMQError as error:
            self.close()
            raise OSError(error.errno, error.strerror, place) from None
        except OSError:
            self.close()
            raise

    def _watch(self, address: str) -> None:
        peers.watch(address)
        self._watched.append(address)

    def _connect(self, endpoint: str, pass_: Pass | None = None) -> None:
        if pass_ is not None:
            show(self._socket, pass_)
        # A peer that was killed is looked for again this often.
        self._socket.set(zmq.RECONNECT_IVL, 20)
        self._socket.set(zmq.RECONNECT_IVL_MAX, 500)
        self._socket.connect(endpoint)

    def _receive(self, timeout_s: float) -> list[bytes] | None:
        """Return a message's parts; one that has too many is dropped and counted."""
        return self._read(timeout_s, copy=True)

    def _read(self, timeout_s: float, *, copy: bool) -> list[Any] | None:
        if timeout_s and not self._socket.poll(int(timeout_s * 1000)):
            return None
        parts: list[Any] = []
        for _ in range(PARTS_AT_ONCE_MAX):
            try:
                parts.append(self._socket.recv(zmq.NOBLOCK, copy=copy))
            except zmq.Again:
                return None
            if len(parts) > PARTS_MAX:
                self._is_dropping = True
            if self._is_dropping:
                parts.clear()
            if self._socket.get(zmq.RCVMORE):
                continue
            if not self._is_dropping:
                return parts
            self._is_dropping = False
            self.malformed += 1
        return None  # the rest comes next time

    def _send(self, parts: list[bytes], wait_s: float = 0) -> bool:
        if wait_s and not self._socket.poll(int(wait_s * 1000), zmq.POLLOUT):
            return False
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


class FramesOut(_Socket):
    """Capture's end of the frames socket."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(zmq.PUSH, queue_max=FRAMES_MAX, lingers=True)
        # Nothing is queued for a transcription process that is not there.
        self._socket.set(zmq.IMMEDIATE, 1)
        self._connect(endpoint)

    def send(self, message: AudioFrame | AudioGap | AudioEnd, wait_s: float = 0) -> bool:
        """Push a frame; False when there is no room for it within `wait_s`."""
        return self._send([encode(message)], wait_s)


class FramesIn(_Socket):
    """Transcription's end of the frames socket."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(zmq.PULL, queue_max=FRAMES_MAX, received_bytes_max=FRAME_MESSAGE_BYTES_MAX)
        # Whoever could send here would put words into the minutes.
        self._bind(endpoint, mode=0o600)

    def receive(self) -> AudioFrame | AudioGap | AudioEnd | None:
        """Give the next frame that has arrived, or None. Malformed ones are dropped and counted."""
        while parts := self._receive(0):
            try:
                message = decode(parts[-1])
            except MalformedMessageError:
                self.malformed += 1
                continue
            match message:
                case AudioFrame() if len(message.pcm) == FRAME_BYTES and message.number >= 0:
                    return message
                case AudioGap() if 0 <= message.from_number <= message.to_number:
                    return message
                case AudioEnd():
                    return message
            self.malformed += 1
        return None


class TurnsOut(_Socket):
    """The turn socket, as its publisher has it."""

    def __init__(self, endpoint: str, door: Door | None = None) -> None:
        super().__init__(
            zmq.XPUB,
            queue_max=TURNS_MAX,
            received_max=SUBSCRIPTIONS_MAX,
            received_bytes_max=SUBSCRIPTION_BYTES_MAX,
            lingers=True,
            threads=2 if door else 1,
        )
        # A subscriber that comes back must be seen to come back.
        self._socket.set(zmq.XPUB_VERBOSE, 1)
        self._bind(endpoint, mode=0o660, door=door)

    def publish(self, message: Message) -> None:
        """Send to every subscriber; one that is 10,000 messages behind misses it."""
        self._send([topic_of(message).encode(), encode(message)])

    def new_subscriptions(self) -> int:
        """Count the subscriptions made since the last call; of very many the rest comes with the next."""
        made = 0
        for _ in range(SUBSCRIPTIONS_AT_ONCE_MAX):
            if not (parts := self._receive(0)):
                break
            if parts[0][:1] == b"\x01":
                made += 1
            elif parts[0][:1] != b"\x00":
                self.malformed += 1
        return made


class TurnsIn(_Socket):
    """The turn socket, as a subscriber has it."""

    def __init__(self, endpoint: str, topics: tuple[str, ...] = ("",), pass_: Pass | None = None) -> None:
        super().__init__(zmq.SUB, queue_max=TURNS_MAX)
        for topic in topics:
            self._socket.subscribe(topic)
        self._connect(endpoint, pass_)

    def receive(self, timeout_s: float = 0) -> Message | None:
        """Give the next message, or None after `timeout_s`. Malformed ones are dropped and counted."""
        while parts := self._receive(timeout_s):
            try:
                return decode(parts[-1])
            except MalformedMessageError:
                self.malformed += 1
        return None


class ReplayServer(_Socket):
    """The replay socket, as the journal's owner has it."""

    def __init__(self, endpoint: str, door: Door | None = None) -> None:
        # With a door it has a context of its own: one context has one judge of keys.
        super().__init__(
            zmq.ROUTER,
            queue_max=REPLAY_MAX,
            received_max=REQUESTS_MAX,
            received_bytes_max=REPLAY_REQUEST_BYTES_MAX,
            lingers=door is not None,
            threads=2,
        )
        # Say so when a peer's queue is full or the peer has gone, instead of dropping.
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._bind(endpoint, mode=0o660, door=door)

    def receive(self) -> tuple[bytes, dict[str, Any]] | None:
        """Give the next request and who asks, or None."""
        while parts := self._receive(0):
            try:
                return parts[0], unpack(parts[-1])
            except MalformedMessageError:
                self.malformed += 1
        return None

    def send(self, peer: bytes, message: dict[str, Any]) -> bool:
        """Answer with one map; False when the peer's queue is full or the peer has gone."""
        try:
            return self._send([peer, pack(message)])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False


class ReplayClient(_Socket):
    """The replay socket, as a subscriber has it."""

    def __init__(self, endpoint: str, pass_: Pass | None = None) -> None:
        super().__init__(zmq.DEALER, queue_max=TURNS_MAX)
        self._connect(endpoint, pass_)

    def ask(self, request: dict[str, Any]) -> bool:
        return self._send([pack(request)], wait_s=1)

    def receive(self, timeout_s: float = 0) -> dict[str, Any] | None:
        while parts := self._receive(timeout_s):
            try:
                return unpack(parts[-1])
            except MalformedMessageError:
                self.malformed += 1
        return None


class Replier(_Socket):
    """A request socket, as the process that answers has it."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(
            zmq.ROUTER, queue_max=REQUESTS_MAX, received_bytes_max=CONTROL_REQUEST_BYTES_MAX, lingers=True
        )
        self.asker: int | None = None
        """The user who made the last request received, as the kernel tells it."""
        self._bind(endpoint, mode=0o660)

    def receive(self, timeout_s: float) -> tuple[list[bytes], dict[str, Any]] | None:
        """Give the next request and its return address, or None after `timeout_s`."""
        if not (frames := self._read(timeout_s, copy=False)):
            return None
        # On ipc libzmq adds user, group and process: "localhost:1000:1000:4711".
        who = re.search(r":(\d+):\d+:\d+$", str(frames[-1].get("Peer-Address")))
        self.asker = int(who[1]) if who else None
        parts = [frame.bytes for frame in frames]
        try:
            return parts[:-1], unpack(parts[-1])
        except MalformedMessageError:
            self.malformed += 1
            return parts[:-1], {}

    def reply(self, address: list[bytes], answer: dict[str, Any]) -> None:
        self._send([*address, pack(answer)])


def request(endpoint: str, question: dict[str, Any], timeout_s: float = 1.0) -> dict[str, Any]:
    """Ask a process. Raises TimeoutError when nothing answers, MalformedMessageError on nonsense."""
    with _Socket(zmq.REQ, queue_max=10) as socket:
        socket._connect(endpoint)  # noqa: SLF001  # this module's own class
        socket._send([pack(question)], wait_s=timeout_s)  # noqa: SLF001
        parts = socket._receive(timeout_s)  # noqa: SLF001
        if parts is None:
            raise TimeoutError(f"nothing answers at {endpoint}")
        return unpack(parts[-1])


class Poller:
    """Waits for several sockets and wakeups at once."""

    def __init__(self, *sources: _Socket | Wakeup) -> None:
        self._poller = zmq.Poller()
        for source in sources:
            self._poller.register(source.pollable(), zmq.POLLIN)

    def wait(self, timeout_s: float) -> None:
        """Return when something has arrived, or after `timeout_s`."""
        self._poller.poll(max(0, int(timeout_s * 1000)))


def lock(path: Path, what: str) -> int:
    """Take the lock at `path` for this process's life; give its descriptor.

    Raises AddressInUseError when another process has it.
    """
    try:
        return take(path, what)
    except InUseError as error:
        raise AddressInUseError(str(error)) from None


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def version() -> str:
    """Give the ZeroMQ library's version."""
    return zmq.zmq_version()
