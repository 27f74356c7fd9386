"""`minuted meeting`: begin and end one by hand, or see which one is going on."""

import argparse
import time
from collections.abc import Mapping
from typing import Any

from minuted.commands import printing
from minuted.commands.wishing import NotDoneError, told, wish
from minuted.config import Settings


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Do what is asked for, and print what there is now. Raises NotDoneError."""
    if arguments.action == "status":
        printing.say(named(told(settings)["meeting"]))
        return 0
    if arguments.action == "end" and arguments.title is not None:
        raise NotDoneError("a title is given when a meeting is started; nothing was changed")
    answer = wish(settings, "meeting", action=arguments.action, title=arguments.title)
    before = f"ended: {named(answer['before'])}"
    if arguments.action == "end":
        printing.say(before if answer["before"] else "there was no meeting")
        return 0
    if answer["before"]:
        printing.say(before)
    printing.say(f"started: {named(answer['meeting'])}")
    return 0


def named(meeting: Mapping[str, Any] | None) -> str:
    """Name a meeting by its title and its beginning."""
    if not meeting:
        return "no meeting"
    began = time.strftime("%H:%M", time.localtime(meeting["started_at_ms"] / 1000))
    title = f"“{meeting['title']}”, " if meeting["title"] else ""
    return f"{title}from {began}"
