"""Temporary tokens, as the service's /v3/token gives them. Nothing is stored: a token carries its terms.

Pure: the time comes in as an argument, in seconds of the boot clock.
"""

import base64
import hashlib
import hmac
import json
from typing import Any, Final
from urllib.parse import parse_qs

from minuted.engine.protocol import SESSION_S_MAX

_EXPIRES_S: Final = (1, 600)
_SESSION_S: Final = (60, SESSION_S_MAX)


class TokenExpired(Exception):  # noqa: N818  # it says what is the matter
    """The token was good, and its time to open a session is over."""


class BadTokenRequest(ValueError):  # noqa: N818  # it says what is the matter
    """`detail` says what is wrong, in the form of the service's 422 body."""

    def __init__(self, detail: list[dict[str, Any]]) -> None:
        super().__init__("bad token request")
        self.detail = detail


def parse_request(query: str) -> tuple[int, int]:
    """Give a request's seconds until the token expires and seconds a session may last."""
    given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    detail: list[dict[str, Any]] = []
    expires_s = _seconds(given, "expires_in_seconds", _EXPIRES_S, None, detail)
    session_s = _seconds(given, "max_session_duration_seconds", _SESSION_S, SESSION_S_MAX, detail)
    if detail:
        raise BadTokenRequest(detail)
    return expires_s, session_s


def _seconds(
    given: dict[str, str],
    name: str,
    bounds: tuple[int, int],
    default: int | None,
    detail: list[dict[str, Any]],
) -> int:
    low, high = bounds

    def refuse(kind: str, message: str, **context: int) -> int:
        fault: dict[str, Any] = {
            "type": kind,
            "loc": ["query", name],
            "msg": message,
            "input": given.get(name),
        }
        detail.append({**fault, "ctx": context} if context else fault)
        return low

    if name not in given:
        return refuse("missing", "Field required") if default is None else default
    try:
        value = int(given[name])
    except ValueError:
        return refuse("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
    if value < low:
        return refuse("greater_than_equal", f"Input should be greater than or equal to {low}", ge=low)
    if value > high:
        return refuse("less_than_equal", f"Input should be less than or equal to {high}", le=high)
    return value


def mint(secret: bytes, now_s: float, expires_s: int, session_s: int) -> str:
    """Make a token good for opening sessions of at most `session_s` within `expires_s` from now."""
    terms = json.dumps([now_s + expires_s, session_s]).encode()
    return _text(terms) + "." + _text(_seal(secret, terms))


def session_s_max(secret: bytes, token: str, now_s: float) -> int | None:
    """Give the longest session a token allows, or None where it is none of ours. Raises TokenExpired."""
    head, _, tail = token.partition(".")
    try:
        terms, seal = base64.urlsafe_b64decode(head), base64.urlsafe_b64decode(tail)
    except ValueError:
        return None
    if not hmac.compare_digest(seal, _seal(secret, terms)):
        return None
    expires_at_s, session_s = json.loads(terms)
    if now_s >= expires_at_s:
        raise TokenExpired
    return int(session_s)


def _seal(secret: bytes, terms: bytes) -> bytes:
    return hashlib.blake2b(terms, key=secret, digest_size=32).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
