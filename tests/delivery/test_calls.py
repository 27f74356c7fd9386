"""Which of a sink's methods is for what."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from fake_publisher import gap, turn
from minuted import Gap, Sink, Turn, config
from minuted.delivery import discovery
from minuted.delivery.calls import method_for, record_of, takes_several
from minuted.journal.cursor import DeadLetter
from minuted.messages import MalformedMessageError


class Several(Sink):
    def write(self, turn: Turn) -> None: ...

    def revise_all(self, turns: Sequence[Turn]) -> None: ...


class Prepared(Several):
    def prepare(self, record: Turn | Gap) -> str:
        return str(record.seq)


def test_only_a_sink_that_says_so_is_given_several_at_once() -> None:
    """To any other one call is one record; and what was prepared belongs to one, too."""
    assert takes_several(Several)
    assert not takes_several(Prepared)
    found = discovery.find_all([config.BUNDLED_SINKS])
    taking = {name for name, file in found.items() if takes_several(discovery.load(file))}
    assert taking == {"srt", "txt"}


def test_a_letter_of_another_version_is_no_record() -> None:
    letter = {"id": 1, "epoch": "one", "seq": 1, "reason": "", "at_ms": 0, "wanted": True}
    assert record_of(DeadLetter(**letter, record=gap(1).to_map())) == gap(1)
    with pytest.raises(MalformedMessageError):
        record_of(DeadLetter(**letter, record={"v": 1, "type": "heartbeat", "epoch": "one", "last_seq": 1}))


def test_each_kind_of_record_has_its_method(tmp_path: Path) -> None:
    calls: list[str] = []

    class Noting(Sink):
        def write(self, turn: Turn) -> None:
            calls.append(f"write {turn.seq}")

        def revise(self, turn: Turn) -> None:
            calls.append(f"revise {turn.seq}")

        def gap(self, gap: Gap) -> None:
            calls.append(f"gap {gap.seq}")

    for record in (turn(1), gap(2), turn(3, type="revision")):
        method_for(Noting(), record)()
    assert calls == ["write 1", "gap 2", "revise 3"]
