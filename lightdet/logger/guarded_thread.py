"""Doing things in a thread of their own, one after another, so that one which never comes back can be left behind."""

import queue
import threading
from collections.abc import Callable
from typing import Any


class Silence(Exception):  # noqa: N818  # the name of what happens
    """Something has not come back in time."""


class GuardedThread:
    """One thread, started when it is first needed, that dies with the process. Some trackers keep state by thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, action: Callable[[], Any], seconds: float) -> None:
        """Raises what the action raises, and Silence when it takes longer than `seconds`. An action that asks for
        another one does it itself."""
        if threading.current_thread() is self._thread:
            action()
            return
        raised: list[BaseException] = []
        done = threading.Event()

        def act() -> None:
            try:
                action()
            except BaseException as error:  # whoever waits gets it
                raised.append(error)
            done.set()

        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
            self._thread.start()
        self._asked.put(act)
        if not done.wait(seconds):
            raise Silence
        if raised:
            raise raised[0]

    def end(self) -> None:
        """Let the thread go, after what it was asked before."""
        self._asked.put(None)
        self._thread = None

    def _work(self) -> None:
        while (action := self._asked.get()) is not None:
            action()
