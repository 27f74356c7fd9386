"""Where there is no room for a cursor or a dead letter."""

from delivery.sinks_of_tests import MakeDelivery, Noting, failing
from fake_publisher import FakePublisher, turn
from minuted import Reject, Turn
from minuted.journal.cursor import Cursor
from waiting import until


def fill(cursor: Cursor, *, full: bool = True) -> None:
    """Let the cursor's file grow no further, as on a full disk."""
    with cursor._lock:
        pages = cursor._database.execute("PRAGMA page_count").fetchone()[0]
        cursor._database.execute(f"PRAGMA max_page_count = {pages if full else 1_000_000}")


class Heavy(Noting):
    """Leaves a checkpoint that needs room."""

    def write(self, turn: Turn) -> None:
        self.checkpoint = {"more": "x" * 20_000 * (turn.seq or 0)}
        super().write(turn)


def test_a_cursor_without_room_is_waited_for_and_the_record_not_delivered_again(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """A crash would have the far end get it twice, again and again until there is room."""
    delivery = deliver(sink := Heavy())
    publisher.publish()
    until(lambda: delivery.cursor.seq == 1)
    fill(delivery.cursor)
    publisher.publish(2)
    until(lambda: delivery.status.to_map()["retries"] >= 3)
    told = delivery.status.to_map()
    assert (told["state"], told["seq"], told["delivered"]) == ("waiting", 1, 1)
    assert told["last_error"].startswith("CursorFullError: [Errno 28] No space left on device")
    fill(delivery.cursor, full=False)
    until(lambda: delivery.cursor.seq == 3)
    until(lambda: delivery.status.to_map()["delivered"] == 3)
    assert delivery.status.to_map()["last_error"] == ""
    assert delivery.end() == 0
    assert sink.calls == ["open", "write 1", "write 2", "write 3", "close"]


def test_a_record_is_rejected_once_also_when_there_is_no_room_for_its_dead_letter(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """It is neither lost nor offered again."""
    sink = Noting()
    sink.at_call = failing("write 2", Reject("no"))
    delivery = deliver(sink)
    publisher.publish()
    until(lambda: delivery.cursor.seq == 1)
    fill(delivery.cursor)
    publisher.publish(make=lambda seq: turn(seq, "long " * 10_000))
    until(lambda: delivery.status.to_map()["retries"] >= 2)
    fill(delivery.cursor, full=False)
    until(lambda: delivery.cursor.seq == 2)
    assert delivery.end() == 0
    assert [letter.seq for letter in delivery.cursor_letters] == [2]
    assert sink.calls == ["open", "write 1", "write 2", "close"]


def test_a_stop_without_room_for_the_cursor_ends_in_time_and_says_it_is_not_done(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """The next start goes on at the place that is stored."""
    delivery = deliver(Heavy(), give_up_s=0.2)
    publisher.publish()
    until(lambda: delivery.cursor.seq == 1)
    fill(delivery.cursor)
    publisher.publish()
    until(lambda: delivery.status.to_map()["retries"] >= 1)
    assert delivery.end() == 1
    assert delivery.cursor.seq == 1


def test_a_new_journal_is_followed_though_there_is_no_room_to_note_it(
    publisher: FakePublisher, deliver: MakeDelivery
) -> None:
    """The first record delivered notes it as well."""
    delivery = deliver(sink := Noting())
    publisher.publish(2)
    until(lambda: delivery.cursor.seq == 2)
    fill(delivery.cursor)
    long_name = "two" * 5_000
    publisher.begin_anew(long_name)
    publisher.publish()
    until(lambda: delivery.status.to_map()["state"] == "waiting")
    fill(delivery.cursor, full=False)
    until(lambda: (delivery.cursor.epoch, delivery.cursor.seq) == (long_name, 1))
    assert delivery.end() == 0
    assert sink.calls == ["open", "write 1", "write 2", "write 1", "close"]
