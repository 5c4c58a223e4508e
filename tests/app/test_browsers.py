"""What answers tell browsers."""

import re

import pytest
from fastapi.testclient import TestClient

from app.browsers import headers

ASKED = [
    ("GET", "/", 200),
    ("GET", "/docs", 200),
    ("GET", "/docs/swagger-ui.css", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/metrics", 200),
    ("GET", "/nothing", 404),
    ("GET", "/score", 405),
    ("HEAD", "/score", 405),
    ("OPTIONS", "/score", 405),
    ("POST", "/score", 415),
    ("POST", "/sample", 200),
    ("POST", "/v2/models/plant/infer", 400),
]


@pytest.mark.parametrize(("method", "path", "status"), ASKED)
def test_every_answer_is_taken_for_what_it_says_and_is_kept_nowhere(
    client: TestClient, method: str, path: str, status: int
) -> None:
    """Each header once, whatever the answer; what a browser may show as a page says what it may do, too."""
    body = {"json": {"count": 1}} if path == "/sample" else {}
    response = client.request(method, path, **body)
    told = [name for name, _ in response.headers.multi_items()]

    assert response.status_code == status
    assert len(told) == len(set(told))
    assert response.headers["x-content-type-options"] == "nosniff"
    for header in ("cache-control", "content-security-policy", "referrer-policy"):
        assert (header in told) == (method != "POST")
    assert response.headers.get("cache-control", "no-store") == "no-store"
    assert "strict-transport-security" not in told


def test_no_other_origin_is_let_in(client: TestClient) -> None:
    """CORS is off: neither an answer nor a preflight names an origin."""
    origin = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for response in (client.get("/models", headers=origin), client.options("/score", headers=origin)):
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://testserver"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "http://testserver:81"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "\xff"}, 403),
    ],
)
def test_a_page_of_another_origin_asks_in_vain(client: TestClient, headers: dict[str, str], status: int) -> None:
    """A browser sends plain text for it without asking, and /v2 asks for no type; elsewhere JSON has to be said."""
    body = b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[20,1013,5,3]}]}'
    told = {name: value.encode("latin-1") for name, value in headers.items()}
    response = client.post("/v2/models/plant/infer", content=body, headers=told | {"Content-Type": "text/plain"})

    assert response.status_code == status
    assert (response.json().keys() == {"error"}) is (status == 403)
    assert client.post("/score", content=b'{"rows":[[20,1013,5,3]]}', headers=told).status_code == 415


def test_the_page_needs_nothing_that_it_is_not_allowed(client: TestClient) -> None:
    """No script stands in the page itself, what it asks for is its own, and no other page may frame it."""
    page = client.get("/docs")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))

    assert re.findall(r"<script[^>]*>(.*?)</script>", page.text, flags=re.DOTALL) == ["", ""]
    assert not re.search(r"\son\w+=|<style|style=|javascript:", page.text)
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"


def test_only_over_tls_a_browser_is_told_to_keep_to_it() -> None:
    """It would lock people out of a service that has none."""
    told = dict(headers(tls=True, page=False))

    assert told[b"strict-transport-security"] == b"max-age=31536000"
    assert told.items() - dict(headers(tls=False, page=False)).items() == {
        (b"strict-transport-security", b"max-age=31536000")
    }
