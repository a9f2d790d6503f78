"""A worker thread for calls that may never return: the caller waits for a limited time and abandons them."""

import queue
import threading
from collections.abc import Callable
from typing import Any


class NoAnswer(Exception):  # noqa: N818  # an outcome, not a mistake
    """A call did not return in time."""


class GuardedThread:
    """One daemon thread, started on first use; all calls share it because some trackers keep state per thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._actions: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, action: Callable[[], Any], seconds: float) -> None:
        """Calls the action in the thread and waits. Raises what the action raises, and NoAnswer after `seconds`.

        An action that calls `do` itself runs the inner action directly.
        """
        if threading.current_thread() is self._thread:
            action()
            return
        raised: list[BaseException] = []
        done = threading.Event()

        def act() -> None:
            try:
                action()
            except BaseException as error:  # raised again in the waiting thread
                raised.append(error)
            done.set()

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
            self._thread.start()
        self._actions.put(act)
        if not done.wait(seconds):
            raise NoAnswer
        if raised:
            raise raised[0]

    def end(self) -> None:
        """Stops the thread after the actions that are queued."""
        self._actions.put(None)
        self._thread = None

    def _work(self) -> None:
        while (action := self._actions.get()) is not None:
            action()
