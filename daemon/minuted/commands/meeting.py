"""`minuted meeting`: begin and end one by hand, or see which one is going on."""

import argparse
import time
from collections.abc import Mapping
from typing import Any

from minuted import status
from minuted.commands.wishing import STAGE, NotDoneError, wish
from minuted.config import Settings
from minuted.control import status_of


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Do what is asked for, and print what there is now. Raises NotDoneError."""
    if arguments.action == "status":
        told = status_of(settings, STAGE, timeout_s=2.0)
        if told is None:
            raise NotDoneError(status.absence(settings))
        print(named(told["meeting"]))
        return 0
    if arguments.action == "end" and arguments.title is not None:
        raise NotDoneError("a title is given when a meeting is started; nothing was changed")
    answer = wish(settings, "meeting", action=arguments.action, title=arguments.title)
    before = f"ended: {named(answer['before'])}"
    if arguments.action == "end":
        print(before if answer["before"] else "there was no meeting")
        return 0
    if answer["before"]:
        print(before)
    print(f"started: {named(answer['meeting'])}")
    return 0


def named(meeting: Mapping[str, Any] | None) -> str:
    """Name a meeting by its title and its beginning."""
    if not meeting:
        return "no meeting"
    began = time.strftime("%H:%M", time.localtime(meeting["started_at_ms"] / 1000))
    title = f"“{meeting['title']}”, " if meeting["title"] else ""
    return f"{title}from {began}"
