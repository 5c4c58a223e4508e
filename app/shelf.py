"""What is served now, kept in step with the folder of models."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from app.allocator import give_back
from app.errors import InvalidContent, UnknownResource
from app.metrics import Metrics
from app.repository import Repository, renewed
from app.settings import Settings
from app.stock import EMPTY, GONE, UNLOADED, Stock

logger = logging.getLogger("nelbo.shelf")


class Shelf:
    """The repository that requests are answered from.

    A change of the folder makes another one, beside it and in a thread, one change after the other; then one assignment
    puts it in place. Requests under way keep the model that they began with, which goes when the last of them ends.
    """

    def __init__(
        self, repository: Repository, settings: Settings, metrics: Metrics, changed: Callable[[], None]
    ) -> None:
        """`changed` is called on the event loop when another repository is in place."""
        self.repository = repository
        self._settings = settings
        self._metrics = metrics
        self._changed = changed
        # No nicer than the event loop: where that has no rest, a new model would not come for minutes.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="models")
        self._is_left_over = False
        """Whether something else was served when the folder was looked at last."""
        self._count(EMPTY)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Meanwhile the folder is looked at every `watch_seconds`, if that is a time."""
        watch = asyncio.create_task(self._watch()) if self._settings.watch_seconds else None
        try:
            yield
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)
            if watch is not None:
                watch.cancel()
                with suppress(asyncio.CancelledError):
                    await watch

    async def look(self) -> None:
        """Look at the folder now, and serve what it holds."""
        await self._change(lambda served: served.stock)

    async def load(self, name: str) -> None:
        """Look at the folder now, try every bundle of this model again, and serve those that verify.

        Raises:
            UnknownResource: `model-not-found`, no version of it can be served; the text says why.
        """
        now = await self._change(lambda served: served.stock.forgetting(name))
        if name not in now.models:
            why = [f"version {at.version}: {told.reason}" for at, told in now.stock.refused.items() if at.name == name]
            detail = "; ".join(why) or "there is no folder of this name with a version in it"
            raise UnknownResource("model-not-found", f"No version of this model can be served: {detail}.")

    async def unload(self, name: str) -> None:
        """Serve no version of this model, until it is loaded or the service starts again.

        Raises:
            UnknownResource: `model-not-found`.
            InvalidContent: `default-model`, since that answers at the root.
        """
        await self._change(lambda served: _unloaded(served, name))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._settings.watch_seconds)
            try:
                await self.look()
            except Exception:  # whatever it is, what is served is served on, and the next look may be a better one
                logger.exception("could not look at the models")

    async def _change(self, prepared: Callable[[Repository], Stock]) -> Repository:
        before = self.repository
        now = await asyncio.get_running_loop().run_in_executor(self._thread, self._renew, prepared)
        if now is not before:
            self._changed()
        return now

    def _renew(self, prepared: Callable[[Repository], Stock]) -> Repository:
        if self._is_left_over:  # whoever was answered by it then has had time to end
            self._is_left_over = False
            give_back()
        served = self.repository
        now = renewed(served, prepared(served), self._settings)
        if now is not served:
            self.repository, self._is_left_over = now, True
            self._count(served.stock)
        return now

    def _count(self, before: Stock) -> None:
        """Count what was opened and refused since `before`."""
        now = self.repository.stock
        for address, model in now.models.items():
            if before.models.get(address) is not model:
                self._metrics.count_bundle_load("opened")
        for address, why in now.refused.items():
            if before.refused.get(address) is not why and why not in (GONE, UNLOADED):
                self._metrics.count_bundle_load("refused")
        self._metrics.tell_bundles(before.models.values(), now.models.values(), refused=len(now.refused))


def _unloaded(served: Repository, name: str) -> Stock:
    if name not in served.models:
        raise UnknownResource("model-not-found", "No model of this name is served; /models lists those that are.")
    if name == served.default.manifest.name:
        raise InvalidContent("default-model", "The model that answers at the root cannot be unloaded; see NELBO_MODEL.")
    return served.stock.without(name)
