"""Whole daemons, and a microphone for them to hear."""

from pipeline.conftest import make_daemon, microphones

__all__ = ["make_daemon", "microphones"]
