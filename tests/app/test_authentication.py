"""Who is let in: at every address of the application, however it is spelt, by every header that is no key."""

import base64
import json
import logging
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.authentication import METRICS, PROBES
from app.keys import Key, new_key
from app.main import create_app
from app.settings import Settings
from tests.app.test_main import ROW, exchange, port_of, start

INFER, INFER_KEY = new_key("historian", "infer")
ADMIN, ADMIN_KEY = new_key("deployer", "admin")
CONTROL = {("POST", f"/v2/repository/models/plant/{verb}") for verb in ("load", "unload")}
INDEX = ("POST", "/v2/repository/index")


class Case(NamedTuple):
    """An address of the application, and a way to ask it."""

    method: str
    path: str


def locked(models: Path, **variables: object) -> Settings:
    keys = f"{INFER_KEY.line()}\n{ADMIN_KEY.line()}"
    return Settings(models=models, device="cpu", keys=keys, access_log=True, **variables)


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[TestClient]:
    with TestClient(create_app(locked(models))) as client:
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def every_address(app: FastAPI) -> list[Case]:
    """Every route, those that the document does not show too, with this repository's names in its path."""
    routes = [route for included in app.routes for route in included.original_router.routes]  # type: ignore[attr-defined]
    assert all(isinstance(route, APIRoute) for route in routes)
    return sorted(
        Case(method, route.path.replace("{name}", "plant").replace("{version}", "2"))
        for route in routes
        for method in route.methods
    )


def refused(response: object) -> tuple[int, str | None]:
    """Status and what is asked for; the body has the form that its address has."""
    assert hasattr(response, "json")
    told = response.json()
    assert told.keys() == {"error"} if response.url.path.startswith("/v2") else told["code"], told  # type: ignore[attr-defined]
    return response.status_code, response.headers.get("www-authenticate")  # type: ignore[attr-defined]


def test_every_address_but_the_probes_needs_a_key(client: TestClient) -> None:
    """Whatever routes there are, and will be; the wrong key is as good as none."""
    addresses = every_address(client.app)  # type: ignore[arg-type]
    assert len(addresses) > 30
    assert {path for _, path in addresses} > {"/", "/score", "/docs", "/docs/docs.js", "/openapi.json", "/metrics"}

    for method, path in addresses:
        for headers in ({}, bearer(INFER[:-1]), bearer(INFER_KEY.digest.hex())):
            response = client.request(method, path, headers=headers)
            assert response.headers["x-content-type-options"] == "nosniff"
            if path in PROBES:
                assert response.status_code == 200
            else:
                assert refused(response) == (401, "Bearer"), (method, path)


def test_each_scope_opens_what_it_is_for(client: TestClient) -> None:
    """Any key reads, `infer` asks the models, `admin` changes what is served, and neither does the other's."""
    for case in every_address(client.app):  # type: ignore[arg-type]
        infers = client.request(*case, headers=bearer(INFER)).status_code
        admin = client.request(*case, headers=bearer(ADMIN)).status_code
        if case in CONTROL:
            assert (infers, admin) == (403, 503), case
        elif case.method == "POST" and case != INDEX:
            assert (infers, admin) == (415 if not case.path.startswith("/v2") else 400, 403), case
        else:
            assert (infers, admin) == (200, 200), case


def test_a_key_of_both_scopes_does_both(models: Path) -> None:
    """Scopes are counted, not ranked."""
    secret, key = new_key("engineer", "infer,admin")
    with TestClient(create_app(Settings(models=models, device="cpu", keys=key.line()))) as client:
        asked = client.post("/score", json={"rows": [[20, 1013, 5, 3]]}, headers=bearer(secret))
        loaded = client.post("/v2/repository/models/plant/load", headers=bearer(secret))

    assert (asked.status_code, loaded.status_code) == (200, 503)


def test_a_missing_scope_is_told(client: TestClient) -> None:
    """With its name, in the form of the address."""
    problem = client.post("/score", json={}, headers=bearer(ADMIN)).json()
    error = client.post("/v2/repository/models/plant/load", headers=bearer(INFER)).json()

    assert (problem["code"], problem["status"]) == ("forbidden", 403)
    assert problem["detail"] == "The key may not do this; expected one with the scope infer."
    assert error == {"error": "The key may not do this; expected one with the scope admin."}


def test_metrics_are_open_where_they_are_set_so(models: Path, client: TestClient) -> None:
    """That address alone; without keys everything is as open as ever, and nothing administrative is."""
    assert client.get(METRICS).status_code == 401
    with TestClient(create_app(locked(models, metrics_open=True))) as opened:
        assert [opened.get(path).status_code for path in (METRICS, "/models")] == [200, 401]
    with TestClient(create_app(Settings(models=models, device="cpu"))) as keyless:
        assert [keyless.get(path).status_code for path in (METRICS, "/models")] == [200, 200]
        assert {keyless.request(*case).status_code for case in CONTROL} == {503}


