"""The order of training images: a function of (seed, epoch), so that a resumed epoch goes on where it was left."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochBatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) keys.

    `drop_last` leaves out an incomplete last batch, unless it is the only one.
    """

    def __init__(self, count: int, batch_size: int, seed: int, shuffle: bool, drop_last: bool) -> None:
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last
        self._epoch = 0
        self._start_batch = 0

    def begin(self, epoch: int, start_batch: int) -> None:
        """What the next iteration yields: that epoch from that batch on."""
        self._epoch = epoch
        self._start_batch = start_batch

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever the next one starts."""
        whole, rest = divmod(self.count, self.batch_size)
        return whole if self.drop_last and whole else whole + (rest > 0)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self._epoch
        order = self._order(epoch)
        for batch in range(self._start_batch, len(self)):
            yield [(epoch, index) for index in order[batch * self.batch_size : (batch + 1) * self.batch_size]]

    def _order(self, epoch: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.count))
        return np.random.default_rng([self.seed, epoch]).permutation(self.count).tolist()
