"""Whether minuted is a service here, and which lines have systemd do something with it."""

import os
from pathlib import Path

import pytest

from minuted.runtime import service


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, ...]:
    (tmp_path / "lib").mkdir()
    (tmp_path / "etc/multi-user.target.wants").mkdir(parents=True)
    return tmp_path / "etc", tmp_path / "lib", tmp_path / "missing"


def test_a_machine_without_it_has_none(folders: tuple[Path, ...]) -> None:
    assert service.unit(folders) == ""


def test_the_whole_is_one_unit_and_the_split_form_is_its_target_where_that_is_enabled(
    folders: tuple[Path, ...],
) -> None:
    """Both are installed; advice to start the whole would end the stages."""
    for name in (service.WHOLE, service.SPLIT):
        (folders[1] / name).touch()
    assert service.unit(folders) == "minuted.service"
    (folders[0] / "multi-user.target.wants" / service.SPLIT).symlink_to(folders[1] / service.SPLIT)
    assert service.unit(folders) == "minuted.target"


def test_a_line_is_as_this_user_would_type_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert service.command("start", "minuted.service") == "sudo systemctl start minuted"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert service.command("restart", "minuted.target") == "systemctl restart minuted.target"
