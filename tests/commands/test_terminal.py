"""The log goes to a file, and the terminal stays for the person."""

import os
import sys

from minuted.commands import terminal


def test_what_is_logged_goes_to_the_file_and_back_to_the_terminal_afterwards(tmp_path, capfd) -> None:
    """Of children as well, who know only their descriptor."""
    with terminal.log_to(tmp_path / "minuted.log") as screen:
        os.write(2, b"logged\n")
        print("logged too", file=sys.__stderr__, flush=True)
        print("seen", file=screen, flush=True)
    os.write(2, b"seen again\n")
    assert (tmp_path / "minuted.log").read_text() == "logged\nlogged too\n"
    assert capfd.readouterr().err == "seen\nseen again\n"


def test_a_log_that_is_too_long_is_kept_once(tmp_path, monkeypatch) -> None:
    """A disk must not fill with what nobody reads."""
    monkeypatch.setattr(terminal, "LOG_BYTES_MAX", 5)
    log = tmp_path / "minuted.log"
    for _ in range(3):
        with terminal.log_to(log):
            os.write(2, b"logged\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["minuted.log", "minuted.log.1"]
    assert log.read_text() == "logged\n"
