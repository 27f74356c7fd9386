"""What can be said of install.sh without a machine for it; tests/systemd/long_install.py runs it whole."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from minuted.config import parse
from rights import NOBODY, needs_root

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/install.sh"


def run(*options: str, **how: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *options], capture_output=True, text=True, check=False, **how)


@pytest.mark.parametrize(
    "script",
    [
        "install.sh",
        "install_documents.sh",
        "build_deb.sh",
        *(f"debian/{name}" for name in ("preinst", "postinst", "prerm", "postrm")),
    ],
)
def test_a_script_is_one(script: str) -> None:
    """dash stops half way through a file that it cannot read further."""
    path = ROOT / "deploy" / script
    assert os.access(path, os.X_OK)
    subprocess.run(["dash", "-n", path], check=True)


ENDS_EARLY = {
    # With these words a script ends before it does anything, but after it has begun.
    "install.sh": "--help",
    "build_deb.sh": "/nonexistent",
    "debian/preinst": "install",
    "debian/postinst": "abort-upgrade",
    "debian/prerm": "upgrade",
    "debian/postrm": "disappear",
}


@pytest.mark.parametrize("umask", ["000", "077"])
@pytest.mark.parametrize("script", ENDS_EARLY)
def test_what_is_installed_is_for_all_to_read_and_for_root_to_write(script: str, umask: str) -> None:
    """Under umask 000 anybody's program ran as root; under 077 the service could not be started."""
    run_it = f'umask {umask}; script=$1; shift; trap "umask >&3" EXIT; . "$script" >/dev/null 2>&1'
    done = subprocess.run(
        ["dash", "-c", f"{run_it}", "dash", ROOT / "deploy" / script, ENDS_EARLY[script]],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        preexec_fn=lambda: os.dup2(1, 3),
        pass_fds=(3,),
    )
    assert done.stdout.strip() == "0022"


def test_help_names_every_option() -> None:
    """An option nobody is told of is none."""
    told = run("--help").stdout
    options = set(re.findall(r"^ +(--[\w-]+)(?: \||\))", SCRIPT.read_text(), re.MULTILINE))
    assert {"--room", "--no-key", "--purge"} <= options
    assert not {option for option in options if option not in told}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--rom", "x"], "unknown option --rom"),
        (["--room"], "--room needs a value"),
        (["--service", "cloud"], "assemblyai or local"),
        (["--purge"], "goes with --uninstall"),
    ],
)
def test_a_wrong_word_changes_nothing(words: list[str], reason: str) -> None:
    done = run(*words)
    assert done.returncode == 1
    assert reason in done.stderr


@needs_root
def test_only_root_can_install() -> None:
    done = run(user=NOBODY)
    assert (done.returncode, "only root" in done.stderr) == (1, True)


def run_functions(folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Run some of install.sh's functions with its folders below another one."""
    text = SCRIPT.read_text()
    functions = re.findall(r"^\w+\(\) \{.*?^\}$|^\w+\(\) \{.*\}$", text, re.MULTILINE | re.DOTALL)
    for place in ("/opt", "/usr/local", "/etc", "/var/lib"):
        functions = [each.replace(f" {place}/", f" {folder}{place}/") for each in functions]
    names = re.findall(r"^readonly (\w+)=(/.*)$", text, re.MULTILINE)
    variables = [f"{name}={folder}{value}" for name, value in names]
    script = "\n".join(
        ["set -eu", "purge=no UNITS= SHARED=", *variables, *functions, "is_booted() { false; }", *lines]
    )
    return subprocess.run(["dash", "-c", script], capture_output=True, text=True, check=False)


def test_removal_takes_what_was_installed_and_no_environment_made_by_hand(tmp_path: Path) -> None:
    """README once put a virtual environment where releases lie; it went with the service."""
    prefix = tmp_path / "opt/minuted"
    for name in ("bin/minuted", "pyvenv.cfg", "releases/1/bin/minuted"):
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).touch()
    (prefix / "current").symlink_to("releases/1")
    told = run_functions(tmp_path, "tell_of_others", "remove")
    assert told.returncode == 0, told.stderr
    assert f"{prefix}/bin comes first in PATH" in told.stdout
    assert sorted(path.name for path in prefix.iterdir()) == ["bin", "pyvenv.cfg"]
    (prefix / "pyvenv.cfg").unlink()
    (prefix / "bin/minuted").unlink()
    (prefix / "bin").rmdir()
    assert run_functions(tmp_path, "tell_of_others", "remove").returncode == 0
    assert not prefix.exists()


def test_every_unit_is_installed_and_removed() -> None:
    """A unit that --uninstall forgets would start again with the machine."""
    (listed,) = re.findall(r'^readonly UNITS="(.*)"$', SCRIPT.read_text(), re.MULTILINE)
    assert set(listed.split()) == {unit.stem for unit in (ROOT / "systemd").glob("*.service")}


@pytest.mark.parametrize("script", ["install.sh", "debian/prerm"])
def test_whatever_starts_with_the_machine_is_disabled_before_it_goes(script: str) -> None:
    """A link to a unit that is gone is complained of at every start."""
    wanted = {
        unit.name
        for unit in (ROOT / "systemd").glob("minuted*.*")
        if "WantedBy=multi-user.target" in unit.read_text()
    }
    text = (ROOT / "deploy" / script).read_text()
    disabled = {
        word if "." in word else f"{word}.service"
        for line in re.findall(r"systemctl disable (.*)", text)
        for word in line.split()
        if word.startswith("minuted")
    }
    assert {"minuted.service", "minuted.target", "minuted-token-server.service"} <= wanted
    assert not wanted - disabled


def test_what_is_asked_for_stands_in_its_section_of_the_sample(tmp_path: Path) -> None:
    """The sample's headers are comments, and a key alone would belong to no section."""
    functions = re.findall(
        r"^(?:set_value|configure)\(\) \{.*?^\}", SCRIPT.read_text(), re.MULTILINE | re.DOTALL
    )
    # The box has the real one; dash takes no name with a hyphen for a function's.
    outside = ["systemd_tmpfiles() { :; }", "say() { :; }"]
    script = "\n".join([*outside, *functions, "configure"]).replace("systemd-tmpfiles", "systemd_tmpfiles")
    values = {"room": 'board "A|B&C"', "device": "Jabra\\Link", "service": "local"}
    folders = {"CONFIG": f"{tmp_path}/minuted.toml", "DOCUMENTS": str(ROOT / "deploy"), "LIBRARY": "/nowhere"}

    subprocess.run(["dash", "-eu", "-c", script], check=True, env={**os.environ, **values, **folders})

    found = parse((tmp_path / "minuted.toml").read_text(encoding="utf-8"))
    assert (found.room, found.capture.device, found.engine.service) == tuple(values.values())
    assert list(found.sinks) == ["file_log"]
