"""Times calls on a machine with other load: interleaved in rounds, and compared within a round. No torch here."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

WARM_UP = 5  # calls of each candidate that are not counted
Key = TypeVar("Key", bound=Hashable)


def interleaved(
    calls: Mapping[Key, Callable[[], Any]],
    rounds: int,
    warm_up: int = WARM_UP,
    report: Callable[[str], None] = lambda words: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, list[float]]:
    """Milliseconds of every call in every round; each round begins with another call. `report` gets the progress.
    `clock`: seconds; that of the wall, or `time.process_time`, in which time that other programs take does not count.
    """
    report(f"{len(calls)} calls are warmed up {warm_up} times")
    for call in calls.values():
        for _ in range(warm_up):
            call()
    times: dict[Key, list[float]] = {key: [] for key in calls}
    order = list(calls)
    for number in range(rounds):
        report(f"round {number + 1} of {rounds}")
        for key in order:
            began = clock()
            calls[key]()
            times[key].append((clock() - began) * 1e3)
        order = order[1:] + order[:1]
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and 95th percentile."""
    low, middle, high, tail = (float(value) for value in np.percentile(values, (25, 50, 75, 95)))
    return {"median": middle, "q25": low, "q75": high, "p95": tail}


def paired_ratio(times: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """times / reference within each round, so that a slow drift of the machine cancels out."""
    return spread([a / b for a, b in zip(times, reference, strict=True)])
