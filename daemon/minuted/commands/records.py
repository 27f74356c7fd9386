"""The records of this machine's journal: asked of the running daemon, else read from its file."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from minuted.bus import ReplayClient
from minuted.config import Settings
from minuted.control import is_served
from minuted.journal.reading import TurnReader, reading
from minuted.messages import Gap, MalformedMessageError, Record, Turn, from_map
from minuted.runtime import files

PAGE_MAX: Final = 500
ANSWER_S_MAX: Final = 3.0
"""A daemon that says nothing for so long is taken for none."""
FAR_SEQ: Final = 1 << 53
"""A number no journal reaches: asked for it, the replay socket tells only where the journal ends."""


class Records(ABC):
    """A journal's records by their numbers."""

    def __init__(self, epoch: str, first_seq: int, last_seq: int) -> None:
        self.epoch = epoch
        self.first_seq = first_seq
        """The first one kept; 0 where there is none."""
        self.last_seq = last_seq
        self.unreadable = 0
        """Left out, as no message of this version."""

    @property
    @abstractmethod
    def is_live(self) -> bool:
        """Whether a daemon gives them, and will give more."""

    @abstractmethod
    def maps(self, from_seq: int, limit: int) -> list[dict[str, Any]]:
        """Give some of the records from a number on, one at least. Raises OSError."""

    def between(
        self, from_seq: int, to_seq: int, *, brief: bool = False, meeting_id: str = ""
    ) -> Iterator[Record]:
        """Give the kept records of these numbers, in their order. Raises OSError.

        `brief` leaves their words out, which are most of the work; of others than the meetings whose ids
        begin with `meeting_id` nothing is looked at.
        """
        next_seq, end_seq = max(from_seq, self.first_seq, 1), min(to_seq, self.last_seq)
        while next_seq <= end_seq:
            found = self.maps(next_seq, min(PAGE_MAX, end_seq + 1 - next_seq))
            for values in found:
                if meeting_id and not str(values.get("meeting_id", meeting_id)).startswith(meeting_id):
                    continue
                if record := record_of({**values, "words": ()} if brief else values):
                    yield record
                else:
                    self.unreadable += 1
            next_seq = max(values["seq"] for values in found) + 1

    def backwards(self, *, brief: bool = False, meeting_id: str = "") -> Iterator[list[Record]]:
        """Give all records, page by page, the last page first. Raises OSError."""
        for end_seq in range(self.last_seq, max(0, self.first_seq - 1), -PAGE_MAX):
            first_seq = end_seq - PAGE_MAX + 1
            yield list(self.between(first_seq, end_seq, brief=brief, meeting_id=meeting_id))


class LiveRecords(Records):
    """Asked of the replay socket."""

    def __init__(self, client: ReplayClient) -> None:
        self._client = client
        _, marker = self._asked(FAR_SEQ, 1)
        super().__init__(str(marker["epoch"]), marker["first_seq"], marker["last_seq"])

    @property
    def is_live(self) -> bool:
        return True

    def maps(self, from_seq: int, limit: int) -> list[dict[str, Any]]:
        found, marker = self._asked(from_seq, limit)
        if not found:
            kept = f"the first one kept is {marker['first_seq']}"
            raise OSError(f"record {from_seq} was deleted, as too old, while the journal was read: {kept}")
        return found

    def _asked(self, from_seq: int, limit: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        self._client.ask({"from_seq": from_seq, "limit": limit})
        found: list[dict[str, Any]] = []
        until_s = time.monotonic() + ANSWER_S_MAX
        while (left_s := until_s - time.monotonic()) > 0:
            values = self._client.receive(left_s)
            if values is None:
                break
            if values.get("type") == "end":
                return found, values
            found.append(values)
            until_s = time.monotonic() + ANSWER_S_MAX
        raise TimeoutError("minuted does not answer: see minuted status")


class StoredRecords(Records):
    """Read from the journal's file."""

    def __init__(self, reader: TurnReader) -> None:
        super().__init__("", reader.first_seq, reader.last_seq)
        self._reader = reader

    @property
    def is_live(self) -> bool:
        return False

    def maps(self, from_seq: int, limit: int) -> list[dict[str, Any]]:
        return self._reader.page(from_seq, limit)


@contextmanager
def opened(settings: Settings) -> Iterator[Records]:
    """Open the journal where it is to be had. Raises OSError."""
    if is_served(settings.replay_endpoint):
        client = ReplayClient(settings.replay_endpoint)
        try:
            live: Records | None = LiveRecords(client)
        except TimeoutError:
            # It hangs: what it has written can be read all the same.
            live = None
        try:
            if live is not None:
                yield live
                return
        finally:
            client.close()
    with stored(settings) as found:
        yield found


@contextmanager
def stored(settings: Settings) -> Iterator[Records]:
    """Open the journal's file. Raises OSError."""
    path = settings.state_dir / "turns.db"
    if not path.exists():
        raise OSError(f"there is no journal here yet: {path} (state_dir)")
    # In another user's folder root sees no more than that user.
    with files.acting_for(settings.state_dir), reading(path) as reader:
        yield StoredRecords(reader)


def record_of(values: dict[str, Any]) -> Record | None:
    """Give a record's message, or None for what is none of this version."""
    try:
        message = from_map(values)
    except MalformedMessageError:
        return None
    return message if isinstance(message, Turn | Gap) else None
