"""The whole line on a real recording: `make demo` runs it. No key, no network, no microphone.

The recording lies in the local engine's package; a webhook receiver listens on loopback meanwhile.
"""

import hmac
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from moonshine_voice.utils import get_assets_path

OUTPUT = Path("demo-output")

CONFIG = """\
room = "demo"
state_dir = "{output}"
runtime_dir = "{runtime}"
sink_dirs = []

[engine]
service = "local"

[sinks.file_log]
path = "{output}/turns.jsonl"

[sinks.srt]
directory = "{output}"

[sinks.webhook]
url = "{url}"
secret = "{secret}"
"""


class Receiver(ThreadingHTTPServer):
    """Takes every POST whose signature is right, and remembers it by its id."""

    def __init__(self) -> None:
        self.posts: dict[str, dict[str, Any]] = {}
        self.secret = secrets.token_bytes(32)
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/turns"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Receiver)
        number, sent_at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = hmac.digest(self.server.secret, f"{number}.{sent_at}.".encode() + body, "sha256")
        genuine = self.headers["webhook-signature"] == f"v1,{b64encode(signed).decode()}"
        if genuine:
            # A repetition bears the same id.
            self.server.posts[number] = json.loads(body)
        self.send_response(204 if genuine else 401)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: the captions have the terminal."""


def main() -> int:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    output = OUTPUT.resolve()
    recording = Path(sys.argv[1]) if len(sys.argv) > 1 else get_assets_path() / "two_cities.wav"
    receiver = Receiver()
    # Sockets have short names, wherever the checkout lies.
    with tempfile.TemporaryDirectory(prefix="minuted-") as runtime:
        config = output / "minuted.toml"
        config.write_text(
            CONFIG.format(
                output=output,
                runtime=runtime,
                url=receiver.url,
                secret=f"whsec_{b64encode(receiver.secret).decode()}",
            ),
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "minuted", "run", "--watch"]
        print(f"$ minuted run --watch --config {OUTPUT}/minuted.toml --input {recording.name}\n", flush=True)
        status = wait(subprocess.Popen([*command, "--config", str(config), "--input", str(recording)]))
    return status or report(receiver)


def wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the run's end; Ctrl-C has reached it too, and it finishes the last turn."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def report(receiver: Receiver) -> int:
    """Say where everything went; 1 when something is missing."""
    log = OUTPUT / "turns.jsonl"
    turns = (
        [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    )
    subtitles = sorted(OUTPUT.glob("*.srt"))
    cues = sum(file.read_text(encoding="utf-8").count(" --> ") for file in subtitles)
    print("\nThe same words went to three sinks:")
    print(f"  file log   {log}: {len(turns)} turns")
    print(f"  subtitles  {', '.join(map(str, subtitles)) or 'none'}: {cues} cues")
    print(f"  webhook    {receiver.url}: {len(receiver.posts)} signed POSTs, received by this demo")
    return 0 if turns and cues and len(receiver.posts) == len(turns) else 1


if __name__ == "__main__":
    sys.exit(main())
