"""The turn to answer of what came on a connection and is no request, in uvicorn's terms."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.cycle import SPEC_VERSION, Cycle
from app.errors import RequestError


def cycle_of(connection: HttpToolsProtocol, refusal: RequestError) -> Cycle:
    """Like that of a request without a body, after whose answer the connection ends; its state holds the refusal.

    The path stays empty: it may not have come, or not whole.
    """
    known = connection.scope is not None and connection.url
    scope: Any = {
        "type": "http",
        "asgi": {"version": connection.asgi_version, "spec_version": SPEC_VERSION},
        "http_version": "1.1",
        "method": connection.parser.get_method().decode() if known else "",
        "scheme": connection.scheme,
        "root_path": connection.root_path,
        "path": "",
        "raw_path": b"",
        "query_string": b"",
        "headers": connection.headers if known else [],
        "client": connection.client,
        "server": connection.server,
        "state": {"refusal": refusal},
    }
    cycle = Cycle(
        scope=scope,
        transport=connection.transport,
        flow=connection.flow,
        logger=connection.logger,
        access_logger=connection.access_logger,
        access_log=connection.access_log,
        default_headers=connection.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=False,
        on_response=connection.on_response_complete,
    )
    cycle.more_body = False
    return cycle
