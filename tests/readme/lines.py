"""README.md's blocks in their order: the commands one by one, everything else whole."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

README: Final = Path(__file__).parents[2] / "README.md"
LANGUAGES: Final = ("sh", "toml", "python", "yaml")
"""A block without a language shows what is printed, and is not run."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A command without its comment, or a block of another language."""

    heading: str
    language: str
    line: int
    text: str

    @property
    def name(self) -> str:
        """What a person finds it by."""
        first = next(line for line in self.text.splitlines() if line.strip())
        return f"README.md:{self.line} ({self.heading}): {first}"


def pieces(text: str) -> Iterator[Piece]:
    """Yield what a reader runs or saves, from the top down. Raise ValueError for a language nobody knows."""
    heading, language, began, block = "", None, 0, []
    for number, line in enumerate(text.splitlines(), 1):
        if language is None and line.startswith("```"):
            language, began, block = line[3:].strip(), number, []
        elif language is not None and line.rstrip() == "```":
            if language and language not in LANGUAGES:
                raise ValueError(f"README.md:{began}: {language} is none of {', '.join(LANGUAGES)}")
            if language == "sh":
                for offset, each in enumerate(block, 1):
                    if command := re.sub(r"(^|\s+)#(\s.*)?$", "", each).strip():
                        yield Piece(heading, language, began + offset, command)
            elif language:
                yield Piece(heading, language, began, "\n".join(block) + "\n")
            language = None
        elif language is not None:
            block.append(line)
        elif match := re.match(r"#+ (.*)", line):
            heading = match[1]
