"""The shorter way to the verbs, and those who put layers of their own around the application."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from app.authentication import PROBES
from app.keys import new_key
from app.main import create_app
from app.settings import Settings
from tests.app.test_routes import USUAL


def test_who_does_not_start_the_application_is_told_how(settings: Settings) -> None:
    """A TestClient without `with` starts nothing."""
    with pytest.raises(RuntimeError, match="expected a server, `with TestClient"):
        TestClient(create_app(settings)).get("/health/live")


def test_instrumentation_sees_every_request(settings: Settings) -> None:
    """It wraps the application's layers as OpenTelemetry's does, and the verbs are answered through it, and alike."""
    seen: list[str] = []
    app = create_app(settings)
    build = app.build_middleware_stack

    def instrumented() -> ASGIApp:
        layers = build()

        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                seen.append(scope["path"])
            await layers(scope, receive, send)

        return layer

    app.build_middleware_stack = instrumented  # type: ignore[method-assign]
    x = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": USUAL}
    with TestClient(app) as watched, TestClient(create_app(settings)) as plain:
        for path, body in (("/score", {"rows": [USUAL]}), ("/score", {}), ("/v2/models/plant/infer", {"inputs": [x]})):
            answers = [client.post(path, json=body, headers={"X-Request-ID": "a"}) for client in (watched, plain)]
            assert answers[0].content == answers[1].content
        line = watched.post("/score", content=f"{USUAL}\n", headers={"Content-Type": "application/x-ndjson"})
        assert line.text.endswith('{"rows":1,"errors":0}\n')

    assert seen == ["/score", "/score", "/v2/models/plant/infer", "/score"]


@pytest.fixture
def below(settings: Settings) -> Iterator[TestClient]:
    """The application below a prefix of another one, with keys; its lifespan is begun by the other's."""
    _, key = new_key("historian", "infer")
    inner = create_app(Settings(models=settings.models, device="cpu", keys=key.line()))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, object]]:
        async with inner.router.lifespan_context(inner) as state:
            yield state

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/plant", inner)
    with TestClient(outer) as client:
        yield client


def test_below_a_prefix_the_same_is_open_and_nothing_else(below: TestClient) -> None:
    """The probes need no key, the rest does, on the shorter way too; who knocks under /v2 is told so in its words."""
    assert [below.get(f"/plant{path}").status_code for path in sorted(PROBES)] == [200] * len(PROBES)
    assert below.post("/plant/score", json={"rows": [USUAL]}).status_code == 401
    assert list(below.post("/plant/v2/models/plant/infer", json={}).json()) == ["error"]
    assert below.get("/plant/v2/nothing").json().keys() == {"error"}


def test_below_a_prefix_links_and_the_document_say_it(settings: Settings) -> None:
    """As where a gateway cuts it off and says so."""
    with TestClient(create_app(settings), root_path="/plant") as client:
        assert client.get("/").json()["links"]["ready"] == "/plant/health/ready"
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/plant"}]
        assert client.post("/score", json={"rows": [USUAL]}).status_code == 200
    with TestClient(create_app(settings)) as client:
        assert "servers" not in client.get("/openapi.json").json()


def test_a_mounted_application_that_nobody_starts_says_so(settings: Settings) -> None:
    """The other's lifespan is not its own."""
    outer = FastAPI()
    outer.mount("/plant", create_app(settings))
    with TestClient(outer) as client, pytest.raises(RuntimeError, match="a lifespan that enters"):
        client.get("/plant/health/live")
