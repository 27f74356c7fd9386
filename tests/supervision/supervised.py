"""Runs the supervisor over stages of a test's making: `supervised.py FOLDER SPEC`, the spec in JSON.

With FOLDER/minuted.toml the configuration is that file's, and its sinks are stages too.
Prints one line of JSON at the end: the exit status, the reason and how long a stop took.
"""

import json
import sys
from pathlib import Path

from minuted import bus
from minuted.config import Capture, ConfigError, Journal, Settings, load_with_text
from minuted.runtime import logs
from minuted.supervision.supervisor import Supervisor


def main() -> int:
    folder, spec = Path(sys.argv[1]), json.loads(sys.argv[2])
    file = folder / "minuted.toml"

    def source() -> tuple[Settings, str]:
        if file.exists():
            return load_with_text(file)
        settings = Settings(
            room="attic",
            state_dir=folder / "state",
            runtime_dir=folder / "run",
            stop_timeout_s=spec.get("stop_timeout_s", 20),
            capture=Capture(source=spec.get("source", "microphone")),
            journal=Journal(audio=spec.get("audio", "disk")),
        )
        return settings, ""

    fake = [sys.executable, str(Path(__file__).with_name("fake_stage.py"))]

    def stages_of(settings: Settings) -> dict[str, list[str]]:
        sinks = [f"delivery/{name}" for name, table in settings.sinks.items() if table.enabled]
        told = spec["stages"]
        names = ["transcription", *sinks, "capture"] if settings.path else [*told]
        return {name: [*fake, name, str(folder), json.dumps(told.get(name, {}))] for name in names}

    settings, text = source()
    logs.set_up("supervisor", "attic")
    bus.lock(settings.runtime_dir / "minuted.lock", str(settings.runtime_dir))
    try:
        outcome = Supervisor(settings, text, source, stages_of, **spec.get("bounds", {})).run()
        status, reason = outcome.status, outcome.reason
    except ConfigError as error:
        status, reason = 78, str(error)
    print(json.dumps({"status": status, "reason": reason}), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
