"""Where a secret is looked for. The key's places are in tests/config/test_key.py; here are the other's."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from minuted import credentials
from minuted.config import ConfigError, Settings, load, parse
from rights import NOBODY, as_user, needs_root

BY_URL = '[engine]\ntoken_url = "https://tokens.example/token"\n'


def test_the_secret_is_looked_for_in_order(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named outright, then a credential, the environment, a .env file."""
    settings = parse(BY_URL)
    assert settings.token_secret() == ""
    (no_key / ".env").write_text("MINUTED_TOKEN_SECRET=from-env-file\n")
    assert settings.token_secret() == "from-env-file"
    monkeypatch.setenv("MINUTED_TOKEN_SECRET", "from-environment")
    assert settings.token_secret() == "from-environment"
    (no_key / "token.secret").write_text("from-credential\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(no_key))
    assert settings.token_secret() == "from-credential"
    (no_key / "named").write_text("from-file\n")
    named = parse(f'{BY_URL}token_secret_file = "{no_key}/named"\n')
    assert named.token_secret() == "from-file"
    assert "from-" not in repr(named)


def test_a_secret_s_file_that_others_may_change_is_refused(no_key: Path) -> None:
    file = no_key / "named"
    file.write_text("a-secret")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="chmod o-w"):
        parse(f'{BY_URL}token_secret_file = "{file}"\n').token_secret()


