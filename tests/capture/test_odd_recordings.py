"""Every odd recording is heard to the end of what decodes, or refused with the reason."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from capture.odd_recordings import ODD, Odd
from minuted.capture import recording
from minuted.capture.recording import DamagedError, Recording
from minuted.messages import SAMPLE_RATE_HZ
from minuted.options import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


def made(odd: Odd, folder: Path) -> Path:
    """Make it, once for all tests."""
    path = folder / str(ODD.index(odd)) / odd.name
    if not path.parent.exists():
        path.parent.mkdir()
        odd.make(path)
    return path


def heard(path: Path) -> tuple[np.ndarray, str]:
    """Hear it all, and return what is said after it."""
    sound = bytearray()
    try:
        for pcm in Recording(path).pcm():
            sound += pcm
    except DamagedError as error:
        return np.frombuffer(sound, "<i2"), str(error)
    return np.frombuffer(sound, "<i2"), ""


def last_hz(sound: np.ndarray) -> float:
    """Return what sounds shortly before the end."""
    end = sound[-9600:-1600].astype(float)
    spectrum = np.abs(np.fft.rfft(end * np.hanning(len(end))))
    return float(np.argmax(spectrum) * SAMPLE_RATE_HZ / len(end))


def judge(odd: Odd, path: Path) -> None:
    if odd.refused:
        with pytest.raises(InputError, match=odd.refused):
            Recording(path)
        return
    sound, said = heard(path)
    assert len(sound) / SAMPLE_RATE_HZ == pytest.approx(odd.heard_s, abs=odd.abs_s)
    assert re.search(odd.cut_off, said) if odd.cut_off else not said
    if odd.ends_hz and len(sound) > 9600:
        assert last_hz(sound) == pytest.approx(odd.ends_hz, abs=10)


def named(odd: Odd) -> str:
    return re.sub(r"[^\w.-]", "_", odd.name, flags=re.ASCII)


@pytest.mark.parametrize("odd", ODD, ids=named)
def test_it_is_heard_to_its_end_or_refused(odd: Odd, folder: Path) -> None:
    """The seconds, the last tone and what is said are those of the table."""
    judge(odd, made(odd, folder))


def test_without_the_extra_package_the_same_is_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most rooms do without it; what it alone reads is refused, and it is said what to do."""
    monkeypatch.setattr(recording, "is_installed", lambda: False)
    for odd in ODD:
        path = made(odd, folder)
        if odd.needs_av:
            with pytest.raises(
                InputError, match=r"pip install 'minuted\[media\]'|not a recording that can be read"
            ):
                Recording(path)
        else:
            judge(odd, path)


def test_there_are_enough() -> None:
    assert len(ODD) >= 60
    assert len({odd.name for odd in ODD}) == len(ODD)


WITHOUT_CALLBACKS = """
import ctypes, sys
from pathlib import Path
assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0  # PR_SET_MDWE, as MemoryDenyWriteExecute= of the units
from minuted.capture import recording
for name in sys.argv[1:]:
    print(sum(map(len, recording.Recording(Path(name)).pcm())))
"""


def test_in_a_service_s_sandbox_the_same_is_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory is written and run there, as the callbacks of some libraries want it."""
    monkeypatch.setattr(recording, "is_installed", lambda: False)
    names = (
        "sizes-ffffffff.wav",
        "data-size-0.wav",
        "two-rates.mp3",
        "speech-v4-pipe.mp3",
        "xing-says-less.mp3",
    )
    paths = [made(odd, folder) for odd in ODD if odd.name in names]
    assert len(paths) == len(names)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CALLBACKS, *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [*map(int, done.stdout.split())] == [sum(map(len, Recording(path).pcm())) for path in paths]
