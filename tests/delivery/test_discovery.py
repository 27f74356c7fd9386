"""Sinks found by file name, loaded by path, described without being run."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import SettingsFactory
from minuted import config
from minuted.config import ConfigError, Settings
from minuted.delivery import discovery
from minuted.delivery.discovery import LoadError, SinkNotFound
from minuted.sink import Sink
from rights import needs_root

TEXT_LOG = '''\
"""Append every final turn to a text file."""

from pathlib import Path

from minuted import Sink, Turn


class TextLog(Sink):
    path: Path = Path("/var/lib/minuted/meeting.txt")

    def write(self, turn: Turn) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(f"{turn.speaker}: {turn.text}\\n")
'''

OPTIONS = '''\
"""Says it.

At length.
"""

from typing import ClassVar, Literal

import minuted


class Loud(minuted.Sink):
    url: str
    """Where to."""
    tries: int = 3
    levels: tuple[str, ...] = ("a", "b")
    mode: Literal["on", "off"] = "on"
    """Whether,

    and how."""
    _state: int = 0
    limit: ClassVar[int] = 5
    plain = 3

    def write(self, turn: minuted.Turn) -> None: ...
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with sinks."""
    folder = tmp_path / "sinks"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(config, "BUNDLED_SINKS", folder)
    return folder


def save(folder: Path, name: str, text: str = TEXT_LOG) -> Path:
    file = folder / f"{name}.py"
    file.parent.mkdir(exist_ok=True, mode=0o755)
    file.write_text(text)
    file.chmod(0o644)
    return file


def loaded(settings: Settings, name: str) -> Sink:
    file = discovery.find(name, settings)
    return discovery.make(name, settings.sinks[name], discovery.load(file), file)


def load_error(settings: Settings, name: str) -> str:
    with pytest.raises(LoadError) as raised:
        loaded(settings, name)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_file_saved_in_the_folder_is_a_sink(folder: Path, make_settings: SettingsFactory) -> None:
    """Nothing else to touch: no list, no registration."""
    save(folder, "text_log")
    sink = loaded(make_settings('[sinks.text_log]\npath = "/tmp/x.txt"'), "text_log")
    assert sink.path == Path("/tmp/x.txt")  # type: ignore[attr-defined]
    assert (type(sink).__name__, type(sink).__module__) == ("TextLog", "minuted_sink_text_log")
    assert sink.name == "text_log"


def test_only_names_one_could_write_in_python_are_sinks(folder: Path) -> None:
    """Editors' lock files, copies and helpers lie in such folders too."""
    for name in ("good", "_helper", "webhook copy", ".#good", "2nd", "also-not"):
        save(folder, name)
    (folder / "notes.txt").write_text("")
    (folder / "README.md").write_text("")
    (folder / "empty_folder").mkdir()
    assert list(discovery.find_all([folder, folder / "absent"])) == ["good"]


def test_a_folder_with_an_init_is_a_sink_and_may_import_its_own_files(
    folder: Path, make_settings: SettingsFactory
) -> None:
    """A sink may outgrow its file without changing its name."""
    save(folder / "teams", "__init__", "from .parts import base\nfrom minuted import Sink\n" + OPTIONS)
    save(folder / "teams", "parts", "base = 1\n")
    sink = loaded(make_settings('[sinks.teams]\nurl = "x"'), "teams")
    assert type(sink).__module__ == "minuted_sink_teams"


def test_a_later_folder_wins(folder: Path, tmp_path: Path, make_settings: SettingsFactory) -> None:
    """Copy a bundled sink, change it, and it is used."""
    save(folder, "text_log")
    own = save(tmp_path / "own", "text_log")
    settings = make_settings("[sinks.text_log]")
    settings = Settings(sink_dirs=(tmp_path / "own",), sinks=settings.sinks)
    assert discovery.find("text_log", settings).path == own


def test_a_sink_called_json_hides_nothing(folder: Path, make_settings: SettingsFactory) -> None:
    """Loaded by path under a name of its own, sys.path untouched."""
    save(folder, "json", TEXT_LOG.replace("from pathlib", "import json\nfrom pathlib"))
    before = list(sys.path)
    sink = loaded(make_settings("[sinks.json]"), "json")
    module = sys.modules[type(sink).__module__]
    assert module.json is json  # type: ignore[attr-defined]
    assert sys.modules["json"] is json
    assert sys.path == before


