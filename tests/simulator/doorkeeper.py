"""Keys and temporary tokens (reference 1.2, 1.4 and 1.5)."""

import secrets
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from .faults import BAD_KEY, NO_KEY, OLD_TOKEN
from .options import Options
from .parameters import Refused

UNAUTHORIZED: Final = 1008
EARLY_S: Final = 2
"""How much sooner than its cap a session by token ends: 60 s were seen to give 58."""
_RANGES: Final = {"expires_in_seconds": (1, 600), "max_session_duration_seconds": (60, 10_800)}


@dataclass(slots=True)
class _Token:
    opens_until_s: float
    session_s: float
    used: bool = False


class Doorkeeper:
    """Knows who may come in. Times are epoch seconds."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._tokens: dict[str, _Token] = {}

    def admit(self, query: str, authorization: str | None, unix_s: float) -> float | None:
        """Let a session in; give its cap in seconds, if it has one. Raises Refused."""
        given = parse_qs(query).get("token", [""])[-1] or authorization
        if not given:
            raise Refused(UNAUTHORIZED, NO_KEY)
        token = self._tokens.get(given)
        if token is None:
            if "token=" in query or given.startswith("Bearer ") or not self._is_key(given):
                raise Refused(UNAUTHORIZED, BAD_KEY)
            return None
        if unix_s > token.opens_until_s:
            raise Refused(UNAUTHORIZED, OLD_TOKEN)
        if token.used and self._options.tokens_once:
            raise Refused(UNAUTHORIZED, BAD_KEY)
        token.used = True
        return token.session_s

    def token(self, query: str, authorization: str | None, unix_s: float) -> tuple[int, dict[str, Any]]:
        """Answer GET /v3/token: a status and a JSON body."""
        # Unlike the socket, this door opens to both forms of the key.
        key = (authorization or "").removeprefix("Bearer ")
        if not key:
            return 422, {"detail": [_detail("missing", ["header", "Authorization"], "Field required", None)]}
        if not self._is_key(key):
            return 401, {"error": "Invalid API key"}
        given = parse_qs(query, keep_blank_values=True)
        values: dict[str, int] = {}
        problems = []
        for name, (low, high) in _RANGES.items():
            text = given.get(name, [None])[-1]
            if text is None:
                if name == "expires_in_seconds":
                    problems.append(_detail("missing", ["query", name], "Field required", None))
                continue
            try:
                values[name] = int(text)
            except ValueError:
                why = "Input should be a valid integer, unable to parse string as an integer"
                problems.append(_detail("int_parsing", ["query", name], why, text))
                continue
            if values[name] < low:
                why = f"Input should be greater than or equal to {low}"
                problems.append(_detail("greater_than_equal", ["query", name], why, text, ge=low))
            elif values[name] > high:
                why = f"Input should be less than or equal to {high}"
                problems.append(_detail("less_than_equal", ["query", name], why, text, le=high))
        if problems:
            return 422, {"detail": problems}
        # About as long as the real ones, and as opaque.
        token = secrets.token_urlsafe(1875)
        opens_s = values["expires_in_seconds"]
        cap_s = values.get("max_session_duration_seconds", _RANGES["max_session_duration_seconds"][1])
        self._tokens[token] = _Token(unix_s + opens_s, cap_s - EARLY_S)
        return 200, {"token": token, "expires_in_seconds": opens_s}

    def _is_key(self, given: str) -> bool:
        return not self._options.keys or given in self._options.keys


def _detail(kind: str, where: list[str], why: str, given: str | None, **context: int) -> dict[str, Any]:
    return {"type": kind, "loc": where, "msg": why, "input": given} | ({"ctx": context} if context else {})
