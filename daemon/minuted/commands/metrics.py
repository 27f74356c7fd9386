"""`minuted metrics`: how everything is, for Prometheus; once, or over HTTP."""

import argparse
import sys

from minuted import status
from minuted.config import Settings
from minuted.metrics import families, server
from minuted.runtime import logs


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print the metrics, or serve them. That nothing answers is one of them and no failure."""
    if arguments.listen:
        logs.set_up("metrics", settings.room)
        return server.serve(settings, *arguments.listen)
    found = status.collect(settings)
    if not found["stages"]:
        print(status.absence(settings), file=sys.stderr)
    sys.stdout.write(families.text(found, server.configured(settings)))
    return 0
