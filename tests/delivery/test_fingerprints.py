"""A mark for each sink, which changes with whatever it is made of, and with nothing else."""

from pathlib import Path

import pytest

from conftest import SettingsFactory
from minuted import config
from minuted.config import Settings
from minuted.delivery.fingerprints import fingerprints


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sinks"
    (folder / "large").mkdir(parents=True)
    monkeypatch.setattr(config, "BUNDLED_SINKS", folder)
    (folder / "small.py").write_text("from . import x\nimport os, helper.part\n")
    (folder / "helper.py").write_text("from deeper import x\n")
    (folder / "deeper.py").write_text("import small\n")
    (folder / "other.py").write_text("import json\n")
    (folder / "torn.py").write_text("def torn(:")
    (folder / "large/__init__.py").write_text("from .parts import x\n")
    (folder / "large/parts.py").write_text("")
    (folder / "packages/useful-1.0.dist-info").mkdir(parents=True)
    return folder


@pytest.fixture
def settings(make_settings: SettingsFactory) -> Settings:
    names = ("small", "other", "torn", "large", "absent")
    return make_settings("".join(f"[sinks.{name}]\n" for name in names) + "[sinks.off]\nenabled = false\n")


ALL = {"small", "other", "torn", "large"}


@pytest.mark.parametrize(
    ("changed", "concerned"),
    [
        ("small.py", {"small"}),
        ("helper.py", {"small"}),
        ("deeper.py", {"small"}),
        ("other.py", {"other"}),
        ("torn.py", {"torn"}),
        ("large/parts.py", {"large"}),
        ("large/added.py", {"large"}),
        ("unknown.py", set()),
        ("large/notes.txt", set()),
    ],
)
def test_an_edit_concerns_the_sinks_that_are_made_of_it(
    folder: Path, settings: Settings, changed: str, concerned: set[str]
) -> None:
    before = fingerprints(settings)
    assert before.keys() == {*ALL, "absent"}
    assert before["absent"] == ""
    (folder / changed).write_text("x = 1\n")
    after = fingerprints(settings)
    assert {name for name in after if after[name] != before[name]} == concerned


def test_other_versions_of_packages_are_another_sink(folder: Path, settings: Settings) -> None:
    before = fingerprints(settings)
    (folder / "packages/useful-1.0.dist-info").rename(folder / "packages/useful-1.1.dist-info")
    after = fingerprints(settings)
    assert {name for name in after if after[name] != before[name]} == ALL


def test_what_is_deleted_has_no_mark(folder: Path, settings: Settings) -> None:
    before = fingerprints(settings)
    (folder / "small.py").unlink()
    assert fingerprints(settings) == {**before, "small": ""}
