"""What was found is one line for people, and one map for programs."""

import pytest

from minuted.commands.finding import Finding, judged, line, looked
from minuted.config import ConfigError

WELL, WARNING, WRONG = (
    Finding("disk", ok=True, text="room"),
    Finding("disk", ok=True, text="little room", warns=True),
    Finding("disk", ok=False, text="no room"),
)


@pytest.mark.parametrize("finding", [WELL, WARNING, WRONG])
def test_what_another_process_has_found_is_the_same_here(finding: Finding) -> None:
    assert Finding.from_map(finding.to_map()) == finding


@pytest.mark.parametrize(
    "told", [{}, {"what": "x", "text": "y"}, {"what": "x", "text": "y", "state": "perhaps"}]
)
def test_what_is_no_finding_is_refused(told: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Finding.from_map(told)


def test_a_person_sees_how_bad_it_is() -> None:
    assert [line(finding)[0] for finding in (WELL, WARNING, WRONG)] == list("✓!✗")
    assert line(WRONG, "ascii") == "NO  disk             no room"


def test_more_can_be_said_of_it() -> None:
    assert WRONG.with_text("make some") == Finding("disk", ok=False, text="no room; make some")


def test_what_cannot_be_looked_at_is_said_without_a_number() -> None:
    def refuse() -> str:
        raise ConfigError("not so")

    def fail() -> str:
        raise PermissionError(13, "Permission denied", "/x")

    assert looked("x", lambda: "well") == Finding("x", ok=True, text="well")
    assert looked("x", refuse) == Finding("x", ok=False, text="not so")
    assert looked("x", fail) == Finding("x", ok=False, text="cannot be looked at: /x: Permission denied")
    assert judged("x", lambda: (False, "so so")) == Finding("x", ok=True, text="so so", warns=True)
    assert judged("x", lambda: (True, refuse())).ok is False
    assert judged("x", lambda: (True, fail())).warns
