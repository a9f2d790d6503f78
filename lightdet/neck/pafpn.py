"""The YOLOX neck: `Pan` made of CspLayers, there with SiLU. Ge et al. 2021, arXiv 2107.08430."""

from collections.abc import Callable, Sequence
from functools import partial

from lightdet.neck.pan import Pan
from lightdet.nn.blocks import CspLayer, activation_named
from lightdet.nn.contracts import Fusion


class Pafpn(Pan):
    """[C3, C4, C5] -> [P3, P4, P5], `.channels` = (256, 512, 1024) x width; `depthwise` splits the 3x3 convolutions.

    `scale`: `width` and `depth`, as for `Pan`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        fusion: Callable[[int], Fusion],
        depthwise: bool = False,
        activation: str = "silu",
        **scale: float,
    ) -> None:
        act = activation_named(activation)
        block = partial(CspLayer, activation=act, depthwise=depthwise)
        super().__init__(channels, fusion, block=block, activation=act, depthwise=depthwise, **scale)
