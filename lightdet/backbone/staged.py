"""The chain that most backbones are: a stem, then three stages whose outputs are the maps of the three strides."""

from torch import Tensor, nn

from lightdet.nn.contracts import Backbone


class Staged(Backbone):
    """(B, 3, H, W) -> [C3, C4, C5] at strides 8, 16 and 32, with `.channels` each.

    `stem` leads to stride 4, and `stage3`, `stage4` and `stage5` halve the map, one after another.
    """

    stem: nn.Module
    stage3: nn.Module
    stage4: nn.Module
    stage5: nn.Module

    def forward(self, images: Tensor) -> list[Tensor]:
        c3 = self.stage3(self.stem(images))
        c4 = self.stage4(c3)
        return [c3, c4, self.stage5(c4)]
