"""The webhook is at least once, in order, signed, and never says a secret aloud."""

import base64
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier
from structlog.testing import capture_logs

from minuted import Reject, Retry
from sinks.samples import gap, load, opened, turn

webhook = load("webhook")


def new_secret(length_bytes: int = 32) -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(length_bytes)).decode()}"


SECRET = new_secret()


@dataclass
class Answer:
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_up: bool = False
    """Close the connection instead of answering."""
    wait_for: threading.Event | None = None
    """Answer only once this is set."""


@dataclass
class Post:
    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]


class Receiver(ThreadingHTTPServer):
    """Answers each POST as it is told, then with 204, and remembers what came."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.posts: list[Post] = []
        self.connections: set[tuple[str, int]] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: object) -> None:
        """A client that has left in the middle is what some tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/turns"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posts.append(
            Post(self.path, {k.lower(): v for k, v in self.headers.items()}, body, self.client_address)
        )
        answer = self.server.answers.pop(0) if self.server.answers else Answer()
        if answer.wait_for:
            answer.wait_for.wait(10)
        if answer.hang_up:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-length" not in answer.headers:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        try:
            self.wfile.write(answer.body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in ("CREDENTIALS_DIRECTORY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def receiver():
    with receiving() as server:
        yield server


@pytest.fixture
def sink(receiver):
    with closing(opened("webhook", url=receiver.url, secret=SECRET)) as made:
        yield made


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
        with pytest.raises(Retry, match="Timeout"):
            sink.write(turn(1))
        hang.set()


def test_one_connection_serves_many_turns(sink, receiver):
    """A handshake a turn would be most of the work."""
    receiver.answers = [Answer(200, body=b"ok") for _ in range(5)]
    for seq in range(1, 11):
        sink.write(turn(seq))
    assert len({post.connection for post in receiver.posts}) == 1


def test_an_endless_answer_is_not_read_to_its_end(sink, receiver):
    """The status has decided; memory and time have bounds."""
    receiver.answers = [Answer(200, {"content-length": str(1 << 40)}, body=b"x" * 1_000_000)]
    sink.write(turn(1))
    sink.write(turn(2))
    assert len(receiver.posts) == 2


@pytest.mark.parametrize(
    ("value", "after_s"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (formatdate(1000 + 90, usegmt=True), 90.0),
        (formatdate(1000 - 90, usegmt=True), 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("٣", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value, after_s):
    """Both are in the standard, and nonsense must not stop us."""
    assert webhook.retry_after_s(value, 1000.0) == after_s


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


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_message_refused_three_times_is_put_aside(sink, receiver, status):
    """It would hold up all others for ever; as a dead letter it can be sent again by hand."""
    receiver.answers = [Answer(status)] * 3
    for _ in range(2):
        with pytest.raises(Retry):
            sink.write(turn(1))
    with pytest.raises(Reject, match=str(status)):
        sink.write(turn(1))
    sink.write(turn(2))


def test_refusals_of_different_messages_do_not_add_up(sink, receiver):
    """Each has its own three tries."""
    receiver.answers = [Answer(400), Answer(400), Answer(204), Answer(400), Answer(400), Answer(204)]
    for seq in (1, 2):
        for _ in range(2):
            with pytest.raises(Retry):
                sink.write(turn(seq))
        sink.write(turn(seq))


def test_a_receiver_that_refuses_everything_does_not_eat_the_queue(sink, receiver):
    """A wrong secret or path looks like this: three are put aside, then we wait for someone to mend it."""
    receiver.answers = [Answer(401)] * 100
    outcomes = []
    seq = 1
    for _ in range(60):
        try:
            sink.write(turn(seq))
        except Reject:
            outcomes.append(seq)
            seq += 1
        except Retry:
            pass
    assert outcomes == [1, 2, 3]
    receiver.answers = []
    sink.write(turn(seq))
    receiver.answers = [Answer(401)] * 3
    for _ in range(2):
        with pytest.raises(Retry):
            sink.write(turn(5))
    with pytest.raises(Reject):
        sink.write(turn(5))


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2-hunter2-hunter2",
        "whsec_",
        new_secret(23),
        new_secret(65),
        "whsec_not*base64" + "A" * 40,
        SECRET.removeprefix("whsec_"),
        f"{SECRET} {new_secret(8)}",
    ],
    ids=["no key", "empty", "too short", "too long", "not base64", "no prefix", "second too short"],
)
def test_a_bad_secret_is_said_without_being_shown(secret):
    """The message ends in logs and in `status`."""
    with pytest.raises(ValueError, match="24 to 64 bytes") as failure:
        opened("webhook", url="https://example.org", secret=secret)
    assert failure.value.__suppress_context__ or failure.value.__context__ is None
    for part in secret.split():
        assert part.removeprefix("whsec_") == "" or part.removeprefix("whsec_") not in str(failure.value)


def test_the_secret_may_come_from_a_file_or_a_credential(receiver, tmp_path, monkeypatch):
    """Neither shows in the configuration, which many may read."""
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    credential = new_secret()
    (tmp_path / "webhook.secret").write_text(credential)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for options, key in (({"secret_file": file}, SECRET), ({}, credential)):
        with closing(opened("webhook", url=receiver.url, **options)) as sink:
            sink.write(turn(1))
        post = receiver.posts.pop()
        Verifier(key).verify(post.body, post.headers)


def test_a_secret_file_that_is_missing_or_empty_never_means_unsigned(tmp_path):
    """The receiver would throw everything away, or worse, not."""
    with pytest.raises(FileNotFoundError):
        opened("webhook", url="https://example.org", secret_file=tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ValueError, match="no secret"):
        opened("webhook", url="https://example.org", secret_file=tmp_path / "empty")
    with pytest.raises(ValueError, match="both"):
        opened("webhook", url="https://example.org", secret=SECRET, secret_file=tmp_path / "none")


def test_without_a_secret_it_is_unsigned_and_says_so_once(receiver):
    """A choice for a receiver on the same machine, and never a silent one."""
    with capture_logs() as logs, closing(opened("webhook", url=receiver.url)) as sink:
        sink.write(turn(1))
        sink.write(turn(2))
    assert [entry["event"] for entry in logs] == ["webhook_unsigned"]
    assert "webhook-signature" not in receiver.posts[0].headers
    assert receiver.posts[0].headers["webhook-id"] == "minuted_boardroom_1"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/x?token=1",
        "https://user:password@example.org:8443/",
        "http://127.0.0.1:9/",
        "http://localhost/x",
        "http://[::1]:80/",
        "http://10.1.2.3/",
        "http://192.168.7.1:8080/",
        "http://[fd00::1]/",
        "http://100.64.0.9/",
        "http://collector/turns",
        "http://nas.local/",
        "http://hooks.internal/",
    ],
)
def test_https_goes_anywhere_and_http_no_further_than_the_local_network(url):
    """Operators write these addresses themselves: the danger is a slip, not an attack."""
    webhook.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "http://8.8.8.8/",
        "http://[2001:4860:4860::8888]/",
        "http://host:port/",
        "https://",
        "https:///path",
        "ftp://host/",
        "file:///etc/passwd",
        "nonsense",
        "",
    ],
)
def test_addresses_that_cannot_work_or_would_be_overheard_are_refused(url):
    """What was said in a room does not cross the internet in plain text."""
    with pytest.raises(ValueError, match=r"^url"):
        webhook.check_url(url)


