"""Print deploy/requirements.txt: the part of constraints.txt that an installed minuted needs.

Read from what is installed: the package's own dependencies, the local engine, the token server, and what
builds the wheel.
"""

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = needed(
        [
            *project["project"]["dependencies"],
            *project["project"]["optional-dependencies"]["local"],
            *project["project"]["optional-dependencies"]["token-server"],
            *project["build-system"]["requires"],
        ]
    )
    for name, block in blocks((ROOT / "deploy/constraints.txt").read_text(encoding="utf-8")):
        if name in wanted:
            print(block, end="")
            wanted.discard(name)
    if wanted:
        print(f"not in constraints.txt: {', '.join(sorted(wanted))}", file=sys.stderr)
    return 1 if wanted else 0


def needed(lines: Iterable[str]) -> set[str]:
    """Give the names of all that these requirements bring with them, here."""
    found: dict[str, set[str]] = {}
    left = [Requirement(line) for line in lines]
    while left:
        requirement = left.pop()
        name, extras = normal(requirement.name), {"", *requirement.extras}
        if extras <= found.setdefault(name, set()):
            continue
        found[name] |= extras
        try:
            own = [Requirement(line) for line in requires(requirement.name) or ()]
        except PackageNotFoundError:
            own = []
        left += [
            each
            for each in own
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return set(found)


def blocks(text: str) -> list[tuple[str, str]]:
    """Give each package's name and its lines, which end where no backslash goes on."""
    found = re.findall(r"^(([\w.-]+)==(?:.*\\\n)*.*\n)", text, re.MULTILINE)
    return [(normal(name), block) for block, name in found]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
