"""The processes of a run: which there are, how each is started, and how they are in one line."""

import sys
from collections.abc import Sequence

from .child import Child
from .config import Settings
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


def summary(room: str, state: str, children: Sequence[Child]) -> str:
    """Say in one line how the room is."""
    if state == "running":
        if paused := next((child.status for child in children if child.status.startswith("paused")), ""):
            return f"{room}: {paused}"
        return f"{room}: running, {len(children)} processes"
    if state in ("stopping", "stopped"):
        left = [child.name for child in children if child.is_up]
        return f"{room}: stopping" + (f", waiting for {', '.join(left)}" if left else "")
    if state == "starting":
        left = [child.name for child in children if child.state != "ready"]
        return f"{room}: starting {', '.join(left)}"
    wrong = [f"{child.name} {_trouble(child)}" for child in children if child.state != "ready"]
    return f"{room}: running, but {'; '.join(wrong)}"


def _trouble(child: Child) -> str:
    reason = child.trouble or child.status
    if child.state == "starting" and not reason:
        return "is starting again"
    return f"is down: {reason}" if reason else f"is {child.state}"
