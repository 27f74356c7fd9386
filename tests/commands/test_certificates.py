"""A certificate is held against a clock and against its key before a client does."""

import os
import subprocess
from pathlib import Path

import pytest

from minuted.commands import certificates
from minuted.config import ConfigError


def made(folder: Path, name: str, days: int, at: str = "+0d") -> tuple[Path, Path]:
    """Make a certificate and its key, on another day."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    words = "req -x509 -newkey rsa:2048 -nodes -subj /CN=room"
    subprocess.run(
        ["openssl", *words.split(), "-days", str(days), "-out", certificate, "-keyout", key],
        check=True,
        capture_output=True,
        env={**os.environ, "LD_PRELOAD": str(library), "FAKETIME": at},
    )
    return certificate, key


def test_one_that_is_good_for_long_is_told_with_its_end(tmp_path: Path) -> None:
    well, text = certificates.look(*made(tmp_path, "good", 90))
    assert well
    assert text.startswith(f"the certificate {tmp_path}/good.pem is good until 20")


def test_one_that_soon_ends_is_warned_of(tmp_path: Path) -> None:
    well, text = certificates.look(*made(tmp_path, "soon", 3))
    assert not well
    assert "in 3 days: renew it" in text or "in 2 days: renew it" in text


def refusal(certificate: Path, key: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        certificates.look(certificate, key)
    return str(refused.value)


def test_what_no_client_would_take_is_refused_with_its_reason(tmp_path: Path) -> None:
    good, key = made(tmp_path, "good", 90)
    assert f"{tmp_path}/ended.pem has ended: renew it" in refusal(*made(tmp_path, "ended", 30, "-60d"))
    assert f"{tmp_path}/early.pem is not good yet: renew" in refusal(*made(tmp_path, "early", 30, "+60d"))
    other = made(tmp_path, "other", 90)[1]
    assert refusal(good, other) == (
        f"token_server.private_key: {other} is not the key of {good}: name the pair's own"
    )
    (tmp_path / "text.pem").write_text("no certificate")
    assert "are no pair of PEM files" in refusal(tmp_path / "text.pem", key)
    assert refusal(tmp_path / "gone.pem", key) == (
        f"token_server.certificate: {tmp_path}/gone.pem cannot be read: No such file or directory"
    )


def test_a_key_that_would_ask_for_a_passphrase_asks_nobody(tmp_path: Path) -> None:
    good, key = made(tmp_path, "good", 90)
    shut = tmp_path / "shut.key"
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:four", "-in", key, "-out", shut]
    subprocess.run(command, check=True, capture_output=True)
    assert refusal(good, shut) == (
        f"token_server.private_key: {shut} is encrypted: store it without a passphrase"
    )
