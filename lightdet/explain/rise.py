"""RISE, Petsiuk et al. 2018, arXiv 1806.07421, and D-RISE for boxes, Petsiuk et al. 2021, arXiv 2006.03204.

The image is seen through many random masks; a place matters if what is explained survives where the mask leaves it.
Nothing but predictions is asked of the model. Differs: hidden places are grey, as the border of every input is, not
black; the mean over the masks is taken off each mask's support, so that a place that changes nothing is near 0 with
few masks already; for a box, see `Detector.support`.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightdet.core.errors import demand_share, demand_whole
from lightdet.core.types import Subject
from lightdet.explain.contract import Method
from lightdet.explain.gradient import shape_of
from lightdet.model.contract import Model
from lightdet.ops.letterbox import PADDING_GREY

SHADE = PADDING_GREY / 255  # of hidden places


class Rise(Method):
    """mean over the masks of (support - mean support) x (mask - mean mask), negative values 0.

    `masks`: their number. `cells`: of a mask before it is enlarged, along each side. `visible`: probability of a cell
    to stay. `batch`: images in one call of the model. `seed`: of the masks; every image sees the same ones.
    """

    def __init__(self, masks: int = 300, cells: int = 8, visible: float = 0.5, batch: int = 32, seed: int = 0) -> None:
        for name, value, least in (("masks", masks, 2), ("cells", cells, 1), ("batch", batch, 1), ("seed", seed, 0)):
            demand_whole(f"explain.rise.{name}", value, least)
        demand_share("explain.rise.visible", visible)
        self.masks = masks
        self.cells = cells
        self.visible = visible
        self.batch = batch
        self.seed = seed

    @torch.inference_mode()
    def __call__(self, model: Model, images: Tensor, subject: Subject) -> np.ndarray:
        random = torch.Generator().manual_seed(self.seed)
        masks, supports = [], []
        for start in range(0, self.masks, self.batch):
            some = self._draw(min(self.batch, self.masks - start), shape_of(images), random).to(images.device)
            seen = images * some + SHADE * (1 - some)
            supports += [model.support(prediction, subject) for prediction in model.predict(seen)]
            masks.append(some[:, 0])
        support = torch.tensor(supports, device=images.device)
        together = torch.cat(masks)
        heat = torch.einsum("n,nhw->hw", support - support.mean(), together - together.mean(dim=0)) / self.masks
        return heat.clamp(min=0).cpu().numpy()

    def _draw(self, count: int, shape: tuple[int, int], random: torch.Generator) -> Tensor:
        """(count, 1, H, W) 0..1: grids of cells, enlarged smoothly and moved by up to a cell, as in the paper."""
        grids = (torch.rand(count, 1, self.cells + 1, self.cells + 1, generator=random) < self.visible).float()
        steps = [-(-side // self.cells) for side in shape]
        size = [step * (self.cells + 1) for step in steps]
        large = F.interpolate(grids, size=size, mode="bilinear", align_corners=False)
        moves = [torch.randint(step, (count,), generator=random).tolist() for step in steps]
        cut = [
            one[:, top : top + shape[0], left : left + shape[1]] for one, top, left in zip(large, *moves, strict=True)
        ]
        return torch.stack(cut)