def test_one_module_may_serve_twice(folder: Path, make_settings: SettingsFactory) -> None:
    """Two webhooks are two tables, each with its own options and place."""
    save(folder, "text_log")
    settings = make_settings(
        '[sinks.first]\nuse = "text_log"\npath = "/a"\n[sinks.second]\nuse = "text_log"\npath = "/b"'
    )
    first, second = loaded(settings, "first"), loaded(settings, "second")
    assert [(sink.name, str(sink.path)) for sink in (first, second)] == [("first", "/a"), ("second", "/b")]  # type: ignore[attr-defined]


def test_an_unknown_sink_is_answered_with_the_nearest_name_and_the_folders(
    folder: Path, make_settings: SettingsFactory
) -> None:
    """A slip of the finger costs a minute, not an hour."""
    save(folder, "webhook")
    with pytest.raises(SinkNotFound) as raised:
        discovery.find("webhok", make_settings("[sinks.webhok]"))
    assert str(raised.value) == (
        f"[sinks.webhok]: there is no sink 'webhok'; did you mean 'webhook'? (searched {folder})"
    )
    assert isinstance(raised.value, ConfigError)
    dashed = save(folder, "text-log")
    with pytest.raises(SinkNotFound) as raised:
        discovery.find("text_log", make_settings("[sinks.text_log]"))
    assert f"{dashed} is none, for its name: rename it text_log.py" in str(raised.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('ulr = "x"', "[sinks.loud]: unknown key 'ulr'; did you mean 'url'?"),
        ("tries = 4", "[sinks.loud]: 'url' is missing and has no default"),
        ('url = "x"\ntries = "4"', 'sinks.loud.tries is a whole number, not "4"'),
        ('url = "x"\nmode = "maybe"', 'sinks.loud.mode is "on" or "off", not "maybe"'),
        ('url = "x"\n_state = 4', "[sinks.loud]: unknown key '_state'"),
        ('url = "x"\nname = "y"', "[sinks.loud]: unknown key 'name'"),
        (
            'url = "x"\nplain = 4',
            "[sinks.loud]: 'plain' has no type in loud.py, so it is no option: write `plain: int = …`",
        ),
        ('url = "x"\ntimeout_s = 0', "sinks.loud.timeout_s is a number of seconds from 1 to 86400"),
        ('url = "x"\ntimeout_s = "1 min"', "sinks.loud.timeout_s is a number of seconds from 1 to 86400"),
    ],
)
def test_bad_options_are_a_matter_of_the_configuration(
    folder: Path, make_settings: SettingsFactory, table: str, message: str
) -> None:
    """Each with what is wrong, where, and what it could be."""
    save(folder, "loud", OPTIONS)
    with pytest.raises(ConfigError) as raised:
        loaded(make_settings(f"[sinks.loud]\n{table}"), "loud")
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "import nosuchmodule.part",
            (
                "needs the module 'nosuchmodule'; install the package that has it: "
                f"{sys.executable} -m pip install --target "
            ),
        ),
        ("from minuted import Nothing", "ImportError: cannot import name 'Nothing'"),
        ("def broken(:", "SyntaxError: invalid syntax (broken.py:1)"),
        ("\n1 / 0", "ZeroDivisionError: division by zero (broken.py:2)"),
        (
            "raise SystemExit(3)",
            "calls sys.exit(3) while it is loaded; a sink is only to define its class there (broken.py:1)",
        ),
        ("", "defines no sink: it needs one class that is derived from Sink, as `class TextLog(Sink):`"),
        (
            TEXT_LOG + "\n\nclass Other(TextLog): ...\n",
            (
                "defines 2 sinks, Other and TextLog: keep one in each file, or begin the name of one that is "
                "only a base with _"
            ),
        ),
        ("from minuted import Sink\nclass Idle(Sink): ...", "Idle does not define write(self, turn)"),
        (
            TEXT_LOG.replace("path: Path =", "path: 'Nowhere' ="),
            "the type of an option is 'Nowhere', which broken.py has not imported when it runs",
        ),
        (
            "import helper_mod\n",
            (
                "imports 'helper_mod', which lies beside it, where each file is a sink: move both into "
                "a folder broken, as broken/__init__.py and broken/helper_mod.py, and write "
                "`from .helper_mod import …` (broken.py:1)"
            ),
        ),
        (
            TEXT_LOG.replace("def write", "async def write"),
            (
                "write is async, and nobody would await it: write `def write(self, turn)`, with "
                "asyncio.run() in it (broken.py:11)"
            ),
        ),
        (
            "from pydantic import Field\n"
            + TEXT_LOG.replace('Path("/var/lib/minuted/meeting.txt")', "Field()"),
            "TypeError: TextLog.path is a pydantic field, and a sink is no pydantic model: write",
        ),
    ],
)
def test_whatever_keeps_a_sink_from_loading_is_one_line(
    folder: Path, make_settings: SettingsFactory, text: str, reason: str
) -> None:
    """It goes into the log, the status and `minuted check`; the other sinks run."""
    save(folder, "broken", text)
    save(folder, "helper_mod", "")
    settings = make_settings('[sinks.broken]\npath = "/x"' if "Nowhere" in text else "[sinks.broken]")
    assert load_error(settings, "broken").startswith(reason)
    if "Nowhere" not in text:
        assert "minuted_sink_broken" not in sys.modules


