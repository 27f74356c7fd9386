"""Every answer RFC 9110 allows, and those it does not: what becomes of the message, and of the next one."""

import gzip
import socket
import threading
import zlib
from contextlib import closing

import pytest

from minuted import Reject, Retry
from sinks.answering import NO_CONTENT, Answer, Receiver
from sinks.receiving import SECRET, webhook
from sinks.samples import opened, turn

ONE_S = 1.0
BOMB = gzip.compress(bytes(1 << 24), mtime=0)
OF_THE_MESSAGE = ("content-length", "webhook-id", "webhook-timestamp", "webhook-signature")


def plain(status, *headers, body=b""):
    """Return an answer of one status line, headers and a body."""
    lines = [f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body)}", "", ""]
    return Answer("\r\n".join(lines).encode("latin-1") + body)


def posting(receiver, **options):
    return closing(opened("webhook", url=receiver.url, secret=SECRET, **options))


def outcome_of(sink, record):
    """Return what a post came to: "delivered", or the error that it raised."""
    try:
        sink.write(record)
    except (Retry, Reject) as error:
        return error
    return "delivered"


def assert_unchanged(receiver):
    """The second message went as the first did, on a connection of its own."""
    first, second = receiver.asked
    shapes = [
        (each.line, [(name, value) for name, value in each.headers.items() if name not in OF_THE_MESSAGE])
        for each in (first, second)
    ]
    assert shapes[0] == shapes[1]
    assert first.headers.keys() == second.headers.keys()
    assert first.connection != second.connection


# Every status.

AGAIN = {407, 408, 410, 421, 425, 429}


def test_of_all_statuses_2xx_alone_is_success():
    """What is refused is counted; everything else is tried for ever."""
    statuses = range(200, 1000)
    with (
        Receiver([plain(status, "Location: /x") for status in statuses]) as receiver,
        posting(receiver) as sink,
    ):
        for seq, status in enumerate(statuses, 1):
            outcome = outcome_of(sink, turn(seq))
            if status < 300:
                assert outcome == "delivered"
            else:
                assert isinstance(outcome, Retry)
                assert f"HTTP {status}" in str(outcome)
                is_refused = 400 <= status < 500 and status not in AGAIN
                assert ("refused" in str(outcome)) == is_refused == (webhook.judge(status) == "refused")
                assert (outcome.after_s == webhook.GONE_WAIT_S) == (status == 410)
    assert len(receiver.asked) == len(statuses)


@pytest.mark.parametrize("final", [204, 503])
@pytest.mark.parametrize("interim", [[100], [102, 102, 103], [100, 199]])
def test_what_comes_before_the_final_answer_decides_nothing(interim, final):
    """100 Continue, 102 Processing, 103 Early Hints: also with headers that mean something elsewhere."""
    heads = b"".join(
        f"HTTP/1.1 {each} X\r\nRetry-After: 9999\r\nSet-Cookie: a=b\r\n\r\n".encode() for each in interim
    )
    with Receiver([Answer(heads + plain(final).data)]) as receiver, posting(receiver) as sink:
        outcome = outcome_of(sink, turn(1))
        sink.write(turn(2))
    assert (outcome == "delivered") == (final == 204)
    assert getattr(outcome, "after_s", None) is None
    assert_unchanged(receiver)


def test_switching_protocols_is_no_success():
    """Nobody asked for it: it is not even an answer."""
    answer = Answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    with Receiver([answer]) as receiver, posting(receiver, timeout_s=ONE_S) as sink:
        assert isinstance(outcome_of(sink, turn(1)), Retry)
        sink.write(turn(2))
    assert_unchanged(receiver)


