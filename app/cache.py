"""Values that are costly to make, each made once and kept while it is asked for."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """The latest `size` values of `make`, safe between threads: those that ask for one being made wait for it."""

    def __init__(self, make: Callable[[Key], Value], size: int) -> None:
        self._make = make
        self._size = size
        self._lock = Lock()
        self._kept: OrderedDict[Key, Future[Value]] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        """Whether the value is kept, or being made."""
        return key in self._kept

    def __getitem__(self, key: Key) -> Value:
        """The value of `key`. What `make` raises reaches everyone who waits, and is not kept."""
        with self._lock:
            kept = self._kept.get(key)
            value = self._kept[key] = kept or Future()
            self._kept.move_to_end(key)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        if kept is None:
            self._fulfil(key, value)
        return value.result()

    def _fulfil(self, key: Key, value: Future[Value]) -> None:
        try:
            value.set_result(self._make(key))
        except BaseException as error:
            with self._lock:
                if self._kept.get(key) is value:
                    del self._kept[key]
            value.set_exception(error)
