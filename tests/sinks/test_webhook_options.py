"""The webhook's secret, address and other options, and what errors tell of them."""

import logging
from contextlib import closing

import pytest
from standardwebhooks import Webhook as Verifier
from structlog.testing import capture_logs

from minuted import Reject, Retry
from sinks.receiving import SECRET, Answer, new_secret, webhook
from sinks.samples import opened, turn


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


@pytest.mark.parametrize("around", ["\ufeff{}\r\n", '"{}"', "  '{}' \n"])
def test_a_secret_s_file_may_come_from_any_editor(receiver, tmp_path, around):
    file = tmp_path / "secret"
    file.write_text(around.format(SECRET), encoding="utf-8")
    with closing(opened("webhook", url=receiver.url, secret_file=file)) as sink:
        sink.write(turn(1))
    (post,) = receiver.posts
    Verifier(SECRET).verify(post.body, post.headers)


def test_a_check_says_where_to_and_whether_signed_and_asks_nobody(receiver, tmp_path):
    sink = opened("webhook", url=f"{receiver.url}?token=abc", secret=SECRET)
    assert sink.check() == f"to {webhook.origin_of(receiver.url)}, signed"
    sink.secret, sink.secret_file = "", tmp_path / "gone"
    with pytest.raises(FileNotFoundError):
        sink.check()
    sink.secret_file = None
    assert sink.check() == f"to {webhook.origin_of(receiver.url)}, not signed"
    assert not receiver.posts
    sink.close()
