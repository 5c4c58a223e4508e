"""How much waits to be computed, and how much may."""

from app.errors import Unavailable

OVERLOADED = "overloaded"
"""The code of what is refused since too much waits."""
WHOLE, OF_STREAMS = 1.0, 0.5
"""Of the room, what any request may take, and what lines of streams may: however many they are, requests find some."""
LATE = 2
"""Work is given up when it has waited so many times longer than it was to wait at most."""


class Backlog:
    """Work that waits for one thread or several, or that they are at; touched on the event loop only.

    By Little's law (1961) work waits for as long as what is before it takes. Nothing is refused while each thread has
    no more than the work it is at and the next: somebody who asks for what takes long, and nobody else, is answered.
    """

    def __init__(self, most_seconds: float, threads: int = 1) -> None:
        """Of so many threads, of which each may have work for `most_seconds`."""
        self._most_seconds = most_seconds
        self.threads = threads
        """That may be at work at once."""
        self.pieces = 0
        """Of work, that are not done."""
        self.seconds = 0.0
        """What they are thought to take, one after another."""

    def require_room(self, share: float = WHOLE) -> None:
        """Refuse what comes while more than this share of the room is taken.

        Raises:
            Unavailable: `overloaded`.
        """
        part = share * self.threads
        if self.seconds > self._most_seconds * part and self.pieces >= 2 * part:
            raise overloaded()

    @property
    def patience(self) -> float:
        """For how many seconds work may wait, as things are, before it is given up."""
        return LATE * max(self._most_seconds, self.seconds / self.threads)

    def add(self, seconds: float) -> None:
        """Work that is thought to take so long."""
        self.pieces += 1
        self.seconds += seconds

    def remove(self, seconds: float) -> None:
        """What was added with so many seconds is done, or given up."""
        self.pieces -= 1
        self.seconds = self.seconds - seconds if self.pieces else 0.0


def overloaded() -> Unavailable:
    """More waits than may."""
    return Unavailable(OVERLOADED, "More is waiting to be computed than the service takes on; try again soon.")
