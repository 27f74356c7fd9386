"""The webhook is at least once, in order, signed, and never says a secret aloud."""

import json
import re
import time
from contextlib import closing

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier

from sinks.receiving import SECRET, new_secret, webhook
from sinks.samples import gap, opened, turn


def test_a_turn_is_posted_as_type_timestamp_and_data(sink, receiver):
    """This is the envelope of the Standard Webhooks specification."""
    sink.write(turn(7, "Grüße", speaker="A"))
    (post,) = receiver.posts
    assert post.path == "/turns"
    assert post.headers["content-type"] == "application/json"
    message = json.loads(post.body)
    data = turn(7, "Grüße", speaker="A").to_map()
    del data["words"]
    assert message == {"type": "turn.final", "timestamp": "2026-11-22T09:31:10.300Z", "data": data}
    assert b": " not in post.body.replace(b"09:", b"")


def test_revisions_and_gaps_say_what_they_are(sink, receiver):
    """A receiver sorts by type before it looks inside."""
    sink.revise(turn(1, type="revision", revision=1))
    sink.gap(gap(2))
    assert [json.loads(post.body)["type"] for post in receiver.posts] == ["turn.revised", "gap"]
    assert json.loads(receiver.posts[1].body)["data"] == gap(2).to_map()


def test_words_are_sent_only_when_asked_for_and_only_while_they_fit(receiver):
    """Receivers are promised 20 kB; a word list is ten times its text."""
    short, long = turn(1, "two words"), turn(2, "word " * 400)
    with closing(opened("webhook", url=receiver.url, secret=SECRET, words=True)) as sink:
        sink.write(short)
        sink.write(long)
    first, second = (json.loads(post.body)["data"] for post in receiver.posts)
    assert [word["text"] for word in first["words"]] == ["two", "words"]
    assert "words" not in second
    assert second["text"] == long.text


def test_a_text_that_is_too_long_all_the_same_is_sent(sink, receiver):
    """Whether it is too much the receiver may say itself; we would be the ones who lost it."""
    sink.write(turn(1, "x" * 30_000))
    assert len(receiver.posts[0].body) > 30_000


def test_the_id_names_room_and_number_without_a_dot(sink, receiver):
    """The signed content joins id, time and body by dots."""
    sink.write(turn(3, room="Board Room 2.1"))
    sink.write(turn(4, room="会議室"))
    ids = [post.headers["webhook-id"] for post in receiver.posts]
    assert ids[0] == "minuted_board-room-2-1_3"
    assert re.fullmatch(r"minuted_[0-9a-f]{8}_4", ids[1])


def test_the_id_of_a_new_journal_s_number_is_another_one(sink, receiver):
    """Numbers begin again at 1; a receiver that remembers ids must not take the record for an old one."""
    for epoch in ("0a1b", "2c3d"):
        sink.epoch = epoch
        sink.write(turn(1))
    ids = [post.headers["webhook-id"] for post in receiver.posts]
    assert ids == ["minuted_boardroom_0a1b_1", "minuted_boardroom_2c3d_1"]


@given(
    room=st.text(max_size=40),
    text=st.text(max_size=3000),
    keys_bytes=st.lists(st.integers(24, 64), min_size=1, max_size=3),
    words=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is slow to make examples
def test_every_signature_is_good_to_an_independent_verifier(room, text, keys_bytes, words):
    """A wrong one would show only at the receiver's."""
    secrets_in_use = [new_secret(key_bytes) for key_bytes in keys_bytes]
    record = turn(1, text, room=room)
    message_id, timestamp = webhook.id_of(record, ""), str(int(time.time()))
    body = webhook.body_of(record, words=words)
    signature = webhook.sign(webhook.keys_of(" ".join(secrets_in_use)), message_id, timestamp, body)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature,
    }
    for secret in secrets_in_use:
        assert Verifier(secret).verify(body, headers)["data"]["text"] == text
    assert re.fullmatch(r"minuted_[a-z0-9-]+_1", message_id)


def test_what_is_posted_verifies_with_each_of_two_secrets(receiver):
    """While a secret is being replaced the receiver may know either."""
    other = new_secret(64)
    with closing(opened("webhook", url=receiver.url, secret=f"{other} {SECRET}")) as sink:
        sink.write(turn(1))
    (post,) = receiver.posts
    for secret in (SECRET, other):
        assert Verifier(secret).verify(post.body, post.headers)["type"] == "turn.final"
