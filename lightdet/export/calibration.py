"""The range of values that each activation of a graph takes on training images as the model sees them in use: placed as
`predict` places them, never augmented, and none that a score is measured on."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from lightdet.core.errors import LightdetError
from lightdet.core.progress import watched
from lightdet.data.image import read_image
from lightdet.data.record import Record
from lightdet.export.int8 import OPERATION, steps

IMAGES = 64  # that ranges are measured on
BINS = 2048
PERCENT = 99.99  # of the values that the rule "percentile" holds
SHARES = np.linspace(0.3, 1.0, 36)  # of the range, of which the rule "least_error" takes the best
MINMAX, PERCENTILE, LEAST_ERROR = "minmax", "percentile", "least_error"

Run = Callable[[np.ndarray, Sequence[str]], list[np.ndarray]]  # images (B, h, w, channels) uint8, names of outputs
Start = Callable[[onnx.ModelProto], Run]  # in the runtime that the file is for
Place = Callable[[np.ndarray], np.ndarray]  # pixels (H, W, 3) uint8 RGB -> the input (h, w, channels) uint8
Ranges = dict[str, tuple[float, float]]  # activation -> least and largest value


def chosen(records: Sequence[Record], most: int = IMAGES) -> list[Record]:
    """Up to `most` images that show every class: of each class in turn, the rarest first, its first image that is not
    chosen yet; then the first of the rest. The same for the same records."""
    labels = [{int(label) for label in record.labels} for record in records]
    count = Counter(label for each in labels for label in each)
    queues = {label: [at for at, each in enumerate(labels) if label in each] for label in sorted(count)}
    order: dict[int, None] = {}
    while len(order) < most and any(queues.values()):
        for label in sorted(queues, key=lambda label: (count[label], label)):
            queues[label] = [at for at in queues[label] if at not in order]
            if queues[label] and len(order) < most:
                order[queues[label].pop(0)] = None
    rest = (at for at in range(len(records)) if at not in order)
    return [records[at] for at in [*order, *rest][:most]]


def placed(records: Sequence[Record], place: Place) -> list[np.ndarray]:
    """The images of the records as inputs (h, w, channels) uint8."""
    return [place(read_image(record.path, record.bits)) for record in records]


class Activations:
    """What the activations of a graph are on images (h, w, channels) uint8, as histograms; `ranges` makes ranges of
    them by a rule. The pixels in front of the first convolution have the range of all 256 values, which int8 holds
    exactly.

    names: of the activations. Raises LightdetError where one is no number.
    """

    def __init__(
        self, model: onnx.ModelProto, names: Sequence[str], images: Sequence[np.ndarray], start: Start
    ) -> None:
        self.names = tuple(names)
        started = start(exposed(model, self.names))

        def run(image: np.ndarray) -> list[np.ndarray]:
            return started(image[None], self.names)

        self.ends: Ranges = {}
        self.means: dict[str, np.ndarray] = {}  # of each channel
        for values in watched(map(run, images), len(images), "images, ranges of activations"):
            for name, each in zip(self.names, values, strict=True):
                low, high = self.ends.get(name, (0.0, 0.0))
                self.ends[name] = float(np.minimum(low, each.min())), float(np.maximum(high, each.max()))  # NaN stays
                self.means[name] = self.means.get(name, 0.0) + each.mean((0, 2, 3)) / len(images)
        for name, ends in self.ends.items():
            if not np.isfinite(ends).all():
                raise LightdetError(
                    f"int8: the activation {name} is no number on a training image; export it as float32"
                )
        before = in_front(model) & {*self.names}
        outer = [run(np.full_like(images[0], value)) for value in (0, 255)] if before else []
        self.pixels: Ranges = {
            name: (float(min(each[at].min() for each in outer)), float(max(each[at].max() for each in outer)))
            for at, name in enumerate(self.names)
            if name in before
        }
        self.counts = {name: np.zeros(BINS) for name in self.names}
        for values in watched(map(run, images), len(images), "images, histograms"):
            for name, each in zip(self.names, values, strict=True):
                self.counts[name] += np.histogram(each, BINS, self._limits(name))[0]

    def ranges(self, rule: str) -> Ranges:
        """Ranges by a rule: "minmax" holds every value; "percentile" leaves out the outermost of them; "least_error"
        takes the share of the range whose rounded values differ least from what they were, squared."""
        rules: Mapping[str, Callable[[str], tuple[float, float]]] = {
            MINMAX: self.ends.__getitem__,
            PERCENTILE: self._percentile,
            LEAST_ERROR: self._least_error,
        }
        make = rules[rule]
        return {name: self.pixels.get(name) or make(name) for name in self.names}

    def _limits(self, name: str) -> tuple[float, float]:
        low, high = self.ends[name]
        return low, max(high, low + 1e-12)

    def _middles(self, name: str) -> np.ndarray:
        edges = np.linspace(*self._limits(name), BINS + 1)
        return (edges[1:] + edges[:-1]) / 2

    def _percentile(self, name: str) -> tuple[float, float]:
        outside = (1 - PERCENT / 100) / 2
        shares = np.cumsum(self.counts[name]) / self.counts[name].sum()
        edges = np.linspace(*self._limits(name), BINS + 1)
        first, last = (int(np.searchsorted(shares, share)) for share in (outside, 1 - outside))
        return float(edges[first]), float(edges[min(last + 1, BINS)])

    def _least_error(self, name: str) -> tuple[float, float]:
        low, high = self.ends[name]
        values, counts = self._middles(name), self.counts[name]

        def error(share: float) -> float:
            scale, zero = steps(low * share, high * share, signed=False)
            rounded = (np.rint(values / scale + zero).clip(0, 255) - zero) * scale
            return float((counts * (rounded - values) ** 2).sum())

        best = min(SHARES.tolist()[::-1], key=error)  # of equal ones the largest
        return low * best, high * best


def exposed(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The graph with the named activations as its outputs."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return opened


def in_front(model: onnx.ModelProto) -> set[str]:
    """Activations that no convolution has a part in: the pixels as the network takes them."""
    constants = {each.name for each in model.graph.initializer}
    plain = {each.name for each in model.graph.input} | constants
    for node in model.graph.node:
        if node.op_type != OPERATION and all(name in plain for name in node.input):
            plain.update(node.output)
    return plain - constants
