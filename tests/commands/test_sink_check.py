"""Each sink is tried in a process of its own: whatever it does there, its line says so."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import SettingsFactory
from minuted.commands import sink_check
from minuted.commands.finding import Finding
from minuted.config import Settings, SinkTable
from minuted.runtime.places import PlaceError

SINK = """\
from pathlib import Path

from minuted import Sink


class Own(Sink):
    path: Path = Path("/nowhere")
    secret: str = ""

    def write(self, turn):
        pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sinks").mkdir()
    return tmp_path / "sinks"


def found(settings: Settings) -> dict[str, Finding]:
    findings = sink_check.findings(settings, list(settings.sinks))
    return {finding.what.removeprefix("sink "): finding for finding in findings}


def test_each_kind_of_failure_is_one_line_and_costs_the_others_nothing(
    folder: Path, tmp_path: Path, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_check, "TRY_S_MAX", 4.0)
    own = {
        "broken": "import no_such_module_at_all\n",
        "abrupt": "import os\nos._exit(3)\n",
        "chatty": f"print('{{}}')\n{SINK}",
        "hung": "import threading\nthreading.Event().wait()\n",
        "raising": f"{SINK}\n    def check(self):\n        raise RuntimeError(f'no {{self.secret}}')\n",
        "odd": SINK.replace("secret: str", "check: bool = False\n    secret: str"),
    }
    for name, text in own.items():
        (folder / f"{name}.py").write_text(text)
    here = {"path": str(tmp_path / "x")}
    tables = {
        "file_log": SinkTable(options={"path": "turns.jsonl"}, folder=tmp_path),
        "off": SinkTable(use="webhook", enabled=False),
        "webhok": SinkTable(),
        "webhook": SinkTable(options={"ulr": "https://example.org"}),
        "raising": SinkTable(options={**here, "secret": "hunter2-hunter2"}),
        **{name: SinkTable(options={"path": f"{tmp_path}/{name}"}) for name in ("chatty", "odd")},
        **{name: SinkTable() for name in ("broken", "abrupt", "hung")},
    }
    findings = found(replace(make_settings(), sink_dirs=(folder,), sinks=tables))
    well = {name for name, finding in findings.items() if finding.ok}
    assert well == {"file_log", "off", "chatty", "odd"}
    assert findings["file_log"].text.startswith(f"to {tmp_path}/turns.jsonl (")
    assert findings["off"].text == "off"
    assert findings["broken"].text.startswith("failed to load: needs the module 'no_such_module_at_all'")
    assert findings["abrupt"].text == "its code ended the process that tried it, with exit status 3"
    assert findings["hung"].text == "loading it and looking around took longer than 4 s"
    assert findings["raising"].text == "RuntimeError: no <secret> (raising.py:14)"
    assert "did you mean 'webhook'?" in findings["webhok"].text
    assert "did you mean 'url'?" in findings["webhook"].text


def test_two_sinks_with_one_place_are_found_by_whatever_name(
    tmp_path: Path, make_settings: SettingsFactory
) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    (tmp_path / "soft").symlink_to(tmp_path / "a")
    (tmp_path / "srt").mkdir()
    (tmp_path / "srt-too").symlink_to(tmp_path / "srt")
    log = {
        "file_log": "a",
        "hard": "hard",
        "soft": "soft",
        "dots": "./../" + tmp_path.name + "/a",
        "other": "b",
    }
    tables = {
        name: SinkTable(use="file_log", options={"path": path}, folder=tmp_path) for name, path in log.items()
    }
    for name, path, form in (("srt", "srt", "srt"), ("same", "srt-too", "srt"), ("vtt", "srt", "vtt")):
        options = {"directory": path, "format": form}
        tables[name] = SinkTable(use="srt", options=options, folder=tmp_path)
    findings = found(replace(make_settings(), sinks=tables))
    wrong = {name: finding.text for name, finding in findings.items() if not finding.ok}
    assert wrong.keys() == {"hard", "soft", "dots", "same"}
    assert all(
        wrong[name].endswith("sink file_log writes there too; give each a place of its own")
        for name in log
        if name in wrong
    )
    assert "sink srt writes there too" in wrong["same"]


@pytest.mark.parametrize("path", ["turns.db", "turns.db-wal", "audio/x", "sinks/x.db", "minuted.log"])
def test_minuted_s_own_files_are_no_sink_s(path: str, make_settings: SettingsFactory) -> None:
    settings = make_settings()
    settings.state_dir.mkdir(exist_ok=True)
    table = SinkTable(options={"path": path}, folder=settings.state_dir)
    finding = found(replace(settings, sinks={"file_log": table}))["file_log"]
    assert not finding.ok
    assert "is a file of minuted's own: name another" in finding.text


def test_a_sink_under_test_sees_no_key(
    folder: Path, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "very-secret")
    prying = f"import os\n{SINK}\n    def check(self):\n        return repr(dict(os.environ))\n"
    (folder / "prying.py").write_text(prying)
    table = SinkTable(options={"path": "/nowhere"})
    finding = found(replace(make_settings(), sink_dirs=(folder,), sinks={"prying": table}))["prying"]
    assert finding.ok
    assert "very-secret" not in finding.text
    assert "PATH" in finding.text


@pytest.mark.parametrize(
    ("folder", "code", "advice"),
    [
        ("/srv/x", errno.EROFS, "systemctl edit minuted, and write: [Service], and below it ReadWritePaths="),
        ("/home", errno.EROFS, "the service sees no home folders (ProtectHome=)"),
        ("/srv/x", errno.ENOSPC, ""),
    ],
)
def test_a_sandbox_s_own_line_is_advised(
    folder: str, code: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_check, "is_read_only", lambda _: False)
    error = PlaceError("no", Path(folder), code)
    assert sink_check.advice(error) == ""
    monkeypatch.setenv(sink_check.UNIT_NAME, "minuted.service")
    assert advice in sink_check.advice(error)
    assert bool(advice) == bool(sink_check.advice(error))
