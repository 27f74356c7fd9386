"""`minuted check --online`: a session is opened and ended, and a refusal is said."""

import pytest

from minuted.config import Engine, Settings
from minuted.transcription.trial import try_out
from simulator import Fault, Service


def settings(service: Service) -> Settings:
    return Settings(engine=Engine(service="assemblyai", url=service.url))


@pytest.fixture(autouse=True)
def key(no_key, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "a-key")


def test_a_session_is_opened_and_ended_at_once() -> None:
    """It costs as long as it is open."""
    with Service() as service:
        assert try_out(settings(service)) == ("u3-rt-pro", [])
        service.wait_until(lambda: service.sessions and service.sessions[0].ended_at_s is not None)
        assert len(service.connections) == 1
        assert service.sessions[0].audio_bytes == 0


def test_what_is_not_as_it_was_asked_for_is_said() -> None:
    with Service(echo={"model": "another", "redact_pii": True}) as service:
        model, differences = try_out(settings(service))
    assert model == "another"
    assert differences == [
        "asked for the model u3-rt-pro, got another",
        "asked for redact_pii = false, the session has true",
    ]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(name="error", code=1008, text="Unauthorized: a-key"), "Unauthorized: <key>"),
        (Fault(name="http", status=503), "503"),
    ],
    ids=["refused", "busy"],
)
def test_a_refusal_is_said_without_the_key(fault: Fault, said: str) -> None:
    with Service([fault]) as service, pytest.raises(ConnectionError, match=said):
        try_out(settings(service))


def test_where_nobody_listens_is_said() -> None:
    with pytest.raises(ConnectionError, match="refused"):
        try_out(Settings(engine=Engine(service="assemblyai", url="ws://127.0.0.1:9")))
