"""Which device is taken, and how it is asked for."""

import json
import os
import subprocess
import sys

import pytest

from capture.cards import device
from minuted.capture import microphone as microphone_module
from minuted.capture.microphone import (
    NoDeviceError,
    choose,
    openings,
)
from minuted.config import ConfigError

CARDS = [
    device("HDA Intel: ALC257 (hw:0,0)", channels=2),
    device("Jabra SPEAK 510 USB: Audio (hw:1,0)"),
    device("pulse", channels=32),
    device("default", channels=32, is_default=True),
    device("Jabra SPEAK 750 USB: Audio (hw:2,0)"),
    device("USB Pulse Box"),
]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("", "default"),
        ("alc257", "HDA Intel: ALC257 (hw:0,0)"),
        ("SPEAK 750", "Jabra SPEAK 750 USB: Audio (hw:2,0)"),
        ("jabra", "Jabra SPEAK 510 USB: Audio (hw:1,0)"),
        ("pulse", "pulse"),
        ("usb", "USB Pulse Box"),
        ("u", "USB Pulse Box"),
    ],
)
def test_a_device_is_found_by_any_part_of_its_name(wanted: str, chosen: str):
    """Numbers change with every replug; of several the name itself comes first, then its beginning."""
    assert choose(CARDS, wanted).name == chosen


def test_without_a_default_the_first_device_will_do():
    assert choose(CARDS[:2], "").name == CARDS[0].name


def test_a_name_that_no_device_has_is_answered_with_those_there_are():
    with pytest.raises(
        NoDeviceError, match=r'called "Yeti"; there are "HDA .*", "Jabra SPEAK 510'
    ) as refusal:
        choose(CARDS, "Yeti")
    assert "\n" not in str(refusal.value)
    with pytest.raises(NoDeviceError, match="there is no input device"):
        choose([], "Yeti")


@pytest.mark.parametrize(
    ("channels", "channel", "first", "also"),
    [
        (1, 0, (16000, 1), (48000, 1)),
        (2, 0, (16000, 2), (48000, 2)),
        (8, 0, (16000, 8), (48000, 8)),
        (32, 0, (16000, 1), (48000, 1)),
        (2, 1, (16000, 1), (48000, 2)),
        (32, 2, (16000, 2), (48000, 32)),
    ],
)
def test_a_device_is_asked_first_for_what_is_wanted(channels: int, channel: int, first, also):
    """16 kHz mono where that will do; a card's channels as far as they are needed; then its own rate."""
    asked = openings(device("x", channels=channels), channel)
    assert asked[0] == first
    assert also in asked
    assert len(asked) == len(set(asked)) <= 4


def test_a_channel_the_device_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r'capture\.channel = 3, but the input device "x" has 2'):
        openings(device("x", channels=2), 3)


def test_the_devices_are_listed_with_what_they_can(microphones):
    script = (
        "import json; from dataclasses import asdict; from minuted.capture.microphone import devices\n"
        "print(json.dumps([asdict(device) for device in devices()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | microphones.environment,
    )
    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert {"table_front", "ceiling"} <= found.keys()
    assert sum(row["is_default"] for row in found.values()) == 1
    assert found["ceiling"]["host_api"] == "ALSA"
    assert found["ceiling"]["channels"] > 0
    assert found["ceiling"]["default_rate_hz"] > 0


def test_a_card_may_be_named_as_alsa_names_it(monkeypatch):
    monkeypatch.setattr(microphone_module, "listed_as", lambda wanted: "(hw:2,0)" if wanted else None)
    assert choose(CARDS, "plughw:CARD=J750").name == "Jabra SPEAK 750 USB: Audio (hw:2,0)"
    monkeypatch.setattr(microphone_module, "listed_as", lambda _: "")
    with pytest.raises(NoDeviceError, match='called "plughw:CARD=Gone"'):
        choose(CARDS, "plughw:CARD=Gone")
