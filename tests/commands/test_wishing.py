"""Asking the running transcription for something, and what is said when it cannot be had."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from minuted.commands.wishing import NotDoneError, told, wish
from minuted.config import Settings
from minuted.control import ControlServer
from minuted.transcription.wishes import Wishes
from rights import as_user, needs_root


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def serve(settings: Settings) -> Iterator[Callable[..., None]]:
    """A transcription that only grants wishes, with what `grant` makes of them."""
    closing, servers, threads = threading.Event(), [], []

    def start(grant: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        wishes = Wishes()

        def work() -> None:
            while not closing.wait(0.01):
                if question := wishes.first():
                    wishes.settle(grant(question))

        handlers = {"configure": wishes.ask, "meeting": wishes.ask, "answer": wishes.answer}
        servers.append(ControlServer(settings.control_endpoint("transcription"), handlers))
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    closing.set()
    for each in (*threads, *servers):
        each.join() if isinstance(each, threading.Thread) else each.close()


def test_a_wish_is_answered_when_it_has_been_granted(settings: Settings, serve: Callable) -> None:
    serve(lambda question: {"took": question["set"]})
    assert wish(settings, "configure", set={"prompt": "x"})["took"] == {"prompt": "x"}


def test_a_refusal_is_said(settings: Settings, serve: Callable) -> None:
    serve(lambda _: {"error": "u3-rt-pro takes no such change"})
    with pytest.raises(NotDoneError, match="refused: u3-rt-pro takes no such change"):
        wish(settings, "configure")


def test_without_a_daemon_nothing_is_waited_for(settings: Settings) -> None:
    with pytest.raises(NotDoneError, match=r"not running here .*; nothing was changed"):
        wish(settings, "configure")


ASK = """
import sys
import minuted.commands.configuring, minuted.commands.meeting, minuted.runtime.notify, minuted.runtime.signals
from minuted.cli import main

print(main(sys.argv[1:]))
"""


@needs_root
@pytest.mark.parametrize("command", [["configure", "--max-turn-silence", "900"], ["meeting", "start"]])
def test_who_may_not_ask_is_told_so(settings: Settings, serve: Callable, command: list[str]) -> None:
    """The group may look, only the service's own user and root may change, and the others may do nothing."""
    serve(lambda _: pytest.fail("a stranger's wish was granted"))
    settings.runtime_dir.chmod(0o750)
    config = settings.runtime_dir.parent / f"{settings.runtime_dir.name}.toml"
    config.write_text(f'runtime_dir = "{settings.runtime_dir}"\nstate_dir = "{settings.runtime_dir}/state"\n')
    config.chmod(0o644)
    words = [*command, "--config", str(config)]
    member, stranger = as_user(ASK, *words, groups=[0]), as_user(ASK, *words)
    config.unlink()
    assert f"only root and the service's own user may ask for '{command[0]}'" in member
    assert f"{settings.runtime_dir} is for root alone: put sudo before the command" in stranger
    assert member.splitlines()[0] == stranger.splitlines()[0] == "1"


def test_a_restart_in_the_middle_is_said(settings: Settings) -> None:
    """The new process does not know of the wish: nobody can tell whether it was granted."""
    handlers = {"configure": Wishes().ask, "answer": Wishes().answer}
    server = ControlServer(settings.control_endpoint("transcription"), handlers)
    with pytest.raises(NotDoneError, match="restarted in the middle of it"):
        wish(settings, "configure")
    server.close()


def test_who_only_asks_is_not_told_that_nothing_was_changed(make_settings: Callable[..., Settings]) -> None:
    with pytest.raises(NotDoneError, match=r"not running here \(runtime_dir [^;]*\)$"):
        told(make_settings())
