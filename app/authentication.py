"""Who may ask: behind `Authentication` every request has a key that is known here, and `Admin` demands its scope.

Where no keys are set there is no such layer: whoever reaches the service may ask it, and nothing can be administered.
"""

from collections.abc import Set
from typing import Annotated

from fastapi import Depends, Request
from starlette._utils import get_route_path  # what the routes themselves ask
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Forbidden, NotEnabled, RequestError, Unauthenticated
from app.keyring import Keyring
from app.keys import Key, KeyScope
from app.refusals import refuse
from app.settings import Settings

PROBES = frozenset({"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"})
"""The addresses that are always open: an orchestrator has no key."""
METRICS = "/metrics"
INDEX = "/v2/repository/index"
"""It is asked by POST, and yet only reads."""
CONTROL = "/v2/repository/"
READS = frozenset({"GET", "HEAD", "OPTIONS"})

BEARER = b"bearer "
LONGEST = 256
"""Bytes of a key; what is longer is not hashed."""


def open_paths(settings: Settings) -> frozenset[str]:
    """The addresses that need no key."""
    return PROBES | {METRICS} if settings.metrics_open else PROBES


def demanded(method: str, path: str) -> KeyScope | None:
    """The scope that a request's key must have; any key may read."""
    if method in READS or path == INDEX:
        return None
    return "admin" if path.startswith(CONTROL) else "infer"


class Authentication:
    """The ASGI layer that lets a request in, before anything of its body is read.

    It sees the path as the routes do, so that no spelling of an address is open that is not an open address itself.
    """

    def __init__(self, app: ASGIApp, keyring: Keyring, open_paths: Set[str]) -> None:
        self._app = app
        self._keyring = keyring
        self._open = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and get_route_path(scope) not in self._open:
            try:
                self._admit(scope)
            except RequestError as error:
                await refuse(Request(scope), error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        """Find the request's key, and keep it for `Admin` and the log.

        Raises:
            Unauthenticated: there is none, or none that is known here.
            Forbidden: it lacks the scope for what is asked.
        """
        secret = _bearer(scope)
        key = None if secret is None else self._keyring.find(secret)
        if key is None:
            found = "no key" if secret is None else "a key that is not known here"
            detail = f"Found {found}; expected one in the header Authorization, after the word Bearer."
            raise Unauthenticated("unauthenticated", detail)
        scope["state"]["key"] = key
        wanted = demanded(scope["method"], get_route_path(scope))
        if wanted and wanted not in key.scopes:
            raise _lacks(wanted)


def _bearer(scope: Scope) -> bytes | None:
    """The one key that the headers hold; two of them are none."""
    held = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(held) != 1 or held[0][: len(BEARER)].lower() != BEARER:
        return None
    secret = held[0][len(BEARER) :].strip(b" ")
    return secret if 0 < len(secret) <= LONGEST else None


def _lacks(wanted: KeyScope) -> Forbidden:
    return Forbidden("forbidden", f"The key may not do this; expected one with the scope {wanted}.")


async def _admin(request: Request) -> Key:
    key: Key | None = request.scope["state"].get("key")
    if key is None:
        raise NotEnabled(
            "not-enabled",
            "Nothing is administered over HTTP where no keys are set: the folder of models, NELBO_MODELS, says what is "
            "served.",
        )
    if "admin" not in key.scopes:
        raise _lacks("admin")
    return key


Admin = Annotated[Key, Depends(_admin)]
"""The key of a request that may change what is served: `async def endpoint(admin: Admin)`.

Raises:
    Forbidden: the request's key lacks the scope.
    NotEnabled: no keys are set, so nobody can have it.
"""
