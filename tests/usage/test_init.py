"""What `minuted init` may be given."""

import argparse

import pytest

from minuted.usage import parser
from minuted.usage.init import sink


def test_what_is_given_is_read() -> None:
    found = parser("0").parse_args(["init", "--room", " attic ", "--sink", "srt=subs", "--yes"])
    assert (found.room, found.sink, found.yes, found.force) == ("attic", ("srt", "subs"), True, False)
    assert (found.device, found.service) == (None, None)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("file_log", ("file_log", "")),
        ("txt=/srv/a=b", ("txt", "/srv/a=b")),
        ("webhook=https://example.org/?a=b", ("webhook", "https://example.org/?a=b")),
    ],
)
def test_a_sink_is_named_with_its_place(text: str, read: tuple[str, str]) -> None:
    assert sink(text) == read


@pytest.mark.parametrize("text", ["", "mail=x", "webhook", "webhook=example.org", "txt=a\nb", "txt=\udcff"])
def test_another_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        sink(text)
