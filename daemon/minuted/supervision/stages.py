"""The processes of a run: which there are, and how each is started."""

import sys

from minuted.config import Settings

from .restarts import Kind


def commands(settings: Settings) -> dict[str, list[str]]:
    """Give each stage's command, in the order the stages are started."""
    minuted = [sys.executable, "-m", "minuted"]
    if settings.path:
        minuted += ["--config", str(settings.path.absolute())]
    stages = {"engine": [*minuted, "engine"]} if settings.service == "local" else {}
    stages["transcription"] = [*minuted, "transcription"]
    for name, sink in settings.sinks.items():
        if sink.enabled:
            stages[f"delivery/{name}"] = [*minuted, "delivery", name]
    stages["capture"] = [*minuted, "capture"]
    if is_recording(settings):
        played = ["--input", settings.capture.source, "--pace", settings.capture.pace]
        for stage in ("capture", "transcription"):
            stages[stage] += played
    return stages


def is_recording(settings: Settings) -> bool:
    return settings.capture.source != "microphone"


def kind_of(stage: str, settings: Settings) -> Kind:
    if stage.startswith("delivery/"):
        return Kind.SINK
    if stage == "capture" and is_recording(settings):
        return Kind.RESUMABLE if settings.journal.audio == "disk" else Kind.RECORDING
    return Kind.CORE
