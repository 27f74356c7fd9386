"""What `minuted check` has found: one line each, for people and for programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from minuted.options import ConfigError

STATES: Final = ("well", "warning", "wrong")
"""How bad it is, as programs are told."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it will do, and what is there or is to be done."""

    what: str
    ok: bool
    text: str
    warns: bool = False
    """It works, and will some day not, or not as it should."""

    def to_map(self) -> dict[str, str]:
        """Return it as `minuted check --json` prints it."""
        return {"what": self.what, "state": STATES[self._level()], "text": self.text}

    @staticmethod
    def from_map(told: Mapping[str, Any]) -> "Finding":
        """Return what another process has found. Raises KeyError and ValueError for what is none."""
        level = STATES.index(told["state"])
        return Finding(str(told["what"]), ok=level < 2, text=str(told["text"]), warns=level == 1)

    def with_text(self, more: str) -> "Finding":
        """Return it with more to say."""
        return replace(self, text=f"{self.text}; {more}")

    def _level(self) -> int:
        return 2 if not self.ok else 1 if self.warns else 0


def line(finding: Finding, encoding: str = "utf-8") -> str:
    """Return a finding as a person reads it."""
    level = STATES.index(finding.to_map()["state"])
    mark = "✓!✗"[level]
    try:
        "✓✗".encode(encoding)
    except UnicodeEncodeError:
        mark = ("ok ", "(!)", "NO ")[level]
    return f"{mark} {finding.what:<16} {finding.text}"


def looked(what: str, look: Callable[[], str]) -> Finding:
    """Look at something that is wrong where ConfigError is raised."""
    try:
        return Finding(what, ok=True, text=look())
    except ConfigError as error:
        return Finding(what, ok=False, text=str(error))
    except OSError as error:
        return Finding(what, ok=False, text=f"cannot be looked at: {sentence(error)}")


def judged(what: str, judge: Callable[[], tuple[bool, str]]) -> Finding:
    """Look at something that is a warning at worst, unless ConfigError is raised."""
    try:
        well, text = judge()
    except ConfigError as error:
        return Finding(what, ok=False, text=str(error))
    except OSError as error:
        well, text = False, f"cannot be looked at: {sentence(error)}"
    return Finding(what, ok=True, text=text, warns=not well)


def sentence(error: OSError) -> str:
    """Return what the system says, and of which file."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename and error.strerror else reason
