"""The order of training images: a function of (seed, epoch), so that a resumed epoch continues where it ended."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class EpochBatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) keys.

    `drop_last` leaves out an incomplete last batch, unless it is the only one. `repeats` (count,), 1 or more each, says
    how often an image comes in an epoch on average; its copy k = 1, 2, ... has the index `image + k * count`, so that
    it is augmented differently. None: every image once.

    `batch_size` counts the images of all `ranks` processes of a training together, and is a multiple of their number.
    The order is the same in every process; each batch is distributed round-robin, its first image to rank 0, its next
    to rank 1. `even`: what is left of an incomplete batch when all have as many is left out; otherwise some ranks get
    one more, and all images are dealt.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        shuffle: bool,
        drop_last: bool,
        repeats: np.ndarray | None = None,
        rank: int = 0,
        ranks: int = 1,
        even: bool = True,
    ) -> None:
        self.count = count
        self.rank = rank
        self.ranks = ranks
        self.even = even
        self.repeats = repeats
        # images of an epoch, as many in every one
        self.drawn = count if repeats is None else int(repeats.cumsum()[-1])
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
        """Batches of a whole epoch, wherever the next one starts; the same in every rank if `even`."""
        whole, rest = divmod(self.drawn, self.batch_size)
        return whole if self.drop_last and whole else whole + (len(self._dealt(range(rest))) > 0)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self._epoch
        order = self._order(epoch)
        for batch in range(self._start_batch, len(self)):
            together = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, index) for index in self._dealt(together)]

    def _dealt(self, batch: Sequence[int]) -> Sequence[int]:
        """This rank's images of a batch."""
        end = len(batch) // self.ranks * self.ranks if self.even else len(batch)
        return batch[self.rank : end : self.ranks]

    def _order(self, epoch: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.count))
        generator = np.random.default_rng([self.seed, epoch])
        if self.repeats is None:
            return generator.permutation(self.count).tolist()
        return generator.permutation(_copies(self.repeats, generator.random()))[: self.drawn].tolist()


def _copies(repeats: np.ndarray, offset: float) -> np.ndarray:
    """Indices of all copies of an epoch.

    Systematic sampling: an image of factor r comes floor(r) or ceil(r) times, r times on average over the offsets in
    0..1, and the total is that of the factors, but for one image at most.
    """
    ends = np.floor(repeats.cumsum() + offset).astype(np.int64)
    times = np.diff(ends, prepend=0)
    first = np.repeat(ends - times, times)
    return np.repeat(np.arange(len(repeats)), times) + (np.arange(times.sum()) - first) * len(repeats)
