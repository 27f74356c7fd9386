"""Who is said to speak, and the second thoughts about it (reference 4.7 and 4.8)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .ear import Heard

SHORT_MS: int = 1000


@dataclass(slots=True)
class Speakers:
    """Labels A, B, … in the order in which a session hears people; a new session starts over."""

    short_turn_label: str | None = "UNKNOWN"
    mislabel_every: int = 0
    _letters: dict[int, str] = field(default_factory=dict)
    _turns: list[tuple[dict[str, Any], list[str]]] = field(default_factory=list)
    """Each final as it was last said, and its words' true labels."""

    def label(self, words: Sequence[Heard]) -> tuple[list[str | None], str | None]:
        """Give the labels of a final's words and of the turn, as good as they are at first."""
        truth = [self._letter(word.speaker) for word in words]
        if words[-1].end_ms - words[0].start_ms < SHORT_MS:
            return [None] * len(words), self.short_turn_label
        if self.mislabel_every and (len(self._turns) + 1) % self.mislabel_every == 0:
            wrong = "B" if truth[0] == "A" else "A"
            return [wrong] * len(words), wrong
        return list(truth), truth[0]

    def remember(self, message: dict[str, Any], words: Sequence[Heard]) -> None:
        self._turns.append((message, [self._letter(word.speaker) for word in words]))

    def revise(self) -> list[dict[str, Any]]:
        """Give the finals whose labels are now others than was last said."""
        revised = []
        for place, (message, truth) in enumerate(self._turns):
            words = [word | {"speaker": letter} for word, letter in zip(message["words"], truth, strict=True)]
            better = message | {"speaker_label": truth[0], "words": words}
            if better != message:
                self._turns[place] = (better, truth)
                revised.append(better)
        return revised

    def _letter(self, speaker: int) -> str:
        return self._letters.setdefault(speaker, chr(ord("A") + len(self._letters)))
