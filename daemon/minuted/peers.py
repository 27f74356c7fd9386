"""The connections of the sockets bound in this process, as the kernel has them: who floods one is cut off.

A part of the bus. ZeroMQ bounds the size of a message's part and the count of whole messages, but neither
the parts of a message nor the topics of a subscriber: what never ends is gathered before anything of it
can be read. So a thread sleeps until something arrives on one of the connections, and looks until it is
read. What outside programs send is tiny: it is gone at the next look, and the process no larger.
"""

import ctypes
import fcntl
import os
import resource
import select
import socket
import stat
import struct
import termios
import threading
import time
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import structlog

LOOK_EVERY_S: Final = 0.005
"""While something waits to be read; otherwise the next arrival is waited for."""
KEEP_OUT_EVERY_S: Final = 0.001
"""While somebody is kept out who comes back again and again."""
REST_S: Final = 0.05
"""Between two looks at how many descriptors there are and how large the process is, while nothing arrives."""
SCAN_EVERY_S: Final = 1.0
"""How often the connections are listed anew where nothing points to a new one."""
SCAN_GROWTH_BYTES: Final = 4 << 20
"""Growth that points to a connection that is not known yet."""
UNREAD_BYTES_MAX: Final = 96 << 10
"""More than any request has: a connection on which so much waits floods."""
UNREAD_S_MAX: Final = 1.0
"""A connection on which something has waited for so long without a break floods."""
UNREAD_LOOKS_MIN: Final = 40
"""Looks within that time: who was away himself has seen nothing."""
GROWTH_BYTES_MAX: Final = 16 << 20
"""What the process may grow by while something arrives, before who sends the most is cut off."""
SEEN_BYTES_MIN: Final = 16 << 10
"""Whoever was seen to send less is not to blame; half of it where it has grown by twice as much."""
KEPT_OUT_S: Final = 3.0
"""Whoever was cut off for flooding is not let in again for so long."""
TRIM_AFTER_S: Final = (0.02, 0.5)
"""When free memory is given back after a cut: as soon as some is, and when all is."""
CONNECTIONS_MAX: Final = 1000
"""To one socket; the newest beyond it are cut off."""
CONNECTIONS_PER_HOST_MAX: Final = 100
"""To one socket over the network from one address."""
OVERFLOW_UID: Final = 65534
"""Linux's default."""
DRAINED_BYTES: Final = 1 << 18
DESCRIPTORS_WANTED: Final = 8192
"""Connections need room of their own, or journals could no longer be opened."""

log = structlog.get_logger(__name__)

Id = tuple[int, int]
"""A descriptor and its socket's inode: descriptors are used again."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An accepted connection: to which socket, and from whom."""

    address: str
    host: str
    """Over the network: whose; "" on this machine."""
    peer: str
    """Whom to keep out for a while where it floods; "" where no name is its own."""


@dataclass(slots=True)
class _Unread:
    """Something waits to be read without a break."""

    since_s: float
    looks: int = 0


class Judgement:
    """Who floods. Pure: what waits, the process's memory and the time come in as arguments."""

    def __init__(self) -> None:
        self._unread: dict[Id, _Unread] = {}
        self._seen_bytes: Counter[Id] = Counter()
        """What was seen to wait on a connection, since a flooding one was cut off."""
        self._grown_bytes = 0
        """What the process has grown by since then, as far as something arrived meanwhile."""
        self._before_bytes: int | None = None

    def look(self, waiting: Mapping[Id, int], memory_bytes: int, now_s: float) -> set[Id]:
        """Return the connections to cut off; `waiting` are the bytes that are to be read on each."""
        if self._before_bytes is not None:
            self._grown_bytes = max(0, self._grown_bytes + memory_bytes - self._before_bytes)
        self._before_bytes = memory_bytes if waiting else None
        self._seen_bytes.update(waiting)
        self._unread = {each: self._unread.get(each) or _Unread(now_s) for each in waiting}
        for unread in self._unread.values():
            unread.looks += 1
        flooding = {each for each, unread in self._unread.items() if _is_late(unread, now_s)}
        flooding.update(each for each, size in waiting.items() if size >= UNREAD_BYTES_MAX)
        if self._grown_bytes >= GROWTH_BYTES_MAX:
            # One at a time: others that sent meanwhile may be in order.
            least_bytes = SEEN_BYTES_MIN * GROWTH_BYTES_MAX / self._grown_bytes
            flooding.update(each for each, size in self._seen_bytes.most_common(1) if size >= least_bytes)
        if flooding:
            self.pardon()
        return flooding

    def pardon(self) -> None:
        """Blame nobody for the growth so far: those to blame are cut off."""
        self._grown_bytes, self._before_bytes = 0, None
        self._seen_bytes.clear()

    def keep(self, connections: Collection[Id]) -> None:
        """Forget all connections but these."""
        for each in self._seen_bytes.keys() - set(connections):
            del self._seen_bytes[each]


