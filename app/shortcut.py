"""A shorter way to the endpoints that are asked most."""

from collections.abc import Sequence

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

MOST_PATHS = 1024
"""Paths that are remembered; a client can make up as many as it likes."""


class Shortcut:
    """From a path to its route's endpoint, without the layers between.

    A route given here has an endpoint that takes the request and answers it, refusals included. FastAPI would get
    there through its layers for errors, telemetry and limits, a walk over all routes, exit stacks, exception handlers
    and a search for dependencies. Which route a path leads to is asked of the routes themselves, once, and remembered.
    """

    def __init__(self, shorter: ASGIApp, whole: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._shorter = shorter
        self._whole = whole
        self._routes = [route for route in routes if isinstance(route, APIRoute)]
        self._found: dict[str, Scope] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        child = None
        if scope["type"] == "http" and scope["method"] == "POST":
            child = self._found.get(scope["path"]) or self._find(scope)
        if child is None:
            await self._whole(scope, receive, send)
        else:
            scope.update(child)
            await self._shorter(scope, receive, send)

    def _find(self, scope: Scope) -> Scope | None:
        for route in self._routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                if len(self._found) >= MOST_PATHS:
                    self._found.clear()
                self._found[scope["path"]] = child
                return child
        return None


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer by the route that was found."""
    response = await scope["route"].endpoint(Request(scope, receive, send))
    await response(scope, receive, send)
