"""Blocks that several necks share. Shapes are (B, C, H, W)."""

from collections.abc import Sequence

from torch import Tensor, nn

from lightdet.core.errors import LightdetError
from lightdet.nn.blocks import Activation, ConvBnAct, leaky_relu


def require_three(channels: Sequence[int], neck: str) -> None:
    """Raises LightdetError for a neck of three maps that gets another number of them."""
    if len(channels) != 3:
        raise LightdetError(
            f"neck={neck}: joins three maps, and the backbone gives {len(channels)}; take neck=pan or neck=pafpn, or "
            "model.network.backbone.finest_stride=8"
        )


def adapters(channels: Sequence[int], wanted: Sequence[int], activation: Activation = nn.Hardswish) -> nn.ModuleList:
    """One module per map: a 1x1 convolution where a backbone's channels are not the neck's, else the identity."""
    return nn.ModuleList(
        nn.Identity() if have == want else ConvBnAct(have, want, activation=activation)
        for have, want in zip(channels, wanted, strict=True)
    )


class ConvSet(nn.Module):
    """The five convolutions of YOLOv3: 1x1, 3x3, 1x1, 3x3, 1x1, the 3x3 ones twice as wide.

    (B, in, H, W) -> (B, out, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        wide = 2 * out_channels
        self.convs = nn.Sequential(
            ConvBnAct(in_channels, out_channels, activation=leaky_relu),
            ConvBnAct(out_channels, wide, 3, activation=leaky_relu),
            ConvBnAct(wide, out_channels, activation=leaky_relu),
            ConvBnAct(out_channels, wide, 3, activation=leaky_relu),
            ConvBnAct(wide, out_channels, activation=leaky_relu),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)