def _is_late(unread: _Unread, now_s: float) -> bool:
    return now_s - unread.since_s >= UNREAD_S_MAX and unread.looks >= UNREAD_LOOKS_MIN


def surplus(connections: Mapping[Id, Connection], known: Collection[Id]) -> set[Id]:
    """Return the connections beyond the bounds; those that are `known` keep their place."""
    sockets: Counter[str] = Counter()
    hosts: Counter[tuple[str, str]] = Counter()
    beyond = set()
    for each in sorted(connections, key=lambda each: each not in known):
        connection = connections[each]
        from_where = connection.address, connection.host
        if sockets[connection.address] >= CONNECTIONS_MAX or (
            connection.host and hosts[from_where] >= CONNECTIONS_PER_HOST_MAX
        ):
            beyond.add(each)
            continue
        sockets[connection.address] += 1
        hosts[from_where] += 1
    return beyond


class _Watch:
    """The thread, and the sockets it watches over."""

    def __init__(self) -> None:
        self.cut_off = 0
        self._addresses: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._has_told = False
        """That a round was interrupted."""
        self._judgement = Judgement()
        self._poller = select.poll()
        self._trims_s: list[float] = []
        self._kept_out: dict[str, float] = {}
        self._modes: dict[str, int] = {}
        """Of the sockets closed to others meanwhile."""
        self._scan_s = 0.0
        self._count = self._memory_bytes = 0
        self._connections: dict[Id, Connection] = {}
        self._ended: set[Id] = set()
        """Cut off, and not closed yet."""
        self._others: set[Id] = set()
        """Sockets that are no connections of ours: looked at once."""

    def add(self, address: str) -> None:
        with self._lock:
            self._addresses[address] += 1
            self._others.clear()
            if self._thread is None:
                make_room()
                self._thread = threading.Thread(target=self._work, name="peers", daemon=True)
                self._thread.start()

    def remove(self, address: str) -> None:
        with self._lock:
            self._addresses[address] -= 1

    def _work(self) -> None:
        while True:
            try:
                self._round()
            except OSError as error:  # no descriptor is free: one may be at the next round
                if not self._has_told:
                    self._has_told = True
                    log.warning("peer_watch_interrupted", reason=str(error))
                time.sleep(REST_S)

    def _round(self) -> None:
        """Wait for what arrives, and look until all of it is read. Raises OSError."""
        self._scan_where_due()
        arrived = self._poll(KEEP_OUT_EVERY_S if self._kept_out else REST_S)
        while arrived:
            self._judge(arrived)
            time.sleep(KEEP_OUT_EVERY_S if self._kept_out else LOOK_EVERY_S)
            self._scan_where_due()
            arrived = self._poll(0)
        self._judge(arrived)

    def _judge(self, arrived: set[int]) -> None:
        waiting = {each: _unread_bytes(each[0]) for each in self._connections if each[0] in arrived}
        if flooding := self._judgement.look(waiting, _memory_bytes(), time.monotonic()):
            now_s = time.monotonic()
            for connection in filter(None, map(self._connections.get, flooding)):
                if connection.peer:
                    self._kept_out[connection.peer] = now_s + KEPT_OUT_S
                    self._close_to_others(connection)
            self._cut(flooding, "floods")

    def _poll(self, timeout_s: float) -> set[int]:
        return {descriptor for descriptor, _ in self._poller.poll(timeout_s * 1000)}

    def _scan_where_due(self) -> None:
        now_s, count, memory_bytes = time.monotonic(), _descriptors(), _memory_bytes()
        # Whoever was cut off comes back at once, on the same descriptor.
        is_due = now_s >= self._scan_s or count != self._count or bool(self._kept_out)
        if is_due or memory_bytes - self._memory_bytes >= SCAN_GROWTH_BYTES:
            self._scan_s, self._count = now_s + SCAN_EVERY_S, count
            self._scan()
        self._memory_bytes = memory_bytes
        if self._trims_s and now_s >= self._trims_s[0]:
            self._trims_s.pop(0)
            give_back()

    def _scan(self) -> None:
        """List the connections anew. Raises OSError, and then nothing has changed."""
        names = os.listdir("/proc/self/fd")  # noqa: PTH208  # only numbers
        with self._lock:
            addresses = {address for address, count in self._addresses.items() if count > 0}
            before, self._others = self._others, set()
        ended, self._ended = self._ended, set()
        known, self._connections = self._connections, {}
        for name in names:
            with suppress(OSError):
                status = os.stat(int(name))  # noqa: PTH116  # a descriptor
                each = (int(name), status.st_ino)
                if not stat.S_ISSOCK(status.st_mode):
                    continue
                if each in ended:
                    self._ended.add(each)
                elif each in before:
                    self._others.add(each)
                elif each in known:
                    self._connections[each] = known[each]
                elif not self._is_ours(each, addresses):
                    self._others.add(each)
        self._judgement.keep(self._connections)
        self._poller = select.poll()
        for descriptor, _ in self._connections:
            self._poller.register(descriptor, select.POLLIN)
        if beyond := surplus(self._connections, known):
            self._cut(beyond, "is one too many")
        now_s = time.monotonic()
        self._kept_out = {peer: until_s for peer, until_s in self._kept_out.items() if now_s < until_s}
        if not self._kept_out:
            self._open_to_others()
        # A name may be several people's: who was there before is judged by what it sends itself.
        new = self._connections.keys() - known.keys()
        if early := [each for each in new if self._connections[each].peer in self._kept_out]:
            self._cut(early, "has flooded")
            self._judgement.pardon()

    def _is_ours(self, each: Id, addresses: Collection[str]) -> bool:
        """Note a socket where it is a connection of ours."""
        with _copy(each) as copy:
            is_local = copy.family == socket.AF_UNIX
            name = copy.getsockname()
            address = str(name) if is_local else f"tcp:{name[1]}"
            if address not in addresses or copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return False
            host = "" if is_local else str(copy.getpeername()[0])
            self._connections[each] = Connection(address, host, host or name_peer(*_credentials(copy)))
        return True

    def _close_to_others(self, connection: Connection) -> None:
        """Let nobody but the service's own user connect anew for a while; who is connected stays so."""
        path = connection.address
        if connection.host or path in self._modes:
            return
        with suppress(OSError):
            self._modes[path] = stat.S_IMODE(os.stat(path).st_mode)  # noqa: PTH116  # an address
            os.chmod(path, 0o600)  # noqa: PTH101

    def _open_to_others(self) -> None:
        while self._modes:
            path, mode = self._modes.popitem()
            with suppress(OSError):
                os.chmod(path, mode)  # noqa: PTH101  # an address

    def _cut(self, connections: Collection[Id], reason: str) -> None:
        """End connections; what ZeroMQ has gathered of them it gives back when it sees that."""
        self._trims_s = [time.monotonic() + after_s for after_s in TRIM_AFTER_S]
        for each in connections:
            connection = self._connections.pop(each, None)
            if connection is None:
                continue
            with suppress(OSError), _copy(each) as copy:
                copy.shutdown(socket.SHUT_RDWR)
                self._ended.add(each)
                self.cut_off += 1
                if self.cut_off & (self.cut_off - 1) == 0:  # the 1st, 2nd, 4th, 8th …
                    address, peer = connection.address, connection.peer or "unknown"
                    log.warning("peer_cut_off", socket=address, peer=peer, reason=reason, count=self.cut_off)
                # What it has sent already would still be read.
                while copy.recv(DRAINED_BYTES, socket.MSG_DONTWAIT):
                    pass


