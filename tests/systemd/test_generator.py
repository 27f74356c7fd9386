"""What minuted.target starts, by what minuted.toml has."""

import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
GENERATOR = SYSTEMD / "minuted-generator"


def generated(folder: Path, config: str | None, *enabled: str, key: str = "") -> dict[str, str]:
    """Return the units that the target wants, each with the name of the file it is made of."""
    root, made = folder / "root", folder / "made"
    (root / "etc/minuted").mkdir(parents=True)
    if config is not None:
        (root / "etc/minuted/minuted.toml").write_text(config, encoding="utf-8")
    if key:
        place = root / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("ASSEMBLYAI_API_KEY=secret\n")
    links = root / "etc/systemd/system/minuted.target.wants"
    links.mkdir(parents=True)
    for unit in enabled:
        (links / unit).symlink_to("/nowhere")
    done = subprocess.run([GENERATOR, made, made, made, root], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return {link.name.removesuffix(".service"): link.readlink().name for link in made.glob("*.wants/*")}


CLOUD = '[engine]\nservice = "assemblyai"\n'
RENAMED = '[sinks.board]\nuse = "webhook"\n[sinks.webhook_log]\nuse = "file_log"\n'
CORE = {"minuted-capture", "minuted-transcription"}


@pytest.mark.parametrize(
    ("config", "key", "units"),
    [
        ("", "", CORE | {"minuted-engine"}),
        (None, "", CORE | {"minuted-engine"}),
        ("\ufeff", "", CORE | {"minuted-engine"}),
        ("[engine\nnot TOML", "", CORE | {"minuted-engine"}),
        ("x = " + "[" * 100_000, "", CORE | {"minuted-engine"}),
        (
            f'{CLOUD}[[capture.sources]]\nname = "a"\n[[capture.sources]]\nname = "a"\n',
            "",
            {"minuted-capture@a", "minuted-transcription"},
        ),
        ("capture = 1\nengine = []\nsinks = 'x'\n", "", CORE | {"minuted-engine"}),
        ("", "etc/credstore/assemblyai.key", CORE),
        ("", "etc/credstore.encrypted/assemblyai.key", CORE),
        ("", "etc/minuted/.env", CORE),
        ('[engine]\nservice = "local"', "etc/minuted/.env", CORE | {"minuted-engine"}),
        ('[engine]\nservice = "assemblyai"', "", CORE),
        ('[engine]\ntoken_url = "https://example.org/token"', "", CORE),
        (
            f"{CLOUD}[sinks.file_log]\n[sinks.webhook]\n[sinks.txt]\nenabled = false\n" + RENAMED,
            "",
            CORE
            | {"minuted-sink@file_log", "minuted-sink-network@webhook", "minuted-sink-network@board"}
            | {"minuted-sink@webhook_log"},
        ),
        (
            f'{CLOUD}[[capture.sources]]\nname = "table"\n[[capture.sources]]\nname = "far"\n',
            "",
            {"minuted-capture@table", "minuted-capture@far", "minuted-transcription"},
        ),
        ('[engine]\nservice = "assemblyai"\n[sinks."../../x"]\n[sinks."a b"]\n[sinks."größe"]\n', "", CORE),
    ],
)
def test_the_target_wants_what_is_configured(
    config: str | None, key: str, units: set[str], tmp_path: Path
) -> None:
    found = generated(tmp_path, config, key=key)
    assert found.keys() == units
    assert all((SYSTEMD / file).is_file() for file in found.values())


def test_a_sink_that_was_enabled_by_hand_runs_once(tmp_path: Path) -> None:
    """Two processes of one sink would write everything twice."""
    found = generated(tmp_path, "[sinks.own]\n[sinks.file_log]\n", "minuted-sink-network@own.service")
    assert "minuted-sink@own" not in found
    assert found["minuted-sink@file_log"] == "minuted-sink@.service"
