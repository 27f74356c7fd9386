"""What is said of a model by its name, and when a session's model is another one than was asked for."""

import pytest

from minuted import models


@pytest.mark.parametrize("name", ["universal-3-5-pro", "universal-3-6-pro", "universal-9", "my-own"])
def test_a_model_that_nothing_is_known_of_needs_no_word(name: str) -> None:
    """A new one must not wait for a release of ours."""
    assert models.note(name) == models.warning(name) == ""


def test_the_default_is_noted_when_asked_and_not_at_each_start() -> None:
    """It is legacy, and it works: nobody can mend that each morning."""
    assert "legacy" in models.note("u3-rt-pro")
    assert models.warning("u3-rt-pro") == ""


@pytest.mark.parametrize("name", ["u3-pro", "whisper-rt", "u3-rt-agent"])
def test_a_model_on_its_way_out_is_warned_of(name: str) -> None:
    assert models.warning(name) == models.note(name)
    assert "universal-3-5-pro" in models.warning(name)


@pytest.mark.parametrize(
    ("asked", "given", "differs"),
    [
        ("u3-rt-pro", "u3-rt-pro", False),
        ("u3-rt-pro", "universal-3-5-pro", True),
        ("universal-3-6", "universal-3-6-pro", False),
        ("universal-3-6-pro", "universal-3-6", False),
        ("Universal-3-5-Pro", "universal-3-5-pro", False),
        ("u3-rt-pro", "", False),
    ],
)
def test_two_names_of_one_model_are_no_difference(asked: str, given: str, differs: bool) -> None:
    """Older sessions and self-hosted services do not say which model they have."""
    assert models.differs(asked, given) is differs
