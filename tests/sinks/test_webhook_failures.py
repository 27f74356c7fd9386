"""What a receiver may answer, and what the webhook makes of it."""

import json
import threading
from contextlib import closing

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier

from minuted import Retry
from sinks.receiving import SECRET, Answer, receiving, webhook
from sinks.samples import opened, turn


@pytest.mark.parametrize("status", [301, 302, 307, 304, 408, 425, 429, 500, 502, 503, 504, 404, 401])
def test_anything_but_2xx_is_tried_again_with_the_same_bytes(sink, receiver, status):
    """A receiver tells a repetition by the id; the signature has to be of the new attempt."""
    receiver.answers = [Answer(status, {"location": "/elsewhere"})]
    with pytest.raises(Retry) as failure:
        sink.write(turn(1))
    assert str(status) in str(failure.value)
    sink.write(turn(1))
    first, second = receiver.posts
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert second.path == "/turns"
    Verifier(SECRET).verify(second.body, second.headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_success(sink, receiver, status):
    """Receivers differ in what they find polite."""
    receiver.answers = [Answer(status, body=b"" if status == 204 else b"thank you")]
    sink.write(turn(1))


def test_the_bytes_are_the_same_after_a_restart(receiver):
    """The one duplicate a kill can make must be a duplicate in every byte."""
    for _ in range(2):
        with closing(opened("webhook", url=receiver.url, secret=SECRET)) as sink:
            sink.write(turn(5, "once more"))
    first, second = receiver.posts
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


def test_what_was_prepared_is_posted_whatever_the_options_say_now(receiver):
    """`words` was switched on between the first try and the second: one id is one text."""
    with closing(opened("webhook", url=receiver.url, secret=SECRET)) as sink:
        sink.epoch = "0a1b"
        sink.prepared = prepared = sink.prepare(turn(5, "Grüße"))
        sink.write(turn(5, "Grüße"))
    with closing(opened("webhook", url=receiver.url, secret=SECRET, words=True)) as sink:
        sink.prepared = prepared
        sink.write(turn(5, "Grüße"))
    first, second = receiver.posts
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert json.loads(first.body)["data"]["text"] == "Grüße"
    Verifier(SECRET).verify(second.body, second.headers)


def test_a_connection_that_breaks_or_cannot_be_made_is_tried_again(sink, receiver):
    """The network comes back; the turn is still there."""
    receiver.answers = [Answer(hang_up=True)]
    with pytest.raises(Retry):
        sink.write(turn(1))
    sink.write(turn(1))
    with receiving() as gone:
        address = gone.url
    with closing(opened("webhook", url=address, secret=SECRET)) as lost, pytest.raises(Retry) as failure:
        lost.write(turn(2))
    assert "refused" in str(failure.value)


def test_a_receiver_that_does_not_answer_in_time_is_tried_again(receiver):
    """One that hangs would otherwise hold up everything behind it."""
    hang = threading.Event()
    receiver.answers = [Answer(wait_for=hang)]
    with closing(opened("webhook", url=receiver.url, secret=SECRET, timeout_s=0.1)) as sink:
        with pytest.raises(Retry, match="no answer within"):
            sink.write(turn(1))
        hang.set()


def test_an_endless_answer_is_not_read_to_its_end(sink, receiver):
    """The status has decided; memory and time have bounds."""
    receiver.answers = [Answer(200, {"content-length": str(1 << 40)}, body=b"x" * 1_000_000)]
    sink.write(turn(1))
    sink.write(turn(2))
    assert len(receiver.posts) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_passed_on(sink, receiver, status):
    """Who says when gets no request before."""
    receiver.answers = [Answer(status, {"retry-after": "17"})]
    with pytest.raises(Retry) as failure:
        sink.write(turn(1))
    assert failure.value.after_s == 17


def test_a_receiver_that_is_gone_is_left_alone_for_an_hour(sink, receiver):
    """410 asks for no more; what it does not get stays in the journal until someone has looked."""
    receiver.answers = [Answer(410)] * 5
    for _ in range(5):
        with pytest.raises(Retry) as failure:
            sink.write(turn(1))
        assert failure.value.after_s == 3600


@given(st.integers(100, 599))
def test_every_status_has_a_verdict(status):
    """Nothing a receiver answers may be taken for success but 2xx."""
    assert (webhook.judge(status) == "delivered") == (httpx.codes.is_success(status))
    if webhook.judge(status) == "refused":
        assert httpx.codes.is_client_error(status)
