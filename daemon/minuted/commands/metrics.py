"""`minuted metrics`: how everything is, for Prometheus; once, or over HTTP."""

import argparse

from minuted import status
from minuted.config import Settings
from minuted.metrics import families, server
from minuted.runtime import logs

from . import printing
from .wishing import NotDoneError


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print the metrics, or serve them. That nothing answers is one of them and no failure.

    Raises NotDoneError where this user may not ask.
    """
    if refusal := status.closed(settings):
        # minuted_up 0 would be a lie.
        raise NotDoneError(refusal)
    if arguments.listen:
        logs.set_up("metrics", settings.room)
        return server.serve(settings, *arguments.listen)
    found = status.collect(settings)
    if not found["stages"]:
        printing.complain(status.absence(settings))
    printing.give(families.text(found, server.configured(settings)).encode())
    return 0
