"""A first configuration, asked for in a real terminal and heard from a real sound server."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from capture.virtual_microphone import VirtualMicrophones
from minuted.config import parse
from rights import as_user, needs_root
from terminals import Conversation

KEY = "a-key-typed-in"
COMMAND = (sys.executable, "-m", "minuted", "init")
WITHOUT_PORTAUDIO = (
    "import ctypes.util, sys\nfrom minuted.cli import main\n"
    "ctypes.util.find_library = lambda name: None\nsys.exit(main(sys.argv[1:]))"
)
WITHOUT_MICROPHONE = (
    "import sys\nfrom minuted.cli import main\nfrom minuted.capture import microphone\n"
    "microphone.devices = lambda: []\nsys.exit(main(sys.argv[1:]))"
)
UNHEARD = ("--device", "")
"""Nothing is asked about microphones, of which there may be some or none."""


@pytest.fixture
def home(runtime_dir: Path) -> Path:
    """A home, whose paths are short enough for sockets."""
    (runtime_dir / "home").mkdir()
    return runtime_dir / "home"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """A newcomer's: no key, nothing remembered."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**kept, "HOME": str(home), "TERM": "xterm-256color"}


@pytest.fixture
def talk(home: Path, environment: dict[str, str]) -> Iterator:
    made = []

    def begin(*words: object, command: tuple = COMMAND, **more: str) -> Conversation:
        configuration = ("--config", home / "minuted.toml")
        made.append(Conversation([*command, *configuration, *words], home, {**environment, **more}))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.fixture
def ask(home: Path, environment: dict[str, str]):
    """Run the command where nobody sits."""

    def ask(*words: object, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "--config", home / "minuted.toml", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
            cwd=home,
            env={**environment, **more},
        )

    return ask


@pytest.fixture
def microphones(runtime_dir: Path) -> Iterator[VirtualMicrophones]:
    (runtime_dir / "sound").mkdir()
    made = VirtualMicrophones(runtime_dir / "sound", "ceiling", "table")
    yield made
    made.stop()


def written(home: Path) -> list[str]:
    """Name what was made there, but for what a sound server's library makes where it is asked."""
    made = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
    return [name for name in made if not name.startswith(".config")]


def number_of(name: str, listed: str) -> str:
    """Return a microphone's number in the list that was shown."""
    return next(line.split()[-3] for line in listed.splitlines() if f" {name} (" in line)


def test_a_room_is_set_up_by_answering(home: Path, microphones, talk) -> None:
    """Room, microphone, engine, minutes; the second microphone is the one that hears."""
    asked = talk(**{**microphones.environment, "HOME": str(home)})
    asked.answer("What is the room called? [", "boardroom")
    listed = asked.wait_for("Which one? [")
    asked.type(f"{number_of('ceiling', listed)}\n")
    said = asked.answer("listen again (a), or another number? [a] ", number_of("table", listed))
    assert "digital silence" in said
    asked.wait_for("listening to table for 4 s")
    tone = (8000 * np.sin(np.arange(16000 * 6) / 6)).astype(np.int16).tobytes()
    speaking = threading.Thread(target=microphones.speak, args=("table", tone))
    speaking.start()
    said = asked.answer("listen again (a), or another number? [y] ", "")
    assert "dBFS" in said
    assert "fine" in said
    asked.answer("Which one? [2] ", "")
    asked.answer("Which one? [1] ", "2")
    asked.answer(f"Folder? [{home}/minutes] ", "")
    status = asked.end()
    speaking.join()

    assert status == 0, asked.written
    assert f"Wrote {home}/minuted.toml. Now minuted check:" in asked.written
    assert '✓ source           microphone "table"' in asked.written
    assert asked.written.rstrip().endswith("minuted run --watch --input RECORDING")
    found = parse((home / "minuted.toml").read_text(encoding="utf-8"))
    assert (found.room, found.capture.device, found.engine.service) == ("boardroom", "table", "local")
    assert found.sinks["txt"].options == {"directory": f"{home}/minutes"}
    assert found.state_dir == home / ".local/state/minuted"
    # Looking makes nothing but what was asked for.
    assert written(home) == ["minuted.toml"]


DIALOGUE = (
    ("What is the room called? [", ""),
    ("Which one? [", "1"),
    ("Its key, for ", KEY),
    ("Which one? [1] ", "4"),
    ("Url? ", "https://example.org/turns"),
)


@pytest.mark.parametrize("answered", range(len(DIALOGUE)))
def test_ctrl_c_at_any_question_leaves_nothing_behind(home: Path, talk, answered: int) -> None:
    asked = talk(*UNHEARD)
    for question, answer in DIALOGUE[:answered]:
        asked.answer(question, answer)
    asked.wait_for(DIALOGUE[answered][0])
    key = "\x03" if answered % 2 == 0 else "\x04"
    asked.type(key)

    assert asked.end(again=key) == 1
    assert asked.written.rstrip().endswith("minuted: nothing was written")
    assert written(home) == []
    assert "Traceback" not in asked.written


def test_ctrl_c_while_it_listens_leaves_nothing_behind(home: Path, microphones, talk) -> None:
    asked = talk("--room", "attic", **{**microphones.environment, "HOME": str(home)})
    asked.answer("Which one? [", "")
    asked.wait_for("Say something: listening to ")
    asked.type("\x03")

    assert asked.end() == 1
    assert asked.written.rstrip().endswith("minuted: nothing was written")
    assert not (home / "minuted.toml").exists()


