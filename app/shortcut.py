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
    there by a walk over all routes, two exit stacks, two exception handlers and a search for dependencies that it does
    not have. Which route a path leads to is asked of the routes themselves, once, and remembered.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = [route for route in routes if isinstance(route, APIRoute)]
        self._found: dict[str, tuple[APIRoute, Scope]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        found = self._found.get(scope["path"]) or self._find(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        route, child = found
        scope.update(child)
        response = await route.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[APIRoute, Scope] | None:
        for route in self._routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                if len(self._found) >= MOST_PATHS:
                    self._found.clear()
                self._found[scope["path"]] = route, child
                return route, child
        return None
