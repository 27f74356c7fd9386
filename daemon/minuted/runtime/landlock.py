"""Files hidden from this process and all it starts, by Linux's Landlock: for code of somebody else's.

Landlock knows what is allowed, and nothing else: everything beside the hidden files and the folders above
them is. A process inside cannot look into one outside either, in /proc or as a debugger. Source: landlock(7).
"""

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture."""
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
_REFER: Final = 1 << 13
_ABI_MIN: Final = 2
"""The first one would forbid to move any file to another folder."""
_PR_GET_NO_NEW_PRIVS: Final = 39


def hide_files(files: Sequence[Path]) -> bool:
    """Let nothing here read these files any more; False where that cannot be had, and nothing is changed.

    It is for a process that has no other thread yet. What is made later in the folders above the files
    (as `/run`, not `/run/minuted`) cannot be read either.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_CREATE_RULESET, None, 0, _VERSION) < _ABI_MIN:
        return False
    if os.geteuid() != 0 and libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
        # It would have to give up sudo and its like, which a sink run by hand may use.
        return False
    ruleset = libc.syscall(_CREATE_RULESET, struct.pack("Q", _READ_FILE | _REFER), 8, 0)
    if ruleset < 0:
        return False
    try:
        rules = [(Path("/"), _REFER), *((place, _READ_FILE | _REFER) for place in _beside(files))]
        for place, allowed in rules:
            with suppress(OSError):
                descriptor = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    rights = allowed if place.is_dir() else _READ_FILE
                    libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
                finally:
                    os.close(descriptor)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _beside(files: Sequence[Path]) -> Iterator[Path]:
    """Name everything that is neither one of the files nor a folder above one."""
    above = {folder for file in files for folder in file.parents}
    for folder in sorted(above):
        with suppress(OSError):
            for entry in folder.iterdir():
                if entry not in above and entry not in files and not entry.is_symlink():
                    yield entry