def test_a_key_goes_beside_the_configuration_and_is_shown_nowhere(home: Path, talk) -> None:
    asked = talk("init", command=(sys.executable, "-c", WITHOUT_MICROPHONE))
    for question, answer in DIALOGUE:
        asked.answer(question, answer)

    assert asked.end() == 78
    assert KEY not in asked.written + (home / "minuted.toml").read_text()
    assert (home / ".env").read_text() == f"ASSEMBLYAI_API_KEY={KEY}\n"
    assert (home / ".env").stat().st_mode & 0o777 == 0o600
    assert "Microphone: there is no input device" in asked.written
    assert "✓ service          wss://streaming.assemblyai.com, key found" in asked.written
    assert "What does not work yet is marked above" in asked.written


def test_what_cannot_be_an_answer_is_asked_for_again(home: Path, talk) -> None:
    asked = talk(*UNHEARD)
    asked.answer("What is the room called? [", "a\x07b")
    assert "one line of letters" in asked.answer("What is the room called? [", "attic")
    asked.answer("Which one? [", "9")
    assert "answer with a number from 1 to 2." in asked.answer("Which one? [", "1")
    asked.answer("Its key, for ", "two words")
    assert "one word of plain letters" in asked.answer("Its key, for ", "")
    asked.answer("Which one? [1] ", "4")
    asked.answer("Url? ", "example.org")
    assert "needs an address" in asked.answer("Url? ", "http://example.org")
    assert asked.end() == 78
    assert f"The key never goes into minuted.toml: put ASSEMBLYAI_API_KEY=… into {home}/.env" in asked.written
    assert written(home) == ["minuted.toml"]


def test_a_machine_without_portaudio_is_told_what_it_lacks(home: Path, talk) -> None:
    asked = talk("init", "--room", "attic", command=(sys.executable, "-c", WITHOUT_PORTAUDIO))
    said = asked.answer("Which one? [2] ", "")
    assert (
        "PortAudio is not installed (Debian package libportaudio2); recordings can be heard without" in said
    )
    asked.answer("Which one? [1] ", "")
    asked.answer("File? [", "")
    assert asked.end() == 78
    assert "Traceback" not in asked.written


def test_without_a_terminal_it_says_what_to_give(home: Path, ask) -> None:
    done = ask()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("minuted: there is no terminal to ask in: give --yes")
    assert written(home) == []


def test_all_can_be_given(home: Path, ask) -> None:
    words = ("--room", 'board "A" [1]', "--device", "Jabra", "--service", "assemblyai", "--sink", "srt=subs")
    done = ask("--yes", *words)
    found = parse((home / "minuted.toml").read_text(encoding="utf-8"))
    assert done.returncode == 78
    assert (found.room, found.capture.device, found.engine.service) == (
        'board "A" [1]',
        "Jabra",
        "assemblyai",
    )
    assert found.sinks["srt"].options == {"directory": f"{home}/subs"}
    assert "no AssemblyAI key" in done.stdout


def test_what_is_there_is_replaced_by_force_alone(home: Path, ask) -> None:
    (home / "minuted.toml").write_text("# mine\n")
    done = ask("--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"minuted: {home}/minuted.toml is there already; --force replaces it, "
        "--config FILE writes another one\n"
    )
    assert (home / "minuted.toml").read_text() == "# mine\n"
    assert "Wrote" in ask("--yes", "--force", "--room", "attic").stdout
    assert parse((home / "minuted.toml").read_text()).room == "attic"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sink", "mail"), "'mail' is no sink to begin with: there are file_log, txt, srt, webhook"),
        (("--sink", "webhook"), "webhook needs an address"),
        (("--room", " "), "a room's name is one line of letters"),
        (("--service", "cloud"), "invalid choice: 'cloud'"),
    ],
)
def test_a_wrong_word_writes_nothing(home: Path, ask, words: tuple[str, ...], said: str) -> None:
    done = ask("--yes", *words)
    assert (done.returncode, said in done.stderr, written(home)) == (2, True, []), done.stderr


@needs_root
def test_root_s_is_the_service_s(home: Path, environment: dict[str, str]) -> None:
    """In an /etc of its own: what is written there stays there."""
    script = (
        'mount -t tmpfs own "$1" && mkdir "$1/new" "$1/work" &&\n'
        'mount -t overlay own -o "lowerdir=/etc,upperdir=$1/new,workdir=$1/work" /etc &&\n'
        "rm -rf /etc/minuted && shift &&\n"
        '"$@" --yes --room attic; stat -c "%U %a" /etc/minuted/minuted.toml; cat /etc/minuted/minuted.toml'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", home, *COMMAND],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=environment,
    )
    assert "Wrote /etc/minuted/minuted.toml" in done.stdout, done.stderr
    assert "\nroot 640\n" in done.stdout
    assert done.stdout.endswith('room = "attic"\n\n[sinks.file_log]\npath = "/var/lib/minuted/turns.jsonl"\n')


@needs_root
def test_a_user_s_is_beside_him(home: Path) -> None:
    home.parent.chmod(0o755)
    home.chmod(0o777)
    script = (
        "import os, sys\nfrom minuted import cli\nfrom minuted.commands import init\n\n"
        "sys.stderr = sys.stdout\nos.chdir(sys.argv[1])\nos.environ['HOME'] = sys.argv[1]\n"
        "print(cli.main(['init', '--yes']))\n"
    )
    assert f"Wrote {home}/minuted.toml" in as_user(script, str(home))
    assert (home / "minuted.toml").stat().st_mode & 0o777 == 0o644
    (home / "minuted.toml").unlink()
    home.chmod(0o755)

    said = as_user(script, str(home))

    assert said == (
        f"minuted: {home}/minuted.toml cannot be written: {home} is no folder of yours; go to one, or name a "
        "file by --config\n1\n"
    )
