"""Both ends of a frames socket."""

from collections.abc import Callable, Iterator

import pytest

from minuted.bus import FramesIn, FramesOut
from minuted.config import Settings


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def socket(settings: Settings) -> Iterator[FramesIn]:
    with FramesIn(settings.frames_endpoint) as socket:
        yield socket


@pytest.fixture
def capture(settings: Settings, socket: FramesIn) -> Iterator[FramesOut]:
    with FramesOut(settings.frames_endpoint) as capture:
        yield capture
