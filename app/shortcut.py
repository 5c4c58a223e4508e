"""A shorter way to the endpoints that are asked most."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

STARTED = "service"
"""What the state of a request has where the application's lifespan has begun."""
MOST_PATHS, LONGEST_PATH = 1024, 256
"""Paths that are remembered, of so many characters at most; a client can make up as many and as long as it likes."""


class Shortcut(FastAPI):
    """FastAPI, with a way from a path to its route's endpoint that leaves out the layers between, but no middleware.

    It is for routes whose endpoint takes the request and answers it, refusals included. FastAPI would get there through
    its layers for errors, telemetry and limits, a walk over all routes, exit stacks, exception handlers and a search
    for dependencies. Which route a path leads to is asked of the routes themselves, once, and remembered.
    """

    def __init__(self, asked: Sequence[APIRouter], **settings: Any) -> None:  # noqa: ANN401 - as FastAPI takes them
        """Include the routers whose routes are `asked` most; the settings are FastAPI's."""
        super().__init__(**settings)
        for router in asked:
            self.include_router(router)
        self._asked = [route for router in asked for route in router.routes if isinstance(route, APIRoute)]
        self._found: dict[str, Scope] = {}
        self._shorter: ASGIApp = _answer

    def build_middleware_stack(self) -> ASGIApp:
        """What requests go through: on the shorter way the middleware alone.

        Instrumentation such as OpenTelemetry's takes this method's place on the object, to put layers of its own around
        the others. These are on the long way only, which all requests take then.
        """
        if "build_middleware_stack" in vars(self):
            self._asked = []
        shorter: ASGIApp = _answer
        for layer in reversed(self.user_middleware):
            shorter = layer.cls(shorter, *layer.args, **layer.kwargs)
        self._shorter = shorter
        return super().build_middleware_stack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the shorter way where there is one.

        Raises:
            RuntimeError: the application's lifespan has not begun: nobody started it.
        """
        if scope["type"] != "lifespan" and STARTED not in scope.get("state", ()):
            raise RuntimeError(
                "The application was not started: expected a server, `with TestClient(app) as client:` or, where it is "
                "mounted, a lifespan that enters app.router.lifespan_context(app) and yields what that yields."
            )
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        child = None
        if scope["type"] == "http" and scope["method"] == "POST":
            child = self._found.get(scope["path"]) or self._find(scope)
        if child is None:
            await super().__call__(_as_get(scope), receive, send)
        else:
            scope.update(child)
            scope["app"] = self
            await self._shorter(scope, receive, send)

    def _find(self, scope: Scope) -> Scope | None:
        for route in self._asked:
            match, child = route.matches(scope)
            if match is Match.FULL:
                if len(self._found) >= MOST_PATHS:
                    self._found.clear()
                if len(scope["path"]) <= LONGEST_PATH:
                    self._found[scope["path"]] = child
                return child
        return None


def _as_get(scope: Scope) -> Scope:
    """HEAD asks for what GET does (RFC 9110, 9.3.2), which FastAPI's routes do not know; the server keeps the body."""
    return {**scope, "method": "GET"} if scope["type"] == "http" and scope["method"] == "HEAD" else scope


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    response = await scope["route"].endpoint(Request(scope, receive, send))
    await response(scope, receive, send)
