"""Marks as they are in a folder that was put back from a backup."""

from pathlib import Path

from minuted.runtime.sealed import opened, sealed

A_DAY_S = 86_400


def age(mark: Path, by_s: float = A_DAY_S) -> None:
    """Make a mark what it is in a copy that comes from a backup of so long ago."""
    written_ns = int(opened(mark.read_text())) - round(by_s * 1e9)
    mark.write_text(sealed(f"{written_ns:020}"))