# Redirects.


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308, 201])
@pytest.mark.parametrize(
    "location",
    [
        "{elsewhere}",
        "/elsewhere",
        "elsewhere",
        "//127.0.0.1:{port}/x",
        "?a=b",
        "",
        "http://[",
        "javascript:x",
        "http://ü/",
        "http://me:pw@127.0.0.1:{port}/",
        "\x80\xff",
        "{elsewhere}\r\nLocation: /other",
    ],
)
def test_no_redirect_is_followed_or_remembered(status, location):
    """What was said in a room would go to an address nobody configured."""
    with Receiver() as elsewhere:
        location = location.format(elsewhere=elsewhere.url, port=elsewhere.port)
        with Receiver([plain(status, f"Location: {location}")]) as receiver, posting(receiver) as sink:
            outcome = outcome_of(sink, turn(1))
            sink.write(turn(2))
        assert_unchanged(receiver)
        assert not elsewhere.asked
    if status == 201:
        assert outcome == "delivered"
    else:
        assert f"HTTP {status}; redirects are not followed" in str(outcome)
        assert "elsewhere" not in str(outcome)
        assert "pw" not in str(outcome)


# State.


@pytest.mark.parametrize("status", [204, 401, 407, 503])
@pytest.mark.parametrize(
    "headers",
    [
        ["Set-Cookie: session=1; Path=/", "Set-Cookie: other=2"],
        ["Set-Cookie2: a=b"],
        ['Alt-Svc: h2=":1"; ma=86400; persist=1'],
        ["Strict-Transport-Security: max-age=31536000; includeSubDomains"],
        ['Clear-Site-Data: "*"'],
        ['WWW-Authenticate: Basic realm="x"', "Proxy-Authenticate: Basic"],
        ['WWW-Authenticate: Digest realm="x", nonce="1", qop="auth"', 'Authentication-Info: nextnonce="2"'],
        ["Connection: close"],
        ["Connection: keep-alive", "Keep-Alive: timeout=600, max=1000"],
        ["Proxy-Connection: close"],
        ["Upgrade: h2c", "Connection: Upgrade"],
        ["Accept-Encoding: gzip", "Accept: text/plain", "Accept-Signature: x"],
        ["Content-Encoding: gzip", "Vary: *", "Cache-Control: max-age=31536000, immutable"],
        ["Refresh: 0; url=/elsewhere", "Content-Location: /elsewhere", 'Link: </elsewhere>; rel="canonical"'],
        [
            "NEL: {}",
            "Report-To: {}",
            'Public-Key-Pins: max-age=9; pin-sha256="x"',
            "Origin-Agent-Cluster: ?1",
        ],
    ],
    ids=lambda headers: headers[0].split(":")[0],
)
def test_nothing_an_answer_says_changes_the_next_message(status, headers):
    """A browser would be another one afterwards; a record is delivered as the one before."""
    with Receiver([plain(status, *headers)]) as receiver, posting(receiver) as sink:
        outcome = outcome_of(sink, turn(1))
        sink.write(turn(2))
    assert (outcome == "delivered") == (status == 204)
    assert_unchanged(receiver)
    assert receiver.asked[1].line == "POST /turns HTTP/1.1"
    assert (
        not {"cookie", "authorization", "proxy-authorization", "upgrade"} & receiver.asked[1].headers.keys()
    )


@pytest.mark.parametrize(
    "first",
    [
        NO_CONTENT.data * 2,
        NO_CONTENT.data + b'{"ok": true}',
        plain(200, body=b"ok").data + b"\r\n\r\n",
        plain(200, body=b"ok").data + NO_CONTENT.data,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + NO_CONTENT.data,
    ],
    ids=["two answers", "204 with a body", "blank lines", "answer behind a body", "answer behind chunks"],
)
def test_no_answer_is_taken_for_that_of_the_next_message(first):
    """A receiver that says 204 twice has not seen what it has not been sent."""
    with Receiver([Answer(first), plain(500)]) as receiver, posting(receiver) as sink:
        assert outcome_of(sink, turn(1)) == "delivered"
        assert "HTTP 500" in str(outcome_of(sink, turn(2)))
        assert_unchanged(receiver)