@contextmanager
def _copy(each: Id) -> Iterator[socket.socket]:
    """Open a socket's descriptor a second time: another one may take its place. Raises OSError."""
    descriptor = os.dup(each[0])
    try:
        copy = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise
    with copy:
        if os.fstat(copy.fileno()).st_ino != each[1]:
            raise OSError("it is another one by now")
        yield copy


def name_peer(pid: int, uid: int) -> str:
    """Return a name for whoever is at the other end on this machine; "" where none is its own.

    The user; of the service's own, root's and those that a user namespace does not know, the process alone.
    """
    if uid in (0, os.geteuid(), overflow_uid()):
        return f"process {pid}" if pid > 0 else ""
    return f"user {uid}"


@cache
def overflow_uid() -> int:
    """Return the one user that stands for all who have no number in this user namespace."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    return OVERFLOW_UID


def _credentials(connection: socket.socket) -> tuple[int, int]:
    """Return the process and the user at the other end; 0 for a process of another namespace."""
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def _unread_bytes(descriptor: int) -> int:
    size = array("i", [0])
    with suppress(OSError):  # it is closed meanwhile
        fcntl.ioctl(descriptor, termios.FIONREAD, size)
    return size[0]


def _descriptors() -> int:
    """Return how many descriptors are open. Linux tells it since 6.2 without a list of them."""
    return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))  # noqa: PTH116, PTH208


def _memory_bytes() -> int:
    return int(os.pread(_statm(), 100, 0).split()[1]) * resource.getpagesize()


@cache
def _statm() -> int:
    return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)


def give_back() -> None:
    """Return free memory to the system: after a flood the C library keeps most of it."""
    with suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def make_room() -> int:
    """Raise this process's limit of open files above what shells and systemd begin with; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS_WANTED:
        soft = min(DESCRIPTORS_WANTED, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


_watch = _Watch()


def watch(address: str) -> None:
    """Watch over a bound socket's connections: a path, or tcp:PORT."""
    _watch.add(address)


def unwatch(address: str) -> None:
    _watch.remove(address)


def cut_off() -> int:
    """Return how many connections were cut off in this process."""
    return _watch.cut_off
