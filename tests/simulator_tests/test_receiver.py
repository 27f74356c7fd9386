import json
import threading

import httpx
import pytest

from simulator.receiver import Receiver

WAIT_S_MAX = 10.0


def post(receiver: Receiver, value: int = 0, timeout_s: float = WAIT_S_MAX) -> httpx.Response:
    body = json.dumps({"value": value})
    return httpx.post(
        receiver.url, content=body, headers={"webhook-id": f"msg_{value}"}, timeout=timeout_s, trust_env=False
    )


def test_bodies_and_headers_are_kept():
    with Receiver() as receiver:
        assert post(receiver, 7).status_code == 200
        (request,) = receiver.requests
        assert request.json() == {"value": 7}
        assert request.headers["webhook-id"] == "msg_7"
        assert (request.method, request.path) == ("POST", "/turns")
        assert receiver.taken == [request]


def test_answers_are_as_scripted_and_then_as_always():
    with Receiver([500, (429, {"Retry-After": "3"}), 204]) as receiver:
        answers = [post(receiver, value) for value in range(4)]
        assert [answer.status_code for answer in answers] == [500, 429, 204, 200]
        assert answers[1].headers["Retry-After"] == "3"
        assert [request.json()["value"] for request in receiver.taken] == [2, 3]
        receiver.always = 503
        assert post(receiver).status_code == 503
        receiver.then(410)
        assert [post(receiver).status_code for _ in range(2)] == [410, 503]


def test_no_answer_is_a_timeout_and_a_reset_is_a_reset():
    with Receiver(["hang", "reset"]) as receiver:
        with pytest.raises(httpx.ReadTimeout):
            post(receiver, timeout_s=0.2)
        with pytest.raises(httpx.ReadError, match="reset"):
            post(receiver)
        assert len(receiver.requests) == 2
        assert receiver.taken == []


def test_a_connection_serves_several_requests():
    with Receiver() as receiver, httpx.Client(trust_env=False) as client:
        for _ in range(3):
            client.post(receiver.url, content=b"x")
        assert len(receiver.requests) == 3
        assert len({request.peer_port for request in receiver.requests}) == 1


def test_it_stops_with_connections_open_and_starts_again_on_its_port():
    with (
        Receiver([200, "hang"]) as receiver,
        httpx.Client(trust_env=False) as client,
        httpx.Client(trust_env=False) as idle,
    ):
        idle.post(receiver.url, content=b"x")
        failed = []

        def hang() -> None:
            try:
                client.post(receiver.url, content=b"x", timeout=WAIT_S_MAX)
            except httpx.HTTPError as error:
                failed.append(error)

        waiting = threading.Thread(target=hang)
        waiting.start()
        receiver.wait_until(lambda: len(receiver.requests) == 2)
        receiver.stop()
        waiting.join(WAIT_S_MAX)
        assert len(failed) == 1
        with pytest.raises(httpx.ConnectError):
            post(receiver)
        receiver.start()
        assert post(receiver).status_code == 200


def test_waiting_has_a_bound():
    with Receiver() as receiver, pytest.raises(TimeoutError, match="0 requests came"):
        receiver.wait_until(lambda: receiver.requests, timeout_s=0.05)
