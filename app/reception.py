"""What the connections of one service share: how long each thing is waited for, and who answers what is no request."""

from typing import Any

from starlette.types import ASGIApp

from app.settings import Settings
from app.timer import Timer

LINGER_SECONDS = 2.0
"""What a client still sends when it is refused is read for so long: a kernel that must drop it drops the answer too."""
LEFT_SECONDS = 0.05
"""How often it is looked whether a client that sends no more is there."""
LAST_SECONDS = 0.5
"""How long a connection on which nothing is asked is kept when the service stops: a request may be on its way."""


class Reception:
    """One timer for each thing that connections wait for."""

    def __init__(self, settings: Settings, refused: ASGIApp) -> None:
        """On the loop that is running; `refused` is asked instead of the application, with `refusal` in the state."""
        self.settings = settings
        self.refused: Any = refused  # uvicorn's word for an application is another one
        self.heads = Timer(settings.head_seconds)
        self.readers = Timer(settings.write_seconds)
        self.leavers = Timer(LINGER_SECONDS)
        self.quiet = Timer(LEFT_SECONDS)
        self.last = Timer(LAST_SECONDS)
