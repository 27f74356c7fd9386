"""Where sessions are opened, and as whom: by the key, or by a temporary token for each."""

import threading
import time
from collections import deque
from typing import Final

from minuted.config import ConfigError, Settings
from minuted.control import status_of
from minuted.tokens.minting import NoTokenError, Token, obtain
from minuted.transcription.reconnect import Failure
from minuted.transcription.session import Service, Session

SPARE_MAX: Final = 2
"""Tokens kept whose session never reached the service; more are let go."""
NEAR_S: Final = 10.0
"""A spare token so near its end is let go: connecting takes time too."""


class Access:
    """Called on a session's own thread, and may wait; `lost` is called on the loop's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._spare: deque[tuple[Service, float]] = deque(maxlen=SPARE_MAX)

    def __call__(self) -> Service:
        """Say where to connect to and as whom. Raises NoTokenError, ConfigError or OSError."""
        settings = self._settings
        if settings.service == "local":
            url = settings.engine.url or str((status_of(settings, "engine") or {}).get("url", ""))
            if not url:
                raise ConnectionRefusedError("the local engine is not up yet")
            return Service(url, settings.engine_key() or "local")
        url = settings.service_url.rstrip("/")
        if not settings.takes_tokens:
            return Service(url, settings.api_key())
        return self._spared() or self._fresh(url)

    def lost(self, session: Session, failure: Failure) -> None:
        """Keep the token of a session that never reached the service: it has opened nothing."""
        service = session.service
        unused = failure.phase == "connecting" and failure.code is None and "timed out" not in failure.text
        if service and service.token_until_s and unused:
            with self._lock:
                self._spare.append((service, service.token_until_s))

    def _spared(self) -> Service | None:
        with self._lock:
            while self._spare:
                service, until_s = self._spare.popleft()
                if time.monotonic() < until_s - NEAR_S:
                    return service
        return None

    def _fresh(self, url: str) -> Service:
        asked_s = time.monotonic()
        try:
            token: Token = obtain(self._settings)
        except ConfigError as error:
            raise NoTokenError(str(error)) from None
        return Service(url, token.text, token_until_s=asked_s + token.expires_s)