@pytest.mark.parametrize(
    ("own", "table", "timeout_s"),
    [
        ("", "", 600.0),
        ("", "timeout_s = 60", 60.0),
        ("    timeout_s: float = 15.0\n", "", 600.0),
        ("    timeout_s: float = 1000.0\n", "", 2000.0),
        ("    timeout_s: float = 15.0\n", "timeout_s = 60", 90.0),
        ("    timeout_s: str = ''\n", "timeout_s = '1 min'", 600.0),
    ],
)
def test_a_call_has_its_time(
    folder: Path, make_settings: SettingsFactory, own: str, table: str, timeout_s: float
) -> None:
    """A sink that has such an option of its own, as the webhook has, keeps to it by itself."""
    save(
        folder, "mine", f"from minuted import Sink\nclass Mine(Sink):\n{own}    def write(self, turn): ...\n"
    )
    settings = make_settings(f"[sinks.mine]\n{table}")
    sink = loaded(settings, "mine")
    assert discovery.timeout_of(settings.sinks["mine"], sink) == timeout_s
    assert hasattr(sink, "timeout_s") == bool(own)


def wheel_of(folder: Path, name: str) -> Path:
    """Make a wheel as pip takes it."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "from .inner import known\n")
        archive.writestr(f"{name}/inner.py", "known = 7\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def test_what_a_sink_imports_is_installed_beside_it_as_its_error_says(
    folder: Path, make_settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No upgrade of minuted's touches that folder; and what minuted itself needs stays minuted's own."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "minuted_test_wheel", raising=False)
    save(folder, "needy", "import minuted_test_wheel\n" + TEXT_LOG)
    settings = make_settings("[sinks.needy]")
    reason = load_error(settings, "needy")
    command = reason.partition("has it: ")[2].removesuffix(" (needy.py:1)")
    assert command.endswith(f" -m pip install --target {folder}/packages minuted_test_wheel")
    wheel = wheel_of(tmp_path, "minuted_test_wheel")
    # Every user's umask, and a group's.
    subprocess.run(
        [*command.split()[:-1], "--no-index", "--quiet", "--disable-pip-version-check", wheel],
        check=True,
        umask=0o022,
        timeout=120,
    )
    sink = loaded(settings, "needy")
    assert sys.modules[type(sink).__module__].minuted_test_wheel.known == 7  # type: ignore[attr-defined]
    assert sys.path[-1] == f"{folder}/packages"
    assert "packages" not in discovery.find_all([folder])

    inner = folder / "packages/minuted_test_wheel/inner.py"
    inner.chmod(0o666)
    assert load_error(settings, "needy") == (
        f"{inner} can be changed by every user of this machine; run: chmod o-w {inner}"
    )
    inner.chmod(0o644)
    (folder / "packages").chmod(0o777)
    assert f"run: chmod o-w {folder}/packages" in load_error(settings, "needy")


@needs_root
def test_root_runs_no_package_of_another_user_s(folder: Path, make_settings: SettingsFactory) -> None:
    """As little as a sink of theirs."""
    save(folder, "needy")
    (folder / "packages/thing").mkdir(parents=True)
    (folder / "packages/thing/__init__.py").touch()
    os.chown(folder / "packages/thing/__init__.py", 65534, 65534)
    assert "__init__.py belongs to nobody: root runs no code of another user's" in load_error(
        make_settings("[sinks.needy]"), "needy"
    )


def test_a_file_that_everybody_may_change_is_refused(folder: Path, make_settings: SettingsFactory) -> None:
    """It runs with the service's rights."""
    file = save(folder, "text_log")
    settings = make_settings("[sinks.text_log]")
    file.chmod(0o646)
    assert load_error(settings, "text_log") == (
        f"{file} can be changed by every user of this machine; run: chmod o-w {file}"
    )
    file.chmod(0o644)
    folder.chmod(0o757)
    assert f"run: chmod o-w {folder}" in load_error(settings, "text_log")
    folder.chmod(0o755)
    loaded(settings, "text_log")