def test_keys_are_in_the_document_where_they_are_set(models: Path, client: TestClient) -> None:
    """The scheme, the addresses without it, and how it is refused: problems, and errors under /v2."""
    document = client.get("/openapi.json", headers=bearer(INFER)).json()

    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["security"] == [{"key": []}]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert (operation.get("security") == []) == (path in PROBES), path
            told = {status for status in ("401", "403") if status in operation["responses"]}
            asks = (method.upper(), path) != INDEX and method == "post"
            assert told == (set() if path in PROBES else {"401", "403"} if asks else {"401"}), path
            for status in told:
                assert operation["responses"][status]["content"] == operation["responses"]["500"]["content"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_read_in_any_case(client: TestClient, scheme: str) -> None:
    """As RFC 9110 has it."""
    assert client.get("/models", headers={"Authorization": f"{scheme} {INFER}"}).status_code == 200


def test_a_key_elsewhere_is_not_read(client: TestClient) -> None:
    """Neither in the address, which is logged on the way, nor as a password, nor in other headers, nor twice."""
    basic = [base64.b64encode(text.encode()).decode() for text in (f"key:{INFER}", f"{INFER}:", INFER)]
    given: list[list[tuple[str, str]]] = [
        *([("Authorization", f"Basic {text}")] for text in basic),
        [("Authorization", INFER)],
        [("Authorization", f"Token {INFER}")],
        [("Authorization", f"Bearer {INFER}, Bearer {INFER}")],
        [("Authorization", f"Bearer {INFER}"), ("Authorization", f"Bearer {INFER}")],
        [("Authorization", "Bearer x"), ("Authorization", f"Bearer {INFER}")],
        [("Proxy-Authorization", f"Bearer {INFER}")],
        [("X-Api-Key", INFER)],
        [("Cookie", f"key={INFER}; authorization=Bearer {INFER}")],
    ]
    for headers in given:
        assert client.get("/models", headers=headers).status_code == 401, headers
    for query in (f"key={INFER}", f"api_key={INFER}", f"access_token={INFER}", f"authorization=Bearer%20{INFER}"):
        assert client.get(f"/models?{query}").status_code == 401


NEARLY = st.one_of(
    st.binary(max_size=300),
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", max_size=80).map(str.encode),
    st.integers(0, len(INFER) - 1).map(lambda end: INFER[:end].encode()),
    st.tuples(st.integers(0, len(INFER) - 1), st.integers(33, 126)).map(
        lambda change: INFER[: change[0]].encode() + bytes([change[1]]) + INFER[change[0] + 1 :].encode()
    ),
    st.tuples(st.binary(max_size=4), st.binary(max_size=4)).map(lambda ends: ends[0] + INFER.encode() + ends[1]),
    st.sampled_from([INFER_KEY.line(), INFER_KEY.digest.hex(), INFER.upper(), 2 * INFER, 1000 * INFER]).map(str.encode),
).filter(lambda value: value.strip(b" ") != INFER.encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=NEARLY, scheme=st.sampled_from([b"Bearer ", b"bearer ", b"Basic ", b"Bearer", b""]))
def test_what_is_not_a_key_opens_nothing(client: TestClient, value: bytes, scheme: bytes) -> None:
    """Whatever the header holds; and what it holds is not repeated."""
    response = client.post("/score", content=ROW, headers=[(b"Authorization", scheme + value)])

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert len(value) < 8 or str(value, "latin-1") not in response.text


def test_the_log_has_the_keys_name_and_never_the_key(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """Of whoever asked, whether answered or forbidden; of an unknown key nothing at all."""
    caplog.set_level(logging.DEBUG)
    unknown, _ = new_key("stranger", "infer")
    for secret in (INFER, ADMIN, unknown):
        client.post("/score", json={"rows": [[20, 1013, 5, 3]]}, headers=bearer(secret))
    client.get("/models")

    lines = [record.getMessage() for record in caplog.records if record.name == "nelbo.access"]
    found = [(line.split()[3], line.rpartition(" ")[2]) for line in lines]
    assert found == [("200", "key=historian"), ("403", "key=deployer"), ("401", "key=-"), ("401", "key=-")]
    for secret in (INFER, ADMIN, unknown):
        assert secret not in caplog.text
        assert new_key("x", "infer")[1].digest.hex() not in caplog.text


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(INFER_KEY.line())
    return file


@pytest.fixture(scope="module")
def log(file: Path) -> Path:
    return file.with_name("log")


@pytest.fixture(scope="module")
def served(models: Path, file: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(models, log, NELBO_KEYS_FILE=str(file), NELBO_ACCESS_LOG="1")
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def port(served: subprocess.Popen[bytes], log: Path) -> int:
    return port_of(served, log)


def ask(port: int, method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """What is answered to a request that is sent as it stands."""
    lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *headers, f"Content-Length: {len(body)}"]
    return exchange(port, "\r\n".join([*lines, "", ""]).encode() + body)


TARGETS = [
    "//score",
    "/score/",
    "/score//",
    "/Score",
    "/SCORE",
    "/./score",
    "/%73core",
    "/%2fscore",
    "/score%00",
    "/score;x",
    "/score?/health/live",
    "/score#/health/live",
    "/health/../score",
    "/health/live/../../score",
    "/health/live/..%2f..%2fscore",
    "/health/live%2f..%2f..%2fscore",
    "/health/live%00/score",
    "/health/live;/../../score",
    "/health/live/",
    "//health/live",
    "/Health/Live",
    "/health/live%20",
    "/health/live%3F",
    "/v2/health/live/../../models/plant/infer",
    "/docs/../score",
    "/docs/../../../app/keys.py",
    "/docs/swagger-ui.css",
    "/docs/docs.js",
    "/static/docs.js",
    "/openapi.json",
    "/metrics",
    "/metrics/",
    "/models/plant/score",
    "/models/plant/versions/2/score",
    "/models/health/live",
    "/v2/models/plant/infer",
    "/v2/repository/index",
    "/v2/repository/models/plant/load",
    "/v2//repository/models/plant/load",
    "/V2/repository/models/plant/load",
    "http://x/score",
    "http://x//score",
    "http://health/live/score",
    "http://x/health/live/../../score",
    "*",
]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PUT", "TRACE"])
def test_no_spelling_of_an_address_gets_round_the_keys(port: int, method: str) -> None:
    """As raw targets on a socket, absolute ones too: refused for want of a key, or no HTTP at all, never answered."""
    for target in TARGETS:
        for headers in ((), ("X-Original-URL: /health/live", "X-Forwarded-For: 127.0.0.1", "X-HTTP-Method: GET")):
            said = ask(port, method, target, "Content-Type: application/json", *headers, body=ROW)
            head = said.partition(b"\r\n\r\n")[0].lower()
            assert said.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 Bad")), (target, said)
            assert said.startswith(b"HTTP/1.1 400") or b"www-authenticate: bearer" in head, target


@pytest.mark.parametrize("path", sorted(PROBES))
def test_a_probe_is_open_by_every_spelling_that_leads_to_it(port: int, path: str) -> None:
    """And only answers what a probe answers: nothing of a body, no other method."""
    for target in (path, f"{path}?x=/score", f"http://x{path}", path.replace("live", "%6cive")):
        assert ask(port, "GET", target).startswith(b"HTTP/1.1 200 "), target
    assert ask(port, "POST", path, body=ROW).startswith(b"HTTP/1.1 405 ")


def test_a_request_is_refused_before_its_body_is_sent(port: int) -> None:
    """No 100 Continue is given to it, and the connection ends, since what follows is no request."""
    head = "POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n"
    for expectation in ("", "Expect: 100-continue\r\n"):
        said = exchange(port, f"{head}{expectation}\r\n".encode())

        assert said.startswith(b"HTTP/1.1 401 ")
        assert said.count(b"HTTP/1.1") == 1
        assert b"connection: close" in said.lower()


def test_each_request_of_a_connection_needs_its_key(port: int) -> None:
    """One that was let in opens nothing for those behind it."""
    request = b"GET /models HTTP/1.1\r\nHost: x\r\n"
    keyed = request + f"Authorization: Bearer {INFER}\r\n\r\n".encode()
    said = exchange(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" + keyed + keyed + request + b"\r\n" + keyed)

    assert [part.split()[0] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"200", b"401"]


def test_keys_are_rotated_while_the_service_runs(port: int, file: Path, log: Path) -> None:
    """Both are good while both are in the file, then only the new one; a broken file changes nothing."""
    new, key = new_key("historian", "infer")

    def becomes(old_status: int, new_status: int) -> bool:
        given_up = time.monotonic() + 30
        while time.monotonic() < given_up:
            told = [ask(port, "GET", "/models", f"Authorization: Bearer {secret}") for secret in (INFER, new)]
            if [int(answer.split()[1]) for answer in told] == [old_status, new_status]:
                return True
            time.sleep(0.1)
        return False

    def publish(*keys: Key) -> None:
        file.with_name("newer").write_text("\n".join(key.line() for key in keys))
        file.with_name("newer").rename(file)

    try:
        publish(INFER_KEY, key)
        assert becomes(200, 200)
        publish(key)
        assert becomes(401, 200)
        file.write_text("half of a li")
        given_up = time.monotonic() + 30
        while "the keys stay as they were" not in log.read_text() and time.monotonic() < given_up:
            assert becomes(401, 200)
        assert "line 1: found 4 words" in log.read_text()
        assert becomes(401, 200)
    finally:
        publish(INFER_KEY)
        assert becomes(200, 401)
    assert INFER not in log.read_text()
    assert new not in log.read_text()


def test_a_flood_of_guesses_leaves_the_service_as_it_was(port: int) -> None:
    """Each is refused on its own; who has a key is answered beside them."""
    guesses = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(100)]
    for number, guess in enumerate(guesses):
        guess.sendall(b"GET /models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %d\r\n\r\n" % number)
    answer = ask(port, "POST", "/score", "Content-Type: application/json", f"Authorization: Bearer {INFER}", body=ROW)

    assert json.loads(answer.partition(b"\r\n\r\n")[2])["n_observed"] == [4]
    for guess in guesses:
        assert guess.recv(65536).startswith(b"HTTP/1.1 401 ")
        guess.close()
