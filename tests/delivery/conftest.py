"""A publisher, and deliveries from it to sinks of a test's making."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery.sinks_of_tests import Delivery, MakeDelivery
from fake_publisher import FakePublisher
from minuted import Sink
from minuted.delivery import runner as runner_module


@pytest.fixture
def publisher(runtime_dir: Path) -> Iterator[FakePublisher]:
    with FakePublisher(f"ipc://{runtime_dir}/turns.sock", f"ipc://{runtime_dir}/replay.sock") as publisher:
        yield publisher


@pytest.fixture
def deliver(
    runtime_dir: Path, tmp_path: Path, publisher: FakePublisher, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeDelivery]:
    """Start a delivery to a sink, with short waits; it is stopped after the test at the latest."""
    monkeypatch.setattr(runner_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(runner_module, "IDLE_S", 0.1)
    begun: list[Delivery] = []

    def start(sink: Sink, **values: Any) -> Delivery:
        begun.append(Delivery(runtime_dir, tmp_path, sink, **values))
        return begun[-1].start()

    yield start
    for delivery in begun:
        if delivery.exit_status is None:
            delivery.end()
