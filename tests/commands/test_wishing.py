"""Asking the running transcription for something, and what is said when it cannot be had."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minuted.commands import wishing
from minuted.commands.wishing import NotDoneError, wish
from minuted.config import Settings
from minuted.control import ControlServer
from minuted.transcription.wishes import Wishes


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

        handlers = {"configure": wishes.ask, "answer": wishes.answer}
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


def test_who_may_not_ask_is_told_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group may look, and only the service's own user and root may change."""
    reason = "only root and the service's own user may ask for 'configure'"
    monkeypatch.setattr(wishing, "ask", _raising(ValueError(reason)))
    Path(settings.control_endpoint("transcription").removeprefix("ipc://")).touch()
    with pytest.raises(NotDoneError, match=f"not done: {reason}"):
        wish(settings, "configure")


def test_a_restart_in_the_middle_is_said(settings: Settings) -> None:
    """The new process does not know of the wish: nobody can tell whether it was granted."""
    handlers = {"configure": Wishes().ask, "answer": Wishes().answer}
    server = ControlServer(settings.control_endpoint("transcription"), handlers)
    with pytest.raises(NotDoneError, match="restarted in the middle of it"):
        wish(settings, "configure")
    server.close()


def _raising(error: Exception) -> Callable[..., Any]:
    def ask(*_: Any, **__: Any) -> Any:
        raise error

    return ask