def test_every_file_of_a_sink_s_folder_counts(folder: Path, make_settings: SettingsFactory) -> None:
    """Its helpers run with the service's rights too."""
    save(folder / "teams", "__init__", TEXT_LOG)
    save(folder / "teams", "parts", "").chmod(0o666)
    assert "parts.py can be changed by every user" in load_error(make_settings("[sinks.teams]"), "teams")


def test_a_sink_is_described_without_being_run(folder: Path) -> None:
    """`minuted sinks` lists what could be used, also what needs a library that is not there."""
    told = discovery.describe(save(folder, "loud", "import nosuchmodule\n" + OPTIONS))
    told_well = discovery.describe(save(folder, "loud", OPTIONS))
    assert told.options == told_well.options
    assert told_well.doc == "Says it."
    assert [(option.name, option.type, option.default, option.doc) for option in told.options] == [
        ("url", "str", None, "Where to."),
        ("tries", "int", "3", ""),
        ("levels", "tuple[str, ...]", '["a", "b"]', ""),
        ("mode", "Literal['on', 'off']", '"on"', "Whether,\n\nand how."),
    ]


@pytest.mark.parametrize(
    ("code", "default"),
    [
        ("", None),
        (" = Path('/var/lib/minuted')", '"/var/lib/minuted"'),
        (" = pathlib.Path('/x')", '"/x"'),
        (" = 'Größe'", '"Größe"'),
        (" = True", "true"),
        (" = -1.5", "-1.5"),
        (" = None", "none"),
        (" = {'a': 1}", '{"a" = 1}'),
        (" = field()", None),
        (" = field(default=3)", "3"),
        (" = dataclasses.field(default_factory=list)", "[]"),
        (" = field(default_factory=dict)", "{}"),
        (" = Path.home() / 'x'", "Path.home() / 'x'"),
        (" = Colour.RED", "Colour.RED"),
    ],
)
def test_a_default_is_shown_as_the_configuration_has_it(folder: Path, code: str, default: str | None) -> None:
    """It is there to be copied into minuted.toml."""
    text = f"from minuted import Sink\n\n\nclass Mine(Sink):\n    it: str{code}\n"
    (option,) = discovery.describe(save(folder, "mine", text)).options
    assert option.default == default


def test_an_import_under_another_name_is_seen_through(folder: Path) -> None:
    """Sink may be called what its author likes."""
    text = TEXT_LOG.replace("import Sink, Turn", "import Sink as Base, Turn").replace("(Sink)", "(Base)")
    assert [option.name for option in discovery.describe(save(folder, "x", text)).options] == ["path"]


def test_the_survey_has_a_row_for_every_sink(folder: Path, make_settings: SettingsFactory) -> None:
    """In the five states a sink may be in before it runs."""
    save(folder, "good")
    save(folder, "spare")
    save(folder, "broken", "import nosuchmodule\n" + TEXT_LOG)
    save(folder, "torn", "def torn(:")
    settings = make_settings(
        "[sinks.good]\n[sinks.wrong]\nuse = 'good'\npaht = '/x'\n[sinks.broken]\n[sinks.torn]\n"
        "[sinks.absent]\n[sinks.resting]\nuse = 'broken'\nenabled = false\n"
    )
    rows = {row.name: row for row in discovery.survey(settings, load_modules=True)}
    assert {name: row.state for name, row in rows.items()} == {
        "good": "enabled",
        "wrong": "bad config",
        "broken": "failed to load",
        "torn": "failed to load",
        "absent": "bad config",
        "resting": "off",
        "spare": "not configured",
    }
    assert rows["broken"].reason.startswith("needs the module 'nosuchmodule'")
    assert [option.name for option in rows["broken"].options] == ["path"]
    assert rows["wrong"].module == "good"
    assert rows["absent"].path is None
    seen_from_outside = {row.name: row.state for row in discovery.survey(settings, load_modules=False)}
    assert seen_from_outside == {
        **{name: row.state for name, row in rows.items()},
        "wrong": "enabled",
        "broken": "enabled",
    }


def test_a_sink_s_relative_path_begins_at_the_configuration_s_folder(tmp_path: Path) -> None:
    settings = config.parse('[sinks.file_log]\npath = "turns.jsonl"\n', tmp_path / "minuted.toml")
    file = discovery.find("file_log", settings)
    sink = discovery.make("file_log", settings.sinks["file_log"], discovery.load(file), file)
    assert vars(sink)["path"] == tmp_path / "turns.jsonl"
