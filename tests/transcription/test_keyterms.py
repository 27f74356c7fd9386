"""The file of key terms: read when it has changed and nobody writes it any more."""

from pathlib import Path

import pytest

from minuted.options import ConfigError
from minuted.session_settings import StreamingSession
from minuted.transcription.keyterms import LOOK_EVERY_S, KeytermsFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "terms.txt"
    file.write_text("metformin\n")
    return file


def of(file: Path, state=None) -> KeytermsFile:
    return KeytermsFile(StreamingSession(keyterms_file=file), state)


def looks(terms: KeytermsFile, *times_s: float) -> list[bool]:
    return [terms.look(time_s) for time_s in times_s]


def test_without_a_file_there_is_nothing_to_look_at() -> None:
    terms = KeytermsFile(StreamingSession(), None)
    assert (terms.terms, terms.look(1), terms.to_state()) == ((), False, None)


def test_a_change_is_taken_in_once_the_file_rests(file: Path) -> None:
    """Half a list is none: an editor may be in the middle of writing it."""
    terms = of(file)
    assert terms.terms == ("metformin",)
    file.write_text("metformin\nsta")
    assert looks(terms, 1) == [False]
    file.write_text("metformin\nstatins\n")
    assert looks(terms, 2, 2 + LOOK_EVERY_S / 2) == [False, False]
    assert looks(terms, 3, 4) == [True, False]
    assert terms.terms == ("metformin", "statins")


def test_a_file_that_was_only_touched_is_no_change(file: Path) -> None:
    terms = of(file)
    file.write_text("# a comment\nmetformin\n")
    assert looks(terms, 1, 2, 3) == [False, False, False]


def test_a_bad_file_leaves_the_old_terms_and_says_why_once(file: Path) -> None:
    terms = of(file)
    file.write_text("x" * 51)
    assert looks(terms, 1, 2, 3) == [False, True, False]
    assert terms.terms == ("metformin",)
    assert "over 50 characters" in terms.problem
    file.unlink()
    assert looks(terms, 4, 5) == [False, True]
    assert "No such file" in terms.problem
    file.write_text("statins")
    assert looks(terms, 6, 7) == [False, True]
    assert (terms.terms, terms.problem) == (("statins",), "")


def test_a_process_that_comes_after_goes_by_the_last_good_terms(file: Path) -> None:
    """A kill while somebody has broken the file must not end the run."""
    state = of(file).to_state()
    file.unlink()
    terms = of(file, state)
    assert (terms.terms, "No such file" in terms.problem) == (("metformin",), True)
    file.write_text("statins")
    assert looks(terms, 1, 2) == [False, True]


def test_with_no_terms_known_a_bad_file_is_a_mistake_in_the_configuration(file: Path, tmp_path: Path) -> None:
    state = of(file).to_state()
    file.unlink()
    with pytest.raises(ConfigError, match=r"session\.keyterms_file: .*No such file"):
        of(file)
    with pytest.raises(ConfigError, match="No such file"):
        of(tmp_path / "other.txt", state)
