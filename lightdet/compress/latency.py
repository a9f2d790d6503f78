"""How long a network takes beside the one that it was cut from, measured on this machine."""

import copy
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from lightdet.core.timing import interleaved, paired_ratio
from lightdet.nn.backend import eager, export, onnx_call
from lightdet.nn.fold import fold
from lightdet.nn.inputs import blank_image
from lightdet.nn.mode import in_mode
from lightdet.ops.grid import ImageSize

ROUNDS = 40


class Stopwatch:
    """Times networks for one image of `image_size` px, BatchNorm folded, beside `whole`: in ONNX Runtime with one
    thread where it is installed, else in PyTorch. The time is that of the processor: on a busy machine the time of the
    wall is that of the others, and a search would follow it."""

    def __init__(self, whole: nn.Module, image_size: ImageSize) -> None:
        self.runtime = "ONNX Runtime" if all(map(find_spec, ("onnx", "onnxruntime"))) else "PyTorch"
        self.whole = whole
        self.blank = blank_image(whole, image_size, 0.5)
        self.image = torch.rand(self.blank.shape, generator=torch.Generator().manual_seed(0))
        self.reference = self._call(whole)

    def share(self, narrower: nn.Module) -> float:
        """The time of a copy of the whole network with other widths, as a share of the whole one's: the median over
        rounds, in each of which both are timed. Its weights are filled."""
        _fill(narrower, self.whole)
        calls = {"whole": self.reference, "narrower": self._call(narrower)}
        times = interleaved(calls, ROUNDS, clock=time.process_time)
        return paired_ratio(times["narrower"], times["whole"])["median"]

    def _call(self, network: nn.Module) -> Callable[[], Any]:
        with in_mode(False, network):
            folded = fold(copy.deepcopy(network).cpu(), self.blank.cpu())
        if self.runtime == "PyTorch":
            return eager(folded, self.image, torch.get_num_threads()).call
        with TemporaryDirectory() as folder:
            return onnx_call(export(folded, self.image, Path(folder)), self.image, threads=1)


def _fill(narrower: nn.Module, whole: nn.Module) -> None:
    """The first channels of the whole network: no number is so small or so odd that a processor slows down on it."""
    given = whole.state_dict()
    with torch.no_grad():
        for name, value in narrower.state_dict().items():
            value.copy_(_corner(given[name], value))


def _corner(value: Tensor, like: Tensor) -> Tensor:
    return value[tuple(slice(side) for side in like.shape)]
