"""The token server's certificate: would a client take it today, and how much longer?"""

import os
import ssl
import time
from pathlib import Path
from typing import Final

from minuted.config import ConfigError
from minuted.runtime import guard

SOON_DAYS: Final = 14
"""A certificate that ends within this is warned of."""
_EXPIRED, _NOT_YET = 10, 9
"""OpenSSL's verification results. Source: openssl-verification-options(1)."""


def look(certificate: Path, private_key: Path) -> tuple[bool, str]:
    """Return whether it is good for a while yet, and until when.

    Raises ConfigError where no client would take it.
    """
    for option, file in (("certificate", certificate), ("private_key", private_key)):
        _refuse_unreadable(f"token_server.{option}", file)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(certificate, private_key, password=_ask_nobody)
    except (OSError, ValueError) as error:
        raise ConfigError(_reason(error, certificate, private_key)) from None
    ends_s = ssl.cert_time_to_seconds(_verified(server, certificate)["notAfter"])
    days = (ends_s - time.time()) / 86_400
    until = time.strftime("%Y-%m-%d", time.gmtime(ends_s))
    if days < SOON_DAYS:
        return False, f"the certificate {certificate} ends on {until}, in {days:.0f} days: renew it"
    return True, f"the certificate {certificate} is good until {until}"


def _refuse_unreadable(key: str, file: Path) -> None:
    try:
        file.read_bytes()
    except PermissionError:
        us = guard.user(os.geteuid())
        raise ConfigError(
            f"{key}: {us} may not read {file}; run: setfacl -m u:{us}:r {file}, or put a copy of {us}'s there"
        ) from None
    except OSError as error:
        raise ConfigError(f"{key}: {file} cannot be read: {error.strerror}") from None


def _ask_nobody() -> str:
    raise ValueError("it is encrypted")


def _reason(error: Exception, certificate: Path, private_key: Path) -> str:
    """Return what is wrong with the two files, without OpenSSL's own words where they say little."""
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return f"token_server.private_key: {private_key} is not the key of {certificate}: name the pair's own"
    if isinstance(error, ValueError) and not isinstance(error, ssl.SSLError):
        return f"token_server.private_key: {private_key} is encrypted: store it without a passphrase"
    return (
        f"token_server.certificate or private_key: {certificate} and {private_key} are no pair of PEM files"
    )


def _verified(server: ssl.SSLContext, certificate: Path) -> dict[str, str]:
    """Shake hands with it in memory, as a client that trusts whoever signed it; return what it says."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours, theirs]
    try:
        while ours in waiting:
            for end in list(waiting):
                try:
                    end.do_handshake()
                    waiting.remove(end)
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        when = {_EXPIRED: "has ended", _NOT_YET: "is not good yet"}.get(
            error.verify_code, error.verify_message
        )
        raise ConfigError(
            f"token_server.certificate: {certificate} {when}: renew it "
            f"(its dates: openssl x509 -noout -dates -in {certificate})"
        ) from None
    except ssl.SSLError as error:
        raise ConfigError(f"token_server.certificate: {certificate} cannot be used: {error.reason}") from None
    return {key: str(value) for key, value in (ours.getpeercert() or {}).items()}