# Pauses.


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        (["Retry-After: 17"], 17),
        (["Retry-After: 0"], webhook.PAUSE_S_MIN),
        (["Retry-After: 000"], webhook.PAUSE_S_MIN),
        (["Retry-After: 99999999999999999999"], webhook.PAUSE_S_MAX),
        (["Retry-After: -5"], None),
        (["Retry-After: 1.5"], None),
        (["Retry-After: soon"], None),
        (["Retry-After:"], None),
        (["Retry-After: 5, 10"], None),
        (["Retry-After: 5", "Retry-After: 40"], 40),
        (["Retry-After: soon", "Retry-After: 5"], 5),
        (["Date: Sun, 06 Nov 1994 08:49:00 GMT", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"], 37),
        (["Date: Sun, 06 Nov 1994 08:49:00 GMT", "Retry-After: Sunday, 06-Nov-94 08:49:37 GMT"], 37),
        (["Date: Sun, 06 Nov 1994 08:49:00 GMT", "Retry-After: Sun Nov  6 08:49:37 1994"], 37),
        (["Date: Sun, 06 Nov 1994 08:49:00 GMT", "Retry-After: Sun, 06 Nov 1994 08:00:00 GMT"], 1),
        (["Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"], webhook.PAUSE_S_MAX),
        (["Retry-After: Fri, 31 Dec 99999 23:59:59 GMT"], None),
        (["Retry-After: Sun, 31 Feb 2027 08:49:37 GMT"], None),
        (["Date: soon", "Retry-After: 3"], 3),
        ([f"Retry-After: {'9' * 50_000}"], webhook.PAUSE_S_MAX),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
@pytest.mark.parametrize("status", [302, 404, 413, 429, 500, 503])
def test_an_answer_may_ask_for_a_pause_within_bounds(status, headers, after_s):
    """Neither a flood nor a wait for ever."""
    with Receiver([plain(status, *headers)]) as receiver, posting(receiver) as sink:
        outcome = outcome_of(sink, turn(1))
    assert f"HTTP {status}" in str(outcome)
    assert outcome.after_s == after_s


def test_no_pause_follows_a_message_that_was_taken():
    with Receiver([plain(202, "Retry-After: 3600")]) as receiver, posting(receiver) as sink:
        assert outcome_of(sink, turn(1)) == "delivered"


# Odd ones.


@pytest.mark.parametrize(
    ("answer", "is_delivered"),
    [
        (Answer(b"HTTP/1.0 200 OK\r\n\r\nyes", end="close"), True),
        (Answer(b"HTTP/1.0 200 OK\r\n\r\n", end="close"), True),
        (Answer(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), True),
        (Answer(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"), True),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nshort", end="close"), True),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nlonger", end="close"), True),
        (Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", end="close"), True),
        (Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", end="reset"), True),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + BOMB, end="close"), True),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n\xff\xff", end="close"), True),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", end="close"), False),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", end="close"), False),
        (Answer(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), False),
        (Answer(b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"), False),
        (Answer(b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), False),
        (Answer(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), False),
        (Answer(b"HTTP/1.1 OK 200\r\nContent-Length: 0\r\n\r\n"), False),
        (Answer(b"200 OK\r\n\r\n", end="close"), False),
        (Answer(b"<html>ok</html>", end="close"), False),
        (Answer(b"\r\n\r\n", end="close"), False),
        (Answer(b"\0" * 1000, end="close"), False),
        (Answer(b"SSH-2.0-OpenSSH_9.2\r\n", end="close"), False),
        (Answer(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", end="close"), False),
        (Answer(b"\x15\x03\x01\0\x02\x02\x46", end="close"), False),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-", end="close"), False),
        (Answer(b"HTTP/1.1 200 OK\r\n", end="close"), False),
        (Answer(b"HTTP/1.1 200 O", end="reset"), False),
        (Answer(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", end="close"), False),
        (Answer(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", end="close"), False),
        (Answer(end="close"), False),
        (Answer(end="reset"), False),
        (Answer(after="head", end="close"), False),
        (Answer(after="head", end="reset"), False),
        (Answer(after="nothing", end="close"), False),
        (Answer(after="nothing", end="reset"), False),
    ],
    ids=lambda value: value.name if isinstance(value, Answer) else "",
)  # fmt: skip
def test_an_odd_answer_counts_by_its_status_or_not_at_all(answer, is_delivered):
    """A status that has come is the receiver's word; half a head is none."""
    with Receiver([answer]) as receiver, posting(receiver, timeout_s=5) as sink:
        outcome = outcome_of(sink, turn(1))
        assert (outcome == "delivered") == is_delivered, outcome
        if not is_delivered:
            assert isinstance(outcome, Retry)
            assert str(outcome).startswith(f"http://127.0.0.1:{receiver.port}: ")
            assert outcome.after_s is None
        sink.write(turn(2))
    assert receiver.asked[-1].headers["webhook-id"] == "minuted_boardroom_2"


@pytest.mark.parametrize("status", [200, 413])
def test_an_answer_before_the_message_was_read_counts(status):
    """Who refuses by the length alone does not read the rest."""
    early = Answer(plain(status, "Connection: close").data, after="head")
    with Receiver([early]) as receiver, posting(receiver) as sink:
        outcome = outcome_of(sink, turn(1, "word " * 100_000))
    assert (outcome == "delivered") == (status == 200)
    if status != 200:
        assert "HTTP 413" in str(outcome)


@pytest.mark.parametrize(
    ("answer", "is_delivered"),
    [
        (Answer(b"", drip=b" "), False),
        (Answer(b"", drip=b"HTTP/1.1 102 Processing\r\n\r\n"), False),
        (Answer(b"HTTP/1.1 204 No Content\r\n", drip=b"X: y\r\n"), False),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", drip=b"x"), True),
        (Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", drip=b"1\r\nx\r\n"), True),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", drip=zlib.compress(bytes(99))), True),
        (Answer(b"HTTP/1.1 200 OK\r\n\r\n", drip=bytes(1 << 16)), True),
    ],
    ids=["blanks", "1xx", "head", "body", "chunks", "gzip", "flood"],
)
def test_one_deadline_holds_for_the_whole_exchange(answer, is_delivered):
    """Each byte in time, and never the last."""
    with Receiver([answer]) as receiver, posting(receiver, timeout_s=0.4) as sink:
        outcome = outcome_of(sink, turn(1))
        assert (outcome == "delivered") == is_delivered
        if not is_delivered:
            assert "no answer within 0.4 s" in str(outcome) or "not HTTP" in str(outcome)
        assert receiver.has_had_enough.wait(30)
        sink.write(turn(2))
    assert_unchanged(receiver)


def test_what_was_given_up_is_not_sent_later(monkeypatch):
    """A name that is found after the deadline would bring an old message after newer ones."""
    found, look_up = threading.Event(), socket.getaddrinfo

    def look_up_late(*arguments, **more):
        if threading.current_thread().name == "exchange":
            found.wait(30)
        return look_up(*arguments, **more)

    with Receiver() as receiver, posting(receiver, timeout_s=0.2) as sink:
        monkeypatch.setattr(socket, "getaddrinfo", look_up_late)
        assert "no answer within 0.2 s" in str(outcome_of(sink, turn(1)))
        late = [each for each in threading.enumerate() if each.name == "exchange"]
        found.set()
        for each in late:
            each.join(30)
            assert not each.is_alive()
        assert not receiver.asked


def test_a_receiver_that_closes_each_connection_gets_each_message_once():
    """A connection kept for the next message may be closed under it: then that message would come twice."""
    with (
        Receiver([Answer(NO_CONTENT.data, end="close") for _ in range(5)]) as receiver,
        posting(receiver) as sink,
    ):
        for seq in range(1, 6):
            assert outcome_of(sink, turn(seq)) == "delivered"
    assert [each.headers["webhook-id"][-1] for each in receiver.asked] == list("12345")


def test_the_body_of_an_answer_is_never_unpacked():
    """A bomb of a kilobyte is a gigabyte of memory."""
    with Receiver() as receiver, posting(receiver) as sink:
        sink.write(turn(1))
    assert receiver.asked[0].headers["accept-encoding"] == "identity"


# Refusals.


class Still:
    """A sink whose receiver gives one status after the other, without a socket."""

    def __init__(self, monkeypatch, **options):
        self.sink = opened("webhook", url="https://example.org", **options)
        self.sink._now_s = lambda: self._now_s
        monkeypatch.setattr(webhook.http_client, "exchange", self._exchange)

    def _exchange(self, *_, **__):
        if self._status is None:
            raise webhook.http_client.ExchangeError("Connection refused", "away")
        return webhook.http_client.Answer(self._status)

    def post(self, seq, status, now_s=0.0):
        self._status, self._now_s = status, now_s
        return outcome_of(self.sink, turn(seq))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422])
def test_a_receiver_that_is_deployed_for_five_minutes_loses_nothing(monkeypatch, status):
    still = Still(monkeypatch)
    for tries in range(300):
        outcome = still.post(1, status, now_s=tries)
        assert isinstance(outcome, Retry)
        assert f"HTTP {status}; refused {tries + 1} times in" in str(outcome)
        assert "put aside after 10 min" in str(outcome)
    assert still.post(1, 204) == "delivered"


def test_a_message_that_is_refused_for_ten_minutes_is_put_aside(monkeypatch):
    """It would hold up all others for ever; as a dead letter it can be sent again by hand."""
    still = Still(monkeypatch)
    outcomes = [still.post(1, 422, now_s) for now_s in (0, 300, 599, 600)]
    assert [type(each) for each in outcomes] == [Retry, Retry, Retry, Reject]
    assert "HTTP 422; refused 4 times in 10 min" in str(outcomes[-1])


def test_two_refusals_an_hour_apart_are_no_reason(monkeypatch):
    """A receiver may ask for a long pause."""
    still = Still(monkeypatch)
    outcomes = [still.post(1, 400, now_s) for now_s in (0, 3600, 7200)]
    assert [type(each) for each in outcomes] == [Retry, Retry, Reject]


@pytest.mark.parametrize("other", [None, 502, 429, 301, 410])
def test_an_outage_between_refusals_begins_the_count_anew(monkeypatch, other):
    """What failed otherwise was not refused: nobody can say that it would have been."""
    still = Still(monkeypatch, put_aside_after_s=60)
    for now_s, status in ((0, 404), (50, 404), (55, other), (61, 404), (70, 404), (120, 404)):
        assert isinstance(still.post(1, status, now_s), Retry)
    assert isinstance(still.post(1, 404, 121), Reject)


def test_how_long_a_refused_message_is_tried_is_an_option(monkeypatch):
    still = Still(monkeypatch, put_aside_after_s=0)
    assert [type(still.post(1, 400)) for _ in range(3)] == [Retry, Retry, Reject]
    for wrong in (-1, 1e9, float("nan")):
        with pytest.raises(ValueError, match="put_aside_after_s"):
            opened("webhook", url="https://example.org", put_aside_after_s=wrong)


def test_a_receiver_that_refuses_everything_says_so(monkeypatch):
    """After three put aside in a row it is not the messages that are wrong."""
    still = Still(monkeypatch, put_aside_after_s=0)
    for seq in (1, 2, 3):
        assert [type(still.post(seq, 403)) for _ in range(3)] == [Retry, Retry, Reject]
    outcomes = [still.post(4, 403) for _ in range(50)]
    assert {type(each) for each in outcomes} == {Retry}
    assert "refused 50 times" in str(outcomes[-1])
    assert "as 3 before it: tried until the receiver is mended" in str(outcomes[-1])
    assert still.post(4, 204) == "delivered"
    assert [type(still.post(5, 403)) for _ in range(3)] == [Retry, Retry, Reject]
