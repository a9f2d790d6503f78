"""How well anchors fit a training set, and better ones when they fit poorly."""

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from lightdet.ops.anchors import reachable

SMALLEST_BOX = 2.0  # px; smaller boxes are ignored


def best_possible_recall(box_sizes: Tensor, anchors_wh: Tensor, max_ratio: float) -> float:
    """Share of boxes (N, 2) px that at least one anchor (A, 2) px may be assigned to; 1 when there are none."""
    if len(box_sizes) == 0:
        return 1.0
    return float(reachable(box_sizes.double().numpy(), anchors_wh.double().cpu().numpy(), max_ratio).mean())


def cluster_anchors(box_sizes: Tensor, grids: int, per_grid: int, seed: int = 0) -> Tensor:
    """k-means over whitened box sizes (N, 2) px -> anchors (grids, per_grid, 2) px, small ones on the fine grid.

    The published procedure refines them with a genetic search; plain k-means gives the same recall on tested datasets.
    """
    sizes = box_sizes[(box_sizes > SMALLEST_BOX).all(dim=1)].double().numpy()
    if len(np.unique(sizes, axis=0)) < grids * per_grid:
        raise ValueError(f"{grids * per_grid} anchors need as many different box sizes, the training set has fewer")
    spread = sizes.std(axis=0).clip(min=1e-6)
    centres, _ = kmeans2(sizes / spread, grids * per_grid, iter=50, minit="++", rng=np.random.default_rng(seed))
    anchors = centres * spread
    ordered = anchors[np.argsort(anchors.prod(axis=1), kind="stable")]
    return torch.from_numpy(ordered).float().view(grids, per_grid, 2)
