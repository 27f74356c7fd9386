"""A card by its id: the name that stays when the cards come up in another order."""

import pytest

from minuted.capture.cards import listed_as


@pytest.fixture
def cards(tmp_path):
    for number, name in ((0, "PCH"), (1, "Box")):
        (tmp_path / f"card{number}").mkdir()
        (tmp_path / f"card{number}" / "id").write_text(f"{name}\n")
    (tmp_path / "card2").mkdir()  # it was unplugged just now
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("hw:CARD=Box", "(hw:1,0)"),
        ("plughw:CARD=Box,DEV=2", "(hw:1,2)"),
        ("plughw:PCH", "(hw:0,0)"),
        ("hw:PCH,1", "(hw:0,1)"),
        ("hw:1,0", "(hw:1,0)"),
        ("plughw:CARD=Gone", ""),
    ],
)
def test_it_is_found_where_it_is_listed_now(cards, wanted, place):
    assert listed_as(wanted, cards) == place


@pytest.mark.parametrize("wanted", ["", "Box", "room_shared", "hw", "(hw:1,0)", "dsnoop:CARD=Box"])
def test_other_names_are_left_alone(cards, wanted):
    assert listed_as(wanted, cards) is None
