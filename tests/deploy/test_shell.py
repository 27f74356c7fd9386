"""Completion and the manual page: in step with the options, and where real shells and man look for them."""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from minuted.usage import parser
from terminals import Conversation

ROOT = Path(__file__).parents[2]
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
"""fish completes only what is there."""
COMMANDS = set(next(action for action in parser("0")._actions if action.choices).choices)


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel puts below its prefix."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    (data,) = folder.glob("*.data/data/share")
    return data


@pytest.fixture
def talk(tmp_path: Path, share: Path) -> Iterator:
    made = []

    def begin(*command: str, **more: str) -> Conversation:
        environment = {
            "HOME": str(tmp_path),
            "PATH": PATH,
            "TERM": "dumb",
            "PS1": "$ ",
            "XDG_DATA_DIRS": f"{share}:/usr/share",
            **more,
        }
        made.append(Conversation(command, tmp_path, environment))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def shell_module():
    spec = importlib.util.spec_from_file_location("deploy_shell", ROOT / "deploy/shell.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_completion_is_not_stale() -> None:
    """`make shell` writes it anew."""
    for shell, name in (made := shell_module()).NAMES.items():
        assert (made.FOLDER / name).read_text(encoding="utf-8") == made.completion(shell), name


def test_the_manual_has_every_command_and_option_and_no_other() -> None:
    """Its layout is argparse's, which differs between versions of Python; `make shell` writes it anew."""
    text = (ROOT / "deploy/shell/minuted.1").read_text(encoding="utf-8")
    plain = " ".join(re.sub(r"\\f[BIR]|\\,|\\/", "", text).replace(r"\-", "-").replace("\\\\", "\\").split())
    headed = set(re.findall(r"^\.SS \\fBminuted (\S+)\\fR$", text, re.MULTILINE))
    assert {name.replace(r"\-", "-") for name in headed} == COMMANDS
    options = set()
    for action in shell_module().actions(parser("0")):
        if action.help == argparse.SUPPRESS or action.dest == "help":
            continue
        options |= {name for name in action.option_strings if name.startswith("--")}
        if action.help:
            assert " ".join(action.help.replace("%%", "%").split()) in plain, action.help
    headings = " ".join(re.findall(r"^\.TP\n(.*)$", text, re.MULTILINE)).replace(r"\-", "-")
    assert set(re.findall(r"--[\w-]+", headings)) == options


def test_man_shows_it_without_a_warning(share: Path) -> None:
    page = share / "man/man1/minuted.1"
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""}
    shown = subprocess.run(
        ["man", "--warnings", "--local-file", page],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert shown.stderr == ""
    assert max(map(len, shown.stdout.splitlines())) <= 80
    found = subprocess.run(
        ["man", "--manpath", share / "man", "--where", "minuted"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(page)


def test_bash_completes(talk) -> None:
    """Found by bash-completion in the folder the wheel fills."""
    shell = talk("bash", "--norc", "--noprofile", "-i")
    shell.answer("$ ", ". /usr/share/bash-completion/bash_completion; echo loaded")
    shell.wait_for("loaded\n$ ")
    shell.type("minuted sta\t")
    shell.wait_for("minuted status ")
    shell.type("\x15minuted token-s\t clients new x --out\t")
    shell.wait_for("token-server  clients new x --output ")
    shell.type("\x15minuted init --service l\t")
    shell.wait_for("--service local ")
    shell.type("\x15: > talk.wav; minuted run --input ta\t")
    shell.type("\x15exit\n")
    assert shell.end() == 0


def test_zsh_completes(talk, share: Path) -> None:
    shell = talk("zsh", "-f", "-i")
    shell.type(f"fpath=({share}/zsh/site-functions $fpath)\n")
    shell.type("autoload -Uz compinit; compinit -u -D; PS1='> '; echo lo''aded\n")
    shell.wait_for("loaded\n")
    # It writes only what it adds, and draws the line anew for more.
    shell.type("minuted stat\t--js\t")
    shell.wait_for("us ")
    shell.wait_for("on ")
    shell.type("\x15exit\n")
    assert shell.end() == 0


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("minuted sta", {"status"}),
        ("minuted init --service ", {"assemblyai", "local"}),
        ("minuted dead-letters ", {"list", "retry", "drop"}),
        ("minuted token-server clients new x --out", {"--output"}),
    ],
)
def test_fish_completes(tmp_path: Path, share: Path, line: str, completed: set[str]) -> None:
    environment = {"HOME": str(tmp_path), "PATH": PATH, "XDG_DATA_DIRS": f"{share}:/usr/share"}
    done = subprocess.run(
        ["fish", "-c", f"complete -C '{line}'"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=tmp_path,
    )
    assert {each.split("\t")[0] for each in done.stdout.splitlines()} == completed
