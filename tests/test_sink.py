import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import ClassVar

import pydantic
import pytest

import minuted
from minuted import Reject, Retry, Sink, Turn
from minuted.delivery import discovery
from sample_records import GAP, TURN
from sinks.samples import turn

README = Path(__file__).parents[1] / "sinks" / "README.md"


class Postcard(Sink):
    COLOUR: ClassVar[str] = "blue"
    address: str
    stamps: int = 1

    def write(self, turn: Turn) -> None:
        self.last = turn.text


def test_annotated_attributes_are_options() -> None:
    """No registration, no constructor: that is all an author has to know."""
    sink = Postcard(address="here", stamps=2)

    assert (sink.address, sink.stamps) == ("here", 2)
    assert [field.name for field in fields(Postcard)] == ["address", "stamps"]
    assert (sink.name, sink.room) == ("", ""), "what every sink has is set by the runner"


def test_options_are_given_by_name_and_none_is_forgotten() -> None:
    with pytest.raises(TypeError, match="address"):
        Postcard(stamps=2)
    with pytest.raises(TypeError, match="positional"):
        Postcard("here")
    with pytest.raises(TypeError, match="unexpected"):
        Postcard(address="here", stamp=1)


def test_a_list_as_a_default_is_each_sink_s_own() -> None:
    class Careless(Postcard):
        copies: list[str] = ["a"]  # noqa: RUF012
        headers: dict[str, list[int]] = {"x": [1]}  # noqa: RUF012
        known: ClassVar[list[str]] = ["b"]

    first, second = Careless(address="here"), Careless(address="there", copies=["c"])
    first.copies.append("d")
    first.headers["x"].append(2)
    assert (first.copies, second.copies, Careless(address="").copies) == (["a", "d"], ["c"], ["a"])
    assert second.headers == {"x": [1]}
    assert "known" not in [field.name for field in fields(Careless)]


def test_a_default_of_pydantic_s_is_no_default() -> None:
    """It would be the option's value, and nobody would be told."""
    with pytest.raises(TypeError, match=r"Strict.stamps is a pydantic field.* write `stamps: int = 3`"):

        class Strict(Postcard):
            stamps: int = pydantic.Field(default=3)


def test_a_sink_must_write() -> None:
    class Mute(Sink):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Mute()


def test_everything_but_write_may_be_left_out() -> None:
    sink = Postcard(address="here")
    sink.open()
    sink.write(TURN)
    sink.revise(TURN)
    sink.partial(TURN)
    sink.gap(GAP)
    sink.close()

    assert sink.last == "Yes."


def test_an_option_s_secret_is_not_shown() -> None:
    """Tracebacks show objects."""
    assert "here" not in repr(Postcard(address="here"))


def test_retry_may_say_when() -> None:
    assert Retry("busy").after_s is None
    assert Retry("busy", after_s=30).after_s == 30
    assert str(Retry("busy", 30)) == "busy"
    assert issubclass(Reject, Exception)
    assert not issubclass(Reject, Retry)


def test_the_package_offers_what_a_sink_needs() -> None:
    assert {"Gap", "Reject", "Retry", "Sink", "Turn", "Word", "__version__"} <= {*minuted.__all__}
    assert all(hasattr(minuted, name) for name in minuted.__all__)
    with pytest.raises(AttributeError, match="Bus"):
        _ = minuted.Bus


def test_a_sink_brings_no_sockets_with_it() -> None:
    """Each sink is a process; what it does not use, it need not load."""
    script = "import minuted, sys; sys.exit('zmq' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_sink_is_typed_for_whoever_writes_one() -> None:
    """The package says that its annotations count."""
    assert (Path(minuted.__file__).parent / "py.typed").exists()


def test_the_sink_with_a_checkpoint_that_the_readme_shows_writes_each_turn_once(tmp_path: Path) -> None:
    """Killed after a write and before it was noted: the same turn comes again."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (text,) = (block for block in blocks if "self.checkpoint" in block)
    (tmp_path / "text_log.py").write_text(text, encoding="utf-8")
    cls = discovery.load(discovery.find_all([tmp_path])["text_log"])
    log = tmp_path / "log.txt"
    sink = cls(path=log)
    sink.checkpoint = {}
    sink.write(turn(1, "one", speaker="A"))
    noted = dict(sink.checkpoint)
    sink.write(turn(2, "two", speaker="B"))

    after = cls(path=log)
    after.checkpoint = noted
    after.write(turn(2, "two", speaker="B"))

    assert log.read_text() == "A: one\nB: two\n"


class Diary(Sink):
    path: Path
    directory: Path | None = None

    def write(self, turn: Turn) -> None:
        self.path.write_text(turn.text)


def test_a_check_tries_the_places_that_the_options_name(tmp_path: Path) -> None:
    """Also of a sink whose author never thought of it; what it is called does not matter."""
    assert Diary(path=tmp_path / "diary").check() == f"to {tmp_path}/diary"
    both = Diary(path=tmp_path / "diary", directory=tmp_path)
    assert both.check() == f"to {tmp_path}/diary, to {tmp_path}"
    with pytest.raises(OSError, match=f"{tmp_path} is a folder: name a file in it"):
        Diary(path=tmp_path).check()
    with pytest.raises(OSError, match=f"the folder {tmp_path}/gone is not there"):
        Diary(path=tmp_path / "gone/diary").check()
    with pytest.raises(OSError, match=f"nothing can be written to {tmp_path}/gone"):
        Diary(path=tmp_path / "diary", directory=tmp_path / "gone").check()
    assert Postcard(address="here").check() == ""
    assert not list(tmp_path.iterdir())
