"""What the tests of the configuration share."""

import json
from dataclasses import fields, is_dataclass
from typing import Any

from minuted.config import Settings

DESIGN = """
room = "boardroom"                     # goes into every turn
state_dir = "/var/lib/minuted"         # journals, cursors
runtime_dir = "/run/minuted"           # sockets
sink_dirs = ["/usr/local/lib/minuted/sinks"]   # searched after the bundled sinks/

[capture]
source = "microphone"                  # or the path of a recording
device = ""                            # a substring of the device's name; empty = the default input

[engine]
service = "assemblyai"                 # or "local"; unset: assemblyai where a key is found, else local
url = "wss://streaming.assemblyai.com" # ws:// is accepted for a local or self-hosted service

[session]                              # the SDK's streaming parameters, by their own names
speech_model = "u3-rt-pro"
min_turn_silence = 100
max_turn_silence = 1200

[publish]
turns = "ipc:///run/minuted/turns.sock"

[sinks.file_log]                       # a table per sink: its file's name
path = "/var/lib/minuted/turns.jsonl"
[sinks.webhook]
url = "https://example.org/turns"
secret = "whsec_…"                     # or secret_file / a credential
[sinks.srt]
directory = "/var/lib/minuted/srt"
"""
SECTIONS = [field.name for field in fields(Settings) if is_dataclass(getattr(Settings(), field.name))]


def keys_of(cls: type) -> list[str]:
    return [field.name for field in fields(cls) if field.name not in ("path", "profiles", "sinks")]


def toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(toml(item) for item in value) + "]"
        case float():
            return repr(value)
        case _:
            return json.dumps(value, ensure_ascii=False)