@pytest.mark.parametrize("answer", [Answer(500), Answer(hang_up=True), Answer(400), Answer(302)])
def test_no_error_tells_the_address_beyond_its_host(receiver, answer, caplog):
    """A path or a query is often a secret, and errors are shown to people and kept in logs."""
    url = receiver.url.replace("http://", "http://alice:s3cret@") + "/p4th?key=qu3ry#fr4gment"
    receiver.answers = [answer] * 3
    said = []
    with (
        caplog.at_level(logging.DEBUG, "minuted"),
        closing(opened("webhook", url=url, secret=SECRET)) as sink,
    ):
        for _ in range(3):
            with pytest.raises((Retry, Reject)) as failure:
                sink.write(turn(1, "confidential words"))
            assert failure.value.__suppress_context__ or failure.value.__context__ is None
            said.append(str(failure.value))
        said.append(repr(sink))
    assert receiver.posts[0].headers["authorization"].startswith("Basic ")
    for secret in ("alice", "s3cret", "p4th", "qu3ry", "fr4gment", SECRET[6:], "confidential"):
        assert secret not in " ".join(said)
        assert secret not in caplog.text
    assert "127.0.0.1" in said[0]


def test_a_proxy_of_the_environment_does_not_see_what_stays_in_the_house(receiver, monkeypatch):
    """http:// goes to this network only, where a proxy has no business."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with closing(opened("webhook", url=receiver.url, secret=SECRET)) as sink:
        sink.write(turn(1))
    assert len(receiver.posts) == 1


@pytest.mark.parametrize("timeout_s", [0, -1, 301])
def test_a_timeout_has_bounds(timeout_s):
    """One of zero never delivers, one of hours holds up the stop."""
    with pytest.raises(ValueError, match="timeout_s"):
        opened("webhook", url="https://example.org", timeout_s=timeout_s)


@given(st.integers(100, 599))
def test_every_status_has_a_verdict(status):
    """Nothing a receiver answers may be taken for success but 2xx."""
    assert (webhook.judge(status) == "delivered") == (httpx.codes.is_success(status))
    if webhook.judge(status) == "refused":
        assert httpx.codes.is_client_error(status)
