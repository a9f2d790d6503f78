"""Work on a stream of items by several threads: in order, with a bounded number of items at a time. No torch here."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def in_order(items: Iterable[Item], work: Callable[[Item], Done], threads: int, ahead: int) -> Iterator[Done]:
    """work(item) of every item, in the order of the items, computed by `threads` threads.

    A thread of its own takes an item only while fewer than `threads + ahead` items are taken whose results are not, so
    a slow reader of the results stops the source, and each result is there as soon as it is computed and the ones
    before it are. An error of `items` or `work`, whatever its kind, is raised in its place and ends the work. Whoever
    stops early closes the generator, and ends `items` himself where they block.
    """
    free = threading.Semaphore(threads + ahead)
    ended = threading.Event()
    taken: SimpleQueue[Future[Done] | None] = SimpleQueue()
    pool = ThreadPoolExecutor(threads, "lightdet-predict")

    def take() -> None:
        try:
            iterator = iter(items)
            while free.acquire() and not ended.is_set():
                try:
                    item = next(iterator)
                except StopIteration:
                    break
                taken.put(pool.submit(work, item))
                del item  # a frame is held by its future alone
        except BaseException as error:
            failed: Future[Done] = Future()
            failed.set_exception(error)
            taken.put(failed)
        taken.put(None)

    threading.Thread(target=take, name="lightdet-source", daemon=True).start()
    try:
        while (future := taken.get()) is not None:
            result = future.result()
            del future
            yield result
            del result
            free.release()
    finally:
        ended.set()
        free.release()
        with suppress(RuntimeError):
            pool.shutdown(cancel_futures=True)
