"""The processes of a run: which there are, and how each is started."""

import sys

from minuted.config import Settings

from .restarts import Kind


def commands(settings: Settings) -> dict[str, list[str]]:
    """Give each stage's command, in the order the stages are started."""
    minuted = [sys.executable, "-P", "-m", "minuted"]
    if settings.path:
        minuted += ["--config", str(settings.path.absolute())]
    stages = {"engine": [*minuted, "engine"]} if settings.service == "local" else {}
    stages["transcription"] = [*minuted, "transcription"]
    for name, sink in settings.sinks.items():
        if sink.enabled:
            stages[f"delivery/{name}"] = [*minuted, "delivery", name]
    for source in settings.sources:
        stages[source.stage] = [*minuted, *source.stage.split("/")]
    if is_recording(settings):
        # Several are known by their names; of one, the command may have named another than the file.
        played = [] if settings.capture.sources else ["--input", settings.capture.source]
        for stage in stages:
            if stage == "transcription" or is_capture(stage):
                stages[stage] += [*played, "--pace", settings.capture.pace]
    return stages


def is_recording(settings: Settings) -> bool:
    return all(source.is_recording for source in settings.sources)


def is_capture(stage: str) -> bool:
    return stage.partition("/")[0] == "capture"


def kind_of(stage: str, settings: Settings) -> Kind:
    if stage.startswith("delivery/"):
        return Kind.SINK
    if is_capture(stage) and is_recording(settings):
        return Kind.RESUMABLE if settings.journal.audio == "disk" else Kind.RECORDING
    return Kind.CORE
