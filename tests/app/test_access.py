import logging
import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app import access
from app.backlog import overloaded
from app.main import create_app
from app.settings import Settings


@pytest.fixture
def broken(settings: Settings) -> Iterator[TestClient]:
    """The application with one more route, which fails."""
    app: FastAPI = create_app(settings)

    @app.get("/fail")
    async def fail() -> None:
        raise ZeroDivisionError("the secret of line 12")

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("sane", ["a", "7f3a", "req-1.2_3", "A" * 64])
def test_a_sane_request_id_is_kept(client: TestClient, sane: str) -> None:
    """What a proxy gave comes back, in the header and in a problem."""
    response = client.get("/nothing", headers={"X-Request-ID": sane})

    assert response.headers["x-request-id"] == response.json()["request_id"] == sane


@pytest.mark.parametrize("odd", ["", " ", "A" * 65, "a b", "a\tb", "<script>", "-", "a;b", "ü".encode()])
def test_an_odd_request_id_is_replaced(client: TestClient, odd: str | bytes) -> None:
    """Nothing that could break a log line or a page comes back."""
    given = odd if isinstance(odd, bytes) else odd.encode()
    response = client.get("/models", headers=[(b"X-Request-ID", given)])

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


def test_every_request_has_an_id_of_its_own(client: TestClient) -> None:
    """Made where none was given."""
    assert client.get("/models").headers["x-request-id"] != client.get("/models").headers["x-request-id"]


def test_an_unexpected_error_tells_nothing_internal(broken: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets a problem with the id, the log gets the traceback with the same id, and service goes on."""
    response = broken.get("/fail", headers={"X-Request-ID": "look-here"})

    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert (response.json()["code"], response.json()["request_id"]) == ("internal-error", "look-here")
    assert "secret" not in response.text
    assert "ZeroDivisionError" not in response.text
    assert "request_id=look-here failed" in caplog.text
    assert "the secret of line 12" in caplog.text
    assert broken.get("/models").status_code == 200


@pytest.mark.parametrize(("every", "lines"), [(60.0, 1), (0.0, 5)])
def test_refusals_of_an_overload_have_a_line_now_and_then(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, every: float, lines: int
) -> None:
    """Each costs as much as the refusal; all of them are counted."""
    monkeypatch.setattr(access, "TOLD_EVERY", every)
    caplog.set_level(logging.INFO, logger="nelbo.access")
    app = create_app(settings)

    @app.get("/busy")
    async def busy() -> None:
        raise overloaded()

    with TestClient(app) as client:
        refused = [client.get("/busy") for _ in range(5)]
        counted = client.get("/metrics").text

    assert {response.status_code for response in refused} == {503}
    assert caplog.text.count(" 503 overloaded ") == lines
    assert 'nelbo_refusals_total{reason="overloaded"} 5.0' in counted


def test_the_log_has_a_line_for_each_request_and_no_values(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The id, the method, the route's template, the status and the code; neither readings nor addresses."""
    caplog.set_level(logging.INFO, logger="nelbo.access")
    client.post("/models/plant/score", json={"rows": [[1.2345, 2, 3]]}, headers={"X-Request-ID": "one"})
    client.get("/1.2345%0Aforged", headers={"X-Request-ID": "two"})

    lines = [record.getMessage() for record in caplog.records if record.name == "nelbo.access"]
    assert re.fullmatch(r"request_id=one POST /models/\{name\}/score 422 dimension-mismatch \d+\.\dms key=-", lines[0])
    assert re.fullmatch(r"request_id=two GET unmatched 404 not-found \d+\.\dms key=-", lines[1])
