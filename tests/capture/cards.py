"""What the microphone's tests share."""

from minuted.capture.microphone import Device


def device(name: str, *, channels: int = 1, rate_hz: int = 48000, is_default: bool = False) -> Device:
    return Device(
        index=0,
        name=name,
        host_api="ALSA",
        channels=channels,
        default_rate_hz=rate_hz,
        is_default=is_default,
    )


CHANGED = """
import sys
from pathlib import Path
from minuted.capture import __main__, microphone
from minuted.config import load
from minuted.runtime import logs

logs.set_up("capture")
{change}
sys.exit(__main__.run(load(Path(sys.argv[1]))))
"""
