"""Files that somebody else's code is not to read."""

import subprocess
import sys
from pathlib import Path

import pytest

HUNT = """
import os
import subprocess
import sys
from pathlib import Path
from minuted.runtime.landlock import hide_files

folder = Path(sys.argv[1])
print(hide_files([folder / "secret", folder / "other"]))
for name in ("secret", "link", "open", "below/open"):
    try:
        print(name, (folder / name).read_text())
    except PermissionError:
        print(name, "hidden")
print(subprocess.run(["cat", folder / "secret"], capture_output=True).returncode)
(folder / "below/new").write_text("new")
os.rename(folder / "below/new", folder / "beside/new")
print((folder / "beside/new").read_text())
try:
    print(os.readlink(f"/proc/{os.getppid()}/fd/1"))
except PermissionError:
    print("closed")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("below", "beside"):
        (tmp_path / name).mkdir()
    for name in ("secret", "other", "open", "below/open"):
        (tmp_path / name).write_text("shown")
    (tmp_path / "link").symlink_to("secret")
    return tmp_path


def test_what_is_hidden_is_hidden_by_any_name_and_from_children_too(folder: Path) -> None:
    """All else goes on: files are read, made and moved."""
    done = subprocess.run(
        ["setpriv", "--no-new-privs", sys.executable, "-c", HUNT, str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    works, *found = done.stdout.splitlines()
    assert works == "True", "the tests need a Linux with Landlock (5.19 and newer)"
    assert found == [
        *("secret hidden", "link hidden", "open shown", "below/open shown"),
        *("1", "new", "closed"),
    ]
