"""`minuted watch` in a terminal."""

import pytest

from commands.watch.said import Watching


@pytest.fixture
def watch(runtime_dir):
    made = []

    def start(columns=80, rows=24, *options):
        made.append(Watching(runtime_dir, columns, rows, *options))
        return made[-1]

    yield start
    for one in made:
        one.close()
