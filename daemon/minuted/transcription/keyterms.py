"""The file of key terms that the configuration names: looked at often, and read when it has changed."""

from pathlib import Path
from typing import Any, Final, TypedDict

from minuted.live_settings import read_terms, with_terms
from minuted.options import ConfigError
from minuted.session_settings import StreamingSession

LOOK_EVERY_S: Final = 1.0
"""A file is read when it is the same at two looks: until then somebody may be writing it."""

_Mark = tuple[int, int, int] | str


class KeytermsState(TypedDict):
    """What `KeytermsFile.to_state` gives."""

    path: str
    terms: list[str]


class KeytermsFile:
    """The file and the last terms in it that were good. Used from the loop's thread."""

    def __init__(self, session: StreamingSession, state: dict[str, Any] | None) -> None:
        """Read it; a bad one leaves what another process had of it. Raises ConfigError where nobody had.

        Without a file in the configuration there are no terms, and nothing is looked at.
        """
        self.path: Path | None = session.keyterms_file
        self.terms: tuple[str, ...] = ()
        self.problem = ""
        """Why what is in the file now is not in force."""
        self._session = session
        self._looked_s = float("-inf")
        self._read: _Mark = ""
        self._seen: _Mark = ""
        if self.path is None:
            return
        known = state["terms"] if state and state["path"] == str(self.path) else None
        self._read = self._seen = _mark(self.path)
        try:
            self.terms = self._taken(self.path)
        except ConfigError as error:
            if known is None:
                raise ConfigError(f"session.keyterms_file: {error}") from None
            self.terms, self.problem = tuple(known), str(error)

    def to_state(self) -> dict[str, Any] | None:
        """Give what another process may need, should it find the file bad."""
        return {"path": str(self.path), "terms": list(self.terms)} if self.path else None

    def look(self, now_s: float) -> bool:
        """Read it where it has changed; True where `terms` or `problem` have."""
        if self.path is None or now_s - self._looked_s < LOOK_EVERY_S:
            return False
        self._looked_s = now_s
        before, self._seen = self._seen, _mark(self.path)
        if self._seen == self._read or self._seen != before:
            return False
        self._read = self._seen
        had = (self.terms, self.problem)
        try:
            self.terms, self.problem = self._taken(self.path), ""
        except ConfigError as error:
            self.problem = str(error)
        return (self.terms, self.problem) != had

    def _taken(self, path: Path) -> tuple[str, ...]:
        terms = read_terms(path)
        with_terms(self._session, terms)
        return terms


def _mark(path: Path) -> _Mark:
    """Tell one state of a file from another."""
    try:
        found = path.stat()
    except OSError as error:
        return str(error.strerror)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
