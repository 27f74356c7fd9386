"""From where a configuration is looked at. With a real service: tests/systemd/test_checked_service.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import SettingsFactory
from minuted.commands import sandbox, service_check
from minuted.commands.finding import Finding
from minuted.commands.sandbox import Unit
from minuted.config import ConfigError, Settings

RUNS = Unit("minuted.service", {"ActiveState": "active", "User": "minuted"})
CONFIG = Path("/etc/minuted/minuted.toml")


@pytest.fixture(autouse=True)
def no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (service_check.INVOCATION_NAME, service_check.UNIT_NAME):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Unit:
    monkeypatch.setattr(sandbox, "units_of", lambda config: [RUNS] if config == CONFIG else [])
    monkeypatch.setattr(sandbox, "beside", lambda _: None)
    return RUNS


def refuse() -> Settings:
    raise ConfigError("not TOML")


def test_root_sees_what_the_service_sees(
    installed: Unit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def seen(unit: Unit, config: Path, words: list[str]) -> Iterator[Finding]:
        assert (unit, config, words) == (installed, CONFIG, ["--online"])
        yield Finding("configuration", ok=False, text="not TOML")
        yield Finding("configuration", ok=False, text="not TOML")

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(sandbox, "findings", seen)
    assert service_check.run(refuse, online=True, config=CONFIG) == 78
    unit, *rest = capsys.readouterr().out.splitlines()
    assert unit == "✓ unit             minuted.service runs; this is what it finds in its sandbox, as minuted"
    (wrong,) = rest
    assert wrong.startswith(
        "✗ configuration    not TOML; what runs goes on as it was, and would not be there"
    )


def test_another_user_is_told_how_it_is_and_who_sees_the_rest(
    installed: Unit,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    make_settings: SettingsFactory,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    assert service_check.run(make_settings, config=CONFIG) == 0
    said = capsys.readouterr().out
    assert f"✓ unit             {installed.name} runs\n" in said
    assert "! the rest         " in said
    assert said.endswith("; run: sudo minuted check\n")
    assert "state_dir  " not in said
    assert service_check.run(refuse, config=CONFIG) == 78


@pytest.mark.parametrize("mark", [service_check.INVOCATION_NAME, service_check.UNIT_NAME])
def test_from_inside_a_unit_it_is_looked_at_right_there(
    installed: Unit,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mark: str,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    monkeypatch.setenv(mark, "x")
    assert service_check.run(refuse, config=CONFIG) == 78
    assert "unit  " not in capsys.readouterr().out


def test_a_configuration_of_one_s_own_is_looked_at_from_here(
    installed: Unit,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert service_check.run(refuse, config=tmp_path / "minuted.toml", as_json=True) == 78
    assert '{"what": "configuration", "state": "wrong", "text": "not TOML"}' in capsys.readouterr().out
