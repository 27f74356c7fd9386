"""A receiver that refuses for a while, as while it is deployed: all comes, and in order."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.room import Room, ended
from simulator.receiver import Receiver
from waiting import until

RECORDS = 5


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    try:
        yield room
    finally:
        room.close()


def test_what_a_receiver_refuses_while_it_is_deployed_comes_in_order(room: Room) -> None:
    with Receiver(always=404) as receiver:
        room.configure(f'[sinks.webhook]\nurl = "{receiver.url}"\n')
        publisher = room.publish_from_here()
        process = room.start("webhook")
        until(lambda: room.status("webhook").get("state") == "delivering")
        for _ in range(RECORDS):
            publisher.publish()
        receiver.wait_until(lambda: len(receiver.requests) >= 4)
        until(lambda: "refused 4 times" in room.status("webhook")["last_error"])
        told = room.status("webhook")
        receiver.always = 200
        receiver.wait_until(lambda: len(receiver.taken) == RECORDS)
        process.terminate()
        assert ended(process)[0] == 0

    assert (told["state"], told["dead_letters"], told["lag"]) == ("waiting", 0, RECORDS)
    assert "HTTP 404; refused 4 times in" in told["last_error"]
    assert "put aside after 10 min" in told["last_error"]
    assert [request.json()["data"]["seq"] for request in receiver.taken] == list(range(1, RECORDS + 1))
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == RECORDS
