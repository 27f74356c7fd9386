"""What becomes of sound that may hold words no session has told. Pure: times come in as arguments.

Such sound is heard again by another session. Where that brings words, the service was at fault; where
it brings none though the service works, the sound was noise, and for an hour the like of it costs no
further session: a room of music or machines must not open one after the other. What is like speech is then
told as a gap.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from minuted.transcription.progress import Evidence

TRUST_S: Final = 3600.0
"""For how long sound is taken for noise after a session was opened for its like in vain."""
MISSING_VAIN_MAX: Final = 3
"""A missing number is the service's own word: it is doubted only after so many times in vain."""
RETRY_S: Final = 600.0
"""How long sound waits for a sign that the service tells words again …"""
LAST_RETRY_S: Final = 5.0
"""… and how long where the sound has come to its end, if it is like speech: a stop has its bound."""
HEARD_MAX: Final = 3
"""So often sound is heard without a word before it is given up, if nothing shows that the service works."""
LEAVES_MAX: Final = 1
"""Sessions in a row that are left because they make no progress …"""
SILENT_LEAVES_MAX: Final = 2
"""… and because they send no message of any kind."""
LIKE_SPEECH: Final = Evidence.SPEECH | Evidence.ANNOUNCED | Evidence.MISSING
"""Sound with this evidence is not passed over without a gap, be it that a detector finds no speech in it."""


class Verdict(Enum):
    """What is done with doubtful sound after a session has heard it to its end."""

    AGAIN = "again"
    PASSED = "passed"  # there were no words in it
    GIVEN_UP = "given up"  # there may have been: a gap tells


@dataclass(slots=True)
class _Open:
    evidence: Evidence
    progress: int
    """How much progress there was when a session heard it last."""
    ended_s: float
    heard: int = 1
    """How often it was heard without a word."""
    has_words: bool = False


class Doubts:
    """The doubtful ranges of one source, and how far doubt is trusted."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._progress = 0
        self._left = 0
        self._stay_until_s = self._trust_until_s = self._trust_brief_until_s = float("-inf")
        self._missing_vain = 0

    # Sessions without progress.

    def may_leave(self, now_s: float, *, is_silent: bool = False) -> bool:
        """Return whether a session that makes no progress is to be left; count it as left then."""
        if now_s < self._stay_until_s:
            return False
        if self._left >= (SILENT_LEAVES_MAX if is_silent else LEAVES_MAX):
            self._left, self._stay_until_s = 0, now_s + TRUST_S
            return False
        self._left += 1
        return True

    def progressed(self) -> None:
        """Note that a session told a new turn, or more of one: the service works."""
        self._progress += 1
        self._left = 0

    # Sound that is heard again.

    def is_credible(self, evidence: Evidence, now_s: float) -> bool:
        """Return whether this evidence is worth a session."""
        if evidence & Evidence.MISSING and self._missing_vain < MISSING_VAIN_MAX:
            return True
        until_s = self._trust_until_s
        if evidence is Evidence.BRIEF:
            until_s = max(until_s, self._trust_brief_until_s)
        return bool(evidence) and now_s >= until_s

    def open(self, range_id: int, evidence: Evidence, now_s: float) -> None:
        """Note a range that was taken out of what a session heard: the service works, as its turns show."""
        self._open[range_id] = _Open(evidence, self._progress - 1, now_s)

    def told(self, range_id: int) -> None:
        """Note words from a range: where it is doubtful, the doubt was right."""
        if known := self._open.get(range_id):
            known.has_words = True
            self._missing_vain = 0
            self._stay_until_s = self._trust_until_s = self._trust_brief_until_s = float("-inf")

    def waits(self, range_id: int, now_s: float, *, is_last: bool = False) -> bool:
        """Return whether a range had better not be heard now: nothing shows that it would help.

        `is_last`: no more sound will come, so nothing else will show it either.
        """
        known = self._open.get(range_id)
        if known is None or known.progress != self._progress or known.evidence is Evidence.BRIEF:
            return False
        last_s = LAST_RETRY_S if known.evidence & LIKE_SPEECH else 0.0
        return now_s < known.ended_s + (last_s if is_last else RETRY_S)

    def is_open(self, range_id: int) -> bool:
        """Return whether a range is heard again because it is in doubt."""
        return range_id in self._open

    def is_noise(self, range_id: int, now_s: float) -> bool:
        """Return whether a range is doubted by no more than what another was heard for in vain since."""
        known = self._open.get(range_id)
        if known is None or known.evidence is not Evidence.LOUD or known.has_words:
            return False
        return not self.is_credible(known.evidence, now_s)

    def ended(self, range_id: int, evidence: Evidence, now_s: float) -> Verdict:
        """Return what becomes of a range heard to its end by a session that leaves this evidence."""
        known = self._open.pop(range_id, None)
        if not self.is_credible(evidence, now_s):
            if known is None or known.has_words:
                return Verdict.GIVEN_UP if evidence & LIKE_SPEECH else Verdict.PASSED
            self._refute(known.evidence, now_s)
            may_be_speech = evidence and (evidence | known.evidence) & LIKE_SPEECH
            return Verdict.GIVEN_UP if may_be_speech else Verdict.PASSED
        heard = 1 if known is None or known.has_words else known.heard + 1
        works = known is not None and known.progress != self._progress
        may_be_speech = (evidence | (known.evidence if known else evidence)) & ~Evidence.BRIEF
        if heard == 1 or (heard < HEARD_MAX and not works and may_be_speech & LIKE_SPEECH):
            self._open[range_id] = _Open(evidence, self._progress, now_s, heard)
            return Verdict.AGAIN
        assert known is not None
        self._refute(known.evidence, now_s)
        # Loudness alone is noise, once a service that works has heard it twice.
        given_up = LIKE_SPEECH if works else ~Evidence.BRIEF
        return Verdict.GIVEN_UP if (evidence | known.evidence) & given_up else Verdict.PASSED

    def _refute(self, evidence: Evidence, now_s: float) -> None:
        """Take sound for noise for a while: the weakest evidence says nothing of any other."""
        if evidence is Evidence.BRIEF:
            self._trust_brief_until_s = now_s + TRUST_S
            return
        self._trust_until_s = now_s + TRUST_S
        self._missing_vain += bool(evidence & Evidence.MISSING)
