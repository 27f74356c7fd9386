"""The address `minuted metrics` listens on."""

import pytest

from minuted.usage import parser


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_an_address_is_taken_apart(text: str, address: tuple[str, int]) -> None:
    assert parser("1").parse_args(["metrics", "--listen", text]).listen == address


def test_unless_asked_to_it_listens_nowhere() -> None:
    assert parser("1").parse_args(["metrics"]).listen is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536"),
        *("127.0.0.1:-1", "127.0.0.1:٣", "::1:9464", "[127.0.0.1]:9464", "room.example:9464"),
        *("127.0.0:9464", "http://127.0.0.1:9464"),
    ],
)
def test_what_is_no_address_is_wrong_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name may be another address tomorrow, and no address would be all of them."""
    with pytest.raises(SystemExit) as raised:
        parser("1").parse_args(["metrics", "--listen", text])
    assert raised.value.code == 2
    assert f"{text!r} is not ADDRESS:PORT" in capsys.readouterr().err
