"""A forest of decision trees as tensors: it is stored, exported and computed like any layer, without scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lightdet.core.errors import LightdetError


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes of one tree; the first is its root, and a leaf is its own child on both sides.

    A sample goes left where `features[feature] <= threshold`, compared in float32.
    """

    feature: np.ndarray  # (n,) whole numbers, 0..D-1
    threshold: np.ndarray  # (n,) float32
    left: np.ndarray  # (n,) whole numbers, 0..n-1
    right: np.ndarray  # (n,)
    shares: np.ndarray  # (n, C): of the classes among the samples of a node; those of leaves count
    depth: int  # steps from the root to the farthest leaf


class Forest(nn.Module):
    """features (B, D) -> probabilities (B, C): the mean of the shares in the leaves that a sample reaches.

    Breiman 2001, Machine Learning 45. Each tree has a place for `2 * max_leaves - 1` nodes, so the shapes are known
    before it is grown. A feature within a rounding error of a threshold may take the other side on other hardware or
    with folded norms: that tree then answers otherwise, one of `trees`.
    """

    feature: Tensor  # (trees, nodes) int32
    threshold: Tensor  # (trees, nodes) float32
    left: Tensor  # (trees, nodes) int32
    right: Tensor  # (trees, nodes) int32
    shares: Tensor  # (trees, nodes, C) float32
    depth: Tensor  # () int64: the deepest tree's
    importance: Tensor  # (D,) float32, sums to 1: how much of the trees' decrease in impurity is due to each feature

    def __init__(self, features: int, num_classes: int, trees: int, max_leaves: int) -> None:
        super().__init__()
        shape = (trees, 2 * max_leaves - 1)
        self.max_leaves = max_leaves
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(shape))
        self.register_buffer("shares", torch.zeros((*shape, num_classes)))
        self.register_buffer("depth", torch.zeros((), dtype=torch.int64))
        self.register_buffer("importance", torch.zeros(features))
        self.steps = 0  # the value of `depth`, which an exported graph has as a constant

    def fill(self, trees: Sequence[Tree], importance: np.ndarray) -> None:
        """Takes the place of what the forest was; as many trees as it has places for."""
        with torch.no_grad():
            for table in (self.feature, self.threshold, self.left, self.right, self.shares):
                table.zero_()
            for number, tree in enumerate(trees):
                for name in ("feature", "threshold", "left", "right", "shares"):
                    values = torch.from_numpy(getattr(tree, name))
                    getattr(self, name)[number, : len(values)] = values.to(self.threshold.device)
            self.depth.fill_(max(tree.depth for tree in trees))
            self.importance.copy_(torch.from_numpy(importance))
        self.check()

    def check(self) -> None:
        """Counts the steps anew, after tables were filled or loaded.

        Raises LightdetError for tables that lead outside of themselves: they may come from a file.
        """
        nodes, features = self.feature.shape[1], len(self.importance)
        for table, end in ((self.feature, features), (self.left, nodes), (self.right, nodes)):
            if table.min() < 0 or table.max() >= end:
                raise LightdetError("the forest of this model names a node or a feature that it does not have")
        if not 0 <= self.depth < self.max_leaves:
            raise LightdetError(f"the forest of this model is {int(self.depth)} deep, with {self.max_leaves} leaves")
        self.steps = int(self.depth)

    def forward(self, features: Tensor) -> Tensor:
        features = features.float()
        trees, nodes = self.feature.shape
        first = torch.arange(trees, device=features.device) * nodes  # (trees,): the roots, in the flattened tables
        feature, threshold = self.feature.flatten().long(), self.threshold.flatten()
        left, right = self.left.flatten().long(), self.right.flatten().long()
        node = first.expand(features.shape[0], trees)  # `len` would fix the batch of an exported graph
        for _ in range(self.steps):
            goes_left = features.gather(1, feature[node]) <= threshold[node]
            node = first + torch.where(goes_left, left[node], right[node])
        return self.shares.flatten(0, 1)[node].mean(dim=1)