def test_a_secret_handed_down_is_read_as_often_as_asked(
    no_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = os.memfd_create("secret")
    os.pwrite(descriptor, b"handed", 0)
    monkeypatch.setenv("MINUTED_TOKEN_SECRET_FD", str(descriptor))
    settings = parse(BY_URL)
    assert [settings.token_secret(), settings.token_secret(), settings.api_key()] == ["handed", "handed", ""]
    os.close(descriptor)


def test_what_is_taken_over_is_kept_and_its_descriptor_is_not(
    no_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any process of the same user could open it."""
    monkeypatch.setattr(credentials, "_taken", {})
    descriptor = os.memfd_create("key")
    os.pwrite(descriptor, b"handed", 0)
    monkeypatch.setenv("MINUTED_KEY_FD", str(descriptor))
    credentials.take_over()
    assert Settings().api_key() == "handed"
    assert "MINUTED_KEY_FD" not in os.environ
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


HIDING = """
import ctypes
import os
from pathlib import Path
from minuted import credentials

credentials.hide()
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
shown = Path("/proc/self/environ").read_bytes() if os.geteuid() == 0 else b"MINUTED_ENGINE_KEY=------ HOME="
print(b"planted" in shown, shown.count(b"="), libc.prctl(3), os.environ["ASSEMBLYAI_API_KEY"])
descriptors = len(os.listdir("/proc/self/fd"))
print(libc.getenv(b"ASSEMBLYAI_API_KEY").decode(), os.environ["MINUTED_ENGINE_KEY"], descriptors > 2)
"""


def test_what_is_hidden_is_shown_to_nobody_and_still_there() -> None:
    names = ("MINUTED_ENGINE_KEY", "ASSEMBLYAI_API_KEY", "MINUTED_TOKEN_SECRET")
    given = {name: f"planted-{name.lower()}" for name in names}
    done = subprocess.run(
        [sys.executable, "-c", HIDING],
        env={"PATH": "/bin", **given, "HOME": "/"},
        capture_output=True,
        text=True,
        check=True,
    )
    key, engine_key = given["ASSEMBLYAI_API_KEY"], given["MINUTED_ENGINE_KEY"]
    shown, kept = done.stdout.splitlines()
    assert shown.split()[0] == "False"
    assert shown.split()[2:] == ["0", key]
    assert kept == f"{key} {engine_key} True"


# The local engine's key.


def test_whoever_comes_first_makes_the_engine_s_key(runtime_dir: Path, no_key: Path) -> None:
    script = "import sys; from minuted.config import parse; print(parse(sys.argv[1]).engine_key())"
    with ExitStack() as stack:
        each = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", script, f'runtime_dir = "{runtime_dir}"'],
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(6)
        ]
        keys = {process.communicate()[0].strip() for process in each}
    assert keys == {(runtime_dir / "engine.key").read_text()}
    assert len(keys.pop()) >= 32
    assert [path.name for path in runtime_dir.iterdir()] == ["engine.key"]
    assert stat.S_IMODE((runtime_dir / "engine.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("fault", ["a link", "readable", "empty"])
def test_a_key_s_file_that_is_not_as_it_was_made_is_refused(
    make_settings: Callable[[], Settings], no_key: Path, fault: str
) -> None:
    settings = make_settings()
    file = settings.runtime_dir / "engine.key"
    settings.engine_key()
    if fault == "a link":
        file.rename(file.with_name("other"))
        file.symlink_to(file.with_name("other"))
    elif fault == "readable":
        file.chmod(0o644)
    else:
        file.write_text("")
    said = {"a link": "is a link", "readable": "can be read by others", "empty": "holds no key"}[fault]
    with pytest.raises(ConfigError, match=rf"runtime_dir: .*engine\.key {said}: remove it"):
        settings.engine_key()


# .env files.


@needs_root
def test_root_takes_no_key_from_another_user_s_working_folder(
    runtime_dir: Path, no_key: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime_dir.chmod(0o755)
    (runtime_dir / ".env").write_text("ASSEMBLYAI_API_KEY=theirs\n")
    os.chown(runtime_dir / ".env", NOBODY, -1)
    monkeypatch.chdir(runtime_dir)
    with pytest.raises(ConfigError, match=r"no key is taken from .*/\.env: .*/\.env belongs to nobody"):
        parse("").api_key()
    # Without one there is nothing to refuse.
    (runtime_dir / ".env").unlink()
    os.chown(runtime_dir, NOBODY, -1)
    assert parse("").api_key() == ""


@needs_root
def test_a_configuration_that_is_named_comes_with_the_env_file_beside_it(
    runtime_dir: Path, no_key: Path
) -> None:
    """Both are of one user; a third one's is not taken for it."""
    runtime_dir.chmod(0o755)
    for name, text in (("minuted.toml", ""), (".env", "ASSEMBLYAI_API_KEY=theirs\n")):
        (runtime_dir / name).write_text(text)
        os.chown(runtime_dir / name, NOBODY, -1)
    settings = load(runtime_dir / "minuted.toml")
    assert settings.api_key() == "theirs"
    os.chown(runtime_dir / ".env", 4711, -1)
    with pytest.raises(ConfigError, match="belongs to user 4711"):
        settings.api_key()


ELSEWHERE = """
import os
import sys
from minuted import config

os.chdir(sys.argv[1])
for path in (None, "minuted.toml"):
    try:
        print(config.load(path and config.Path(path)).room)
    except config.ConfigError as error:
        print(error)
"""


@needs_root
def test_nor_does_anybody_take_a_stranger_s_configuration_unasked(runtime_dir: Path) -> None:
    runtime_dir.chmod(0o755)
    folder = runtime_dir / "theirs"
    folder.mkdir()
    (folder / "minuted.toml").write_text('room = "theirs"')
    for place in (folder, folder / "minuted.toml"):
        os.chown(place, 4711, -1)
        place.chmod(0o755)
    unasked, asked = as_user(ELSEWHERE, str(folder)).splitlines()
    assert unasked.endswith(
        f"is taken only where --config names it: {folder}/minuted.toml belongs to user 4711"
    )
    assert asked == "theirs"


SPELT = [
    b"\xef\xbb\xbfthe-key\r\n",
    b"  the-key \n\n",
    b"the-key",
    b'"the-key"\n',
    b"'the-key'\r\n",
    b"\xef\xbb\xbf'the-key'",
]


@pytest.mark.parametrize("data", SPELT)
def test_a_secret_is_taken_out_of_what_editors_and_shells_put_around_it(no_key: Path, data: bytes) -> None:
    """A mark at the beginning, line ends of any kind, blanks, quotes; no secret has any of them."""
    (no_key / "secret").write_bytes(data)
    assert credentials.read(no_key / "secret") == "the-key"


def test_a_secret_in_the_environment_loses_its_quotes(no_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's file of variables hands them on as they stand there."""
    monkeypatch.setenv("MINUTED_TOKEN_SECRET", '"from-environment"')
    assert parse(BY_URL).token_secret() == "from-environment"


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b""])
def test_an_env_file_of_any_editor_is_taken(no_key: Path, data: bytes, end: bytes) -> None:
    (no_key / ".env").write_bytes(data + b"MINUTED_TOKEN_SECRET=from-env-file" + end)
    assert parse(BY_URL).token_secret() == "from-env-file"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("the-key".encode("utf-16"), "UTF-16 text: save it as UTF-8"),
        (b"the\0key", "there are zero bytes in it: save it as UTF-8 text"),
        (b"two words", "more than one word"),
        (b"ASSEMBLYAI_API_KEY=the-key\n", "a line of a .env file; it is to hold the key alone"),
    ],
)
def test_what_is_no_secret_is_refused_without_showing_it(no_key: Path, data: bytes, said: str) -> None:
    (no_key / "secret").write_bytes(data)
    with pytest.raises(ConfigError, match=said) as refusal:
        credentials.read(no_key / "secret")
    assert "key" not in str(refusal.value).replace("the key", "").replace(str(no_key), "")
