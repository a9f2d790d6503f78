"""RoIAlign over the levels of a pyramid as one weighted look-up, for CPUs.

He et al. 2017, arXiv 1703.06870; the level of a region by eq. 1 of Lin et al. 2017, arXiv 1612.03144. What a bin of a
region holds is a sum of a few cells, with weights that only the region's box decides: the pyramid is laid out as one
table of cells, and torch's `embedding_bag` takes the sums, forwards and backwards, on all threads. torchvision's own
CPU kernels do the same with one thread backwards and a stride of a whole map between the channels of a cell.
"""

from math import log2

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

OUTSIDE = -1.0  # a sample further out than this many cells counts as nothing


class RegionAlign(MultiScaleRoIAlign):
    """Maps {name: (B, C, H, W)}, boxes B x (R, 4) in image px, image sizes -> (sum of R, C, *output_size).

    torchvision's numbers to rounding, and its gradients: none for the boxes. On other devices, and while a graph is
    traced, which has an operator for it, torchvision's own is called. `sampling_ratio` is 1 or more.
    """

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        maps = [feature for name, feature in x.items() if name in self.featmap_names]
        if torch.jit.is_tracing() or maps[0].device.type != "cpu":
            return super().forward(x, boxes, image_shapes)
        with torch.no_grad():
            cells, shares = self._looked_up(maps, boxes, max(height for height, _ in image_shapes))
        table = torch.cat([feature.permute(0, 2, 3, 1).flatten(0, 2) for feature in maps])
        sums = F.embedding_bag(cells, table, per_sample_weights=shares.to(table.dtype), mode="sum")
        return sums.view(-1, *self.output_size, table.shape[1]).permute(0, 3, 1, 2)

    def _looked_up(self, maps: list[Tensor], boxes: list[Tensor], image_height: int) -> tuple[Tensor, Tensor]:
        """For each bin of each region, (bins, samples): rows of the table, and what each counts."""
        powers = [round(log2(image_height / feature.shape[2])) for feature in maps]  # of 2: the strides, px
        mapper = LevelMapper(powers[0], powers[-1], self.canonical_scale, self.canonical_level)
        levels = mapper(boxes)
        sizes = torch.tensor([feature.shape[2:] for feature in maps])
        starts = torch.tensor([0, *(feature[:, 0].numel() for feature in maps)]).cumsum(0)
        heights, widths = sizes[levels].unbind(1)
        image = torch.arange(len(boxes)).repeat_interleave(torch.tensor([len(some) for some in boxes]))
        corners = torch.cat(boxes).float() / 2 ** torch.tensor(powers)[levels, None]
        lows, highs = corners[:, :2], corners[:, 2:]
        extents = (highs - lows).clamp(min=1)  # cells
        columns, of_columns = self._axis(lows[:, 0], extents[:, 0], widths, self.output_size[1])
        rows, of_rows = self._axis(lows[:, 1], extents[:, 1], heights, self.output_size[0])
        first = starts[levels] + image * heights * widths
        rows = first[:, None, None] + rows * widths[:, None, None]
        cells = rows[:, :, None, :, None] + columns[:, None, :, None, :]
        shares = of_rows[:, :, None, :, None] * of_columns[:, None, :, None, :]
        return cells.flatten(0, 2).flatten(1), shares.flatten(0, 2).flatten(1)

    def _axis(self, low: Tensor, extent: Tensor, cells: Tensor, bins: int) -> tuple[Tensor, Tensor]:
        """Along one axis: which cells each bin takes, and their shares: (R, bins, 2 x samples) both.

        low, extent: (R,) of a region, in cells of its map, which has `cells` (R,) of them.
        """
        samples = self.sampling_ratio
        steps = (torch.arange(bins * samples) + 0.5) / (bins * samples)
        at = low[:, None] + extent[:, None] * steps
        last = cells[:, None] - 1
        inside = (at >= OUTSIDE) & (at <= cells[:, None])
        at = at.clamp(min=0).minimum(last.float())
        before = at.long()
        after = (before + 1).minimum(last)
        beyond = at - before
        places = torch.stack((before, after), dim=-1).view(-1, bins, 2 * samples)
        shares = (torch.stack((1 - beyond, beyond), dim=-1) * inside[..., None] / samples).view(-1, bins, 2 * samples)
        return places, shares
