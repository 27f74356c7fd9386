"""`minuted configure`: change what may change while a session is open, or see what is in force."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from minuted.commands import printing
from minuted.commands.wishing import NotDoneError, told, wish
from minuted.config import ConfigError, Settings
from minuted.live_settings import LOCAL, read_terms

LINE_CHARACTERS_MAX: Final = 60
"""Of a longer text the beginning is shown."""


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Change what the options name; print what is in force. Raises NotDoneError."""
    if request := request_of(arguments):
        shown = lines(wish(settings, "configure", **request)["configured"])
    else:
        shown = lines(told(settings)["settings"])
    printing.say_all(shown)
    return 0


def request_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the options as a request; empty where there are none. Raises NotDoneError."""
    given = {name: value for name, value in vars(arguments.settings).items() if value is not None}
    terms = [*given.pop("keyterms_prompt", [])]
    if arguments.keyterms_file:
        try:
            terms += read_terms(arguments.keyterms_file)
        except ConfigError as error:
            raise NotDoneError(f"refused: {error}; nothing was changed") from None
    if terms or arguments.keyterms_file:
        given["keyterms_prompt"] = list(dict.fromkeys(terms))
    request = {
        "set": given,
        "clear": arguments.clear,
        "profile": arguments.profile,
        "reset": arguments.reset,
    }
    asked = {
        name: value
        for name, value in request.items()
        if value or (name in ("profile", "reset") and value is not None)
    }
    return {**asked, "until_restart": arguments.until_restart} if asked else {}


def lines(found: Mapping[str, Any]) -> list[str]:
    """Show what is in force: a setting a line, with what of it is changed and what it was before."""
    values, changed = found["values"], found["changed"]
    width = max(map(len, [*values, "profile"]))
    profile = found["profile"] or "none"
    others = ", ".join(name for name in found["profiles"] if name != profile)
    shown = [f"{'profile':<{width}}  {profile}" + (f"  (also: {others})" if others else "")]
    for name, value in values.items():
        note = ""
        if source := changed.get(name):
            before = text_of(found["configured"].get(name))
            note = f"  ({source}; the configuration says {before or 'nothing'})"
        may = "" if name in found["live"] or name in changed else "  (fixed)"
        shown.append(f"{name:<{width}}  {text_of(value) or 'cleared'}{note}{may}")
    if found["keyterms_file"]:
        shown.append(f"key terms come from {found['keyterms_file']} too")
    if found["problem"]:
        shown.append(f"! the key terms stay as they were: {found['problem']}")
    if found["without_effect"]:
        shown.append(f"! changed and without effect now: {', '.join(found['without_effect'])}")
    model = "the local engine" if found["model"] == LOCAL else found["model"]
    return [*shown, f"{model} takes changes of {', '.join(found['live'])}"]


def text_of(value: Any) -> str:
    """Write a value in a line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = ", ".join(value) if isinstance(value, list) else " ".join(str(value).split())
    return text if len(text) <= LINE_CHARACTERS_MAX else f"{text[: LINE_CHARACTERS_MAX - 1]}…"
