"""HTTPS over real sockets, with certificates that an authority of the tests signs."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from app.errors import SettingsError
from app.settings import Settings
from app.tls import Tls
from tests.app.test_main import JSON, ROW, exchange, port_of, start
from tests.app.test_scoring import wait_until


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def folder(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority's certificate, and those of 127.0.0.1 with its key, each in a file; and files that are wrong."""
    folder = tmp_path_factory.mktemp("tls")
    own, other = authority.issue_cert("127.0.0.1"), authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    own.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    own.private_key_pem.write_to_path(folder / "key.pem")
    other.private_key_pem.write_to_path(folder / "other.pem")
    (folder / "empty.pem").touch()
    key = serialization.load_pem_private_key(own.private_key_pem.bytes(), None)
    (folder / "encrypted.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    return folder


@pytest.fixture(scope="module")
def log(folder: Path) -> Path:
    return folder / "log"


@pytest.fixture(scope="module")
def port(models: Path, folder: Path, log: Path) -> Iterator[int]:
    """A service of two workers, so that each must read the files itself."""
    files = {"NELBO_TLS_CERTIFICATE": "certificate.pem", "NELBO_TLS_KEY": "key.pem"}
    process = start(models, log, NELBO_WORKERS="2", **{name: str(folder / file) for name, file in files.items()})
    try:
        yield port_of(process, log)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def connection(port: int, folder: Path) -> Iterator[HTTPSConnection]:
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    connection = HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    yield connection
    connection.close()


def test_rows_are_scored_over_tls(connection: HTTPSConnection, log: Path) -> None:
    """Small and large, one after another on one connection, whose client has checked the certificate."""
    many = json.dumps({"rows": [[20, 1013, 5, 3]] * 5000}).encode()
    for body, count in ((ROW, 1), (many, 5000), (ROW, 1)):
        connection.request("POST", "/score", body, JSON)
        response = connection.getresponse()

        assert response.status == 200
        assert response.getheader("Strict-Transport-Security") == "max-age=31536000"
        assert len(json.loads(response.read())["score"]) == count
    assert "listening at https://127.0.0.1:" in log.read_text()


def test_answers_that_are_asked_for_at_once_come_in_order(port: int, folder: Path) -> None:
    """The head that waits for its body is written before the next head, encrypted or not."""
    request = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(ROW)
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(9 * (request + b"\r\n" + ROW) + request + b"Connection: close\r\n\r\n" + ROW)
        said = b""
        while chunk := connection.recv(65536):
            said += chunk

    answers = [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert [json.loads(answer)["n_observed"] for answer in answers] == 10 * [[4]]


def test_the_head_of_a_stream_does_not_wait_for_its_body_over_tls(port: int, folder: Path) -> None:
    """The client reads it before it sends a line."""
    head = (
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(b"11\r\n[20, 1013, 5, 3]\n\r\n0\r\n\r\n")
        assert b'"score"' in connection.recv(65536)


def test_what_is_not_tls_is_not_answered(port: int, connection: HTTPSConnection, log: Path) -> None:
    """A client that speaks plain HTTP, or an old TLS, or knows another authority; the log tells; service goes on."""
    assert b"HTTP/1.1 200" not in exchange(port, b"GET /models HTTP/1.1\r\nHost: x\r\n\r\n")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    for context in (old, ssl.create_default_context()):
        with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            context.wrap_socket(plain, server_hostname="127.0.0.1")

    connection.request("GET", "/health/live")
    assert connection.getresponse().status == 200
    wait_until(lambda: log.read_text().count("a TLS handshake failed: ") == 3)
    for reason in ("http request", "tlsv1 alert unknown ca"):  # of an old TLS OpenSSL has several words
        assert f"a TLS handshake failed: {reason}" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_who_shows_no_certificate_of_the_authority_is_not_heard(folder: Path, authority: trustme.CA) -> None:
    """Where authorities of clients are set: none at all, or one that another authority signed, ends the handshake."""
    files = (folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    server = Tls(*files).context()
    known, unknown = authority.issue_cert("plant"), trustme.CA().issue_cert("plant")

    assert [heard(server, folder, shown) for shown in (known, None, unknown)] == [b"hello", b"", b""]


def heard(server: ssl.SSLContext, folder: Path, shown: trustme.LeafCert | None) -> bytes:
    """What a server hears of a client that says hello, with this certificate or with none."""
    client = ssl.create_default_context(cafile=folder / "authority.pem")
    if shown is not None:
        shown.configure_cert(client)
    found: list[bytes] = []

    def listen(accepting: socket.socket) -> None:
        plain, _ = accepting.accept()
        try:
            with server.wrap_socket(plain, server_side=True) as connection:
                found.append(connection.recv(5))
        except (ssl.SSLError, ConnectionError):
            found.append(b"")

    with socket.create_server(("127.0.0.1", 0)) as accepting:
        listener = threading.Thread(target=listen, args=(accepting,))
        listener.start()
        try:
            with (
                socket.create_connection(accepting.getsockname(), timeout=30) as plain,
                client.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
            ):
                connection.sendall(b"hello")
                connection.recv(1)
        except (ssl.SSLError, ConnectionError):
            pass
        listener.join()
    return found[0]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (("nothing.pem", "key.pem"), "NELBO_TLS_CERTIFICATE: {}/nothing.pem: No such file or directory"),
        (("certificate.pem", "nothing.pem"), "NELBO_TLS_KEY: {}/nothing.pem: No such file or directory"),
        (("certificate.pem", "."), "NELBO_TLS_KEY: {}: Is a directory"),
        (("certificate.pem", "other.pem"), "expected a certificate and its key; found: key values mismatch"),
        (
            ("key.pem", "certificate.pem"),
            "expected a certificate and its key; found: no certificate in the one file, or no key",
        ),
        (("empty.pem", "key.pem"), "expected a certificate and its key; found: "),
        (("certificate.pem", "encrypted.pem"), "expected a certificate and its key; found: the key is encrypted"),
        (("certificate.pem", "key.pem", "nothing.pem"), "NELBO_TLS_CLIENT_AUTHORITIES: {}/nothing.pem: No such file"),
        (
            ("certificate.pem", "key.pem", "empty.pem"),
            "NELBO_TLS_CLIENT_AUTHORITIES: {}/empty.pem: expected certificates",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(folder: Path, files: tuple[str, ...], told: str) -> None:
    """By the setting, the file and the reason, without waiting for a password."""
    names = ("tls_certificate", "tls_key", "tls_client_authorities")
    tls = Tls.of(Settings(**{name: folder / file for name, file in zip(names, files, strict=False)}))
    assert tls is not None

    with pytest.raises(SettingsError) as refused:
        tls.context()

    assert told.format(folder) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "PRIVATE KEY" not in str(refused.value)


@pytest.mark.parametrize("names", [["tls_certificate"], ["tls_key"], ["tls_client_authorities"]])
def test_a_part_of_tls_is_refused(folder: Path, names: list[str]) -> None:
    """Who sets one thing of it means TLS, and must not be served without."""
    with pytest.raises(SettingsError, match="NELBO_TLS_CERTIFICATE, NELBO_TLS_KEY: found one only; expected both"):
        Tls.of(Settings(**dict.fromkeys(names, folder / "key.pem")))
    assert Tls.of(Settings()) is None
