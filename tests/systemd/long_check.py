"""An installed service, broken in each way there is: `minuted check` names the thing and the cure."""

import re

import pytest

from systemd.breaks import BREAKS, Bench, Break
from systemd.room import Room


@pytest.mark.parametrize("each", BREAKS, ids=lambda each: each.name)
def test_what_would_fail_is_said_beforehand_with_its_cure(room: Room, each: Break) -> None:
    bench = Bench(room)
    bench.make(each)
    try:
        status, said = bench.check()
        assert status == 78, said
        assert re.search(each.says, said), said
        wrong = [
            line for line in said.splitlines() if line.startswith("✗") and not re.search(each.also, line)
        ]
        assert len(wrong) == 1, said
    finally:
        bench.mend(each)
    status, said = bench.check()
    assert status == 0, said
