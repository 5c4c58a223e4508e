"""nelbo with a leak, to see that the check for leaks can fail: it keeps a part of every answer."""

import sys

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import serving
from app.settings import Settings

KEPT_BYTES = 512


class Leak:
    """A layer that forgets nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: list[bytearray] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and keep some bytes."""

        async def keeping(message: Message) -> None:
            self._kept.append(bytearray(KEPT_BYTES))
            await send(message)

        await self._app(scope, receive, keeping)


def main() -> int:
    """`nelbo serve`, leaking."""
    made = serving.create_app

    def leaking(*arguments: object) -> object:
        app = made(*arguments)  # type: ignore[arg-type]
        app.add_middleware(Leak)
        return app

    serving.create_app = leaking  # type: ignore[assignment]
    return serving.serve(Settings())


if __name__ == "__main__":
    sys.exit(main())
