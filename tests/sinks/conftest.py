"""Sinks in a bare environment at a known hour, and a receiver for what they post."""

from contextlib import closing

import pytest

from sinks.receiving import SECRET, receiving
from sinks.samples import opened


@pytest.fixture(autouse=True)
def in_utc(utc):
    """Files are named by the local time."""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in ("CREDENTIALS_DIRECTORY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def receiver():
    with receiving() as server:
        yield server


@pytest.fixture
def sink(receiver):
    with closing(opened("webhook", url=receiver.url, secret=SECRET)) as made:
        yield made
