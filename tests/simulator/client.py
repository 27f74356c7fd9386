"""A plain client of the service, for tests of the service itself: no retries, no opinions."""

import json
from collections.abc import Iterable
from typing import Any, Final, Self
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

WAIT_S_MAX: Final = 10.0


class Client:
    """One session; a context manager. `parameters` go into the query as they are."""

    def __init__(
        self, url: str, *, key: str | None = "a-key", model: str | None = "u3-rt-pro", **parameters: Any
    ) -> None:
        if model is not None:
            parameters = {"speech_model": model, **parameters}
        self._uri = f"{url}/v3/ws?{urlencode(parameters, doseq=True)}"
        self._headers = {"AssemblyAI-Version": "2025-05-12"} | ({"Authorization": key} if key else {})
        self.messages: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self.socket: ClientConnection

    def __enter__(self) -> Self:
        self.socket = connect(
            self._uri, additional_headers=self._headers, compression=None, proxy=None, close_timeout=1
        ).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.__exit__(None, None, None)

    def send(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            self.socket.send(frame)

    def say(self, kind: str, **details: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **details}))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Give the messages of one type that were read so far."""
        return [message for message in self.messages if message["type"] == kind]

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [turn for turn in self.of("Turn") if turn["end_of_turn"]]

    def read(self, timeout_s: float = WAIT_S_MAX) -> dict[str, Any]:
        """Read one message. Raises TimeoutError, or ConnectionClosed after noting how."""
        try:
            message = json.loads(self.socket.recv(timeout_s))
        except ConnectionClosed:
            self.close_code = self.socket.close_code
            self.close_reason = self.socket.close_reason or ""
            raise
        self.messages.append(message)
        return message

    def read_until(self, kind: str) -> dict[str, Any]:
        """Read on to the next message of this type."""
        while (message := self.read())["type"] != kind:
            pass
        return message

    def read_to_the_end(self) -> list[dict[str, Any]]:
        """Read all that comes until the connection is closed; give everything that was read."""
        try:
            while True:
                self.read()
        except ConnectionClosed:
            return self.messages

    def terminate(self) -> list[dict[str, Any]]:
        """Ask for the end; give everything that was read."""
        self.say("Terminate")
        return self.read_to_the_end()
