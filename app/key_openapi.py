"""What the OpenAPI document says of keys, where they are set."""

from collections.abc import Set
from http import HTTPStatus
from typing import Any

from app.authentication import demanded

SCHEME = "key"
DESCRIPTION = "A key that the service's operator made with `nelbo key`."


def demand_keys(document: dict[str, Any], open_paths: Set[str]) -> None:
    """Say that every operation takes a key, but those at open paths, and how it is refused without."""
    document["components"]["securitySchemes"] = {
        SCHEME: {"type": "http", "scheme": "bearer", "description": DESCRIPTION}
    }
    document["security"] = [{SCHEME: []}]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path in open_paths:
                operation["security"] = []
                continue
            for status in (401, 403) if demanded(method.upper(), path) else (401,):
                # In the form of every other error at this path.
                told = operation["responses"]["500"] | {"description": HTTPStatus(status).phrase}
                operation["responses"][str(status)] = told
