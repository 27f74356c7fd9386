"""Wait for something that comes by itself."""

import time
from collections.abc import Callable
from typing import Any, Final

WAIT_S_MAX: Final = 60.0
"""What has not come by then never does: a busy machine has had its time."""


def until(come: Callable[[], Any], what: str = "what is waited for") -> Any:
    """Give the first true result of `come`; fail where there is none for long."""
    until_s = time.monotonic() + WAIT_S_MAX
    while not (found := come()):
        assert time.monotonic() < until_s, f"it does not come: {what}"
        time.sleep(0.01)
    return found
