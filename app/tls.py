"""TLS: the certificate that the service shows, and those that it asks of its clients."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from app.errors import SettingsError
from app.settings import Settings

logger = logging.getLogger("nelbo")


class Handshaking(ssl.SSLObject):
    """Python's, which the log hears of where it fails: the client is told by TLS, and the application is not."""

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            logger.info("a TLS handshake failed: %s", _reason(error))
            raise


@dataclass(frozen=True)
class Tls:
    """The files that connections are encrypted by."""

    certificate: Path
    key: Path
    client_authorities: Path | None

    @classmethod
    def of(cls, settings: Settings) -> "Tls | None":
        """What the settings name; None where they name nothing.

        Raises:
            SettingsError: they name a part of it only.
        """
        certificate, key, authorities = settings.tls_certificate, settings.tls_key, settings.tls_client_authorities
        if certificate and key:
            return cls(certificate, key, authorities)
        if certificate or key or authorities:
            raise SettingsError("NELBO_TLS_CERTIFICATE, NELBO_TLS_KEY: found one only; expected both, or no TLS at all")
        return None

    def context(self, *_: object) -> ssl.SSLContext:
        """What encrypts, TLS 1.2 or newer; uvicorn asks each process for it, with arguments of no use here.

        Raises:
            SettingsError: naming the setting whose file cannot be read, or does not fit.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = Handshaking
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _require("NELBO_TLS_CERTIFICATE", self.certificate)
        _require("NELBO_TLS_KEY", self.key)
        try:
            context.load_cert_chain(self.certificate, self.key, _no_password)
        except (ssl.SSLError, ValueError) as error:
            place = f"NELBO_TLS_CERTIFICATE, NELBO_TLS_KEY: {self.certificate}, {self.key}"
            raise SettingsError(f"{place}: expected a certificate and its key; found: {_reason(error)}") from error
        if self.client_authorities is not None:
            _require("NELBO_TLS_CLIENT_AUTHORITIES", self.client_authorities)
            try:
                context.load_verify_locations(self.client_authorities)
            except ssl.SSLError as error:
                place = f"NELBO_TLS_CLIENT_AUTHORITIES: {self.client_authorities}"
                raise SettingsError(f"{place}: expected certificates in PEM; found: {_reason(error)}") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _require(setting: str, file: Path) -> None:
    """OpenSSL says that a file of several is not there, but not which."""
    try:
        file.open("rb").close()
    except OSError as error:
        raise SettingsError(f"{setting}: {file}: {error.strerror or error}") from error


def _no_password() -> NoReturn:
    """Without this OpenSSL would ask at the terminal, and wait."""
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason is None:
        return "no certificate in the one file, or no key in the other"
    return str(getattr(error, "reason", None) or error).replace("_", " ").lower()
