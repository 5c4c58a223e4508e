"""The shorter way to the verbs, and those who put layers of their own around the application."""

import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from app.main import create_app
from app.settings import Settings
from tests.app.test_routes import USUAL


def test_who_does_not_start_the_application_is_told_how(settings: Settings) -> None:
    """A TestClient without `with` starts nothing."""
    with pytest.raises(RuntimeError, match="expected a server, or `with TestClient"):
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
