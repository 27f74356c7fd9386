"""A token server on a thread, for the tests of both sides."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

import httpx

from minuted.config import Settings
from minuted.tokens import clients, server
from minuted.tokens.minting import Token

WAIT_S = 20.0


class Running:
    """A token server on a thread of its own, on any free port."""

    def __init__(self, settings: Settings, make: Callable[[int, int], Token]) -> None:
        self.file = clients.place(settings)
        self.app = server.App(settings.token_server, clients.List(self.file), make)
        self._server = server._Server(server._config(settings.token_server, self.app))
        self._listener = server.bounded(socket.create_server(("127.0.0.1", 0)), self._server)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._listener])))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(WAIT_S)
        self._listener.close()

    def ask(self, secret: str | None = None, query: str = "", method: str = "POST") -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}"} if secret is not None else {}
        return httpx.request(
            method, f"{self.url}/token{query}", headers=headers, trust_env=False, timeout=WAIT_S
        )

    def health(self) -> Any:
        return httpx.get(f"{self.url}/health", trust_env=False).json()
