"""Times calls on a machine with other load: interleaved in rounds, and compared within a round."""

import time
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WARM_UP = 5  # calls of each candidate that are not counted
Key = TypeVar("Key", bound=Hashable)


def interleaved(
    calls: Mapping[Key, Callable[[], Any]],
    rounds: int,
    warm_up: int = WARM_UP,
    report: Callable[[str], None] = lambda words: None,
) -> dict[Key, list[float]]:
    """Milliseconds of every call in every round; each round begins with another call. `report` gets the progress."""
    report(f"{len(calls)} calls are warmed up {warm_up} times")
    for call in calls.values():
        for _ in range(warm_up):
            call()
    times: dict[Key, list[float]] = {key: [] for key in calls}
    order = list(calls)
    for number in range(rounds):
        report(f"round {number + 1} of {rounds}")
        for key in order:
            began = time.perf_counter()
            calls[key]()
            times[key].append((time.perf_counter() - began) * 1e3)
        order = order[1:] + order[:1]
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and 95th percentile."""
    low, middle, high, tail = (float(value) for value in np.percentile(values, (25, 50, 75, 95)))
    return {"median": middle, "q25": low, "q75": high, "p95": tail}


def paired_ratio(times: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """times / reference within each round, so that a slow drift of the machine cancels out."""
    return spread([a / b for a, b in zip(times, reference, strict=True)])


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of the tensors that are created inside, and keeps their `peak`; parameters are not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {self._address(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and self._address(leaf) not in given | self._known:
                self._remember(leaf)
        return result

    @staticmethod
    def _address(tensor: torch.Tensor) -> int:
        return tensor.untyped_storage()._cdata

    def _remember(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage._cdata, storage.nbytes()
        self._known.add(address)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self._known.discard(address)
        self.now -= size


def peak_bytes(call: Callable[[], Any]) -> int:
    """The peak memory of the call's tensors; scratch memory of the libraries is not counted."""
    with LiveTensors() as live:
        call()
    return live.peak
